//! What a person does: sign up, sign in, go to a provider and come back, confirm an address, sign out.
//!
//! A flow asks GoTrue and begins a session; pages and JSON are two faces of the same call. Nothing here knows HTML.

mod account;
mod alone;
mod anonymous;
mod arrival;
mod code;
mod double;
mod email;
mod factors;
mod handover;
mod id_token;
mod linking;
mod mailed;
mod mfa;
mod once;
mod otp;
mod password;
mod pending;
mod project;
mod provider;
mod recovery;
mod redeem;
mod return_to;
mod rules;
mod signup;
mod update;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::clock::SharedClock;
use base::entropy::SharedEntropy;
use base::seal::{Keyring, Sealer};
use time::OffsetDateTime;
use url::Url;

pub use account::{AddressChange, NewAddress, NewPassword, PasswordChange};
use arrival::OF_SIGN_UP;
pub use arrival::{Arrival, EmailChange, NotLinked, Return};
pub use code::{By, Confirm, Confirmed, asked_nothing_in_vain};
pub use handover::{BadCode, Ticket};
pub use id_token::IdToken;
pub use linking::Identity;
pub use mailed::{Again, Awaited, Entered, Typed};
pub use mfa::{AppCode, apps_of};
pub use otp::Asked;
pub use password::Credentials;
pub use pending::{Pending, Purpose};
pub use project::{Offer, Project};
pub use provider::{Begun, ProviderSettings, Providers};
pub use recovery::May;
pub use return_to::{Client, ReturnTo, Targets, Waiting};
pub use rules::PasswordRules;
pub use signup::{Account, SignedUp};
pub use update::{Update, Updated};

use crate::event::{Event, Outcome, Record, Trail};
use crate::gotrue::{self, GoTrue};
use crate::limit::{Bucket, Limiter, Taken, Wait};
use crate::session::{self, Sessions};

/// When it makes sense to try again what did not work for a moment.
const SOON: Duration = Duration::from_secs(10);

/// What [`Flows::new`] joins.
pub struct Parts {
    /// Supabase Auth.
    pub gotrue: Arc<GoTrue>,
    /// Where a flow's session goes.
    pub sessions: Sessions,
    /// Counts tries.
    pub limiter: Limiter,
    /// Tells and counts what happens.
    pub trail: Trail,
    /// `limits.*`.
    pub limits: crate::limit::Settings,
    /// `[providers]`.
    pub providers: Providers,
    /// `password.*`.
    pub passwords: PasswordRules,
    /// Where people may be sent to afterwards.
    pub targets: Targets,
    /// The canonical public origin, from which every address is built that GoTrue is told (S-22).
    pub public_url: Url,
    /// Seals flow cookies, keys the counters of accounts.
    pub keys: Keyring,
    /// The time.
    pub clock: SharedClock,
    /// Randomness for verifiers and ids.
    pub entropy: SharedEntropy,
}

/// Every flow. Clones share everything.
#[derive(Clone)]
pub struct Flows(Arc<Inner>);

struct Inner {
    gotrue: Arc<GoTrue>,
    sessions: Sessions,
    limiter: Limiter,
    trail: Trail,
    limits: crate::limit::Settings,
    providers: Providers,
    passwords: PasswordRules,
    targets: Targets,
    public_url: Url,
    project: Project,
    pending: pending::Pendings,
    exchanges: once::Exchanges,
    redemptions: redeem::Redemptions,
    learned: account::Learned,
    doubles: double::Doubles,
    handover: handover::Handover,
    proofs: mfa::Proofs,
    accounts: Sealer,
    clock: SharedClock,
    entropy: SharedEntropy,
}

impl Flows {
    /// Joins `parts`.
    pub fn new(parts: Parts) -> Self {
        let origin = parts.public_url.origin().ascii_serialization();
        let names = parts.sessions.names().clone();
        Self(Arc::new(Inner {
            project: Project::new(parts.gotrue.clone(), parts.clock.clone()),
            pending: pending::Pendings::new(parts.keys.purpose("flow"), names, origin),
            exchanges: once::Exchanges::default(),
            redemptions: redeem::Redemptions::default(),
            learned: account::Learned::default(),
            doubles: double::Doubles::default(),
            handover: handover::Handover::new(parts.keys.purpose("handover")),
            proofs: mfa::Proofs::default(),
            accounts: parts.keys.purpose("limit"),
            gotrue: parts.gotrue,
            sessions: parts.sessions,
            limiter: parts.limiter,
            trail: parts.trail,
            limits: parts.limits,
            providers: parts.providers,
            passwords: parts.passwords,
            targets: parts.targets,
            public_url: parts.public_url,
            clock: parts.clock,
            entropy: parts.entropy,
        }))
    }

    /// Where people may be sent to.
    pub fn targets(&self) -> &Targets {
        &self.0.targets
    }

    /// The rules for new passwords.
    pub fn passwords(&self) -> &PasswordRules {
        &self.0.passwords
    }

    /// What the login page can offer now.
    pub async fn offer(&self) -> Offer {
        self.0.project.offer(&self.0.providers).await
    }

    /// The project's settings as GoTrue tells them; `None` if it never did.
    pub async fn settings_as_told(&self) -> Option<Arc<serde_json::Map<String, serde_json::Value>>> {
        self.0.project.settings().await.map(|settings| settings.told)
    }

    /// Whether sign-ins go without the secret key because the project checks captchas (S-85).
    pub fn spares_the_secret_key(&self) -> bool {
        self.0.gotrue.spares_the_secret_key()
    }

    /// Asks for the project's settings ahead of the first visitor.
    pub async fn warm_up(&self) {
        self.0.project.warm_up().await;
    }
}

/// A try that was counted for its network before anything that came with it was read (S-84). Dropped, it stays
/// counted.
#[derive(Debug)]
#[must_use = "give it to the flow that it was counted for, or back"]
pub struct Try(Option<Taken>);

impl Try {
    /// Uncounts it: nothing was tried.
    pub fn give_back(self) {
        if let Some(taken) = self.0 {
            taken.give_back();
        }
    }
}

/// What counting brought. Dropped, the try stays counted if it was.
#[derive(Debug)]
#[must_use = "ask whether it passed, or give it back"]
pub struct Counted {
    trail: Trail,
    bucket: Bucket,
    taken: Result<Option<Taken>, Wait>,
}

impl Counted {
    /// The try.
    ///
    /// # Errors
    ///
    /// [`Failure::Limited`] if none was left.
    pub fn passed(self) -> Result<Try, Failure> {
        self.taken.map(Try).map_err(|wait| {
            self.trail.emit(&Record {
                code: Some("rate_limited"),
                bucket: Some(self.bucket.as_str()),
                ..Record::of(Event::RateLimited, Outcome::Refused)
            });
            Failure::Limited { retry_after: wait.retry_after.try_into().unwrap_or(Duration::from_secs(1)) }
        })
    }

    /// Uncounts it: it turned out to be no such try.
    pub fn give_back(self) {
        if let Ok(taken) = self.taken {
            Try(taken).give_back();
        }
    }
}

/// What a form can show beside its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Unknown, wrong, banned: all alike (S-71).
    InvalidCredentials,
    /// Said after a right password only.
    EmailNotConfirmed,
    /// Not an e-mail address (S-70).
    EmailInvalid,
    /// A field is empty.
    Required(&'static str),
    /// Easy to guess (S-73).
    WeakPassword,
    /// Longer than the server stores.
    PasswordTooLong,
    /// No new accounts.
    SignupClosed,
    /// The digits are wrong, used or old.
    CodeWrong,
    /// The link is used or old.
    LinkExpired,
    /// The project wants a captcha that this page cannot show.
    CaptchaFailed,
    /// Not the password so far.
    CurrentPassword,
    /// The new password is the one so far.
    SamePassword,
    /// The new address is the one so far.
    SameEmail,
    /// More characters than a name may have.
    NameTooLong,
    /// The account cannot do without this way to sign in.
    LastIdentity,
    /// No app of this person's is called so; that of another is answered alike (S-102).
    UnknownFactor,
    /// The person has an app of this name.
    AppNameTaken,
    /// The person has as many apps as the project allows.
    AppsFull,
}

/// Why a flow did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The person can mend it.
    #[error("the form needs a change: {0:?}")]
    Form(Problem),
    /// Too many tries; nothing was asked of GoTrue, or GoTrue itself said so.
    #[error("too many tries")]
    Limited {
        /// When the next try may pass.
        retry_after: Duration,
    },
    /// GoTrue does not answer, or not as it should.
    #[error("signing in does not work right now")]
    Unavailable(#[source] Arc<gotrue::Error>),
    /// GoTrue refused in a way that no form can mend.
    #[error("GoTrue refused")]
    Refused(#[source] gotrue::Error),
    /// The session could not be made.
    #[error(transparent)]
    Session(#[from] session::Error),
    /// A feature that the project has switched off.
    #[error("the project does not offer this")]
    Disabled,
    /// GoTrue wants the second factor first.
    #[error("the second factor is missing")]
    StepUp,
    /// An anonymous account has nothing of the kind.
    #[error("this needs a full account")]
    Anonymous,
    /// No such provider here.
    #[error("there is no such provider")]
    UnknownProvider,
}

impl Failure {
    /// A failure of `error` that is nobody's typing: an outage, a limit at GoTrue, a refusal without a field.
    fn of(error: gotrue::Error) -> Self {
        match error {
            gotrue::Error::RateLimited { retry_after, .. } => {
                let wait = retry_after.and_then(|w| w.try_into().ok()).unwrap_or(Duration::from_secs(30));
                Self::Limited { retry_after: wait.max(Duration::from_secs(1)) }
            }
            error if error.is_transient() => Self::Unavailable(Arc::new(error)),
            gotrue::Error::Refused { ref code, .. } if code == "captcha_failed" => {
                Self::Form(Problem::CaptchaFailed)
            }
            error => Self::Refused(error),
        }
    }

    /// The same of an error that several callers share.
    fn away(error: Arc<gotrue::Error>) -> Self {
        match &*error {
            gotrue::Error::RateLimited { code, retry_after } => {
                Self::of(gotrue::Error::RateLimited { code: code.clone(), retry_after: *retry_after })
            }
            _ => Self::Unavailable(error),
        }
    }
}

impl Inner {
    /// Counts one try in `bucket`, before anybody is asked (S-84).
    ///
    /// `None` where the operator set no limit.
    async fn count(&self, bucket: Bucket, key: &str) -> Result<Option<Taken>, Failure> {
        self.counted(bucket, key).await.passed().map(|tried| tried.0)
    }

    /// The same, before it is known whether the answer matters.
    async fn counted(&self, bucket: Bucket, key: &str) -> Counted {
        let taken = match self.limits.rate(bucket) {
            Some(quota) => self.limiter.take(bucket, key, quota).await.map(Some),
            None => Ok(None),
        };
        Counted { trail: self.trail.clone(), bucket, taken }
    }

    /// The name under which tries for `email` are counted: a keyed hash, the same for unknown addresses (S-81).
    fn account_key(&self, email: &email::Email) -> String {
        let mac = self.accounts.mac(&[b"account", email.as_str().to_lowercase().as_bytes()]);
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &mac[..16])
    }

    fn network_key(&self, from: Option<IpAddr>) -> String {
        from.map_or_else(|| "unknown".to_owned(), crate::limit::network)
    }

    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }
}

/// `<public>/auth/callback/<flow>`; `public` is a configured origin (S-22). That of a sign-up says so, for a browser that
/// knows nothing of the flow.
fn callback_url(public: &Url, flow: &str, purpose: Purpose) -> Url {
    let mark = if purpose == Purpose::SignUp { OF_SIGN_UP } else { "" };
    let mut url = public.clone();
    url.set_path(&format!("/auth/callback/{flow}{mark}"));
    url.set_query(None);
    url
}
