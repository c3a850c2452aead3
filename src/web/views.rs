//! What each page shows: a struct a template, and the frame around all of them.
//!
//! A view holds what its page prints and no more, so none can echo a password. Problems and notices are enums whose
//! serialized `text` names a sentence of `templates/texts.<language>.ftl`; their other fields fill its places.

mod account;
mod account_forms;
mod confirm;
mod demo;
mod docs;
mod error;
mod factors;
mod login;
mod mailed;
mod mfa;
mod reset;
mod security;
mod signup;

pub use account::{AccountNotice, AccountPage, LogoutPage, Since};
pub use account_forms::{AccountForm, AccountFormKind, IdentityAct, IdentityPage};
pub use confirm::{ConfirmPage, ConfirmStep, ContinuePage, LinkKind, Towards};
pub use demo::{CALLS, Call, DemoPage, Outcome, token_shapes};
pub use docs::{CodeRow, DocsPage, ErrorCodesPage, FieldRow, OperationRow};
pub use error::ErrorPage;
pub use factors::{EnrollPage, EnrollStep, RemoveAppPage};
pub use login::{Again, LoginAlready, LoginNotice, LoginPage, LoginProblem, Remember};
pub use mailed::{CheckMailPage, CheckNotice, MailForm, OtpPage, Purpose, RecoverPage};
pub use mfa::{AppChoice, MfaPage};
pub use reset::ResetPage;
pub use security::{AppRow, DeviceName, DeviceRow, SecurityNotice, SecurityPage, Way};
pub use signup::SignupPage;

use serde::Serialize;
use time::Duration;

use super::templates::Language;

/// Names the template a view belongs to: no page is rendered with another page's data.
pub trait View: Serialize + Sized {
    /// A file name below `templates/`.
    const TEMPLATE: &'static str;

    /// Every state the page can be in, for the tests and for the check of an operator's own templates.
    fn samples() -> Vec<Self>;
}

/// `$do` of every view: `every_view!(check)` calls `check::<V>()`, `every_view!(check(a))` calls `check::<V>(a)`, for
/// each. A template of a page without a line here fails a test.
macro_rules! every_view {
    ($do:ident $arguments:tt) => {{
        use $crate::web::views::*;
        [
            $do::<LoginPage<'_>> $arguments,
            $do::<LoginAlready<'_>> $arguments,
            $do::<SignupPage<'_>> $arguments,
            $do::<CheckMailPage<'_>> $arguments,
            $do::<OtpPage<'_>> $arguments,
            $do::<RecoverPage<'_>> $arguments,
            $do::<ResetPage<'_>> $arguments,
            $do::<ConfirmPage<'_>> $arguments,
            $do::<ContinuePage<'_>> $arguments,
            $do::<LogoutPage<'_>> $arguments,
            $do::<MfaPage<'_>> $arguments,
            $do::<EnrollPage<'_>> $arguments,
            $do::<RemoveAppPage<'_>> $arguments,
            $do::<AccountPage<'_>> $arguments,
            $do::<AccountForm<'_>> $arguments,
            $do::<IdentityPage<'_>> $arguments,
            $do::<SecurityPage<'_>> $arguments,
            $do::<ErrorPage<'_>> $arguments,
            $do::<DemoPage<'_>> $arguments,
            $do::<DocsPage<'_>> $arguments,
            $do::<ErrorCodesPage<'_>> $arguments,
        ]
    }};
    ($do:ident) => {
        let _ = every_view!($do());
    };
}
pub(in crate::web) use every_view;

/// What the frame around a page needs to know about this request.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Frame<'a> {
    /// The host as the browser names it; stands for the site's name while `pages.title` is not set.
    pub host: &'a str,
    /// Somebody is signed in: a form token for `POST /auth/logout`, for the button in the header.
    pub sign_out: Option<&'a str>,
    /// What the page speaks.
    #[serde(skip)]
    pub language: Language,
    /// The switch, if there is one.
    pub tongues: &'a [Tongue<'a>],
}

/// A language of the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tongue<'a> {
    /// As in `lang`.
    pub code: &'a str,
    /// What it calls itself.
    pub name: &'a str,
    /// Where the page is to be had in it; `None` for the language of the page.
    pub url: Option<String>,
}

/// How long to wait before the next try. Shown in rounded words: about 10 seconds, about 3 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wait(i64);

impl Wait {
    /// The wait in the words of the page; less than nothing counts as nothing.
    pub fn new(wait: Duration) -> Self {
        let begun = i64::from(wait.subsec_nanoseconds() > 0);
        Self(wait.whole_seconds().saturating_add(begun).max(0))
    }

    /// Whole seconds, rounded up.
    pub fn seconds(self) -> i64 {
        self.0
    }
}

/// A way to sign in through somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Provider<'a> {
    /// As in `[providers]` and in `/auth/start/{provider}`.
    pub id: &'a str,
    /// As people know it.
    pub name: &'a str,
}

impl<'a> Provider<'a> {
    /// The provider with the name people know it by; an unknown one keeps its id as its name.
    pub fn named(id: &'a str) -> Self {
        let known = NAMES.iter().find(|(known, _)| *known == id);
        Self { id, name: known.map_or(id, |(_, name)| name) }
    }
}

/// Providers that GoTrue has names for, and those names as people write them.
const NAMES: [(&str, &str); 22] = [
    ("apple", "Apple"),
    ("azure", "Microsoft"),
    ("bitbucket", "Bitbucket"),
    ("discord", "Discord"),
    ("facebook", "Facebook"),
    ("figma", "Figma"),
    ("fly", "Fly.io"),
    ("github", "GitHub"),
    ("gitlab", "GitLab"),
    ("google", "Google"),
    ("kakao", "Kakao"),
    ("keycloak", "Keycloak"),
    ("linkedin", "LinkedIn"),
    ("linkedin_oidc", "LinkedIn"),
    ("notion", "Notion"),
    ("slack", "Slack"),
    ("slack_oidc", "Slack"),
    ("spotify", "Spotify"),
    ("twitch", "Twitch"),
    ("twitter", "X"),
    ("workos", "WorkOS"),
    ("zoom", "Zoom"),
];

/// What is wrong with one field. Stands between its label and its control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "text")]
pub enum FieldProblem {
    /// It is empty.
    #[serde(rename = "error-required")]
    Required,
    /// Not the form of an address.
    #[serde(rename = "error-email_invalid")]
    EmailInvalid,
    /// Too short, or too easy to guess.
    #[serde(rename = "error-weak_password")]
    WeakPassword {
        /// `password.min_length`, in characters.
        min: u32,
    },
    /// More bytes than can be stored.
    #[serde(rename = "error-password_too_long")]
    PasswordTooLong {
        /// `password.max_bytes`.
        max: u32,
    },
    /// Not the code that was sent, or no longer.
    #[serde(rename = "error-code_wrong")]
    CodeWrong,
    /// Not the password so far.
    #[serde(rename = "error-current-password")]
    CurrentPassword,
    /// The new password is the one so far.
    #[serde(rename = "error-same_password")]
    SamePassword,
    /// The new address is the one so far.
    #[serde(rename = "error-same-email")]
    SameEmail,
    /// More characters than a name may have.
    #[serde(rename = "error-name-long")]
    NameTooLong,
    /// Not the code that the app shows.
    #[serde(rename = "error-code_wrong-app")]
    AppCodeWrong,
    /// The person has an app of this name.
    #[serde(rename = "enrol-name-taken")]
    AppNameTaken,
}

/// Why a form came back that nothing in its fields is to blame for. Any form may show any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "text")]
pub enum FormProblem<'a> {
    /// Too many tries.
    #[serde(rename = "login-limited")]
    Limited {
        /// Until the next one.
        wait: Wait,
    },
    /// Too many codes.
    #[serde(rename = "code-limited")]
    CodeLimited {
        /// Until the next one.
        wait: Wait,
    },
    /// No further app fits into the account.
    #[serde(rename = "enrol-full")]
    AppsFull,
    /// The project wants a captcha that the page does not have.
    #[serde(rename = "error-captcha_failed")]
    CaptchaFailed,
    /// Token too old or of another browser; the page holds a new one.
    #[serde(rename = "error-csrf_form")]
    FormExpired,
    /// The form came back without our form cookie.
    #[serde(rename = "cookies-blocked")]
    CookiesBlocked {
        /// Whose cookies to allow.
        host: &'a str,
    },
    /// GoTrue is away.
    #[serde(rename = "error-auth_unavailable")]
    Unavailable {
        /// Until the next try.
        wait: Wait,
    },
}

impl FormProblem<'_> {
    /// What a form that asks for a mail may meet; for samples.
    fn of_mail_forms() -> impl Iterator<Item = Self> {
        [
            Self::Limited { wait: Wait(60) },
            Self::CaptchaFailed,
            Self::FormExpired,
            Self::CookiesBlocked { host: "localhost:8080" },
            Self::Unavailable { wait: Wait(5) },
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_and_never_negative() {
        let seconds = |wait| Wait::new(wait).seconds();
        assert_eq!(seconds(Duration::milliseconds(1)), 1);
        assert_eq!(seconds(Duration::seconds(90)), 90);
        assert_eq!(seconds(Duration::seconds(-5)), 0);
        assert_eq!(seconds(Duration::MAX), i64::MAX);
    }

    #[test]
    fn an_unknown_provider_keeps_its_id() {
        assert_eq!(Provider::named("github").name, "GitHub");
        assert_eq!(Provider::named("custom:club").name, "custom:club");
    }
}
