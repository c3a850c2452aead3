//! Store mode: cookies, reads, limits of sessions that rest in a store.

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use crate::client::navigation;
use crate::cookies::session_of;
use crate::harness::{Plan, TestApp};
use crate::weather::{Counts, Weather};

/// S-07: the cookie is a random id and a random key, and no token; it is set at the sign-in alone.
#[tokio::test]
async fn the_cookie_is_an_id_and_a_key() {
    let app = TestApp::with(Plan::in_memory()).await;
    let browser = app.signed_in("ada@example.test").await;
    let (_, value) = session_of(&browser);
    let parts: Vec<_> = value.split('.').map(str::len).collect();
    assert_eq!((parts, value.starts_with("2.")), (vec![1, 43, 43], true), "{value}");
    for wait in [time::Duration::ZERO, time::Duration::minutes(31), time::Duration::hours(20)] {
        app.clock.advance(wait);
        let answer = browser.get("/api/notes").await;
        assert_eq!(answer.status, 200);
        assert!(answer.set_cookies().is_empty(), "{:?}", answer.set_cookies());
    }
    assert_eq!(app.refreshes(), 2);
    let described = browser.get("/auth/session").await.json();
    assert_eq!(
        (&described["authenticated"], &described["user"]["email"]),
        (&json!(true), &json!("ada@example.test"))
    );
}

/// The cookie of the other mode, a changed one, one of nobody: 401, cleared, each with its reason.
#[tokio::test]
async fn a_cookie_that_opens_nothing_is_no_session() {
    let app = TestApp::with(Plan::in_memory()).await;
    let sealed = session_of(&TestApp::start().await.signed_in("ada@example.test").await).1;
    let browser = app.signed_in("ada@example.test").await;
    let other = app.signed_in("eve@example.test").await;
    let (name, value) = session_of(&browser);
    let (id, key) = value[2..].split_once('.').unwrap();
    let (_, foreign) = session_of(&other);
    let (foreign_id, foreign_key) = foreign[2..].split_once('.').unwrap();
    let flip = |text: &str| format!("{}{}", if text.starts_with('A') { 'B' } else { 'A' }, &text[1..]);
    for (cookie, reason) in [
        (sealed, "damaged"),
        (format!("2.{id}.{}", flip(key)), "damaged"),
        (format!("2.{id}.{foreign_key}"), "damaged"),
        (format!("2.{foreign_id}.{key}"), "damaged"),
        (format!("2.{}.{key}", flip(id)), "store_lost"),
        (format!("2.{id}.{key}A"), "damaged"),
        (format!("2.{id}"), "damaged"),
        ("2.a.b".to_owned(), "damaged"),
        (String::new(), "damaged"),
    ] {
        let line = format!("{name}={cookie}");
        let answer =
            app.browser().get_with_cookie("/api/notes", &crate::client::script(), line.as_bytes()).await;
        assert_eq!((answer.status, answer.header("x-session-ended")), (401, reason), "{cookie}");
        assert!(answer.set_cookies().iter().any(|set| set.starts_with(&format!("{name}=;"))), "{cookie}");
    }
    assert_eq!(browser.get("/api/notes").await.status, 200, "S-07: guesses at its key end no session");
    assert_eq!(other.get("/api/notes").await.status, 200);
    // A cookie of store mode is nothing in cookie mode.
    let cookies = TestApp::start().await;
    let own = session_of(&cookies.signed_in("ada@example.test").await).0;
    let line = format!("{own}={value}");
    let answer =
        cookies.browser().get_with_cookie("/api/notes", &crate::client::script(), line.as_bytes()).await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "damaged"));
}

/// One look into the store for a request and nothing written; none at all for what needs no session.
#[tokio::test]
async fn a_request_costs_one_read() {
    let (store, plan) = Weather::plan();
    let app = TestApp::with(plan).await;
    let browser = app.signed_in("ada@example.test").await;
    store.counts();
    for (path, reads) in [
        ("/api/notes", 1),
        ("/auth/session", 1),
        ("/auth/login", 1),
        ("/auth/account", 1),
        ("/supabase/rest/v1/x", 1),
        ("/api/public/x", 0),
    ] {
        browser.get(path).await;
        assert_eq!(store.counts(), Counts { reads, writes: 0 }, "{path}");
    }
    let page = browser.send(Method::GET, "/auth/account", &navigation("none"), None).await;
    assert_eq!((page.status, store.counts()), (200, Counts { reads: 1, writes: 0 }));
    app.browser().get("/api/notes").await;
    assert_eq!(store.counts(), Counts::default(), "nobody has nothing to look for");
}

/// S-08: the last use is written rarely; a poll does not move it.
#[tokio::test]
async fn the_last_use_is_written_rarely() {
    let (store, plan) = Weather::plan();
    let app = TestApp::with(plan).await;
    let browser = app.signed_in("ada@example.test").await;
    store.counts();
    app.clock.advance(time::Duration::hours(17)); // a tenth of the idle limit, and the token is over
    assert_eq!(browser.get("/auth/session").await.json()["authenticated"], true);
    assert_eq!(store.counts().writes, 1, "the new tokens; they count as a use");
    app.clock.advance(time::Duration::minutes(20));
    browser.get("/api/notes").await;
    assert_eq!(store.counts().writes, 0);
    let plan = Plan::in_memory().with("BFF_SESSION_IDLE", "20m");
    let app = TestApp::with(plan).await;
    let browser = app.signed_in("ada@example.test").await;
    for _ in 0..5 {
        app.clock.advance(time::Duration::minutes(5));
        assert_eq!(browser.get("/api/notes").await.status, 200, "each use moves the limit");
    }
    app.clock.advance(time::Duration::minutes(20) + time::Duration::SECOND);
    let answer = browser.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "idle"));
    app.auth.arrived("/logout?scope=local", 1).await;
}

/// S-08, S-11: both limits are told with their reason, long after, and GoTrue hears of it once.
#[tokio::test]
async fn limits_end_a_session_with_their_reason() {
    let app = TestApp::with(Plan::in_memory()).await;
    let browser = app.signed_in("ada@example.test").await;
    app.clock.advance(time::Duration::days(20));
    let answers =
        join_all((0..20).map(|_| browser.stolen()).map(|tab| async move { tab.get("/api/notes").await }))
            .await;
    for answer in answers {
        let told = (answer.status, answer.code(), answer.header("x-session-ended").to_owned());
        assert_eq!(told, (401, "session_expired".to_owned(), "idle".to_owned()));
    }
    app.auth.arrived("/logout?scope=local", 1).await;
    assert_eq!(app.auth.calls("/logout?scope=local"), 1);
}
