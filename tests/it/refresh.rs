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
