//! Many people at once, each with his own tokens; and what goes on while GoTrue is away.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::client::navigation;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::modes::Mode;
use crate::tap::Fault;

const REFRESH: &str = "grant_type=refresh_token";

fn subject(bearer: &str) -> String {
    let payload = bearer.split('.').nth(1).expect("a JWT");
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["sub"].as_str().unwrap().to_owned()
}

/// S-41: fifty people whose tokens run out together, with answers held back and some that break off: an upstream sees
/// each person's token on that person's requests alone, and GoTrue is asked once for each.
#[tokio::test]
async fn nobody_gets_a_strangers_token() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_MAIL_PER_NETWORK", "1000/1h")).await;
    let mut people = Vec::new();
    for n in 0..50 {
        let browser = app.signed_in(&format!("person-{n}@example.test")).await;
        let id = browser.get("/auth/session").await.json()["user"]["id"].as_str().unwrap().to_owned();
        people.push((browser, id));
    }
    app.past_expiry();
    for _ in 0..5 {
        app.auth.fail_once(REFRESH, Fault::Reset);
    }
    app.auth.fail(REFRESH, Fault::HoldAnswer);
    let ask = |n: usize| {
        let (browser, id) = &people[(n * 37) % people.len()];
        let (tab, path) = (browser.stolen(), format!("/api/notes/{id}"));
        tokio::spawn(async move { tab.get(&path).await.status })
    };
    let waiting: Vec<_> = (0..200).map(ask).collect();
    app.auth.arrived(REFRESH, 50).await;
    while !waiting.iter().all(tokio::task::JoinHandle::is_finished) {
        app.auth.release();
        tokio::task::yield_now().await;
    }
    let statuses: Vec<_> = join_all(waiting).await.into_iter().map(Result::unwrap).collect();
    let count = |status| statuses.iter().filter(|s| **s == status).count();
    assert_eq!((count(200), count(503)), (180, 20), "{statuses:?}");
    assert_eq!(app.refreshes(), 50);
    let seen = app.echo.seen();
    assert_eq!(seen.len(), 180);
    for one in &seen {
        let id = one.line.rsplit('/').next().unwrap();
        assert_eq!(subject(one.bearer()), id, "{}", one.line);
    }
}

/// S-41: a refresh that answers for somebody else ends the session; the tokens are not used, but revoked.
#[tokio::test]
async fn an_answer_for_somebody_else_ends_the_session() {
    let app = TestApp::start().await;
    app.signed_in("eve@example.test").await;
    let browser = app.signed_in("ada@example.test").await;
    app.past_expiry();
    let tokens = app.tokens("eve@example.test", PASSWORD).await;
    app.auth.fail_once(REFRESH, Fault::Answer(200, "application/json", tokens.to_string()));
    let answer = browser.get("/api/notes").await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_ended"));
    assert_eq!(answer.header("x-session-ended"), "owner_mismatch");
    assert!(browser.cookie("sb_session_").is_none() && app.echo.seen().is_empty());
    app.auth.arrived("/logout?scope=local", 1).await;
    let revoked = app.auth.seen("/logout?scope=local").pop().unwrap();
    let own = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    assert_eq!(revoked.headers["authorization"].to_str().unwrap(), own);
}

/// S-44: while the access token lives an outage is nobody's business; afterwards every route that needs the session
/// says 503 and keeps the cookie, until GoTrue is back.
#[tokio::test]
async fn an_outage_signs_nobody_out() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.auth.fail("", Fault::Reset);
    for inside in [false, true] {
        if inside {
            app.inside_margin();
        }
        assert_eq!(browser.get("/auth/session").await.json()["authenticated"], true);
        assert_eq!(browser.get("/api/notes").await.status, 200);
        assert_eq!(browser.navigate("/auth/account").await.status, 200);
    }
    app.past_expiry();
    for path in ["/auth/session", "/api/notes", "/auth/account", "/supabase/rest/v1/x"] {
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "auth_unavailable"),
            "{path}: {}",
            answer.body
        );
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!(wait >= 1 && (wait <= 5 || !path.starts_with("/supabase")), "{path}: {wait}");
        assert!(answer.set_cookies().iter().all(|cookie| !cookie.contains("sb_session")), "{path}");
    }
    let page = browser.send(Method::GET, "/auth/account", &navigation("none"), None).await;
    assert_eq!((page.status, page.header("content-type")), (503, "text/html; charset=utf-8"));
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 503);
    assert!(browser.cookie("sb_session_").is_some());
    assert_eq!(app.browser().get("/api/public/x").await.status, 200, "what needs nobody goes on");
    app.auth.heal();
    app.clock.advance(time::Duration::seconds(61));
    assert_eq!(browser.get("/auth/session").await.json()["authenticated"], true);
    assert_eq!(browser.get("/api/notes").await.status, 200);
}

/// S-44: ten minutes without GoTrue, tokens that run out meanwhile, people who come back every ten seconds: nobody is
/// signed out, and what is asked of GoTrue does not grow with the people.
#[tokio::test]
async fn a_long_outage_is_not_made_worse() {
    for mode in [Mode::Cookie, Mode::Memory] {
        let plan = mode.plan().with("BFF_LIMITS_MAIL_PER_NETWORK", "1000/1h");
        let app = TestApp::with(plan).await;
        let mut people = Vec::new();
        for n in 0..40 {
            people.push(app.signed_in(&format!("person-{n}@example.test")).await);
        }
        app.inside_margin();
        app.auth.fail(REFRESH, Fault::code(503, "unexpected_failure"));
        for round in 0..60 {
            let statuses = join_all(people.iter().map(async |one| one.get("/api/notes").await.status)).await;
            let expected = if round < 6 { 200 } else { 503 };
            assert!(statuses.iter().all(|status| *status == expected), "{round}: {statuses:?}");
            app.clock.advance(time::Duration::seconds(10));
        }
        // Each of the first round, which all left before the first answer; one a cool-down from then on.
        assert!(app.refreshes() <= 40 + 60, "{} calls", app.refreshes());
        app.auth.heal();
        app.clock.advance(time::Duration::seconds(61));
        assert_eq!(people[0].get("/api/notes").await.status, 200, "the probe");
        let statuses = join_all(people.iter().map(async |one| one.get("/api/notes").await.status)).await;
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
}
