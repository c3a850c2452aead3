//! Sessions that one step is missing from.

use http::Method;
use serde_json::json;

use crate::client::Browser;
use crate::harness::{PASSWORD, TestApp};
use crate::tap::Fault;

const ADA: &str = "ada@example.test";

/// A browser that opened the link of a recovery mail.
pub async fn recovering(app: &TestApp) -> Browser {
    let headers = [("content-type", "application/json")];
    let path = format!("{}/auth/v1/recover", app.auth.url());
    let browser = app.browser();
    let asked = browser.send(Method::POST, &path, &headers, Some(json!({ "email": ADA }).to_string()));
    assert_eq!(asked.await.status, 200);
    let mail = app.outbox().await.pop().expect("a mail");
    let text = mail["text"].as_str().unwrap();
    let (_, rest) = text.split_once("token_hash=").unwrap_or_else(|| panic!("{text}"));
    let hash = rest.split('&').next().unwrap();
    let body = json!({ "token_hash": hash, "type": "recovery" });
    let answer = browser.post("/auth/confirm", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    browser
}

/// A browser whose person typed the password, and has an authenticator app.
pub async fn before_the_code(app: &TestApp) -> Browser {
    let mut tokens = app.tokens(ADA, PASSWORD).await;
    tokens["user"]["factors"] = json!([{
        "id": "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f",
        "factor_type": "totp",
        "status": "verified",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }]);
    app.auth.fail_once("grant_type=password", Fault::Answer(200, "application/json", tokens.to_string()));
    let browser = app.browser();
    let answer = browser.post("/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await;
    assert_eq!(
        (answer.status, answer.json()["status"].as_str()),
        (200, Some("mfa_required")),
        "{}",
        answer.body
    );
    browser
}

/// S-32: until its step is done a session opens neither upstreams nor the account; what is missing is named, and signing
/// out is offered and works.
#[tokio::test]
async fn a_limited_session_opens_nothing() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    for (limited, sentence) in
        [("recovery", "new password is still missing"), ("mfa", "code from your authenticator app")]
    {
        let browser = if limited == "mfa" { before_the_code(&app).await } else { recovering(&app).await };
        assert_eq!(browser.get("/auth/session").await.json()["limited"], limited);
        let reached = app.echo.seen().len();
        for path in ["/api/notes", "/api/items/1", "/supabase/rest/v1/notes", "/auth/account"] {
            let answer = browser.get(path).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "session_limited"), "{limited} {path}");
            assert!(!answer.body.contains(ADA), "{limited} {path}: {}", answer.body);
        }
        assert_eq!(app.echo.seen().len(), reached, "no upstream was asked");

        let page = browser.navigate("/auth/account").await;
        let (to, step) = match limited {
            "mfa" => ("/auth/mfa?return_to=%2Fauth%2Faccount", "&#x2f;auth&#x2f;mfa"),
            _ => ("/auth/reset", "&#x2f;auth&#x2f;reset"),
        };
        assert_eq!((page.status, page.header("location")), (303, to), "a page leads to the step");
        let page = browser.submit("/auth/account/factors", &[("form_token", "")]).await;
        assert!(page.body.contains(&format!("href=\"{step}\"")), "{}", page.body);
        assert_eq!(page.status, 403, "{}", page.body);
        assert!(page.body.contains(sentence), "{limited}: {}", page.body);
        assert!(!page.body.contains(ADA) && !page.body.contains("action=\"/auth/otp\""), "{}", page.body);
        let token = page.form_token("/auth/logout");
        assert_eq!(browser.submit("/auth/logout", &[("form_token", &token)]).await.status, 303);
        assert_eq!(browser.get("/auth/session").await.json()["authenticated"], false);
    }
}
