//! `/auth/login`: asked to sign in, and signed in already.

use serde::Serialize;

use super::{FieldProblem, FormProblem, Provider, View, Wait};
use crate::event::Reason;

/// What `login.html` shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoginPage<'a> {
    /// Binds the form to this browser, purpose `login` (S-15).
    pub form_token: &'a str,
    /// Kept after an error.
    pub email: &'a str,
    /// Where to go afterwards, already checked (S-20).
    pub return_to: Option<&'a str>,
    /// Whether the page asks if the session is to be remembered.
    pub remember: Option<Remember>,
    /// In the order of their buttons.
    pub providers: &'a [Provider<'a>],
    /// Whether new accounts can be made.
    pub sign_up: bool,
    /// For `POST /auth/signup`, purpose `signup`, where one may begin without an account.
    pub guest: Option<&'a str>,
    /// Whether a code by mail can be asked for.
    pub otp: bool,
    /// Whether a forgotten password can be replaced.
    pub recover: bool,
    /// One message after a redirect; a problem takes its place.
    pub notice: Option<LoginNotice<'a>>,
    /// Why this page came back instead of a session.
    pub problem: Option<LoginProblem<'a>>,
    /// Beside the e-mail.
    pub email_problem: Option<FieldProblem>,
    /// Beside the password.
    pub password_problem: Option<FieldProblem>,
    /// The person is signed in and is asked for a new proof: the page speaks of that, and the address stands fast.
    pub again: Option<Again>,
}

/// What a new proof can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Again {
    /// The password, beside the providers of the page.
    pub password: bool,
}

/// The tick "stay signed in", shown with `session.remember = ask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remember {
    /// As the page is first shown.
    Unticked,
    /// Kept after an error.
    Ticked,
}

/// Why this page is shown, when nothing is wrong with the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "text")]
pub enum LoginNotice<'a> {
    /// A page that wants a user sent the person here.
    #[serde(rename = "login-needed")]
    Needed,
    /// A session ended; a word of the closed list of reasons (`event::Reason`).
    #[serde(rename = "reason")]
    Reason {
        /// As the event writes it, such as `idle`.
        reason: &'a str,
    },
    /// The person refused at the provider.
    #[serde(rename = "provider-denied")]
    ProviderDenied {
        /// Its name, not its id.
        provider: &'a str,
    },
    /// The provider or the way back failed.
    #[serde(rename = "provider-failed")]
    ProviderFailed {
        /// Its name, not its id.
        provider: &'a str,
    },
    /// The flow is too old, spent, or of another browser.
    #[serde(rename = "provider-flow_invalid")]
    FlowInvalid,
    /// A cross-site link tried to start a sign-in (S-16).
    #[serde(rename = "login-elsewhere")]
    Elsewhere,
    /// An address was confirmed, without a session.
    #[serde(rename = "confirm-done")]
    ConfirmDone,
    /// The mail of a sign-up was opened in a browser that does not know of it: the address is confirmed if it was that.
    #[serde(rename = "confirm-by_mail")]
    ConfirmByMail,
    /// One of two mails of a change of address.
    #[serde(rename = "confirm-half")]
    EmailHalf,
    /// The form came back without our form cookie.
    #[serde(rename = "cookies-blocked")]
    CookiesBlocked {
        /// Whose cookies to allow.
        host: &'a str,
    },
}

/// Why signing in did not work. The same for every kind of account (S-71).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "text")]
pub enum LoginProblem<'a> {
    /// Unknown, wrong or banned: one sentence for all.
    #[serde(rename = "error-invalid_credentials")]
    InvalidCredentials,
    /// Only after a right password.
    #[serde(rename = "error-email_not_confirmed")]
    EmailNotConfirmed {
        /// A form token for `POST /auth/otp`, to have the mail sent again; `None` hides the button.
        again: Option<&'a str>,
    },
    /// What any form may meet.
    #[serde(untagged)]
    Form(FormProblem<'a>),
}

impl View for LoginPage<'_> {
    const TEMPLATE: &'static str = "login.html";

    fn samples() -> Vec<Self> {
        let plain = Self {
            form_token: "form-token",
            email: "ada@example.test",
            return_to: Some("/notes?page=2&sort=new"),
            remember: Some(Remember::Unticked),
            providers: &[
                Provider { id: "google", name: "Google" },
                Provider { id: "github", name: "GitHub" },
            ],
            sign_up: true,
            ..Self::default()
        };
        let wait = Wait(150);
        let notices = [
            LoginNotice::Needed,
            LoginNotice::ProviderDenied { provider: "Google" },
            LoginNotice::ProviderFailed { provider: "GitHub" },
            LoginNotice::FlowInvalid,
            LoginNotice::Elsewhere,
            LoginNotice::ConfirmDone,
            LoginNotice::ConfirmByMail,
            LoginNotice::EmailHalf,
            LoginNotice::CookiesBlocked { host: "localhost:8080" },
        ];
        let problems = [
            LoginProblem::InvalidCredentials,
            LoginProblem::EmailNotConfirmed { again: Some("form-token") },
            LoginProblem::EmailNotConfirmed { again: None },
            LoginProblem::Form(FormProblem::Limited { wait }),
            LoginProblem::Form(FormProblem::CaptchaFailed),
            LoginProblem::Form(FormProblem::FormExpired),
            LoginProblem::Form(FormProblem::Unavailable { wait: Wait(10) }),
        ];
        let mut all = vec![
            Self { email: "", ..plain.clone() },
            Self { guest: Some("form-token"), ..plain.clone() },
            Self { otp: true, recover: true, remember: Some(Remember::Ticked), ..plain.clone() },
            Self {
                email: "",
                return_to: None,
                remember: None,
                providers: &[],
                sign_up: false,
                ..plain.clone()
            },
            Self {
                email: "ada@example",
                email_problem: Some(FieldProblem::EmailInvalid),
                password_problem: Some(FieldProblem::Required),
                ..plain.clone()
            },
            Self { password_problem: Some(FieldProblem::Required), ..plain.clone() },
            Self { again: Some(Again { password: true }), providers: &[], ..plain.clone() },
            Self { again: Some(Again { password: false }), ..plain.clone() },
            Self {
                again: Some(Again { password: true }),
                problem: Some(LoginProblem::InvalidCredentials),
                remember: Some(Remember::Ticked),
                ..plain.clone()
            },
        ];
        let reasons = Reason::ALL.iter().map(|reason| LoginNotice::Reason { reason: reason.as_str() });
        let notices = notices.into_iter().chain(reasons);
        all.extend(notices.map(|notice| Self { notice: Some(notice), ..plain.clone() }));
        all.extend(problems.map(|problem| Self { problem: Some(problem), ..plain.clone() }));
        all
    }
}

/// What `login-already.html` shows: somebody is signed in and asks to sign in.
#[derive(Debug, Clone, Serialize)]
pub struct LoginAlready<'a> {
    /// For `POST /auth/logout`, purpose `logout`.
    pub form_token: &'a str,
    /// Who is signed in; an anonymous user has none.
    pub email: Option<&'a str>,
    /// Where "Continue" leads.
    pub return_to: &'a str,
    /// One message after a redirect.
    pub notice: Option<LoginNotice<'a>>,
}

impl View for LoginAlready<'_> {
    const TEMPLATE: &'static str = "login-already.html";

    fn samples() -> Vec<Self> {
        let known =
            Self { form_token: "form-token", email: Some("ada@example.test"), return_to: "/", notice: None };
        let denied = Some(LoginNotice::ProviderDenied { provider: "Google" });
        vec![known.clone(), Self { notice: denied, ..known.clone() }, Self { email: None, ..known }]
    }
}
