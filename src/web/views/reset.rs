//! `/auth/reset`: a new password.

use serde::Serialize;

use super::{FieldProblem, FormProblem, View, Wait};

/// What `reset.html` shows. It has no field for the password itself, so none can be echoed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ResetPage<'a> {
    /// For `POST /auth/reset`, purpose `reset` (S-15).
    pub form_token: &'a str,
    /// For `POST /auth/logout`, purpose `logout`: the way out of a recovery. `None` where the person may go on without.
    pub sign_out: Option<&'a str>,
    /// Whose password; password managers keep it under this name.
    pub email: &'a str,
    /// The first password of an account: there is nothing to sign out elsewhere.
    pub first: bool,
    /// Where to go afterwards, already checked (S-20).
    pub return_to: Option<&'a str>,
    /// `password.min_length`, in characters.
    pub min_length: u32,
    /// Why this page came back.
    pub problem: Option<FormProblem<'a>>,
    /// Beside the password.
    pub password_problem: Option<FieldProblem>,
}

impl View for ResetPage<'_> {
    const TEMPLATE: &'static str = "reset.html";

    fn samples() -> Vec<Self> {
        let plain = Self {
            form_token: "form-token",
            sign_out: Some("form-token"),
            email: "ada@example.test",
            min_length: 8,
            ..Self::default()
        };
        let problems = [
            FormProblem::FormExpired,
            FormProblem::CookiesBlocked { host: "localhost:8080" },
            FormProblem::Unavailable { wait: Wait(5) },
            FormProblem::Limited { wait: Wait(60) },
        ];
        let fields = [
            FieldProblem::Required,
            FieldProblem::WeakPassword { min: 8 },
            FieldProblem::PasswordTooLong { max: 72 },
            FieldProblem::SamePassword,
        ];
        let mut all = vec![
            plain.clone(),
            Self { first: true, sign_out: None, return_to: Some("/notes"), ..plain.clone() },
        ];
        all.extend(fields.map(|problem| Self { password_problem: Some(problem), ..plain.clone() }));
        all.extend(problems.map(|problem| Self { problem: Some(problem), ..plain.clone() }));
        all
    }
}
