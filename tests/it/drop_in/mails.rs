//! Codes and links of mails that supabase-js asks for.

use serde_json::json;
use time::Duration;

use super::providers::{landing, pair, pkce};
use super::{Client, parts};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mailbox::{letter, press};

/// Section 9: a code signs in where it is typed; known and unknown people are answered alike (S-71).
#[tokio::test]
async fn a_code_from_a_mail_signs_in() {
    let app = TestApp::start().await;
    Client::signed_up(&app, "ada@example.test").await;
    let mut client = Client::new(&app);
    for email in ["ada@example.test", "nobody@example.test"] {
        let answer = client.post("otp", &json!({ "email": email, "create_user": false, "data": {}, "code_challenge": null, "code_challenge_method": null })).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{email}");
    }
    assert!(app.outbox().await.iter().all(|mail| mail["to"] == "ada@example.test"), "nobody was made");
    let code = letter(&app, "ada@example.test").await.code;
    let wrong = json!({ "type": "email", "email": "ada@example.test", "token": "000000" });
    let answer = client.post("verify", &wrong).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "otp_expired"));
    let answer = client
        .post(
            "verify",
            &json!({ "type": "email", "email": "ada@example.test", "token": code, "options": {} }),
        )
        .await;
    client.keep(&answer);
    assert_eq!(client.session["user"]["email"], "ada@example.test");
    for body in [json!({ "type": "sms", "phone": "+41", "token": "1" }), json!({ "type": "phone_change" })] {
        assert_eq!(client.post("verify", &body).await.code(), "feature_disabled");
    }
    assert_eq!(client.post("otp", &json!({ "phone": "+41" })).await.code(), "feature_disabled");
    assert_eq!(client.post("verify", &json!({ "type": "email" })).await.status, 400);
}

/// Section 9, S-30: a link is pressed on our page and leads back to the client that asked, with what it waits for.
#[tokio::test]
async fn a_link_leads_back_to_the_client() {
    let app = TestApp::start().await;
    Client::signed_up(&app, "ada@example.test").await;
    let client = Client::new(&app);
    let ask = json!({ "email": "ada@example.test", "code_challenge": null });
    assert_eq!(client.post("otp?redirect_to=%2Fwelcome", &ask).await.status, 200);
    let link = letter(&app, "ada@example.test").await.link;
    let pressed = press(&client.browser, &link, &[]).await;
    let url = landing(&client.browser, &pressed).await;
    assert_eq!((url.path(), pair(&url, "type").as_deref()), ("/welcome", Some("magiclink")));
    assert_eq!(parts(&pair(&url, "access_token").unwrap()).0["kid"], "phantom");

    app.clock.advance(Duration::minutes(2));
    let (verifier, challenge) = pkce();
    let client = Client::new(&app);
    let ask =
        json!({ "email": "ada@example.test", "code_challenge": challenge, "code_challenge_method": "s256" });
    assert_eq!(client.post("otp?redirect_to=%2Fwelcome", &ask).await.status, 200);
    let link = letter(&app, "ada@example.test").await.link;
    let url = landing(&client.browser, &press(&client.browser, &link, &[]).await).await;
    let (_, code) = url.query_pairs().find(|(name, _)| name == "code").unwrap();
    let body = json!({ "auth_code": code, "code_verifier": verifier });
    assert_eq!(client.post("token?grant_type=pkce", &body).await.status, 200);
    let sent = app.auth.seen("/otp").pop().unwrap();
    assert!(!sent.body.contains(&challenge), "S-24: the challenge is ours");
    assert!(
        sent.line.contains("%2Fauth%2Fcallback%2F") && !sent.line.contains("welcome"),
        "S-22: {}",
        sent.line
    );
    let plain =
        json!({ "email": "ada@example.test", "code_challenge": challenge, "code_challenge_method": "plain" });
    assert_eq!(client.post("otp", &plain).await.code(), "validation_failed");
}

/// S-71: the mails of a change of address can be had once more by whoever asked for it, with a challenge of ours; everybody
/// else gets the same answer and no mail goes out.
#[tokio::test]
async fn the_mails_of_a_new_address_come_once_more() {
    let app = TestApp::start().await;
    let client = Client::signed_up(&app, "ada@example.test").await;
    let other = Client::signed_up(&app, "bob@example.test").await;
    let again = json!({ "type": "email_change", "email": "ada@example.test" });
    let told = |answer: crate::client::Answer| (answer.status, answer.body);
    let nothing = (200, "{}".to_owned());
    assert_eq!(told(client.post("resend", &again).await), nothing, "no change waits");
    assert_eq!(client.put("user", &json!({ "email": "new@example.test" })).await.status, 200);
    let sent = app.outbox().await.len();
    app.clock.advance(Duration::seconds(61));
    for stranger in [&other, &Client::new(&app)] {
        assert_eq!(told(stranger.post("resend", &again).await), nothing);
    }
    let unknown = json!({ "type": "email_change", "email": "eve@example.test" });
    assert_eq!(told(client.post("resend", &unknown).await), nothing);
    assert_eq!(app.outbox().await.len(), sent);
    for email in ["ada@example.test", "New@example.test"] {
        let body = json!({ "type": "email_change", "email": email });
        assert_eq!(told(client.post("resend?redirect_to=%2Fwelcome", &body).await), nothing);
        app.clock.advance(Duration::seconds(61));
    }
    assert_eq!(app.outbox().await.len(), sent + 4, "two mails each time");
    let call = app.auth.seen("PUT /auth/v1/user").pop().unwrap();
    assert!(call.line.contains("%2Fauth%2Fcallback%2F") && call.body.contains("code_challenge"), "{call:?}");
    for (body, code) in [
        (json!({ "type": "email_change" }), "validation_failed"),
        (json!({ "type": "email_change", "phone": "+41" }), "feature_disabled"),
        (json!({ "type": "other", "email": "ada@example.test" }), "validation_failed"),
    ] {
        assert_eq!(client.post("resend", &body).await.code(), code, "{body}");
    }
    let link = letter(&app, "new@example.test").await.link;
    assert_eq!(press(&client.browser, &link, &[]).await.status, 303);
}

/// Section 9: a sign-up link whose flow is not in this browser any more signs in all the same, and brings nothing along: the
/// page starts with the cookie. Once used it is used.
#[tokio::test]
async fn a_sign_up_link_outlives_its_flow() {
    for elsewhere in [false, true] {
        let app = TestApp::with(Plan { auth: |auth| auth.confirm_email = true, ..Plan::default() }).await;
        let client = Client::new(&app);
        let body = json!({ "email": "ada@example.test", "password": PASSWORD });
        assert_eq!(client.post("signup?redirect_to=%2Fwelcome", &body).await.status, 200);
        let mail = letter(&app, "ada@example.test").await;
        let browser = if elsewhere { app.browser() } else { client.browser.clone() };
        if !elsewhere {
            // Five further flows push it out of the browser.
            for n in 0..5 {
                app.clock.advance(Duration::seconds(1));
                let email = format!("other-{n}@example.test");
                assert_eq!(client.post("otp", &json!({ "email": email })).await.status, 200);
            }
        }
        let pressed = press(&browser, &mail.link, &[]).await;
        let onwards = (pressed.status, pressed.header("location"));
        assert_eq!(onwards, (303, "/auth/continue?return_to=%2F"), "elsewhere: {elsewhere}");
        let mut page = Client::of(&browser);
        let start = page.refresh_with("cookie-00000000-0000-4000-8000-000000000000").await;
        page.keep(&start);
        assert_eq!(page.session["user"]["email"], "ada@example.test");
        let late =
            Client::new(&app).post("verify", &json!({ "type": "signup", "token_hash": mail.hash })).await;
        assert_eq!((late.status, late.code().as_str()), (403, "otp_expired"));
    }
}

/// S-32: a recovery opens the new password and nothing else, with the word that auth-js waits for.
#[tokio::test]
async fn a_recovery_takes_a_new_password_and_nothing_else() {
    let app = TestApp::start().await;
    Client::signed_up(&app, "ada@example.test").await;
    let mut client = Client::new(&app);
    let answer =
        client.post("recover?redirect_to=%2Fnew-password", &json!({ "email": "ada@example.test" })).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    let link = letter(&app, "ada@example.test").await.link;
    let url = landing(&client.browser, &press(&client.browser, &link, &[]).await).await;
    assert_eq!((url.path(), pair(&url, "type").as_deref()), ("/new-password", Some("recovery")));
    client.session =
        json!({ "access_token": pair(&url, "access_token"), "refresh_token": pair(&url, "refresh_token") });
    assert_eq!(client.get("user").await.status, 200);
    assert_eq!(client.refresh_with(client.refresh_token()).await.status, 200);
    for (path, body) in [
        ("user", json!({ "data": { "x": 1 } })),
        ("user", json!({ "email": "eve@example.test" })),
        ("user", json!({ "password": "sextant bramble quay", "data": { "x": 1 } })),
    ] {
        let answer = client.put(path, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "session_limited"), "{body}");
    }
    let enroll = json!({ "factor_type": "totp" });
    assert_eq!(client.post("factors", &enroll).await.code(), "session_limited");
    assert_eq!(client.get("reauthenticate").await.code(), "session_limited");
    let rest = client.call(http::Method::GET, "rest/v1/notes", None).await;
    assert_eq!((rest.status, rest.code().as_str()), (403, "session_limited"));
    assert_eq!(client.put("user", &json!({ "password": "password1" })).await.code(), "weak_password");
    let answer = client.put("user", &json!({ "password": "sextant bramble quay" })).await;
    assert_eq!(
        (answer.status, &answer.json()["email"]),
        (200, &json!("ada@example.test")),
        "{}",
        answer.body
    );
    assert_eq!(client.put("user", &json!({ "data": { "x": 1 } })).await.status, 200, "whole again");
    let old = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(Client::new(&app).post("token?grant_type=password", &old).await.status, 400);
}

/// A new account by mail: the link leads back, another mail can be had, both answered alike for everybody.
#[tokio::test]
async fn a_new_account_is_confirmed_by_its_link() {
    let app = TestApp::with(Plan { auth: |auth| auth.confirm_email = true, ..Plan::default() }).await;
    let client = Client::new(&app);
    let body = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(client.post("signup?redirect_to=%2Fwelcome", &body).await.status, 200);
    app.clock.advance(Duration::minutes(2));
    for email in ["ada@example.test", "nobody@example.test"] {
        let answer =
            client.post("resend?redirect_to=%2Fwelcome", &json!({ "type": "signup", "email": email })).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{email}");
    }
    assert_eq!(
        client.post("resend", &json!({ "type": "sms", "phone": "+41" })).await.code(),
        "feature_disabled"
    );
    let link = letter(&app, "ada@example.test").await.link;
    let url = landing(&client.browser, &press(&client.browser, &link, &[]).await).await;
    assert_eq!((url.path(), pair(&url, "type").as_deref()), ("/welcome", Some("signup")));
    let elsewhere = Client::new(&app);
    let hash = letter(&app, "ada@example.test").await.hash;
    let answer = elsewhere.post("verify", &json!({ "type": "signup", "token_hash": hash })).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "otp_expired"), "used");
}
