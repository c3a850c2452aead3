//! `/auth/account/factors/new` and `…/{id}/delete`.

use serde::Serialize;
use uuid::Uuid;

use super::{FieldProblem, FormProblem, View, Wait};

/// What `enrol.html` shows: an authenticator app, from its name to its first code.
#[derive(Debug, Clone, Serialize)]
pub struct EnrollPage<'a> {
    /// Purpose `factors`.
    pub form_token: &'a str,
    /// Where the first code leads; `None`: to the list of apps.
    pub return_to: Option<&'a str>,
    /// How far it is.
    pub step: EnrollStep<'a>,
    /// Why the form came back.
    pub problem: Option<FormProblem<'a>>,
}

/// The two steps.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum EnrollStep<'a> {
    /// For `POST /auth/account/factors`.
    Name {
        /// As typed.
        name: &'a str,
        /// What is wrong with it.
        problem: Option<FieldProblem>,
    },
    /// For `POST /auth/account/factors/{id}/verify`.
    Scan {
        /// As in the path.
        id: &'a str,
        /// All of this step, sealed, so that it can be shown again.
        enrolment: &'a str,
        /// A `data:` image.
        picture: &'a str,
        /// The secret in groups.
        key: &'a str,
        /// `otpauth:`
        uri: &'a str,
        /// What is wrong with the code.
        problem: Option<FieldProblem>,
    },
}

impl View for EnrollPage<'_> {
    const TEMPLATE: &'static str = "enrol.html";

    fn samples() -> Vec<Self> {
        let name = |problem| EnrollStep::Name { name: "My phone", problem };
        let scan = |problem| EnrollStep::Scan {
            id: "00000000-0000-0000-0000-000000000001",
            enrolment: "1.k1.c2VhbGVk",
            picture: PICTURE,
            key: "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP",
            uri: "otpauth://totp/Harbour:ada%40example.test?secret=JBSWY3DPEHPK3PXP&issuer=Harbour",
            problem,
        };
        let plain = Self { form_token: "form-token", return_to: None, step: name(None), problem: None };
        let again = |problem| Self { problem: Some(problem), ..plain.clone() };
        vec![
            plain.clone(),
            Self { return_to: Some("/notes"), ..plain.clone() },
            Self { step: name(Some(FieldProblem::AppNameTaken)), ..plain.clone() },
            again(FormProblem::AppsFull),
            again(FormProblem::FormExpired),
            Self { step: scan(None), ..plain.clone() },
            Self { step: scan(None), return_to: Some("/notes"), ..plain.clone() },
            Self { step: scan(Some(FieldProblem::AppCodeWrong)), ..plain.clone() },
            Self {
                step: scan(None),
                ..again(FormProblem::CodeLimited { wait: Wait::new(time::Duration::minutes(15)) })
            },
        ]
    }
}

/// For the samples: a white square.
const PICTURE: &str = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=";

/// What `remove-app.html` shows: whether an app is to go.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RemoveAppPage<'a> {
    /// Purpose `factors`.
    pub form_token: &'a str,
    /// As in the path of the form.
    pub id: Uuid,
    /// What the person called it; may be empty.
    pub name: &'a str,
    /// Why the form came back.
    pub problem: Option<FormProblem<'a>>,
}

impl View for RemoveAppPage<'_> {
    const TEMPLATE: &'static str = "remove-app.html";

    fn samples() -> Vec<Self> {
        let id = Uuid::from_u128(1);
        let plain = Self { form_token: "form-token", id, name: "My phone", problem: None };
        vec![
            plain.clone(),
            Self { name: "", ..plain.clone() },
            Self { problem: Some(FormProblem::FormExpired), ..plain },
        ]
    }
}
