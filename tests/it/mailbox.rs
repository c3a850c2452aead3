//! Mails of the auth server as a person reads them, and the buttons behind their links.

use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Browser};
use crate::harness::{PASSWORD, TestApp};

/// What a mail holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Path and query of its link.
    pub link: String,
    /// The link's hash.
    pub hash: String,
    /// The digits.
    pub code: String,
}

/// Every mail to `to` so far, the newest last.
pub async fn letters(app: &TestApp, to: &str) -> Vec<Letter> {
    let read = |mail: Value| {
        let text = mail["text"].as_str().unwrap().to_owned();
        let words = || text.split_whitespace().map(|word| word.trim_end_matches('.'));
        let link = words().find(|word| word.contains("/auth/confirm?"));
        let link = link.and_then(|link| link.strip_prefix(&app.base)).unwrap_or_else(|| panic!("{text}"));
        let (_, hash) = link.split_once("token_hash=").unwrap();
        let digits = |word: &&str| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit());
        Letter {
            link: link.to_owned(),
            hash: hash.split('&').next().unwrap().to_owned(),
            code: words().find(digits).unwrap_or_else(|| panic!("{text}")).to_owned(),
        }
    };
    app.outbox().await.into_iter().filter(|mail| mail["to"] == to).map(read).collect()
}

/// The newest mail to `to`.
pub async fn letter(app: &TestApp, to: &str) -> Letter {
    letters(app, to).await.pop().unwrap_or_else(|| panic!("no mail to {to}"))
}

/// Presses the button of the page behind `link`.
pub async fn press(browser: &Browser, link: &str, more: &[(&str, &str)]) -> Answer {
    let page = browser.navigate(link).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let fields = ["token_hash", "type", "return_to"].map(|name| (name, page.field(name)));
    let token = page.form_token("/auth/confirm");
    let mut all = vec![("form_token", token.as_str())];
    all.extend(fields.iter().map(|(name, value)| (*name, value.as_str())));
    all.extend(more);
    browser.submit("/auth/confirm", &all).await
}

/// Opens `page`, and sends its form to `action` with `fields`.
pub async fn fill(browser: &Browser, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
    let shown = browser.navigate_from("same-origin", page).await;
    assert_eq!(shown.status, 200, "{page}: {}", shown.body);
    let token = shown.form_token(action);
    let mut all = vec![("form_token", token.as_str())];
    all.extend(fields);
    browser.submit(action, &all).await
}

/// Where an answer leads.
pub fn leads(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("location"))
}

/// Who is signed in, and the step that is missing.
pub async fn who(browser: &Browser) -> (String, Value) {
    let session = browser.get("/auth/session").await.json();
    (session["user"]["email"].as_str().unwrap_or_default().to_owned(), session["limited"].clone())
}

/// A call to the auth server itself, with `bearer`.
pub async fn at_auth_server(app: &TestApp, method: Method, path: &str, bearer: &str, body: &Value) -> Answer {
    let (url, bearer) = (format!("{}/auth/v1/{path}", app.auth.url()), format!("Bearer {bearer}"));
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    app.browser().send(method, &url, &headers, Some(body.to_string())).await
}

/// What an administrator does.
pub async fn administer(app: &TestApp, method: Method, path: &str, body: &Value) -> Answer {
    let key = app.auth_server().admin_key().expose().clone();
    at_auth_server(app, method, path, &key, body).await
}

/// Begins to change the address of `from`, elsewhere than in a browser of the story.
pub async fn begin_change(app: &TestApp, from: &str, to: &str) {
    let tokens = app.tokens(from, PASSWORD).await;
    let token = tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}"));
    let changed = at_auth_server(app, Method::PUT, "user", token, &json!({ "email": to })).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
}

/// A browser whose person signed up as `email` and confirmed it, where that takes a mail.
pub async fn confirmed(app: &TestApp, email: &str) -> Browser {
    let browser = app.browser();
    let body = json!({ "email": email, "password": PASSWORD });
    let made = browser.post("/auth/signup", &body).await;
    assert_eq!(made.body, r#"{"status":"confirmation_sent"}"#);
    let code = letter(app, email).await.code;
    let entered = browser.post("/auth/otp", &json!({ "email": email, "code": code })).await;
    assert_eq!(entered.status, 200, "{}", entered.body);
    browser
}

/// Bans whoever has this address.
pub async fn ban(app: &TestApp, email: &str) {
    let tokens = app.tokens(email, PASSWORD).await;
    let id = tokens["user"]["id"].as_str().unwrap_or_else(|| panic!("{tokens}"));
    let path = format!("admin/users/{id}");
    let banned = administer(app, Method::PUT, &path, &json!({ "ban_duration": "24h" })).await;
    assert_eq!(banned.status, 200, "{}", banned.body);
}

/// A sign-in with a password, by JSON.
pub async fn log_in(app: &TestApp, email: &str, password: &str) -> Answer {
    app.browser().post("/auth/login", &json!({ "email": email, "password": password })).await
}
