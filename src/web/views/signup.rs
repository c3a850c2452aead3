//! `/auth/signup`: a new account.

use serde::Serialize;

use super::{FieldProblem, FormProblem, Provider, View};

/// What `signup.html` shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SignupPage<'a> {
    /// Binds the form to this browser, purpose `signup` (S-15).
    pub form_token: &'a str,
    /// New accounts cannot be made: the page says so and shows no form.
    pub closed: bool,
    /// Kept after an error.
    pub email: &'a str,
    /// Where to go afterwards, already checked (S-20).
    pub return_to: Option<&'a str>,
    /// `password.min_length`, in characters.
    pub min_length: u32,
    /// In the order of their buttons.
    pub providers: &'a [Provider<'a>],
    /// Whether one may begin without an account.
    pub guest: bool,
    /// Why this page came back.
    pub problem: Option<FormProblem<'a>>,
    /// Beside the e-mail.
    pub email_problem: Option<FieldProblem>,
    /// Beside the password.
    pub password_problem: Option<FieldProblem>,
}

impl View for SignupPage<'_> {
    const TEMPLATE: &'static str = "signup.html";

    fn samples() -> Vec<Self> {
        let plain = Self {
            form_token: "form-token",
            email: "ada@example.test",
            return_to: Some("/notes"),
            min_length: 8,
            providers: &[
                Provider { id: "google", name: "Google" },
                Provider { id: "github", name: "GitHub" },
            ],
            ..Self::default()
        };
        let mut all = vec![
            Self { email: "", ..plain.clone() },
            Self { email: "", providers: &[], return_to: None, ..plain.clone() },
            Self { closed: true, ..plain.clone() },
            Self { password_problem: Some(FieldProblem::PasswordTooLong { max: 72 }), ..plain.clone() },
            Self {
                email: "ada@example",
                email_problem: Some(FieldProblem::EmailInvalid),
                password_problem: Some(FieldProblem::WeakPassword { min: 8 }),
                ..plain.clone()
            },
        ];
        all.extend(
            FormProblem::of_mail_forms().map(|problem| Self { problem: Some(problem), ..plain.clone() }),
        );
        all
    }
}
