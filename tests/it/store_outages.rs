//! Store mode while the store fails: nobody is signed out by accident.

use http::Method;
use serde_json::json;

use crate::client::navigation;
use crate::harness::{PASSWORD, TestApp};
use crate::nodes::two_nodes;
use crate::weather::{Mood, Weather};

/// Tries to write what one refresh brought.
const WRITES: usize = 3;

/// S-42: a store that refuses for a moment has the new tokens at the next try: no other node refreshes again.
#[tokio::test]
async fn a_write_that_failed_is_tried_again_at_once() {
    let (store, plan) = Weather::plan();
    let (app, here, there) = two_nodes(plan).await;
    app.past_expiry();
    store.refuse_changes(WRITES - 1);
    assert_eq!((here.get("/api/notes").await.status, there.get("/api/notes").await.status), (200, 200));
    assert_eq!(app.refreshes(), 1);
}

/// S-42: the store does not take the new tokens. This node goes on with them and writes them at the next request; nobody
/// is signed out.
#[tokio::test]
async fn what_the_store_did_not_take_is_written_later() {
    let (store, plan) = Weather::plan();
    let (app, here, there) = two_nodes(plan).await;
    app.inside_margin();
    store.refuse_changes(WRITES + 2);
    assert_eq!(here.get("/api/notes").await.status, 200);
    let newest = app.echo.last().bearer().to_owned();
    assert_eq!(here.get("/api/notes").await.status, 200);
    assert_eq!((app.echo.last().bearer(), app.refreshes()), (newest.as_str(), 1));
    assert_eq!(here.get("/api/notes").await.status, 200);
    assert_eq!(here.get("/api/notes").await.status, 200);
    assert_eq!(there.get("/api/notes").await.status, 200);
    assert_eq!((app.echo.last().bearer(), app.refreshes()), (newest.as_str(), 1), "written by now");
}

/// S-42: a node dies between GoTrue's answer and its write: the next one asks with the old token, which GoTrue still
/// takes. If the dead one comes back with its answer, that spoils nothing.
#[tokio::test]
async fn a_node_that_dies_before_its_write_ends_no_session() {
    let (store, plan) = Weather::plan();
    let (app, here, there) = two_nodes(plan).await;
    app.past_expiry();
    store.refuse_changes(WRITES);
    assert_eq!(here.get("/api/notes").await.status, 200);
    assert_eq!(there.get("/api/notes").await.status, 200);
    assert_eq!(app.refreshes(), 2);
    let newest = app.echo.last().bearer().to_owned();
    assert_eq!(here.get("/api/notes").await.status, 200);
    assert_eq!(app.echo.last().bearer(), newest);
    for _ in 0..2 {
        app.past_expiry();
        assert_eq!((here.get("/api/notes").await.status, there.get("/api/notes").await.status), (200, 200));
    }
}

/// S-44, S-89: while the store is away every route that needs the session says 503 and the cookie stays.
#[tokio::test]
async fn a_store_that_is_away_signs_nobody_out() {
    let (store, plan) = Weather::plan();
    let app = TestApp::with(plan).await;
    let browser = app.signed_in("ada@example.test").await;
    for life in ["fresh", "expired"] {
        if life == "expired" {
            app.past_expiry();
        }
        store.turn(Mood::Down);
        for path in ["/api/notes", "/auth/session", "/auth/account", "/supabase/rest/v1/x"] {
            let answer = browser.get(path).await;
            assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"), "{life} {path}");
            assert!(
                !answer.header("retry-after").is_empty() && answer.set_cookies().is_empty(),
                "{life} {path}"
            );
        }
        let page = browser.send(Method::GET, "/auth/account", &navigation("none"), None).await;
        assert_eq!((page.status, page.header("content-type")), (503, "text/html; charset=utf-8"));
        assert_eq!(browser.post("/auth/refresh", &json!({})).await.code(), "store_unavailable");
        let answer = browser.post("/auth/logout", &json!({})).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "store_unavailable"),
            "S-11: no empty promise"
        );
        let login = json!({ "email": "ada@example.test", "password": PASSWORD });
        assert_eq!(app.browser().post("/auth/login", &login).await.code(), "store_unavailable");
        assert_eq!(app.browser().get("/api/public/x").await.status, 200, "what needs nobody goes on");
        store.turn(Mood::Well);
        assert_eq!(browser.get("/api/notes").await.status, 200, "{life}");
    }
}

/// S-44: a full store reads and does not write: sessions go on while their tokens live; a sign-out holds all the same.
#[tokio::test]
async fn a_full_store_signs_nobody_out() {
    let (store, plan) = Weather::plan();
    let app = TestApp::with(plan).await;
    let browser = app.signed_in("ada@example.test").await;
    store.turn(Mood::Full);
    app.inside_margin();
    assert_eq!(browser.get("/api/notes").await.status, 200);
    app.clock.advance(time::Duration::minutes(5));
    assert_eq!(browser.get("/api/notes").await.status, 200);
    assert_eq!(app.refreshes(), 1, "kept by this process");
    let copy = browser.stolen();
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    let answer = copy.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "user"));
}

/// A store that lost everything: each session has ended, and says why.
#[tokio::test]
async fn a_flushed_store_is_told_as_such() {
    let (store, plan) = Weather::plan();
    let app = TestApp::with(plan).await;
    let browser = app.signed_in("ada@example.test").await;
    store.flush();
    let answer = browser.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "store_lost"));
    assert!(browser.cookie("sb_session_").is_none());
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(browser.post("/auth/login", &login).await.status, 200);
    assert_eq!(browser.get("/api/notes").await.status, 200);
}

/// S-95: a store that never answers holds a request no longer than its time limit.
#[tokio::test]
async fn a_silent_store_is_given_up() {
    let (store, plan) = Weather::plan();
    let app = TestApp::with(plan).await;
    let browser = app.signed_in("ada@example.test").await;
    store.turn(Mood::Silent);
    let answer = browser.get("/api/notes").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    store.turn(Mood::Well);
    assert_eq!(browser.get("/api/notes").await.status, 200);
}
