//! `/auth/confirm`, where mail links land, and `/auth/continue`, the bounce.

use serde::Serialize;

use super::{FieldProblem, FormProblem, View};

/// What `confirm.html` shows.
#[derive(Debug, Clone, Serialize)]
pub struct ConfirmPage<'a> {
    /// For `POST /auth/confirm`, purpose `confirm` (S-15).
    pub form_token: &'a str,
    /// What the mail was for.
    pub kind: LinkKind,
    /// What is asked of the person.
    pub step: ConfirmStep<'a>,
    /// Where to go afterwards, already checked (S-20).
    pub return_to: Option<&'a str>,
    /// Why the page came back, apart from a wrong field.
    pub problem: Option<FormProblem<'a>>,
}

impl LinkKind {
    /// As in the link's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::Invite => "invite",
            Self::Magiclink => "magiclink",
            Self::Recovery => "recovery",
            Self::EmailChange => "email_change",
            Self::Email => "email",
        }
    }
}

impl LinkKind {
    /// Whether anybody can have such a mail sent by naming the address.
    pub const fn is_sent_on_request(self) -> bool {
        !matches!(self, Self::Invite | Self::EmailChange)
    }

    /// The kind that a link's `type` names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Signup, Self::Invite, Self::Magiclink, Self::Recovery, Self::EmailChange, Self::Email]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// `type` of a mail link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// A new account's address.
    Signup,
    /// An invitation.
    Invite,
    /// Signing in by mail.
    Magiclink,
    /// A forgotten password.
    Recovery,
    /// A new address of an account.
    EmailChange,
    /// Confirming or signing in, whichever is pending: the type that some templates name.
    Email,
}

/// What the page asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ConfirmStep<'a> {
    /// One click: mail programs open links, people press buttons.
    Press {
        /// From the link; rides in the form.
        token_hash: &'a str,
    },
    /// The link came without its hash: address and code instead.
    Incomplete {
        /// Kept after an error.
        email: &'a str,
        /// Beside the e-mail.
        email_problem: Option<FieldProblem>,
        /// Beside the code.
        code_problem: Option<FieldProblem>,
    },
    /// Another account is signed in here; asked after the first press, since a cross-site GET cannot know.
    Switch {
        /// From the link; rides in the form, with `switch=1`. Empty if digits were typed.
        token_hash: &'a str,
        /// Who is signed in.
        email: &'a str,
        /// Digits that were typed, with the address they went to; both empty for a link.
        typed: [&'a str; 2],
    },
}

impl View for ConfirmPage<'_> {
    const TEMPLATE: &'static str = "confirm.html";

    fn samples() -> Vec<Self> {
        use LinkKind::*;
        let press = ConfirmStep::Press { token_hash: "pkce_0123456789abcdef" };
        let page = |kind, step| Self {
            form_token: "form-token",
            kind,
            step,
            return_to: Some("/notes"),
            problem: None,
        };
        let incomplete = ConfirmStep::Incomplete { email: "", email_problem: None, code_problem: None };
        let wrong = ConfirmStep::Incomplete {
            email: "ada@example.test",
            email_problem: None,
            code_problem: Some(FieldProblem::CodeWrong),
        };
        let empty = ConfirmStep::Incomplete {
            email: "ada@example",
            email_problem: Some(FieldProblem::EmailInvalid),
            code_problem: Some(FieldProblem::Required),
        };
        let (ada, hash) = ("ada@example.test", "pkce_0123456789abcdef");
        let switch = ConfirmStep::Switch { token_hash: hash, email: ada, typed: ["", ""] };
        let typed = ["grace@example.test", "123456"];
        let switch_by_digits = ConfirmStep::Switch { token_hash: "", email: ada, typed };
        let mut all: Vec<_> = [Signup, Invite, Magiclink, Recovery, EmailChange, Email]
            .into_iter()
            .map(|kind| page(kind, press))
            .collect();
        all.extend([incomplete, wrong, empty, switch].map(|step| page(Signup, step)));
        all.extend([incomplete, switch_by_digits].map(|step| page(Recovery, step)));
        all.push(Self { problem: Some(FormProblem::FormExpired), ..page(Signup, press) });
        all.push(Self { problem: Some(FormProblem::FormExpired), ..page(Signup, switch) });
        all
    }
}

/// What `continue.html` shows: one moment, then the next address. Starts a navigation on our own site, so that the
/// Strict session cookie goes along.
#[derive(Debug, Clone, Serialize)]
pub struct ContinuePage<'a> {
    /// A checked return target, or a provider's address after a form.
    pub url: &'a str,
    /// Names the button.
    pub towards: Towards<'a>,
}

/// Where a bounce leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "towards", rename_all = "snake_case")]
pub enum Towards<'a> {
    /// The page the person wanted.
    Page,
    /// Somebody else's sign-in.
    Provider {
        /// Its name, not its id.
        provider: &'a str,
    },
}

impl View for ContinuePage<'_> {
    const TEMPLATE: &'static str = "continue.html";

    fn samples() -> Vec<Self> {
        vec![
            Self { url: "/notes?page=2&sort=new", towards: Towards::Page },
            Self {
                url: "https://accounts.example.test/o?a=b&c=d",
                towards: Towards::Provider { provider: "Google" },
            },
        ]
    }
}
