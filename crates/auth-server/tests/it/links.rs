//! What administrators send: invitations, and links that they deliver themselves.

use auth_server::{MailKind, Settings};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, Reply, Server, fragment};

async fn server(change: impl FnOnce(&mut Settings)) -> Server {
    Server::with(|settings| {
        settings.confirm_email = true;
        settings.sign_up = false;
        change(settings);
    })
    .await
}

async fn generate(server: &Server, body: Value) -> Reply {
    server.admin(Method::POST, "/admin/generate_link", body).await
}

#[tokio::test]
async fn an_invitation_lets_somebody_in_though_sign_up_is_off() {
    let server = server(|_| ()).await;
    let body = json!({"email": "ada@example.test", "data": {"team": "x"}});
    assert_eq!(server.post("/invite", body.clone()).await.refusal(), "401 no_authorization");
    let invited = server.admin(Method::POST, "/invite", body.clone()).await.json;
    assert!(invited["invited_at"].is_string() && invited.get("email_confirmed_at").is_none());
    assert_eq!(invited["user_metadata"], json!({"team": "x"}));
    assert_eq!(server.handle.outbox()[0].kind, MailKind::Invite);
    let (first, _) = server.mail("ada@example.test");
    server.admin(Method::POST, "/invite", body.clone()).await;
    let (link, _) = server.mail("ada@example.test");
    let accept =
        async |link: &str| server.post("/verify", json!({"type": "invite", "token_hash": link})).await;
    assert_eq!(accept(&first).await.refusal(), "403 otp_expired", "the second invitation replaced it");
    let session = accept(&link).await.session();
    let password = json!({"password": PASSWORD});
    assert_eq!(server.call_as(Method::PUT, "/user", &session.access, password).await.status, 200);
    server.sign_in("ada@example.test", PASSWORD).await.session();
    assert_eq!(server.admin(Method::POST, "/invite", body).await.refusal(), "422 email_exists");
    assert_eq!(
        server.admin(Method::POST, "/invite", json!({"email": "x"})).await.refusal(),
        "400 validation_failed"
    );
}

/// S-78: nobody but the administrator gets a link without a mail.
#[tokio::test]
async fn links_are_for_the_administrator() {
    let server = server(|settings| settings.sign_up = true).await;
    let body = json!({"type": "magiclink", "email": "ada@example.test"});
    assert_eq!(server.post("/admin/generate_link", body.clone()).await.refusal(), "401 no_authorization");
    let link = generate(&server, body.clone()).await.json;
    assert_eq!(link["verification_type"], "signup", "a stranger");
    let session =
        server.post("/verify", json!({"type": "signup", "token_hash": link["hashed_token"]})).await.session();
    assert_eq!(
        server.post_as("/admin/generate_link", &session.access, body).await.refusal(),
        "403 not_admin"
    );
    assert!(server.handle.outbox().is_empty());
}

#[tokio::test]
async fn each_link_does_what_it_says() {
    let server = server(|_| ()).await;
    let sign_up =
        json!({"type": "signup", "email": "ada@example.test", "password": PASSWORD, "data": {"k": 1}});
    let link = generate(&server, sign_up.clone()).await.json;
    assert_eq!(link["user_metadata"], json!({"k": 1}));
    let digits = json!({"type": "signup", "email": "ada@example.test", "token": link["email_otp"]});
    server.post("/verify", digits).await.session();
    server.sign_in("ada@example.test", PASSWORD).await.session();

    let target = "http://localhost:8080/auth/in";
    let body = json!({"type": "recovery", "email": "ada@example.test", "redirect_to": target});
    let link = generate(&server, body).await.json;
    assert_eq!(link["redirect_to"], target);
    let landed = server.get(link["action_link"].as_str().unwrap()).await.location();
    assert!(landed.as_str().starts_with(target) && fragment(&landed)["type"] == "recovery", "{landed}");
    let body =
        json!({"type": "magiclink", "email": "ada@example.test", "redirect_to": "https://evil.example.net/"});
    assert_eq!(generate(&server, body).await.json["redirect_to"], "http://localhost:8080");

    for (body, refusal) in [
        (sign_up, "422 email_exists"),
        (json!({"type": "invite", "email": "ada@example.test"}), "422 email_exists"),
        (json!({"type": "signup", "email": "grace@example.test"}), "400 validation_failed"),
        (json!({"type": "signup", "email": "grace@example.test", "password": "short"}), "422 weak_password"),
        (json!({"type": "recovery", "email": "grace@example.test"}), "404 user_not_found"),
        (json!({"type": "email_change_new", "email": "ada@example.test"}), "400 validation_failed"),
        (json!({"type": "nope", "email": "ada@example.test"}), "400 validation_failed"),
        (json!({"type": "magiclink"}), "400 validation_failed"),
    ] {
        assert_eq!(generate(&server, body.clone()).await.refusal(), refusal, "{body}");
    }
}

/// S-75: the halves of one change go together, and no half of another change counts.
#[tokio::test]
async fn links_for_a_change_of_address_go_together() {
    let server = server(|_| ()).await;
    let made = json!({"email": "ada@example.test", "password": PASSWORD, "email_confirm": true});
    assert_eq!(server.admin(Method::POST, "/admin/users", made).await.status, 200);
    let half = async |kind: &str, new: &str| {
        let body = json!({"type": kind, "email": "ada@example.test", "new_email": new});
        generate(&server, body).await.json["hashed_token"].clone()
    };
    let redeem = async |hash: &Value| {
        server.post("/verify", json!({"type": "email_change", "token_hash": hash})).await
    };
    let stale = half("email_change_new", "first@example.test").await;
    let current = half("email_change_current", "second@example.test").await;
    assert_eq!(redeem(&stale).await.refusal(), "403 otp_expired");
    let new = half("email_change_new", "second@example.test").await;
    assert_eq!(redeem(&current).await.json["code"], "200");
    assert_eq!(redeem(&new).await.session().user["email"], "second@example.test");
}
