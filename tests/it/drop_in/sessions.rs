//! Session answers and the refresh grant.

use http::Method;
use serde_json::json;
use time::Duration;

use super::{Client, KEY, parts};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::tap::Fault;

/// S-10: a session answer has the shape that auth-js reads, and phantoms for tokens.
#[tokio::test]
async fn a_session_answer_holds_phantoms() {
    let app = TestApp::start().await;
    let first = Client::signed_up(&app, "ada@example.test").await;
    let mut client = Client::new(&app);
    let credentials =
        json!({ "email": "ada@example.test", "password": PASSWORD, "gotrue_meta_security": {} });
    let answer = client.post("token?grant_type=password", &credentials).await;
    client.keep(&answer);
    assert_eq!(answer.header("cache-control"), "no-store");
    let session = &client.session;
    let members: Vec<_> = session.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["access_token", "expires_in", "refresh_token", "token_type", "user"]);
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("bearer"), &json!(1800)));
    let user = &session["user"];
    assert_eq!((&user["email"], &user["aud"]), (&json!("ada@example.test"), &json!("authenticated")));
    assert_eq!(user["identities"][0]["provider"], "email");

    let (head, claims, signature) = parts(session["access_token"].as_str().unwrap());
    assert_eq!(head, json!({ "alg": "HS256", "kid": "phantom", "typ": "JWT" }));
    assert_eq!(signature, "phantom-token-not-a-credential--");
    client.browser.get("/api/notes").await;
    let real = app.echo.last().bearer().strip_prefix("Bearer ").unwrap().to_owned();
    assert_eq!(claims, parts_of_claims(&real), "the claims are the real ones");
    let mut answers = vec![answer];
    for refresh in ["cookie-1", client.refresh_token()] {
        answers.push(client.refresh_with(refresh).await);
    }
    let tokens: Vec<_> =
        answers.iter().map(|a| a.json()["refresh_token"].as_str().unwrap().to_owned()).collect();
    assert!(tokens.iter().all(|token| token.starts_with("phantom_") && token.len() == 39), "{tokens:?}");
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2], "another one in each answer");
    assert_eq!(tokens[0][..16], first.refresh_token()[..16], "the person is the same");
    let signature = real.rsplit('.').next().unwrap();
    for answer in &answers {
        assert!(!answer.body.contains(signature));
        assert!(answer.set_cookies().iter().all(|cookie| cookie.contains("HttpOnly")));
    }
}

fn parts_of_claims(token: &str) -> serde_json::Value {
    use base64::Engine;
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// S-10, S-31: phantoms open nothing anywhere, and no text in a body makes a session.
#[tokio::test]
async fn phantoms_open_nothing() {
    let app = TestApp::start().await;
    let client = Client::signed_up(&app, "ada@example.test").await;
    let real = app.tokens("ada@example.test", PASSWORD).await;
    let phantom = client.bearer();
    let program = app.browser();
    let calls = app.auth.calls("/rest/v1/");
    for (path, code) in [("/api/notes", "invalid_token"), ("/supabase/rest/v1/notes", "session_missing")] {
        let answer = program.send(Method::GET, path, &[("authorization", &phantom)], None).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, code), "{path}");
    }
    assert_eq!(app.auth.calls("/rest/v1/"), calls);
    let gotrue = format!("{}/auth/v1/user", app.auth.url());
    assert_eq!(program.send(Method::GET, &gotrue, &[("authorization", &phantom)], None).await.status, 403);
    let stranger = Client::new(&app);
    for token in [client.refresh_token(), real["refresh_token"].as_str().unwrap(), "cookie-1", ""] {
        let answer = stranger.refresh_with(token).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "refresh_token_not_found"), "{token}");
        assert!(stranger.browser.cookie("sb_session").is_none());
    }
}

/// Section 9: the cookie decides; a phantom of its person refreshes for real outside the cool-down, another text only near
/// the end, another person's never.
#[tokio::test]
async fn the_cookie_decides_a_refresh() {
    let app = TestApp::start().await;
    let mut client = Client::signed_up(&app, "ada@example.test").await;
    let bob = Client::signed_up(&app, "bob@example.test").await;
    let count = || app.refreshes();
    client.keep(&client.refresh_with(client.refresh_token()).await);
    assert_eq!(count(), 0, "within the cool-down of a sign-in");
    app.clock.advance(Duration::seconds(11));
    client.keep(&client.refresh_with(client.refresh_token()).await);
    client.keep(&client.refresh_with(client.refresh_token()).await);
    assert_eq!((count(), &client.session["expires_in"]), (1, &json!(1800)), "for real, once a cool-down");
    app.clock.advance(Duration::minutes(26));
    client.keep(&client.refresh_with("cookie-2").await);
    assert_eq!(
        (count(), &client.session["expires_in"]),
        (1, &json!(240)),
        "more than three minutes are left"
    );
    app.clock.advance(Duration::minutes(1));
    client.keep(&client.refresh_with("cookie-3").await);
    assert_eq!((count(), &client.session["expires_in"]), (2, &json!(1800)));

    let answer = client.refresh_with(bob.refresh_token()).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "refresh_token_not_found"));
    assert_eq!(answer.json()["error_code"], "refresh_token_not_found");
    assert_eq!(answer.header("x-supabase-api-version"), "2024-01-01");
    assert!(client.browser.cookie("sb_session").is_some(), "whoever is here stays so");
    assert_eq!(client.get("user").await.status, 200);
}

/// S-44: an outage is a 503 that auth-js tries again; only GoTrue's final word ends the session.
#[tokio::test]
async fn an_outage_of_a_refresh_is_no_sign_out() {
    let app = TestApp::start().await;
    let client = Client::signed_up(&app, "ada@example.test").await;
    app.past_expiry();
    app.auth.fail("grant_type=refresh_token", Fault::Answer(502, "text/html", "<html>".into()));
    let answer = client.refresh_with(client.refresh_token()).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "auth_unavailable"));
    assert!(answer.header("retry-after").parse::<u32>().unwrap() <= 5);
    assert!(client.browser.cookie("sb_session").is_some());
    app.auth.heal();
    app.clock.advance(Duration::seconds(11));
    assert_eq!(client.refresh_with(client.refresh_token()).await.status, 200);

    app.past_expiry();
    app.auth.fail("grant_type=refresh_token", Fault::code(400, "refresh_token_not_found"));
    let answer = client.refresh_with(client.refresh_token()).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "refresh_token_not_found"));
    assert_eq!(answer.header("x-session-ended"), "refresh_not_found");
    assert!(client.browser.cookie("sb_session").is_none());
}

/// S-71: a taken address is answered like a free one; S-73: the rules for passwords hold.
#[tokio::test]
async fn a_sign_up_that_waits_for_its_mail_tells_nothing() {
    let app = TestApp::with(Plan { auth: |auth| auth.confirm_email = true, ..Plan::default() }).await;
    let ask = async |email: &str| {
        let client = Client::new(&app);
        let body = json!({ "email": email, "password": PASSWORD, "data": { "name": "Ada" }, "code_challenge": null });
        let answer = client.post("signup", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(client.browser.cookie("sb_session").is_none());
        answer.json()
    };
    let shape = |person: &serde_json::Value| {
        let members: Vec<_> = person.as_object().unwrap().keys().cloned().collect();
        (members, person["identities"].as_array().unwrap().len(), person["user_metadata"]["name"].clone())
    };
    let fresh = ask("ada@example.test").await;
    assert_eq!((&fresh["email"], fresh.get("access_token")), (&json!("ada@example.test"), None));
    app.clock.advance(Duration::minutes(2));
    let again = ask("ada@example.test").await;
    assert_eq!(shape(&fresh), shape(&again));
    assert_ne!(fresh["id"], again["id"], "no id of an account");
    for (password, status, code) in
        [("password1", 422, "weak_password"), (&"x".repeat(73), 400, "validation_failed")]
    {
        let body = json!({ "email": "new@example.test", "password": password });
        let answer = Client::new(&app).post("signup", &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
    }
}

/// A session without an account begins as auth-js asks for it.
#[tokio::test]
async fn somebody_begins_without_an_account() {
    let app = TestApp::start().await;
    let mut client = Client::new(&app);
    let answer = client.post("signup", &json!({ "data": {}, "gotrue_meta_security": {} })).await;
    client.keep(&answer);
    assert_eq!(client.session["user"]["is_anonymous"], true);
    assert_eq!(client.get("user").await.json()["is_anonymous"], true);
}

/// S-71, S-81: refusals in GoTrue's words, alike for known and unknown people, and counted before the body is read.
#[tokio::test]
async fn refusals_of_a_sign_in_are_in_gotrues_words() {
    let app = TestApp::start().await;
    Client::signed_up(&app, "ada@example.test").await;
    let ask = async |path: &str, body: serde_json::Value| Client::new(&app).post(path, &body).await;
    let password = "token?grant_type=password";
    let wrong = ask(password, json!({ "email": "ada@example.test", "password": "not it at all" })).await;
    let unknown = ask(password, json!({ "email": "eve@example.test", "password": "not it at all" })).await;
    for answer in [&wrong, &unknown] {
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_credentials"));
        assert_eq!(answer.header("x-sb-error-code"), "invalid_credentials");
    }
    let plain = |answer: &crate::client::Answer| {
        let mut body = answer.json();
        body["request_id"].take();
        body
    };
    assert_eq!(plain(&wrong), plain(&unknown));
    for (path, body, status, code) in [
        ("token", json!({}), 400, "invalid_credentials"),
        ("token?grant_type=web3", json!({}), 404, "feature_disabled"),
        (password, json!({ "phone": "+41", "password": "x" }), 404, "feature_disabled"),
        (password, json!({ "email": 1 }), 400, "validation_failed"),
        (password, json!({ "EMAIL": "ada@example.test", "Password": PASSWORD }), 400, "validation_failed"),
    ] {
        let answer = ask(path, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    let client = Client::new(&app);
    let doubled =
        format!(r#"{{"email":"eve@example.test","email":"ada@example.test","password":"{PASSWORD}"}}"#);
    let headers = [("apikey", KEY), ("content-type", "application/json")];
    let path = "/supabase/auth/v1/token?grant_type=password";
    let answer = client.browser.send(Method::POST, path, &headers, Some(doubled)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "validation_failed"),
        "S-53: one name, one value"
    );
    let headers = [("apikey", KEY), ("content-type", "text/plain")];
    let answer = client.browser.send(Method::POST, path, &headers, Some("{}".into())).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "cross_origin"),
        "S-69: a form of another site"
    );
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_PASSWORD_PER_NETWORK", "1/5m")).await;
    for expected in [(400, "invalid_credentials"), (429, "over_request_rate_limit")] {
        let body = json!({ "email": "eve@example.test", "password": "not it at all" });
        let answer = Client::new(&app).post(password, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), expected);
    }
}
