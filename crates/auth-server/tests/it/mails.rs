//! Confirmation by mail: links and digits, each redeemed once.

use std::sync::Arc;

use auth_server::MailLinks;
use serde_json::json;
use time::Duration;

use crate::harness::{CHALLENGE, PASSWORD, Server, VERIFIER, fragment, parameter};

async fn confirming() -> Server {
    Server::with(|settings| settings.confirm_email = true).await
}

#[tokio::test]
async fn a_link_confirms_once() {
    let server = Server::with(|settings| {
        settings.confirm_email = true;
        settings.mail_links = MailLinks::Verify;
    })
    .await;
    let body = json!({"email": "ada@example.test", "password": PASSWORD});
    let user = server.post("/signup?redirect_to=http://localhost:8080/auth/in?x=1", body).await;
    assert_eq!((user.status.as_u16(), user.json.get("access_token")), (200, None));
    assert!(user.json.get("email_confirmed_at").is_none() && user.json["confirmation_sent_at"].is_string());
    assert_eq!(server.sign_in("ada@example.test", PASSWORD).await.refusal(), "400 email_not_confirmed");
    assert_eq!(server.sign_in("ada@example.test", "wrong").await.refusal(), "400 invalid_credentials");

    let link = server.handle.outbox()[0].link.clone();
    assert!(link.starts_with(&format!("{}/verify?token=", server.handle.issuer())), "{link}");
    let landed = server.get(&link).await.location();
    assert_eq!(parameter(&landed, "x").as_deref(), Some("1"));
    let tokens = fragment(&landed);
    assert_eq!((tokens["type"].as_str(), tokens["token_type"].as_str()), ("signup", "bearer"));
    assert_eq!(
        server.get_as("/user", &tokens["access_token"]).await.json["user_metadata"]["email_verified"],
        true
    );

    let again = fragment(&server.get(&link).await.location());
    assert_eq!((again["error"].as_str(), again["error_code"].as_str()), ("access_denied", "otp_expired"));
    server.sign_in("ada@example.test", PASSWORD).await.session();
}

#[tokio::test]
async fn links_lead_to_the_site_unless_told_otherwise() {
    let server = confirming().await;
    server
        .post(
            "/signup?redirect_to=https://evil.example.net/",
            json!({"email": "ada@example.test", "password": PASSWORD}),
        )
        .await;
    let link = url::Url::parse(&server.handle.outbox()[0].link).unwrap();
    assert!(link.as_str().starts_with("http://localhost:8080/auth/confirm?token_hash="), "{link}");
    assert_eq!(parameter(&link, "next").as_deref(), Some("http://localhost:8080"));
    assert_eq!(parameter(&link, "type").as_deref(), Some("signup"));
}

#[tokio::test]
async fn a_pkce_link_brings_a_code() {
    let server = confirming().await;
    let body = json!({"email": "ada@example.test", "password": PASSWORD, "code_challenge": CHALLENGE, "code_challenge_method": "s256"});
    server.post("/signup", body).await;
    let (link, _) = server.mail("ada@example.test");
    assert!(link.starts_with("pkce_"));
    let landed = server.get(&format!("/verify?type=signup&token={link}")).await.location();
    let code = parameter(&landed, "code").unwrap();
    assert_eq!(
        (landed.fragment(), server.exchange(&code, PASSWORD).await.refusal()),
        (None, "400 bad_code_verifier".to_owned())
    );
    let session = server.exchange(&code, VERIFIER).await.session();
    assert_eq!(session.claims()["amr"][0]["method"], "email/signup");
    assert_eq!(server.exchange(&code, VERIFIER).await.refusal(), "404 flow_state_not_found");
    let again = server.get(&format!("/verify?type=signup&token={link}")).await.location();
    assert_eq!(parameter(&again, "error_code").as_deref(), Some("otp_expired"));
    assert_eq!(fragment(&again)["error_code"], "otp_expired");
}

/// S-75: fifty parallel redemptions of one link are one success.
#[tokio::test]
async fn parallel_redemptions_succeed_once() {
    let server = Arc::new(confirming().await);
    server.sign_up("ada@example.test").await;
    let (link, _) = server.mail("ada@example.test");
    let calls = (0..50).map(|_| {
        let (server, body) = (Arc::clone(&server), json!({"type": "signup", "token_hash": link}));
        tokio::spawn(async move { server.post("/verify", body).await })
    });
    let mut redeemed = 0;
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap();
        if reply.status == 200 {
            redeemed += 1;
        } else {
            assert_eq!(reply.refusal(), "403 otp_expired");
        }
    }
    assert_eq!(redeemed, 1);
}

/// S-75: the sixth try with the right digits is refused; the link still works.
#[tokio::test]
async fn digits_may_be_tried_five_times() {
    let server = confirming().await;
    server.sign_up("ada@example.test").await;
    let (link, code) = server.mail("ada@example.test");
    let try_code = async |code: &str| {
        server.post("/verify", json!({"type": "email", "email": "ada@example.test", "token": code})).await
    };
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        assert_eq!(try_code(wrong).await.refusal(), "403 otp_expired");
    }
    assert_eq!(try_code(&code).await.refusal(), "403 otp_expired");
    server.post("/verify", json!({"type": "signup", "token_hash": link})).await.session();
}

/// S-75: digits live ten minutes, links as long as they are set to.
#[tokio::test]
async fn secrets_end_with_their_time() {
    let server = confirming().await;
    server.sign_up("ada@example.test").await;
    let (link, code) = server.mail("ada@example.test");
    let digits = json!({"type": "signup", "email": "ada@example.test", "token": code});
    server.clock.advance(Duration::minutes(10));
    assert_eq!(server.post("/verify", digits).await.refusal(), "403 otp_expired");
    server.clock.advance(Duration::minutes(49));
    server.post("/verify", json!({"type": "signup", "token_hash": link})).await.session();

    server.sign_up("grace@example.test").await;
    let (link, _) = server.mail("grace@example.test");
    server.clock.advance(Duration::hours(1));
    let late = server.post("/verify", json!({"type": "signup", "token_hash": link})).await;
    assert_eq!(late.refusal(), "403 otp_expired");
}

/// S-75: a new secret replaces the old one; a second mail waits for the gap.
#[tokio::test]
async fn a_second_mail_replaces_the_first() {
    let server = Server::with(|settings| {
        settings.confirm_email = true;
        settings.mail_gap = Duration::seconds(60);
    })
    .await;
    server.sign_up("ada@example.test").await;
    let (first, _) = server.mail("ada@example.test");
    server.clock.advance(Duration::seconds(59));
    let early = server.sign_up("ada@example.test").await;
    assert_eq!(
        (early.refusal().as_str(), early.header("retry-after")),
        ("429 over_email_send_rate_limit", "2")
    );
    server.clock.advance(Duration::seconds(1));
    server.post("/signup", json!({"email": "ada@example.test", "password": "Copper-meadow-77"})).await;
    let (second, _) = server.mail("ada@example.test");
    let redeem =
        async |link: &str| server.post("/verify", json!({"type": "signup", "token_hash": link})).await;
    assert_eq!(redeem(&first).await.refusal(), "403 otp_expired");
    redeem(&second).await.session();
    // What the second sign-up said is ignored: it may have come from anybody.
    assert_eq!(
        server.sign_in("ada@example.test", "Copper-meadow-77").await.refusal(),
        "400 invalid_credentials"
    );
    server.sign_in("ada@example.test", PASSWORD).await.session();
}

/// S-76: a code whose flow began five minutes ago is worth nothing.
#[tokio::test]
async fn codes_end_after_five_minutes() {
    let server = confirming().await;
    let body = json!({"email": "ada@example.test", "password": PASSWORD, "code_challenge": CHALLENGE, "code_challenge_method": "S256"});
    server.post("/signup", body).await;
    let (link, _) = server.mail("ada@example.test");
    let landed = server.get(&format!("/verify?type=signup&token={link}")).await.location();
    server.clock.advance(Duration::minutes(5));
    let late = server.exchange(&parameter(&landed, "code").unwrap(), VERIFIER).await;
    assert_eq!(late.refusal(), "422 flow_state_expired");
    server.sign_in("ada@example.test", PASSWORD).await.session();
}

/// Contract, section 2.9: silent about who has an account, and confirming on the way.
#[tokio::test]
async fn a_recovery_mail_signs_in() {
    let server = confirming().await;
    server.sign_up("ada@example.test").await;
    let ask = async |email: &str| server.post("/recover", json!({"email": email})).await;
    for email in ["ada@example.test", "nobody@example.test"] {
        assert_eq!(ask(email).await.json, json!({}));
    }
    assert_eq!(server.handle.outbox().len(), 2, "one confirmation, one recovery");
    let (link, code) = server.mail("ada@example.test");
    // The kinds do not open each other.
    let wrong = server.post("/verify", json!({"type": "signup", "token_hash": link})).await;
    assert_eq!(wrong.refusal(), "403 otp_expired");
    let session = server.post("/verify", json!({"type": "recovery", "token_hash": link})).await.session();
    assert!(session.user["email_confirmed_at"].is_string());
    let digits = json!({"type": "recovery", "email": "ada@example.test", "token": code});
    assert_eq!(server.post("/verify", digits).await.refusal(), "403 otp_expired");
    assert_eq!(ask("nope").await.refusal(), "400 validation_failed");
}

/// Contract, section 2.8: a confirmed person gets a magic link, anybody else signs up.
#[tokio::test]
async fn a_one_time_code_signs_in_or_up() {
    let server = confirming().await;
    let ask = async |body| server.post("/otp", body).await;
    let stranger = json!({"email": "ada@example.test", "create_user": false});
    assert_eq!(ask(stranger).await.refusal(), "422 otp_disabled");
    assert_eq!(ask(json!({"email": "ada@example.test", "data": {"k": 1}})).await.json, json!({}));
    assert_eq!(server.handle.outbox()[0].kind, auth_server::MailKind::Signup);
    let (_, code) = server.mail("ada@example.test");
    let body = json!({"type": "email", "email": "ada@example.test", "token": code});
    let session = server.post("/verify", body).await.session();
    assert_eq!(session.user["user_metadata"]["k"], 1);
    assert_eq!(server.sign_in("ada@example.test", PASSWORD).await.refusal(), "400 invalid_credentials");

    let pkce = json!({"email": "ada@example.test", "create_user": false, "code_challenge": CHALLENGE, "code_challenge_method": "s256"});
    ask(pkce).await;
    assert_eq!(server.handle.outbox()[1].kind, auth_server::MailKind::Magiclink);
    let (link, _) = server.mail("ada@example.test");
    // A magic link counts its five minutes from the click (contract, section 4.2).
    server.clock.advance(Duration::minutes(30));
    let landed = server.get(&format!("/verify?type=magiclink&token={link}")).await.location();
    server.clock.advance(Duration::minutes(4));
    let session = server.exchange(&parameter(&landed, "code").unwrap(), VERIFIER).await.session();
    assert_eq!(session.claims()["amr"][0]["method"], "magiclink");
}

/// S-82, trap 17 of the contract: a refused second mail leaves the first one as it is.
#[tokio::test]
async fn a_refused_mail_leaves_the_first_alone() {
    let server = Server::with(|settings| settings.mail_gap = Duration::minutes(1)).await;
    server.sign_up("ada@example.test").await.session();
    let ask = async |path: &str| {
        let body = json!({"email": "ada@example.test", "code_challenge": CHALLENGE, "code_challenge_method": "s256"});
        server.post(path, body).await
    };
    assert_eq!(ask("/recover").await.status, 200);
    let (link, _) = server.mail("ada@example.test");
    assert_eq!(ask("/recover").await.refusal(), "429 over_email_send_rate_limit");
    assert_eq!(ask("/magiclink").await.refusal(), "429 over_email_send_rate_limit", "they share one secret");
    assert_eq!(server.handle.outbox().len(), 1);
    let landed = server.get(&format!("/verify?type=recovery&token={link}")).await.location();
    server.exchange(&parameter(&landed, "code").unwrap(), VERIFIER).await.session();
}

#[tokio::test]
async fn resend_repeats_what_is_pending() {
    let server = confirming().await;
    server.sign_up("ada@example.test").await;
    let (first, _) = server.mail("ada@example.test");
    let ask = async |email: &str| server.post("/resend", json!({"type": "signup", "email": email})).await;
    assert_eq!(ask("ada@example.test").await.json, json!({}));
    let (second, _) = server.mail("ada@example.test");
    assert_ne!(first, second);
    server.post("/verify", json!({"type": "signup", "token_hash": second})).await.session();
    assert_eq!(
        (ask("ada@example.test").await.json, ask("nobody@example.test").await.json),
        (json!({}), json!({}))
    );
    assert_eq!(server.handle.outbox().len(), 2);
}
