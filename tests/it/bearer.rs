//! Programs with a token of their own: RFC 6750, and what is no access token of a person.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::client::{Answer, Browser, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::provider::up_to_callback;

const PLAIN: &str = r#"Bearer realm="supabase-bff""#;
const BAD: &str = r#"Bearer realm="supabase-bff", error="invalid_token""#;

/// A request as a program sends it: no Fetch Metadata, no cookies of its own.
async fn program(browser: &Browser, method: Method, path: &str, authorization: &[&str]) -> Answer {
    let headers: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).collect();
    browser.send(method, path, &headers, None).await
}

async fn token(app: &TestApp, email: &str) -> String {
    app.tokens(email, PASSWORD).await["access_token"].as_str().unwrap().to_owned()
}

/// S-39: none, bad, good, too little, two at once; each with its status and its challenge to the letter.
#[tokio::test]
async fn the_five_cases_of_a_bearer() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let good = format!("Bearer {}", token(&app, "ada@example.test").await);
    let scope = r#"Bearer realm="supabase-bff", error="insufficient_scope", scope="items:write""#;
    let program = async |browser: &Browser, method, auth: &[&str]| {
        let answer = program(browser, method, "/api/items/1", auth).await;
        let challenge =
            answer.headers.get_all("www-authenticate").iter().map(|v| v.to_str().unwrap().to_owned());
        let challenges: Vec<_> = challenge.collect();
        assert!(challenges.len() < 2);
        (answer.status, answer.code(), challenges.first().cloned().unwrap_or_default())
    };
    let expect = |status: u16, code: &str, challenge: &str| (status, code.to_owned(), challenge.to_owned());
    let stranger = app.browser();
    assert_eq!(program(&stranger, Method::GET, &[]).await, expect(401, "session_missing", PLAIN));
    for bad in [
        "Bearer x",
        "Bearer a.b.c",
        "bearer ",
        "Bearer",
        "Bearer  x",
        &format!("{good}A"),
        &format!(" {good} {good}"),
    ] {
        assert_eq!(program(&stranger, Method::GET, &[bad]).await, expect(401, "invalid_token", BAD), "{bad}");
    }
    assert!(app.echo.seen().is_empty(), "nothing was forwarded so far");
    assert_eq!(program(&stranger, Method::GET, &[&good]).await, expect(200, "", ""));
    assert_eq!(app.echo.last().bearer(), good);
    assert_eq!(program(&stranger, Method::POST, &[&good]).await, expect(403, "insufficient_scope", scope));
    assert_eq!(
        program(&stranger, Method::GET, &[&good, &good]).await,
        expect(400, "ambiguous_credentials", "")
    );
    assert_eq!(
        program(&stranger, Method::GET, &["Basic YWRhOng="]).await,
        expect(401, "session_missing", PLAIN)
    );

    let mut both = script().to_vec();
    both.push(("authorization", &good));
    let seen = app.echo.seen().len();
    for path in ["/api/items/1", "/auth/session"] {
        let answer = browser.send(Method::GET, path, &both, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "ambiguous_credentials"), "{path}");
        assert!(browser.cookie("sb_session_").is_some());
    }
    assert_eq!(app.echo.seen().len(), seen);
}

/// S-39: a token in the query counts nowhere and is refused where a bearer could have come.
#[tokio::test]
async fn a_token_in_the_query_is_refused() {
    let app = TestApp::start().await;
    app.signed_in("ada@example.test").await;
    let token = token(&app, "ada@example.test").await;
    for path in ["/api/items/1", "/api/notes", "/auth/session"] {
        for name in ["access_token", "access%5Ftoken"] {
            let answer =
                program(&app.browser(), Method::GET, &format!("{path}?x=1&{name}={token}"), &[]).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "ambiguous_credentials"),
                "{path} {name}"
            );
        }
    }
    assert!(app.echo.seen().is_empty());
    let answer = program(&app.browser(), Method::GET, &format!("/auth/session?token={token}"), &[]).await;
    assert_eq!(answer.json()["authenticated"], false);
}

/// S-39: where a bearer does not count, one is ignored and stripped, good or bad; the cookie decides.
#[tokio::test]
async fn a_rule_without_bearers_ignores_them() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    browser.get("/api/cookie/x").await;
    let own = app.echo.last().bearer().to_owned();
    let good = format!("Bearer {}", token(&app, "ada@example.test").await);
    for bearer in ["Bearer garbage", &good, "Basic x", "Bearer"] {
        let answer = program(&app.browser(), Method::GET, "/api/cookie/x", &[bearer]).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "session_missing"), "{bearer}");
        assert_eq!(answer.header("www-authenticate"), PLAIN);
        let mut headers = script().to_vec();
        headers.push(("authorization", bearer));
        assert_eq!(browser.send(Method::GET, "/api/cookie/x", &headers, None).await.status, 200, "{bearer}");
        assert_eq!(app.echo.last().bearer(), own, "the session's own token");
        let answer = program(&app.browser(), Method::GET, "/api/public/x", &[bearer]).await;
        assert_eq!((answer.status, app.echo.last().bearer()), (200, ""), "a public rule passes none on");
    }
    let app = TestApp::with(Plan::default().with("BFF_BEARER_ENABLED", "false")).await;
    app.signed_in("ada@example.test").await;
    let good = format!("Bearer {}", token(&app, "ada@example.test").await);
    assert_eq!(program(&app.browser(), Method::GET, "/api/notes", &[&good]).await.status, 401);
    let answer = program(&app.browser(), Method::GET, "/auth/session", &["Bearer garbage"]).await;
    assert_eq!(answer.json()["authenticated"], false);
}

/// `claims` signed as the project's HS256 secret would sign them.
pub fn signed(secret: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

pub const SECRET: &str = "Wq8-vN2xT5kZr0LhYc7uEoJ4bM9sGdPf";

/// S-35: a legacy project signs keys, storage links, hooks and users with one secret; only users are users.
#[tokio::test]
async fn only_access_tokens_of_people_count() {
    let app = TestApp::with(Plan::default().with("SUPABASE_JWT_SECRET", SECRET)).await;
    let issuer = format!("{}/auth/v1", app.auth.url());
    let now = app.clock_now();
    let user = json!({
        "iss": issuer, "sub": "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f", "aud": "authenticated",
        "exp": now + 600, "iat": now, "role": "authenticated", "aal": "aal1", "email": "ada@example.test",
        "session_id": "1b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f", "is_anonymous": false, "phone": "",
        "app_metadata": {}, "user_metadata": {}, "amr": [{ "method": "password", "timestamp": now }],
    });
    let with = |changes: Value| {
        let mut claims = user.clone();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        signed(SECRET, &claims)
    };
    let ask = async |token: &str| {
        program(&app.browser(), Method::GET, "/api/notes", &[&format!("Bearer {token}")]).await.status
    };
    assert_eq!(ask(&with(json!({}))).await, 200, "the yardstick: a user's token passes");
    let refused = [
        (
            "anon key",
            signed(
                SECRET,
                &json!({ "iss": "supabase", "ref": "x", "role": "anon", "iat": now, "exp": now + 600 }),
            ),
        ),
        (
            "service key",
            signed(
                SECRET,
                &json!({ "iss": "supabase", "role": "service_role", "iat": now, "exp": now + 600 }),
            ),
        ),
        ("storage link", signed(SECRET, &json!({ "url": "bucket/a.png", "iat": now, "exp": now + 600 }))),
        ("hook", signed(SECRET, &json!({ "user": { "id": "x" }, "iat": now, "exp": now + 600 }))),
        ("anon role", with(json!({ "role": "anon" }))),
        ("service role", with(json!({ "role": "service_role" }))),
        ("admin role", with(json!({ "role": "supabase_admin" }))),
        ("ID token", with(json!({ "aud": "client-id", "iss": "https://accounts.google.com" }))),
        ("no session", with(json!({ "session_id": null }))),
        ("no subject", with(json!({ "sub": null }))),
        ("expired", with(json!({ "exp": now - 60 }))),
        ("in the leeway, which is not forwarded", with(json!({ "exp": now - 5 }))),
        ("other secret", signed("Xq8-vN2xT5kZr0LhYc7uEoJ4bM9sGdPf", &user)),
        (
            "none",
            format!(
                "{}.{}.",
                URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
                URL_SAFE_NO_PAD.encode(user.to_string())
            ),
        ),
    ];
    for (name, token) in &refused {
        assert_eq!(ask(token).await, 401, "{name}");
        assert_eq!(ask(token).await, 401, "{name}: once more, from the cache");
    }
    assert_eq!(app.echo.seen().len(), 1);
    let phantom = format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"phantom","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(user.to_string()),
        URL_SAFE_NO_PAD.encode("phantom-token-not-a-credential--")
    );
    assert_eq!(ask(&phantom).await, 401, "S-10: a phantom is no credential");
    assert_eq!(
        program(&app.browser(), Method::GET, "/supabase/rest/v1/x", &[&format!("Bearer {phantom}")])
            .await
            .status,
        401
    );
}

/// S-40: the verdict on a token is kept, the decision is not; once revoked it counts no more, here and at once.
#[tokio::test]
async fn a_verdict_is_no_permission() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    browser.get("/api/notes").await;
    let bearer = app.echo.last().bearer().to_owned();
    let ask = async |method: Method, path: &str| program(&app.browser(), method, path, &[&bearer]).await;
    assert_eq!(ask(Method::GET, "/api/items/1").await.status, 200);
    assert_eq!(ask(Method::POST, "/api/items/1").await.status, 403);
    assert_eq!(ask(Method::GET, "/api/admin/1").await.status, 403);
    assert_eq!(ask(Method::GET, "/api/items/1").await.status, 200);
    assert_eq!(ask(Method::GET, "/auth/session").await.json()["user"]["email"], "ada@example.test");
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    let answer = ask(Method::GET, "/api/items/1").await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_token"));
    assert_eq!(answer.header("www-authenticate"), BAD);
    assert_eq!(ask(Method::GET, "/auth/session").await.status, 401);
}

/// S-34, S-40: nothing is forwarded past `exp`, cached or not.
#[tokio::test]
async fn a_kept_verdict_ends_with_its_token() {
    let app = TestApp::start().await;
    app.signed_in("ada@example.test").await;
    let bearer = format!("Bearer {}", token(&app, "ada@example.test").await);
    let ask = async || program(&app.browser(), Method::GET, "/api/notes", &[&bearer]).await.status;
    app.clock.advance(Duration::minutes(30) - Duration::seconds(1));
    assert_eq!(ask().await, 200);
    app.clock.advance(Duration::seconds(1));
    assert_eq!(ask().await, 401);
}

/// S-13, S-14: a bearer without cookies is a program and needs no header; beside a cookie it opens no gate.
#[tokio::test]
async fn a_bearer_is_no_way_around_the_gate() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let bearer = format!("Bearer {}", token(&app, "ada@example.test").await);
    assert_eq!(program(&app.browser(), Method::POST, "/api/notes", &[&bearer]).await.status, 200);
    let cross = [
        ("authorization", bearer.as_str()),
        ("origin", "https://evil.test"),
        ("sec-fetch-site", "cross-site"),
    ];
    for who in [&browser, &app.browser()] {
        assert_eq!(who.send(Method::POST, "/api/notes", &cross, None).await.code(), "cross_origin");
    }
    let answer = program(&browser, Method::POST, "/api/notes", &[&bearer]).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "cross_origin"), "an own cookie came along");
    let answer = program(&browser, Method::GET, "/api/notes", &[&bearer]).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "csrf_header"));
}

/// S-29, S-40: the bearer of a provider's session ends with a sign-out everywhere.
#[tokio::test]
async fn signing_out_ends_the_bearer_of_any_sign_in() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/github", "ada@example.test").await;
    browser.navigate_from("cross-site", &callback).await;
    browser.get("/api/notes").await;
    let bearer = app.echo.last().bearer().to_owned();
    assert_eq!(program(&app.browser(), Method::GET, "/api/notes", &[&bearer]).await.status, 200);
    assert_eq!(browser.post("/auth/logout", &json!({ "scope": "global" })).await.status, 204);
    assert_eq!(program(&app.browser(), Method::GET, "/api/notes", &[&bearer]).await.status, 401);
}
