//! Pages around a mail: asking for one, and the page after it.

use serde::Serialize;

use super::{FieldProblem, FormProblem, View, Wait};

/// A form that asks for an address to send a mail to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MailForm<'a> {
    /// Binds the form to this browser, purpose `recover` or `otp` (S-15).
    pub form_token: &'a str,
    /// Kept after an error; at `/auth/otp` the person's own if one is signed in.
    pub email: &'a str,
    /// Where to go afterwards, already checked (S-20).
    pub return_to: Option<&'a str>,
    /// Why this page came back.
    pub problem: Option<FormProblem<'a>>,
    /// Beside the e-mail.
    pub email_problem: Option<FieldProblem>,
}

impl MailForm<'_> {
    /// Nothing typed, kept after an error, and what any form may meet.
    fn samples() -> impl Iterator<Item = Self> {
        let plain = Self { form_token: "form-token", return_to: Some("/notes"), ..Self::default() };
        let typed = Self { email: "ada@example.test", ..plain.clone() };
        let fields = [
            plain.clone(),
            Self { email_problem: Some(FieldProblem::Required), ..plain.clone() },
            Self { email: "ada@example", email_problem: Some(FieldProblem::EmailInvalid), ..plain },
        ];
        let problems = FormProblem::of_mail_forms();
        fields
            .into_iter()
            .chain(problems.map(move |problem| Self { problem: Some(problem), ..typed.clone() }))
    }
}

/// What `recover.html` shows: whose password was forgotten?
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct RecoverPage<'a>(pub MailForm<'a>);

impl View for RecoverPage<'_> {
    const TEMPLATE: &'static str = "recover.html";

    fn samples() -> Vec<Self> {
        MailForm::samples().map(Self).collect()
    }
}

/// What `otp.html` shows: where shall the code go?
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct OtpPage<'a>(pub MailForm<'a>);

impl View for OtpPage<'_> {
    const TEMPLATE: &'static str = "otp.html";

    fn samples() -> Vec<Self> {
        MailForm::samples().map(Self).collect()
    }
}

/// What `check-mail.html` shows: a mail may be on its way, and its code can be typed here.
///
/// Says the same for known, unknown and banned addresses (S-71).
#[derive(Debug, Clone, Serialize)]
pub struct CheckMailPage<'a> {
    /// For `POST /auth/otp`, purpose `otp`; serves the code and "send it again".
    pub form_token: &'a str,
    /// What the mail is for.
    pub purpose: Purpose,
    /// As it was typed.
    pub email: &'a str,
    /// Where "use another address" leads.
    pub other_url: &'a str,
    /// Whether a forgotten password can be replaced here.
    pub recover: bool,
    /// Until another mail may go out, if that is not now.
    pub again_in: Option<Wait>,
    /// After "send it again".
    pub notice: Option<CheckNotice>,
    /// Why the page came back.
    pub problem: Option<FormProblem<'a>>,
    /// Beside the code.
    pub code_problem: Option<FieldProblem>,
}

/// What a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A new account.
    Signup,
    /// A new password.
    Recovery,
    /// Signing in.
    Email,
}

/// A message after "send it again".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "text")]
pub enum CheckNotice {
    /// Whether or not one went out.
    #[serde(rename = "check-again-done")]
    AgainDone,
}

impl View for CheckMailPage<'_> {
    const TEMPLATE: &'static str = "check-mail.html";

    fn samples() -> Vec<Self> {
        let plain = Self {
            form_token: "form-token",
            purpose: Purpose::Signup,
            email: "ada@example.test",
            other_url: "/auth/signup",
            recover: false,
            again_in: None,
            notice: None,
            problem: None,
            code_problem: None,
        };
        let problems = [
            FormProblem::CodeLimited { wait: Wait(300) },
            FormProblem::FormExpired,
            FormProblem::CookiesBlocked { host: "localhost:8080" },
            FormProblem::Unavailable { wait: Wait(5) },
        ];
        let mut all = vec![
            plain.clone(),
            Self { purpose: Purpose::Recovery, again_in: Some(Wait(42)), ..plain.clone() },
            Self { purpose: Purpose::Email, again_in: Some(Wait(8)), ..plain.clone() },
            Self { recover: true, notice: Some(CheckNotice::AgainDone), ..plain.clone() },
            Self { code_problem: Some(FieldProblem::CodeWrong), ..plain.clone() },
            Self { code_problem: Some(FieldProblem::Required), ..plain.clone() },
        ];
        all.extend(problems.map(|problem| Self { problem: Some(problem), ..plain.clone() }));
        all
    }
}
