//! Store mode: sessions that rest in a store, on one node and on two.

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use crate::client::{Browser, navigation};
use crate::cookies::session_of;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::tap::Fault;
use crate::weather::{Counts, Mood, Weather};

const REFRESH: &str = "grant_type=refresh_token";

/// Two nodes over one store, and a browser of each with Ada's session.
async fn two_nodes(plan: Plan) -> (TestApp, Browser, Browser) {
    let app = TestApp::with(plan).await;
    let second = app.node(&[]).await;
    let here = app.signed_in("ada@example.test").await;
    let there = here.stolen().at(&second);
    (app, here, there)
}

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
    let flip = |text: &str| {
        if text.starts_with('A') { format!("B{}", &text[1..]) } else { format!("A{}", &text[1..]) }
    };
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

/// S-11: a copy of the cookie is refused by the other node at once, and a bearer token of that session soon.
#[tokio::test]
async fn a_sign_out_holds_on_every_node() {
    let (app, here, there) = two_nodes(Plan::in_memory()).await;
    assert_eq!(there.get("/api/notes").await.status, 200);
    let token = app.echo.last().bearer().to_owned();
    let program = |at: &Browser| {
        let (at, token) = (at.fresh(), token.clone());
        async move { at.send(Method::GET, "/api/notes", &[("authorization", &token)], None).await.status }
    };
    assert_eq!(program(&there).await, 200);
    assert_eq!(here.post("/auth/logout", &json!({})).await.status, 204);
    let answer = there.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "user"));
    assert_eq!(program(&here).await, 401, "S-45: the token counts no more here");
    while program(&there).await != 401 {} // the news takes its way
}

/// S-06: a sign-in makes a new id and ends the session before it, on every node.
#[tokio::test]
async fn a_sign_in_ends_the_session_before_it() {
    let (app, here, there) = two_nodes(Plan::in_memory()).await;
    let before = session_of(&here).1;
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(here.post("/auth/login", &login).await.status, 200);
    assert_ne!(session_of(&here).1, before);
    let answer = there.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "replaced"));
    assert_eq!(here.get("/api/notes").await.status, 200);
    app.auth.arrived("/logout?scope=local", 1).await;
}

/// S-11, S-45: the other devices, and all of them.
#[tokio::test]
async fn other_devices_are_signed_out() {
    let (app, here, there) = two_nodes(Plan::in_memory()).await;
    let second = app.browser();
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    let sign_in = async |browser: &Browser| {
        assert_eq!(browser.post("/auth/login", &login).await.status, 200);
    };
    sign_in(&second).await;
    let stranger = app.signed_in("eve@example.test").await;
    assert_eq!(second.post("/auth/logout", &json!({ "scope": "others" })).await.status, 204);
    let answer = there.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "other_device"));
    assert_eq!(second.get("/api/notes").await.status, 200);
    sign_in(&here).await;
    assert_eq!(second.post("/auth/logout", &json!({ "scope": "global" })).await.status, 204);
    let answer = here.stolen().at(&app.node(&[]).await).get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "user_everywhere"));
    assert_eq!(stranger.get("/api/notes").await.status, 200);
    sign_in(&here).await;
    assert_eq!(here.get("/api/notes").await.status, 200, "a new beginning counts");
}

/// S-41: however many requests meet an expired token on two nodes, GoTrue is asked once.
#[tokio::test]
async fn two_nodes_refresh_once() {
    let (app, here, there) = two_nodes(Plan::in_memory()).await;
    for inside in [false, true] {
        if inside {
            app.inside_margin()
        } else {
            app.past_expiry()
        }
        let before = app.refreshes();
        app.auth.fail_once(REFRESH, Fault::Hold);
        let ask = |n: usize| if n % 2 == 0 { here.clone() } else { there.clone() };
        let all = tokio::spawn(join_all(
            (0..200).map(ask).map(|tab| async move { tab.get("/api/notes").await.status }),
        ));
        app.auth.arrived(REFRESH, before + 1).await;
        app.auth.release();
        assert!(all.await.unwrap().iter().all(|status| *status == 200));
        assert_eq!(app.refreshes(), before + 1);
    }
}

/// S-43: a refresh on one node that ends after a sign-out on the other brings nobody back; its new token is revoked.
#[tokio::test]
async fn a_sign_out_elsewhere_during_a_refresh_wins() {
    let (app, here, there) = two_nodes(Plan::in_memory()).await;
    app.inside_margin();
    app.auth.fail_once(REFRESH, Fault::HoldAnswer);
    let waiting = tokio::spawn(async move { there.get("/api/notes").await });
    app.auth.holding().await;
    assert_eq!(here.post("/auth/logout", &json!({})).await.status, 204);
    app.auth.release();
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "user"));
    app.auth.arrived("/logout?scope=local", 2).await;
}

/// S-41: a node that was stopped loses its lease; the other asks again, and what the first brings late spoils nothing.
#[tokio::test]
async fn a_lost_lease_is_a_second_refresh_and_no_sign_out() {
    let (app, here, there) = two_nodes(Plan::in_memory()).await;
    app.past_expiry();
    app.auth.fail_once(REFRESH, Fault::HoldAnswer);
    let stopped = tokio::spawn(async move { (here.get("/api/notes").await.status, here) });
    app.auth.holding().await;
    app.clock.advance(time::Duration::seconds(6)); // the lease is over by the store's clock
    assert_eq!(there.get("/api/notes").await.status, 200);
    let newest = app.echo.last().bearer().to_owned();
    app.auth.release();
    let (status, here) = stopped.await.unwrap();
    assert_eq!((status, app.refreshes()), (200, 2));
    assert_eq!(app.echo.last().bearer(), newest, "the first written answer is everybody's");
    for _ in 0..3 {
        app.past_expiry();
        assert_eq!((here.get("/api/notes").await.status, there.get("/api/notes").await.status), (200, 200));
    }
    assert_eq!(app.refreshes(), 5);
}

/// S-41: "already used" is no end while the record holds newer tokens; it is one when it does not.
#[tokio::test]
async fn a_used_token_is_looked_up_once_more() {
    let (app, here, there) = two_nodes(Plan::in_memory()).await;
    app.past_expiry();
    app.auth.fail_once(REFRESH, Fault::HoldThen(400, "refresh_token_already_used"));
    let stopped = tokio::spawn(async move { (here.get("/api/notes").await.status, here) });
    app.auth.holding().await;
    app.clock.advance(time::Duration::seconds(6));
    assert_eq!(there.get("/api/notes").await.status, 200);
    app.auth.release();
    let (status, here) = stopped.await.unwrap();
    assert_eq!(status, 200);
    app.past_expiry();
    app.auth.fail_once(REFRESH, Fault::code(400, "refresh_token_already_used"));
    let answer = here.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "refresh_reused"));
    let answer = there.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "refresh_reused"));
}

/// S-42: the store does not take the new tokens. This node goes on with them and writes them at the next request; nobody
/// is signed out.
#[tokio::test]
async fn what_the_store_did_not_take_is_written_later() {
    let (store, plan) = Weather::plan();
    let (app, here, there) = two_nodes(plan).await;
    app.inside_margin();
    store.refuse_changes(3);
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
    store.refuse_changes(1);
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

/// S-12: keys roll over while sessions rest in a store: their records have keys of their own, their labels and owners are
/// found under the old key.
#[tokio::test]
async fn a_new_key_leaves_sessions_where_they_are() {
    let app = TestApp::with(Plan::in_memory()).await;
    let here = app.signed_in("ada@example.test").await;
    let old = app.variable("BFF_SESSION_KEYS");
    let entropy = base::entropy::SeededEntropy::new(5);
    let new = base::seal::MasterKey::generate(base::seal::KeyId::parse("k2").unwrap(), &entropy).to_text();
    let keys = format!("{},{old}", new.expose());
    let second = app.node(&[("BFF_SESSION_KEYS", &keys)]).await;
    let there = here.stolen().at(&second);
    assert_eq!(there.get("/api/notes").await.status, 200);
    let fresh = app.browser().at(&second);
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(fresh.post("/auth/login", &login).await.status, 200);
    assert_eq!(fresh.post("/auth/logout", &json!({ "scope": "others" })).await.status, 204);
    let answer = here.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "other_device"));
    assert_eq!(fresh.get("/api/notes").await.status, 200);
}
