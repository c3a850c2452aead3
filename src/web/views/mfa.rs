//! `/auth/mfa`.

use serde::Serialize;
use uuid::Uuid;

use super::{FieldProblem, FormProblem, View, Wait};

/// What `mfa.html` shows: the field for the code of an authenticator app.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MfaPage<'a> {
    /// For `POST /auth/mfa`, purpose `mfa`.
    pub form_token: &'a str,
    /// For `POST /auth/logout`, purpose `logout`, where the code completes a sign-in; `None` within a complete one.
    pub sign_out: Option<&'a str>,
    /// Where the code leads.
    pub return_to: &'a str,
    /// The apps to choose from, the chosen one first.
    pub apps: &'a [AppChoice<'a>],
    /// A code is asked for, and there is no app that could show one.
    pub none: bool,
    /// Why the form came back.
    pub problem: Option<FormProblem<'a>>,
    /// No app was chosen.
    pub choice_problem: Option<FieldProblem>,
    /// What is wrong with the code.
    pub code_problem: Option<FieldProblem>,
}

/// An app that could show the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AppChoice<'a> {
    /// `factor_id`.
    pub id: Uuid,
    /// What the person called it; may be empty.
    pub name: &'a str,
}

/// For the samples.
static APPS: [AppChoice<'static>; 2] =
    [AppChoice { id: Uuid::from_u128(1), name: "My phone" }, AppChoice { id: Uuid::from_u128(2), name: "" }];

impl View for MfaPage<'_> {
    const TEMPLATE: &'static str = "mfa.html";

    fn samples() -> Vec<Self> {
        let plain = Self {
            form_token: "form-token",
            sign_out: Some("form-token"),
            return_to: "/notes",
            apps: &APPS,
            ..Self::default()
        };
        let wait = Wait::new(time::Duration::minutes(15));
        let again = |problem| Self { problem: Some(problem), ..plain.clone() };
        vec![
            plain.clone(),
            Self { apps: &APPS[..1], ..plain.clone() },
            Self { sign_out: None, ..plain.clone() },
            Self { sign_out: None, apps: &[], none: true, ..plain.clone() },
            Self { apps: &[], ..plain.clone() },
            Self { code_problem: Some(FieldProblem::AppCodeWrong), ..plain.clone() },
            Self { choice_problem: Some(FieldProblem::Required), ..plain.clone() },
            again(FormProblem::CodeLimited { wait }),
            again(FormProblem::FormExpired),
            again(FormProblem::Unavailable { wait }),
            again(FormProblem::CookiesBlocked { host: "localhost:8080" }),
        ]
    }
}
