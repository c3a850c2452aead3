//! The forms below `/auth/account`, and the questions before a way to sign in is linked or taken away.

use serde::Serialize;
use uuid::Uuid;

use super::{FieldProblem, FormProblem, Provider, View, Wait};

/// Which of the forms it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountFormKind {
    /// The name.
    Name,
    /// Another address.
    Email,
    /// Another password.
    Password,
    /// The first address of an anonymous account, and a password.
    Upgrade,
}

impl AccountFormKind {
    /// Ties the token to the form (S-15).
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Name => "profile",
            Self::Email | Self::Upgrade => "email",
            Self::Password => "password",
        }
    }
}

/// What `account-form.html` shows. It has no place for a password, so none can be echoed.
#[derive(Debug, Clone, Serialize)]
pub struct AccountForm<'a> {
    /// Which form.
    pub kind: AccountFormKind,
    /// Binds it to this browser.
    pub form_token: &'a str,
    /// The address so far, which tells password managers whose password it is.
    pub email: &'a str,
    /// Kept after an error.
    pub name: &'a str,
    /// Kept after an error.
    pub new_email: &'a str,
    /// `password.min_length`.
    pub min_length: u32,
    /// Whether the password so far is asked for.
    pub current_field: bool,
    /// Whether the digits of a mail are.
    pub code_field: bool,
    /// Why the form came back, if no field is to blame.
    pub problem: Option<FormProblem<'a>>,
    /// Beside the name.
    pub name_problem: Option<FieldProblem>,
    /// Beside the new address.
    pub email_problem: Option<FieldProblem>,
    /// Beside the password so far.
    pub current_problem: Option<FieldProblem>,
    /// Beside the new password.
    pub password_problem: Option<FieldProblem>,
    /// Beside the digits.
    pub code_problem: Option<FieldProblem>,
}

impl AccountForm<'static> {
    /// The empty form of `kind`.
    pub fn of(kind: AccountFormKind) -> Self {
        Self {
            kind,
            form_token: "",
            email: "",
            name: "",
            new_email: "",
            min_length: 0,
            current_field: false,
            code_field: false,
            problem: None,
            name_problem: None,
            email_problem: None,
            current_problem: None,
            password_problem: None,
            code_problem: None,
        }
    }
}

impl View for AccountForm<'_> {
    const TEMPLATE: &'static str = "account-form.html";

    fn samples() -> Vec<Self> {
        let of = |kind| AccountForm {
            form_token: "form-token",
            email: "ada@example.test",
            name: "Ada",
            new_email: "new@example.test",
            min_length: 8,
            ..AccountForm::of(kind)
        };
        let (name, email) = (of(AccountFormKind::Name), of(AccountFormKind::Email));
        let (password, upgrade) = (of(AccountFormKind::Password), of(AccountFormKind::Upgrade));
        let weak = Some(FieldProblem::WeakPassword { min: 8 });
        vec![
            name.clone(),
            Self { name_problem: Some(FieldProblem::NameTooLong), ..name.clone() },
            Self { problem: Some(FormProblem::Unavailable { wait: Wait(10) }), ..name },
            email.clone(),
            Self { email_problem: Some(FieldProblem::SameEmail), ..email },
            password.clone(),
            Self { password_problem: Some(FieldProblem::SamePassword), ..password.clone() },
            Self { password_problem: weak, current_field: true, ..password.clone() },
            Self {
                current_field: true,
                current_problem: Some(FieldProblem::CurrentPassword),
                ..password.clone()
            },
            Self { code_field: true, ..password.clone() },
            Self { code_field: true, code_problem: Some(FieldProblem::CodeWrong), ..password },
            upgrade.clone(),
            Self {
                email_problem: Some(FieldProblem::EmailInvalid),
                password_problem: weak,
                ..upgrade.clone()
            },
            Self { problem: Some(FormProblem::FormExpired), ..upgrade },
        ]
    }
}

/// What `identity.html` asks.
#[derive(Debug, Clone, Serialize)]
pub struct IdentityPage<'a> {
    /// Purpose `link` or `identities`.
    pub form_token: &'a str,
    /// What the button does.
    pub act: IdentityAct,
    /// Whose sign-in it is about.
    pub provider: Provider<'a>,
    /// Why the form came back.
    pub problem: Option<FormProblem<'a>>,
}

/// What becomes of a way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum IdentityAct {
    /// It is linked.
    Connect,
    /// It is taken away.
    Remove {
        /// As in the path that does it.
        id: Uuid,
    },
}

impl View for IdentityPage<'_> {
    const TEMPLATE: &'static str = "identity.html";

    fn samples() -> Vec<Self> {
        let connect = Self {
            form_token: "form-token",
            act: IdentityAct::Connect,
            provider: Provider { id: "github", name: "GitHub" },
            problem: None,
        };
        let remove = Self {
            act: IdentityAct::Remove { id: Uuid::from_u128(0x0b7f_9c1e_5d2a_4c3b_8e6f_1a2b_3c4d_5e6f) },
            ..connect.clone()
        };
        let wait = Wait(10);
        vec![
            connect.clone(),
            Self { problem: Some(FormProblem::Unavailable { wait }), ..connect },
            remove.clone(),
            Self { problem: Some(FormProblem::FormExpired), ..remove },
        ]
    }
}
