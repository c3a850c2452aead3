//! What a person changes about the own account through supabase-js.

use http::Method;
use serde_json::json;

use super::Client;
use crate::harness::{PASSWORD, Plan, TestApp};

/// S-45, S-73: a new password passes our rules and ends every other session; the old one opens nothing.
#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let app = TestApp::start().await;
    let client = Client::signed_up(&app, "ada@example.test").await;
    let mut other = Client::new(&app);
    let credentials = json!({ "email": "ada@example.test", "password": PASSWORD });
    other.keep(&other.post("token?grant_type=password", &credentials).await);
    for (body, status, code) in [
        (json!({ "password": "password1" }), 422, "weak_password"),
        (json!({ "password": PASSWORD }), 422, "same_password"),
        (json!({ "phone": "+4179" }), 404, "feature_disabled"),
    ] {
        let answer = client.put("user", &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    let copy = client.browser.stolen();
    let answer = client.put("user", &json!({ "password": "sextant bramble quay" })).await;
    assert_eq!(
        (answer.status, &answer.json()["email"]),
        (200, &json!("ada@example.test")),
        "{}",
        answer.body
    );
    assert_eq!(client.get("user").await.status, 200, "this one goes on");
    assert_eq!(Client::of(&copy).get("user").await.status, 403, "S-06: under another id");
    app.past_expiry();
    let answer = other.refresh_with(other.refresh_token()).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "refresh_token_not_found"));
    let answer = other.post("token?grant_type=password", &credentials).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_credentials"));
}

/// S-71, S-22: a new address waits for its mails and is answered alike, taken or free; what GoTrue is told is ours.
#[tokio::test]
async fn a_new_address_waits_for_its_mails() {
    let app = TestApp::start().await;
    Client::signed_up(&app, "bob@example.test").await;
    let client = Client::signed_up(&app, "ada@example.test").await;
    let change = async |email: &str| {
        let path = "user?redirect_to=https%3A%2F%2Fevil.test%2F";
        let answer = client
            .put(path, &json!({ "email": email, "data": { "seen": email }, "code_challenge": null }))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let person = answer.json();
        assert_eq!(person["user_metadata"]["seen"], email, "the rest is done");
        (person["email"].clone(), person["new_email"].clone())
    };
    assert_eq!(change("bob@example.test").await, (json!("ada@example.test"), json!("bob@example.test")));
    assert_eq!(app.outbox().await.len(), 0);
    assert_eq!(change("new@example.test").await, (json!("ada@example.test"), json!("new@example.test")));
    assert_eq!(app.outbox().await.len(), 2, "one to each address");
    assert_eq!(
        client.put("user", &json!({ "email": "ada@example.test" })).await.status,
        200,
        "nothing changes"
    );
    for call in app.auth.seen("PUT /auth/v1/user") {
        assert!(!call.line.contains("evil") && !call.body.contains("null"), "{call:?}");
    }
}

/// S-53: only our own fields arrive at GoTrue, under their exact names.
#[tokio::test]
async fn only_known_members_arrive() {
    let app = TestApp::start().await;
    let client = Client::signed_up(&app, "ada@example.test").await;
    let body = json!({
        "DATA": { "a": 1 }, "app_metadata": { "role": "admin" }, "role": "service_role", "data": { "ok": true },
        "redirect_to": "https://evil.test", "X-JWT-AUD": "other",
    });
    assert_eq!(client.put("user", &body).await.status, 200);
    let call = app.auth.seen("PUT ").pop().unwrap();
    assert_eq!(call.body, r#"{"data":{"ok":true}}"#);
    let large = json!({ "data": { "text": "x".repeat(5000) } });
    let answer = client.put("user", &large).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "validation_failed"));
}

/// The scopes of a sign-out are those that were sent; everywhere where nothing was said, as GoTrue has it.
#[tokio::test]
async fn a_sign_out_has_its_scope() {
    let app = TestApp::with(Plan::in_memory()).await;
    let credentials = json!({ "email": "ada@example.test", "password": PASSWORD });
    let first = Client::signed_up(&app, "ada@example.test").await;
    let sign_in = async || {
        let mut client = Client::new(&app);
        client.keep(&client.post("token?grant_type=password", &credentials).await);
        client
    };
    let status = async |client: &Client| {
        Client { browser: client.browser.stolen(), session: client.session.clone() }.get("user").await.status
    };
    let logout = async |client: &Client, query: &str| {
        client.call(Method::POST, &format!("auth/v1/logout{query}"), None).await.status
    };
    let second = sign_in().await;
    assert_eq!(logout(&second, "?scope=x").await, 400);
    assert_eq!(logout(&second, "?scope=local").await, 204);
    assert_eq!((status(&first).await, status(&second).await), (200, 403));
    let third = sign_in().await;
    assert_eq!(logout(&third, "?scope=others").await, 204);
    assert_eq!((status(&first).await, status(&third).await), (403, 200));
    let fourth = sign_in().await;
    assert_eq!(logout(&fourth, "").await, 204);
    assert_eq!((status(&third).await, status(&fourth).await), (403, 403));
    assert_eq!(logout(&fourth, "?scope=local").await, 401, "auth-js takes that for done");
}
