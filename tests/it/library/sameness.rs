//! One policy: a guard answers as the gateway does by a rule that asks for the same.

use http::Method;
use serde_json::json;

use super::{ADA, Mine, told};
use crate::client::{Browser, navigation};
use crate::harness::{PASSWORD, Plan, RULES};
use crate::mfa::with_app;

const MORE: &str = r#"
[[rules]]
name = "guest"
path = "/guest-rule"
to = "echo"
anonymous_users = true

[[rules]]
name = "fresh"
path = "/fresh-rule"
to = "echo"
max_age = "5m"

[[rules]]
name = "hello"
path = "/hello-rule"
to = "echo"
allow = "optional"
"#;

/// The developer's path, and one whose rule asks for the same.
const PAIRS: [(Method, &str, &str); 8] = [
    (Method::GET, "/me", "/api/notes"),
    (Method::POST, "/notes", "/api/items/1"),
    (Method::GET, "/admin", "/api/admin/1"),
    (Method::GET, "/vault", "/api/vault"),
    (Method::GET, "/cookie", "/api/cookie/1"),
    (Method::GET, "/guest", "/guest-rule"),
    (Method::GET, "/fresh", "/fresh-rule"),
    (Method::GET, "/hello", "/hello-rule"),
];

/// Everybody at every pair: the same status, code, challenge and reason; pages are sent to the same place.
#[tokio::test]
async fn guards_and_rules_say_the_same() {
    // An app: one shows pages, and so does the developer.
    let site = r#"site = { url = "{echo}", kind = "app", token = "user" }"#;
    let rules = format!("{site}\n{RULES}{MORE}").replace("to = \"echo\"", "to = \"site\"");
    let plan = Plan { rules, ..Plan::default() };
    let (app, phone) = with_app(plan).await;
    let mine = Mine::before(app).await;
    let log_in = async || {
        let browser = mine.browser();
        browser.post("/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await;
        browser
    };
    let both_steps = log_in().await;
    crate::mfa::prove(&both_steps, &phone.code(&mine.app)).await;
    let old = mine.with_role("old@example.test", "user").await;
    mine.app.clock.advance(time::Duration::minutes(6));
    let guest = mine.browser();
    guest.post("/auth/signup", &json!({ "anonymous": true })).await;
    let gone = mine.with_role("gone@example.test", "admin").await;
    let ended = gone.stolen();
    gone.post("/auth/logout", &json!({})).await;
    let people = [
        ("stranger", mine.browser()),
        ("half way", log_in().await),
        ("both steps", both_steps),
        ("user long ago", old),
        ("editor", mine.with_role("bob@example.test", "editor").await),
        ("admin", mine.with_role("eve@example.test", "admin").await),
        ("anonymous", guest),
        ("ended", ended),
    ];
    let mut answers = std::collections::BTreeSet::new();
    for (who, browser) in &people {
        for (method, guarded, ruled) in PAIRS {
            let ask = async |path| {
                let body = (method == Method::POST).then(|| "{}".to_owned());
                let headers = [
                    ("x-csrf", "1"),
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-mode", "cors"),
                    ("content-type", "application/json"),
                ];
                told(&browser.stolen().send(method.clone(), path, &headers, body).await)
            };
            let (guard, rule) = (ask(guarded).await, ask(ruled).await);
            assert_eq!(guard, rule, "{who} at {guarded}");
            answers.insert(guard.1);
            page(who, browser, guarded, ruled).await;
        }
    }
    let seen: Vec<_> = answers.iter().map(String::as_str).collect();
    assert_eq!(
        seen,
        [
            "",
            "anonymous_not_allowed",
            "forbidden",
            "insufficient_scope",
            "insufficient_user_authentication",
            "session_ended",
            "session_limited",
            "session_missing",
        ]
    );
}

async fn page(who: &str, browser: &Browser, guarded: &str, ruled: &str) {
    let ask = async |path: &str| {
        let answer = browser.stolen().send(Method::GET, path, &navigation("none"), None).await;
        let way = answer.header("location").replace(&path.replace('/', "%2F"), "<here>");
        (answer.status, way)
    };
    let (guard, rule) = (ask(guarded).await, ask(ruled).await);
    if guarded != "/notes" {
        assert_eq!(guard, rule, "{who} navigates to {guarded}");
    }
}

/// The same for bearers, good and bad.
#[tokio::test]
async fn bearers_are_judged_alike() {
    let mine = Mine::start().await;
    mine.with_role("eve@example.test", "admin").await;
    mine.signed_in(ADA).await;
    for (email, tail) in [(ADA, ""), ("eve@example.test", ""), (ADA, "A"), ("eve@example.test", ".x")] {
        let token = mine.app.tokens(email, PASSWORD).await["access_token"].as_str().unwrap().to_owned();
        let value = format!("Bearer {token}{tail}");
        for (method, guarded, ruled) in PAIRS.into_iter().take(5) {
            let ask = async |path| {
                let body = (method == Method::POST).then(|| "{}".to_owned());
                let headers = [("authorization", &*value), ("content-type", "application/json")];
                told(&mine.browser().send(method.clone(), path, &headers, body).await)
            };
            assert_eq!(ask(guarded).await, ask(ruled).await, "{email}{tail} at {guarded}");
        }
    }
}
