//! What people change about themselves.

use reqwest::Method;
use serde_json::json;

use crate::harness::{PASSWORD, Reply, Server, Session};

const OTHER: &str = "Copper-meadow-77";

async fn put(server: &Server, session: &Session, body: serde_json::Value) -> Reply {
    server.send(server.request(Method::PUT, "/user").bearer_auth(&session.access).json(&body)).await
}

#[tokio::test]
async fn metadata_is_merged_and_null_removes() {
    let server = Server::start().await;
    let session = server.sign_up("ada@example.test").await.session();
    put(&server, &session, json!({"data": {"x": 1, "y": {"a": 1}}})).await;
    let user = put(&server, &session, json!({"data": {"x": null, "y": {"b": 2}}})).await.json;
    assert_eq!((user["user_metadata"].get("x"), &user["user_metadata"]["y"]), (None, &json!({"b": 2})));
    assert_eq!(server.get_as("/user", &session.access).await.json["user_metadata"], user["user_metadata"]);
}

/// S-73, S-75: a new password obeys the rules, ends the other sessions and voids what is outstanding.
#[tokio::test]
async fn a_new_password_ends_everything_else() {
    let server = Server::start().await;
    let elsewhere = server.sign_up("ada@example.test").await.session();
    let here = server.sign_in("ada@example.test", PASSWORD).await.session();
    server.post("/recover", json!({"email": "ada@example.test"})).await;
    let (link, _) = server.mail("ada@example.test");
    for (password, answer) in [
        ("short", "422 weak_password"),
        ("", "422 weak_password"),
        ("password1", "422 weak_password"),
        (PASSWORD, "422 same_password"),
    ] {
        assert_eq!(put(&server, &here, json!({"password": password})).await.refusal(), answer, "{password}");
    }
    assert_eq!(put(&server, &here, json!({"password": OTHER})).await.status, 200);
    assert_eq!(server.get_as("/user", &elsewhere.access).await.refusal(), "403 session_not_found");
    assert_eq!(server.refresh(&elsewhere.refresh).await.refusal(), "400 refresh_token_not_found");
    let voided = server.post("/verify", json!({"type": "recovery", "token_hash": link})).await;
    assert_eq!(voided.refusal(), "403 otp_expired");
    server.refresh(&here.refresh).await.session();
    assert_eq!(server.sign_in("ada@example.test", PASSWORD).await.refusal(), "400 invalid_credentials");
    server.sign_in("ada@example.test", OTHER).await.session();
}

#[tokio::test]
async fn the_old_password_may_be_asked_for() {
    let server = Server::with(|settings| settings.require_current_password = true).await;
    let session = server.sign_up("ada@example.test").await.session();
    let change = async |session: &Session, current: serde_json::Value| {
        put(&server, session, json!({"password": OTHER, "current_password": current})).await
    };
    assert_eq!(change(&session, json!(null)).await.refusal(), "400 current_password_required");
    assert_eq!(change(&session, json!("wrong")).await.refusal(), "400 current_password_invalid");
    server.post("/recover", json!({"email": "ada@example.test"})).await;
    let (link, _) = server.mail("ada@example.test");
    let by_mail = server.post("/verify", json!({"type": "recovery", "token_hash": link})).await.session();
    assert_eq!(change(&by_mail, json!(null)).await.status, 200);
}

/// S-78: fields of the administrator are refused or without effect.
#[tokio::test]
async fn privileged_fields_stay_as_they_are() {
    let server = Server::start().await;
    let session = server.sign_up("ada@example.test").await.session();
    let before = server.get_as("/user", &session.access).await.json;
    let refused = put(&server, &session, json!({"app_metadata": {"roles": ["admin"]}})).await;
    assert_eq!(refused.refusal(), "403 not_admin");
    let body = json!({
        "id": "00000000-0000-4000-8000-000000000001", "role": "service_role", "aud": "other", "ban_duration": "1h",
        "email_confirm": true, "banned_until": "2030-01-01T00:00:00Z", "factors": [], "is_anonymous": true,
    });
    assert_eq!(put(&server, &session, body).await.json, before);
    let taken = server.sign_up("grace@example.test").await;
    assert_eq!(taken.status, 200);
    assert_eq!(
        put(&server, &session, json!({"email": "GRACE@example.test"})).await.refusal(),
        "422 email_exists"
    );
}

#[tokio::test]
async fn an_anonymous_person_becomes_a_full_one() {
    let server = Server::start().await;
    let session = server.post("/signup", json!({})).await.session();
    assert_eq!(
        put(&server, &session, json!({"password": PASSWORD})).await.refusal(),
        "422 validation_failed"
    );
    let full = put(&server, &session, json!({"email": "ada@example.test", "password": PASSWORD})).await.json;
    assert_eq!((&full["id"], &full["is_anonymous"]), (&session.user["id"], &json!(false)));
    assert_eq!(full["identities"][0]["provider"], "email");
    server.sign_in("ada@example.test", PASSWORD).await.session();
}
