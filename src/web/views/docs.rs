//! The description of the paths and of the error codes, for people to read.

use serde::Serialize;

use super::View;

/// What `docs.html` shows.
#[derive(Debug, Clone, Serialize)]
pub struct DocsPage<'a> {
    /// Every operation, in order.
    pub operations: Vec<OperationRow<'a>>,
    /// The scopes of the site, each with what it means.
    pub scopes: Vec<(&'a str, &'a str)>,
}

/// One method of one path.
#[derive(Debug, Clone, Serialize)]
pub struct OperationRow<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, with parameters in braces.
    pub path: String,
    /// What it does.
    pub summary: &'a str,
    /// Who may ask: a word of the texts.
    pub who: &'a str,
    /// The fields of its body.
    pub fields: Vec<FieldRow<'a>>,
    /// Statuses of its answers and what they hold, in words.
    pub answers: Vec<(u16, String)>,
}

/// A field of a body.
#[derive(Debug, Clone, Serialize)]
pub struct FieldRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// It must be there.
    pub required: bool,
    /// What it is; empty where the name says it.
    pub about: &'a str,
}

impl View for DocsPage<'_> {
    const TEMPLATE: &'static str = "docs.html";

    fn samples() -> Vec<Self> {
        let row = |who| OperationRow {
            method: "POST",
            path: "/auth/account/factors/{id}/verify".to_owned(),
            summary: "Sign in with address and password",
            who,
            fields: vec![
                FieldRow { name: "email", required: true, about: "" },
                FieldRow { name: "return_to", required: false, about: "A path of this site" },
            ],
            answers: vec![(200, "A session".to_owned()), (303, "The way on".to_owned())],
        };
        let all = ["everybody", "session", "anyone", "program", "proxy", "hook"].map(row);
        let bare = OperationRow { fields: Vec::new(), answers: Vec::new(), ..row("everybody") };
        vec![
            Self { operations: all.to_vec(), scopes: vec![("items", "Everything about items")] },
            Self { operations: vec![bare], scopes: Vec::new() },
        ]
    }
}

/// What `docs-errors.html` shows.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorCodesPage<'a> {
    /// Every code, in the order of their statuses.
    pub codes: Vec<CodeRow<'a>>,
}

/// One error code.
#[derive(Debug, Clone, Serialize)]
pub struct CodeRow<'a> {
    /// The word; the anchor of its paragraph.
    pub code: &'a str,
    /// The status it is sent with.
    pub status: u16,
    /// What happened.
    pub title: &'a str,
    /// What to do about it.
    pub fix: &'a str,
}

impl View for ErrorCodesPage<'_> {
    const TEMPLATE: &'static str = "docs-errors.html";

    fn samples() -> Vec<Self> {
        let row = |code, status| CodeRow {
            code,
            status,
            title: "The header X-CSRF is missing.",
            fix: "Send X-CSRF: 1 with every request that is no navigation.",
        };
        vec![Self { codes: vec![row("csrf_header", 403), row("insufficient_user_authentication", 401)] }]
    }
}
