//! A change of address, proof by mailed digits, and the way from an anonymous to a full account.

use std::sync::Arc;

use auth_server::{MailKind, MailLinks, Settings};
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::harness::{CHALLENGE, PASSWORD, Reply, Server, Session, VERIFIER, fragment, parameter, successes};

const OTHER: &str = "Copper-meadow-77";

async fn confirming(change: impl FnOnce(&mut Settings)) -> Server {
    Server::with(|settings| {
        settings.confirm_email = true;
        change(settings);
    })
    .await
}

/// Somebody whose address is confirmed.
async fn ada(server: &Server) -> Session {
    server.sign_up("ada@example.test").await;
    let (link, _) = server.mail("ada@example.test");
    server.post("/verify", json!({"type": "signup", "token_hash": link})).await.session()
}

async fn put(server: &Server, session: &Session, body: Value) -> Reply {
    server.call_as(Method::PUT, "/user", &session.access, body).await
}

async fn redeem(server: &Server, link: &str) -> Reply {
    server.post("/verify", json!({"type": "email_change", "token_hash": link})).await
}

#[tokio::test]
async fn both_addresses_prove_a_change() {
    let server = confirming(|_| ()).await;
    let session = ada(&server).await;
    let asked = put(&server, &session, json!({"email": "New@example.test"})).await.json;
    assert_eq!(
        (&asked["email"], &asked["new_email"]),
        (&json!("ada@example.test"), &json!("new@example.test"))
    );
    let ((current, _), (new, new_code)) = (server.mail("ada@example.test"), server.mail("new@example.test"));
    let half = redeem(&server, &current).await;
    assert_eq!((half.status.as_u16(), &half.json["code"]), (200, &json!("200")));
    assert!(half.json["msg"].is_string() && half.json.get("access_token").is_none());
    assert_eq!(redeem(&server, &current).await.refusal(), "403 otp_expired", "one half twice is no whole");
    assert_eq!(server.get_as("/user", &session.access).await.json["email"], "ada@example.test");
    let elsewhere = json!({"type": "email_change", "email": "ada@example.test", "token": new_code});
    assert_eq!(
        server.post("/verify", elsewhere).await.refusal(),
        "403 otp_expired",
        "digits of the other one"
    );

    let done = redeem(&server, &new).await.session();
    assert_eq!((&done.user["email"], done.user.get("new_email")), (&json!("new@example.test"), None));
    assert_eq!(done.user["identities"][0]["identity_data"]["email"], "new@example.test");
    assert_eq!(done.claims()["amr"][0]["method"], "otp");
    assert_eq!(server.sign_in("ada@example.test", PASSWORD).await.refusal(), "400 invalid_credentials");
    server.sign_in("new@example.test", PASSWORD).await.session();
}

/// S-75: a request for another address voids what was sent for the first one; so does a new password.
#[tokio::test]
async fn a_new_request_replaces_the_old() {
    let server = confirming(|_| ()).await;
    let session = ada(&server).await;
    put(&server, &session, json!({"email": "first@example.test"})).await;
    let ((old_current, _), (old_new, _)) =
        (server.mail("ada@example.test"), server.mail("first@example.test"));
    assert_eq!(redeem(&server, &old_new).await.status, 200);
    put(&server, &session, json!({"email": "second@example.test"})).await;
    assert_eq!(redeem(&server, &old_current).await.refusal(), "403 otp_expired");
    let ((current, _), (new, _)) = (server.mail("ada@example.test"), server.mail("second@example.test"));
    let half = redeem(&server, &new).await;
    assert_eq!(half.json["code"], "200", "the half of the first request does not count: {half:?}");
    put(&server, &session, json!({"password": OTHER})).await;
    assert_eq!(redeem(&server, &current).await.refusal(), "403 otp_expired");
    assert_eq!(server.get_as("/user", &session.access).await.json["email"], "ada@example.test");
}

/// S-75: fifty parallel openings of the last half change the address once.
#[tokio::test]
async fn parallel_halves_succeed_once() {
    let server = Arc::new(confirming(|_| ()).await);
    let session = ada(&server).await;
    put(&server, &session, json!({"email": "new@example.test"})).await;
    let ((current, _), (new, _)) = (server.mail("ada@example.test"), server.mail("new@example.test"));
    for (link, in_after) in [(current, 0), (new, 1)] {
        let done = successes(50, |_| {
            let (server, link) = (Arc::clone(&server), link.clone());
            async move { redeem(&server, &link).await }
        });
        assert_eq!(done.await, 1);
        assert_eq!(usize::from(server.sign_in("new@example.test", PASSWORD).await.status == 200), in_after);
    }
}

/// S-79: somebody who got the address in the meantime keeps it.
#[tokio::test]
async fn an_address_that_was_taken_meanwhile_stays_with_its_owner() {
    let server = confirming(|settings| settings.secure_email_change = false).await;
    let session = ada(&server).await;
    put(&server, &session, json!({"email": "new@example.test"})).await;
    let (link, _) = server.mail("new@example.test");
    assert_eq!(server.handle.outbox().last().unwrap().kind, MailKind::EmailChange);
    assert_eq!(server.sign_up("new@example.test").await.status, 200);
    assert_eq!(redeem(&server, &link).await.refusal(), "422 email_exists");
    assert_eq!(
        put(&server, &session, json!({"email": "new@example.test"})).await.refusal(),
        "422 email_exists"
    );
    assert_eq!(server.get_as("/user", &session.access).await.json["email"], "ada@example.test");
}

#[tokio::test]
async fn a_change_with_pkce_ends_in_a_code() {
    let server = confirming(|settings| settings.mail_links = MailLinks::Verify).await;
    let session = ada(&server).await;
    let body =
        json!({"email": "new@example.test", "code_challenge": CHALLENGE, "code_challenge_method": "s256"});
    let path = "/user?redirect_to=http://localhost:8080/auth/in";
    assert_eq!(server.call_as(Method::PUT, path, &session.access, body).await.status, 200);
    let link = |to: &str| server.handle.outbox().into_iter().rev().find(|mail| mail.to == to).unwrap().link;
    let half = server.get(&link("new@example.test")).await.location();
    assert!(parameter(&half, "message").is_some() && parameter(&half, "code").is_none(), "{half}");
    assert!(fragment(&half).contains_key("message"));
    let done = server.get(&link("ada@example.test")).await.location();
    let code = parameter(&done, "code").unwrap();
    let changed = server.exchange(&code, VERIFIER).await.session();
    assert_eq!(changed.claims()["amr"][0]["method"], "email_change");
    assert_eq!(changed.user["email"], "new@example.test");
}

#[tokio::test]
async fn mails_of_a_change_can_be_sent_again() {
    let server = confirming(|settings| settings.mail_gap = Duration::minutes(1)).await;
    let session = ada(&server).await;
    let again = async |address: &str| {
        let before = server.handle.outbox().len();
        let reply = server.post("/resend", json!({"type": "email_change", "email": address})).await;
        (reply.status.as_u16(), server.handle.outbox().len() - before)
    };
    assert_eq!(again("ada@example.test").await, (200, 0), "nothing is pending");
    put(&server, &session, json!({"email": "new@example.test"})).await;
    let too_soon = put(&server, &session, json!({"email": "other@example.test"})).await;
    assert_eq!(too_soon.refusal(), "429 over_email_send_rate_limit");
    server.clock.advance(Duration::minutes(1));
    assert_eq!(again("ada@example.test").await, (200, 2));
    assert_eq!(again("new@example.test").await, (200, 0));
    let (new, _) = server.mail("new@example.test");
    assert_eq!(redeem(&server, &new).await.json["code"], "200");
}

/// S-79: where one half is enough and it was the old one, the new address counts as unproved.
#[tokio::test]
async fn auto_confirmation_takes_one_half_and_proves_nothing_more() {
    let (github, url) = crate::harness::GitHub::start().await;
    let server = Server::with(|settings| {
        let secret = base::secret::Secret::new("a-secret".to_owned());
        settings.github = Some(auth_server::Client { id: "an-id".to_owned(), secret });
        settings.github_url = Some(url);
    })
    .await;
    let session = server.sign_up("ada@example.test").await.session();
    put(&server, &session, json!({"email": "victim@example.test"})).await;
    let (current, _) = server.mail("ada@example.test");
    assert_eq!(redeem(&server, &current).await.session().user["email"], "victim@example.test");
    // Its owner comes by a provider that vouches for the address: what the stranger left is gone.
    let page = server.get("/authorize?provider=github").await.location();
    let (state, code) = (parameter(&page, "state").unwrap(), github.consents(7, "victim@example.test", true));
    let landed = server.get(&format!("/callback?state={state}&code={code}")).await.location();
    assert!(fragment(&landed).contains_key("access_token"), "{landed}");
    assert_eq!(server.get_as("/user", &session.access).await.refusal(), "403 session_not_found");
    assert_eq!(server.sign_in("victim@example.test", PASSWORD).await.refusal(), "400 invalid_credentials");
}

#[tokio::test]
async fn an_anonymous_person_is_one_until_the_mail_was_read() {
    let server = confirming(|_| ()).await;
    let session = server.post("/signup", json!({})).await.session();
    let asked = put(&server, &session, json!({"email": "ada@example.test", "password": PASSWORD})).await.json;
    assert_eq!((&asked["is_anonymous"], &asked["email"]), (&json!(true), &json!("")));
    assert_eq!(server.handle.outbox().len(), 1, "there is no other address to ask");
    assert_eq!(server.sign_in("ada@example.test", PASSWORD).await.refusal(), "400 invalid_credentials");
    let (link, _) = server.mail("ada@example.test");
    let full = redeem(&server, &link).await.session();
    assert_eq!((&full.user["id"], &full.user["is_anonymous"]), (&session.user["id"], &json!(false)));
    assert_eq!(full.user["app_metadata"]["providers"], json!(["email"]));
    server.sign_in("ada@example.test", PASSWORD).await.session();
}

/// S-75: the digits are asked for once the session is a day old, work once, and only five may be tried.
#[tokio::test]
async fn a_password_of_an_old_session_asks_for_digits() {
    let server = Server::with(|settings| settings.require_reauthentication = true).await;
    let session = server.sign_up("ada@example.test").await.session();
    let change = async |session: &Session, body: Value| put(&server, session, body).await;
    assert_eq!(change(&session, json!({"password": OTHER})).await.status, 200, "a fresh session");
    server.clock.advance(Duration::hours(25));
    let session = server.refresh(&session.refresh).await.session();
    let wanted = json!({"password": PASSWORD});
    assert_eq!(change(&session, wanted.clone()).await.refusal(), "400 reauthentication_needed");
    assert_eq!(server.get_as("/reauthenticate", &session.access).await.json, json!({}));
    let mail = server.handle.outbox().pop().unwrap();
    assert_eq!((mail.kind, mail.link.as_str()), (MailKind::Reauthentication, ""));
    assert!(!mail.text().contains("http"));
    let with = |nonce: &str| json!({"password": PASSWORD, "nonce": nonce});
    let wrong = if mail.code == "000000" { "000001" } else { "000000" };
    assert_eq!(change(&session, with(wrong)).await.refusal(), "422 reauthentication_not_valid");
    assert_eq!(change(&session, with(&mail.code)).await.status, 200);
    assert_eq!(
        change(&session, json!({"password": OTHER, "nonce": mail.code})).await.refusal(),
        "422 reauthentication_not_valid"
    );

    server.get_as("/reauthenticate", &session.access).await;
    let code = server.handle.outbox().pop().unwrap().code;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        change(&session, json!({"password": OTHER, "nonce": wrong})).await;
    }
    let late = change(&session, json!({"password": OTHER, "nonce": code})).await;
    assert_eq!(late.refusal(), "422 reauthentication_not_valid");
    let anonymous = server.post("/signup", json!({})).await.session();
    assert_eq!(server.get_as("/reauthenticate", &anonymous.access).await.refusal(), "400 validation_failed");
}
