//! The demo page: what a front end sees of a session, and what it does not.

use serde::Serialize;

use super::View;

/// What `demo.html` shows. Complete by forms; `demo.js` makes the same calls from the page.
#[derive(Debug, Clone, Serialize)]
pub struct DemoPage<'a> {
    /// For `POST` to the page itself, purpose `demo`; the field `call` names one of [`CALLS`].
    pub form_token: &'a str,
    /// Who is signed in, if anybody: the e-mail, or the name of an anonymous user.
    pub person: Option<&'a str>,
    /// The body of `GET /auth/session`, indented.
    pub session: &'a str,
    /// Always [`CALLS`].
    pub calls: &'a [Call],
    /// Answers to the call of a form, oldest first.
    pub outcomes: &'a [Outcome<'a>],
    /// Strings shaped like a token in what this page shows ([`token_shapes`]): the promise is none.
    pub found: usize,
}

/// A call the page offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Value of the form field `call`; its label is the text `demo-call-<id>`.
    pub id: &'static str,
    /// GET or POST.
    pub method: &'static str,
    /// On the BFF.
    pub path: &'static str,
    /// Whether `X-CSRF: 1` goes along.
    pub csrf: bool,
}

/// Every call the page offers, in order.
pub const CALLS: [Call; 6] = [
    Call { id: "read", method: "GET", path: "/api/items", csrf: true },
    Call { id: "write", method: "POST", path: "/api/items", csrf: true },
    Call { id: "header", method: "POST", path: "/api/items", csrf: false },
    Call { id: "steps", method: "GET", path: "/api/vault", csrf: true },
    Call { id: "me", method: "GET", path: "/api/users/me", csrf: true },
    Call { id: "refresh", method: "POST", path: "/auth/refresh", csrf: true },
];

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Outcome<'a> {
    /// [`Call::id`].
    pub call: &'a str,
    /// When, as `10:04:31` in UTC.
    pub time: &'a str,
    /// What the BFF answered.
    pub status: u16,
    /// The error code of a refusal.
    pub code: Option<&'a str>,
    /// Whether the API behind was reached, with the user's token.
    pub forwarded: bool,
    /// The answer's body, shortened by the caller to what a page can hold.
    pub body: &'a str,
}

impl View for DemoPage<'_> {
    const TEMPLATE: &'static str = "demo.html";

    fn samples() -> Vec<Self> {
        let signed_in = Self {
            form_token: "form-token",
            person: Some("ada@example.test"),
            session: SESSION,
            calls: &CALLS,
            outcomes: &[],
            found: 0,
        };
        vec![
            Self { outcomes: &OUTCOMES, ..signed_in.clone() },
            signed_in.clone(),
            Self { person: None, session: "{\n  \"authenticated\": false\n}", ..signed_in },
        ]
    }
}

const READ: Outcome<'static> = Outcome {
    call: "read",
    time: "10:04:31",
    status: 200,
    code: None,
    forwarded: true,
    body: "[{\"id\":1,\"title\":\"Buy rope\"}]",
};
const OUTCOMES: [Outcome<'static>; 5] = [
    READ,
    refused("write", 403, "insufficient_scope"),
    refused("header", 403, "csrf_header"),
    refused("steps", 401, "insufficient_user_authentication"),
    refused("me", 503, "auth_unavailable"),
];

const fn refused(call: &'static str, status: u16, code: &'static str) -> Outcome<'static> {
    Outcome { call, status, code: Some(code), forwarded: false, body: "", ..READ }
}

const SESSION: &str =
    "{\n  \"authenticated\": true,\n  \"user\": {\n    \"email\": \"ada@example.test\"\n  }\n}";

/// How many strings in `text` are shaped like a credential: a JWT, or a sealed cookie of ours.
pub fn token_shapes(text: &str) -> usize {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.split(|c| !part(c)).filter(|word| shaped(word)).count()
}

fn shaped(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    match parts[..] {
        [header, payload, _] if header.starts_with("eyJ") => payload.starts_with("eyJ"),
        ["1" | "2", _, value] => value.len() >= 40,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_and_plain_text_is_not() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
        let sealed = format!("sb_session_8080=1.k1.{}", "A".repeat(64));
        assert_eq!(token_shapes(&format!("{{\"a\":\"{jwt}\",\"b\":\"{jwt}\"}}")), 2);
        assert_eq!(token_shapes(&sealed), 1);
        assert_eq!(token_shapes(SESSION), 0);
        assert_eq!(token_shapes("version 1.2.3, eyJhbGciOiJIUzI1NiJ9 alone, 2026-01-01T00:00:00Z"), 0);
    }
}
