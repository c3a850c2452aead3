//! What callers hand in and get back.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use base::secret::Secret;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use super::answer;
use super::error::Error;
use crate::pkce::{self, Challenge};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$item_doc])* $item,)+
        }

        impl $name {
            /// GoTrue's word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$item => $word,)+
                }
            }

            /// The item that GoTrue's `word` names.
            pub fn parse(word: &str) -> Option<Self> {
                [$(Self::$item,)+].into_iter().find(|item| item.as_str() == word)
            }
        }
    };
}

words! {
    /// What a mail link is for.
    LinkKind {
        /// Confirms a new account.
        Signup = "signup",
        /// Accepts an invitation.
        Invite = "invite",
        /// Signs in.
        MagicLink = "magiclink",
        /// Leads to a new password.
        Recovery = "recovery",
        /// One half of a change of address, or all of it.
        EmailChange = "email_change",
        /// Confirms or signs in, whichever is pending.
        Email = "email",
    }
}

words! {
    /// What the digits of a mail are for.
    CodeKind {
        /// Confirms or signs in, whichever is pending.
        Email = "email",
        /// Confirms a new account.
        Signup = "signup",
        /// Leads to a new password.
        Recovery = "recovery",
        /// A change of address.
        EmailChange = "email_change",
    }
}

words! {
    /// Which mail is sent again.
    ResendKind {
        /// The confirmation of a new account.
        Signup = "signup",
        /// A change of address.
        EmailChange = "email_change",
    }
}

words! {
    /// Which sessions a sign-out ends.
    Scope {
        /// This one.
        Local = "local",
        /// All but this one.
        Others = "others",
        /// All of the user.
        Global = "global",
    }
}

/// A new account.
#[derive(Debug, Clone, Copy)]
pub struct SignUp<'a> {
    /// Normalised by the caller (S-70).
    pub email: &'a str,
    /// As typed.
    pub password: &'a Secret<String>,
    /// Becomes `user_metadata`.
    pub data: Option<&'a Map<String, Value>>,
    /// Of this flow; GoTrue ignores it when it confirms by itself.
    pub challenge: &'a Challenge,
    /// Where the mail's link leads; built from the public URL (S-22).
    pub redirect_to: &'a Url,
    /// What a captcha widget gave.
    pub captcha: Option<&'a str>,
}

/// A sign-in at a provider.
#[derive(Debug, Clone, Copy)]
pub struct Authorize<'a> {
    /// In lower case: GoTrue stores it as it is written.
    pub provider: &'a str,
    /// Where the browser comes back to; built from the public URL (S-22).
    pub redirect_to: &'a Url,
    /// Of this flow.
    pub challenge: &'a Challenge,
    /// Added to the provider's own; separated by commas or spaces, may be empty.
    pub scopes: &'a str,
    /// Passed on to the provider. From the configuration and its `allow_params` alone (S-28).
    pub params: &'a [(String, String)],
}

impl Authorize<'_> {
    /// The query. A parameter of `params` never replaces one of ours.
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        const OURS: [&str; 8] = [
            "provider",
            "redirect_to",
            "code_challenge",
            "code_challenge_method",
            "scopes",
            "invite_token",
            "skip_http_redirect",
            "state",
        ];
        let mut pairs = vec![
            ("provider", self.provider),
            ("redirect_to", self.redirect_to.as_str()),
            ("code_challenge", self.challenge.as_str()),
            ("code_challenge_method", pkce::METHOD),
        ];
        if !self.scopes.is_empty() {
            pairs.push(("scopes", self.scopes));
        }
        let own = |name: &str| OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        let others = self.params.iter().filter(|(name, _)| !own(name));
        pairs.extend(others.map(|(name, value)| (name.as_str(), value.as_str())));
        pairs
    }
}

/// What a provider issued to a page.
#[derive(Debug, Clone, Copy)]
pub struct IdToken<'a> {
    /// Whose it is.
    pub provider: &'a str,
    /// A JWT.
    pub id_token: &'a Secret<String>,
    /// Of the provider, where its ID token names one.
    pub access_token: Option<&'a Secret<String>>,
    /// As the page drew it; the token holds its hash.
    pub nonce: Option<&'a str>,
    /// What a captcha widget gave.
    pub captcha: Option<&'a str>,
}

/// What a person changes about himself. What is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'a> {
    /// Another address.
    pub email: Option<NewEmail<'a>>,
    /// Another password, to the last byte as typed.
    pub password: Option<&'a Secret<String>>,
    /// The one so far, where the project asks for it.
    pub current_password: Option<&'a Secret<String>>,
    /// The digits from the mail of a reauthentication, where the project asks for them.
    pub nonce: Option<&'a Secret<String>>,
    /// Merged into `user_metadata`; a null removes a member.
    pub data: Option<&'a Map<String, Value>>,
}

/// Another address, and the flow that its mails belong to.
#[derive(Debug, Clone, Copy)]
pub struct NewEmail<'a> {
    /// Normalised by the caller (S-70).
    pub address: &'a str,
    /// Of this flow.
    pub challenge: &'a Challenge,
    /// Where the links lead; built from the public URL (S-22).
    pub redirect_to: &'a Url,
}

/// A session of GoTrue's.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// A JWT. To be verified before use (S-29).
    pub access_token: Secret<String>,
    /// Opaque, of any length.
    pub refresh_token: Secret<String>,
    /// Seconds that the access token lives from now on; at least 1.
    pub expires_in: i64,
    /// Whose it is.
    pub user: User,
}

impl Tokens {
    /// Reads a session as GoTrue writes it, such as one that a load test has kept.
    ///
    /// # Errors
    ///
    /// [`Error::NotGoTrue`] if it is none.
    pub fn from_json(body: &[u8]) -> Result<Self, Error> {
        answer::tokens(body)
    }
}

/// A user as GoTrue describes him. Printing shows the id alone (S-86).
#[derive(Clone)]
pub struct User {
    /// The one name of a person (S-102).
    pub id: Uuid,
    /// Empty if there is none.
    pub email: String,
    /// Empty if there is none; without `+`.
    pub phone: String,
    /// When the address was confirmed.
    pub email_confirmed_at: Option<OffsetDateTime>,
    /// Address that waits for confirmation.
    pub new_email: Option<String>,
    /// Written by the user himself: to show, never to decide by (S-99).
    pub user_metadata: Map<String, Value>,
    /// Written by administrators and GoTrue.
    pub app_metadata: Map<String, Value>,
    /// Every way that is linked, `email` among them.
    pub identities: Vec<Identity>,
    /// Second factors, those that were never verified included.
    pub factors: Vec<Factor>,
    /// Signed in without an account.
    pub is_anonymous: bool,
    /// The members that describe a person (contract 2.1), as GoTrue wrote them: for a client that speaks with GoTrue.
    pub told: Arc<Map<String, Value>>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

impl User {
    /// Whether a second factor stands in the way of an `aal1` session (S-32).
    pub fn has_verified_factor(&self) -> bool {
        self.factors.iter().any(|factor| factor.verified)
    }
}

/// A linked way to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// For its removal: GoTrue's `identity_id`.
    pub id: Uuid,
    /// `email`, `github` and such.
    pub provider: String,
    /// As the provider tells it; empty if it does not.
    pub email: String,
}

/// A second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// For challenge and removal.
    pub id: Uuid,
    /// `totp`, `phone`, `webauthn`.
    pub kind: String,
    /// What the user called it; may be empty.
    pub name: String,
    /// It counts only once it was verified.
    pub verified: bool,
    /// When it was enrolled, as GoTrue says.
    pub created_at: Option<OffsetDateTime>,
}

/// An authenticator app that was just enrolled.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// For challenge and removal.
    pub id: Uuid,
    /// In Base32, to be typed into the app.
    pub secret: Secret<String>,
    /// `otpauth://totp/…`: the same with the names that the app shows beside its codes.
    pub uri: Secret<String>,
}

/// The answer to a sign-up.
#[derive(Debug, Clone)]
pub enum SignedUp {
    /// The project confirms by itself: signed in.
    Session(Box<Tokens>),
    /// A mail is on its way, or looks so.
    Confirm,
}

/// The answer to a mail link or its digits.
#[derive(Debug, Clone)]
pub enum Verified {
    /// Signed in.
    Session(Box<Tokens>),
    /// The first half of a change of address: the other mailbox has a link too.
    Half,
}

/// What a project allows, from `GET /settings`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectSettings {
    /// Names of the enabled providers; `email`, `phone` and anonymous users stand apart.
    pub providers: BTreeSet<String>,
    /// Addresses and passwords.
    pub email: bool,
    /// Sessions without an account.
    pub anonymous: bool,
    /// New accounts.
    pub signup_open: bool,
    /// New accounts need no confirmation.
    pub autoconfirm: bool,
    /// All that GoTrue said, for a client that speaks with GoTrue.
    pub told: Arc<Map<String, Value>>,
}
