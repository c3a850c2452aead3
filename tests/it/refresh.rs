//! Refresh: once per session, and nobody is signed out by accident.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::TestApp;
use crate::tap::Fault;

/// S-41: however many requests meet an expired token, GoTrue is asked once and all of them succeed.
#[tokio::test]
async fn two_hundred_requests_at_expiry_refresh_once() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.past_expiry();
    let answers = join_all((0..200).map(|_| browser.get("/api/notes"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(app.refreshes(), 1);
    let bearers: std::collections::HashSet<_> =
        app.echo.seen().iter().map(|seen| seen.bearer().to_owned()).collect();
    assert_eq!(bearers.len(), 1, "all of them were sent on with the same new token");
}

/// The late request with the old cookie gets the same session for 30 s, without another call.
#[tokio::test]
async fn a_late_request_with_the_old_cookie_gets_the_same_session() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let late = browser.stolen();
    app.past_expiry();
    assert_eq!(browser.get("/api/notes").await.status, 200);
    app.clock.advance(time::Duration::seconds(29));
    assert_eq!(late.get("/api/notes").await.status, 200);
    assert_eq!(app.refreshes(), 1);
}

/// S-42: the new cookie is in the answer although the upstream failed.
#[tokio::test]
async fn a_rotated_token_reaches_the_browser_on_a_502() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.past_expiry();
    app.echo.answer(502, &[("content-type", "text/html")], "down");
    let answer = browser.get("/api/notes").await;
    assert_eq!(answer.status, 502);
    assert!(
        answer.set_cookies().iter().any(|cookie| cookie.starts_with("sb_session_")),
        "{:?}",
        answer.headers
    );
    assert_eq!(answer.header("cache-control"), "no-store");
}

/// Answers to a refresh that must never end a session (S-44).
fn transient() -> Vec<(&'static str, Fault)> {
    let html = Fault::Answer(502, "text/html", "<h1>Bad gateway</h1>".into());
    let gateway =
        Fault::Answer(401, "application/json", r#"{"message":"No API key found in request"}"#.into());
    vec![
        ("reset", Fault::Reset),
        ("429", Fault::code(429, "over_request_rate_limit")),
        ("409", Fault::code(409, "conflict")),
        ("500", Fault::code(500, "unexpected_failure")),
        ("502 html", html),
        ("200 html", Fault::Answer(200, "text/html", "<p>Captive portal</p>".into())),
        ("truncated", Fault::Truncate),
        ("gateway 401", gateway),
        ("403 forbidden", Fault::code(403, "forbidden")),
        ("400 unknown", Fault::code(400, "something_new")),
    ]
}

/// The closed list of answers that end one, with the reason that each becomes (contract 5.5).
const FINAL: [(&str, &str); 6] = [
    ("refresh_token_not_found", "refresh_not_found"),
    ("refresh_token_already_used", "refresh_reused"),
    ("session_not_found", "session_not_found"),
    ("session_expired", "upstream_expired"),
    ("user_banned", "user_banned"),
    ("validation_failed", "refresh_not_found"),
];

/// What parallel requests (200 of them once the token has expired) and one more tell about one cell of the fault matrix.
async fn cell(life: &str, fault: Fault) -> String {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    match life {
        "margin" => app.inside_margin(),
        "expired" => app.past_expiry(),
        _ => {}
    }
    app.auth.fail("grant_type=refresh_token", fault);
    let parallel = if life == "expired" { 200 } else { 20 };
    let answers = join_all((0..parallel).map(|_| browser.get("/api/notes"))).await;
    let statuses: std::collections::BTreeSet<_> = answers.iter().map(|answer| answer.status).collect();
    let calls = app.refreshes();
    let session = if browser.cookie("sb_session_").is_some() { "kept" } else { "ended" };
    let retry = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .all(|answer| answer.code() == "auth_unavailable" && !answer.header("retry-after").is_empty());
    assert!(retry, "503 says when to come back");
    let reason =
        answers.iter().find(|answer| answer.status == 401).map(|a| a.header("x-session-ended").to_owned());
    if session == "kept" {
        // Within the cool-down nobody asks again; afterwards, with GoTrue back, the session goes on.
        browser.get("/api/notes").await;
        assert_eq!(app.refreshes(), calls, "{life}: within the cool-down nobody asks again");
        app.auth.heal();
        app.clock.advance(time::Duration::seconds(61));
        assert_eq!(browser.get("/api/notes").await.status, 200, "{life}: afterwards");
    }
    format!("{statuses:?} calls={calls} session={session} {}", reason.unwrap_or_default())
}

/// S-41, S-44, the fault matrix: parallel requests at each point of a token's life, for every answer of GoTrue.
#[tokio::test]
async fn only_final_answers_end_a_session() {
    for (name, fault) in transient() {
        assert_eq!(cell("fresh", fault.clone()).await.trim(), "{200} calls=0 session=kept", "{name}");
        assert_eq!(cell("margin", fault.clone()).await.trim(), "{200} calls=1 session=kept", "{name}");
        assert_eq!(cell("expired", fault).await.trim(), "{503} calls=1 session=kept", "{name}");
    }
    for (code, reason) in FINAL {
        let fault = || Fault::code(400, code);
        assert_eq!(cell("fresh", fault()).await.trim(), "{200} calls=0 session=kept", "{code}");
        let ended = format!("{{401}} calls=1 session=ended {reason}");
        assert_eq!(cell("margin", fault()).await, ended, "{code}");
        assert_eq!(cell("expired", fault()).await, ended, "{code}");
    }
}

/// S-41: a slow auth server is asked once, and everybody waits for the one answer.
#[tokio::test]
async fn two_hundred_requests_wait_for_a_slow_refresh() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.past_expiry();
    app.auth.fail_once("grant_type=refresh_token", Fault::Hold);
    let all = {
        let browser = browser.clone();
        tokio::spawn(async move { join_all((0..200).map(|_| browser.get("/api/notes"))).await })
    };
    app.auth.arrived("grant_type=refresh_token", 1).await;
    app.auth.release();
    assert!(all.await.unwrap().iter().all(|answer| answer.status == 200));
    assert_eq!(app.refreshes(), 1);
}

/// S-43: a refresh that ends after a sign-out brings nobody back, and its new token is revoked.
#[tokio::test]
async fn a_sign_out_during_a_refresh_wins() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.inside_margin();
    app.auth.fail_once("grant_type=refresh_token", Fault::HoldAnswer);
    let waiting = {
        let tab = browser.stolen();
        tokio::spawn(async move { tab.get("/api/notes").await })
    };
    app.auth.holding().await;
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    app.auth.release();
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert!(!answer.set_cookies().iter().any(|c| c.starts_with("sb_session_") && !c.contains("Max-Age=0")));
    app.auth.arrived("/logout?scope=local", 2).await;
}

/// S-43: the same for a refresh that was asked for by name: what it brings comes too late.
#[tokio::test]
async fn a_sign_out_during_a_forced_refresh_wins() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.clock.advance(time::Duration::minutes(1));
    app.auth.fail_once("grant_type=refresh_token", Fault::HoldAnswer);
    let tab = browser.stolen();
    let waiting = {
        let tab = tab.clone();
        tokio::spawn(async move { tab.post("/auth/refresh", &json!({})).await })
    };
    app.auth.holding().await;
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    app.auth.release();
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_ended"), "{}", answer.body);
    assert_eq!(answer.header("x-session-ended"), "user");
    assert!(
        tab.cookie("sb_session_").is_none(),
        "nothing of the new session is left: {:?}",
        tab.cookie_names()
    );
    app.auth.arrived("/logout?scope=local", 2).await; // the new token's session at GoTrue has ended as well
    assert_eq!(app.refreshes(), 1);
}

/// S-11: copies of the cookie are refused at once.
#[tokio::test]
async fn a_copied_cookie_is_dead_after_sign_out() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let copy = browser.stolen();
    assert_eq!(copy.get("/api/notes").await.status, 200);
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    assert!(
        browser.cookie_names().iter().all(|name| name.starts_with("sb_ended") || name.starts_with("sb_form")),
        "S-01: {:?}",
        browser.cookie_names()
    );
    let answer = copy.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "user"));
}

/// S-11: signing out works while GoTrue is away.
#[tokio::test]
async fn sign_out_works_in_an_outage() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.auth.fail("/logout", Fault::Reset);
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    assert_eq!(browser.get("/api/notes").await.status, 401);
}

/// S-08: both limits are judged by the server's clock; a busy session still ends at the absolute one.
#[tokio::test]
async fn sessions_end_by_idleness_and_by_age() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.clock.advance(time::Duration::days(7) + time::Duration::seconds(1));
    let answer = browser.get("/api/notes").await;
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.header("x-session-ended")),
        (401, "session_expired", "idle")
    );
    assert!(browser.cookie("sb_session_").is_none());

    let app = TestApp::start().await;
    let busy = app.signed_in("ada@example.test").await;
    for _ in 0..30 {
        app.clock.advance(time::Duration::hours(23) + time::Duration::minutes(59));
        assert_eq!(busy.get("/api/notes").await.status, 200);
    }
    app.clock.advance(time::Duration::minutes(31));
    let answer = busy.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "absolute"));
}
