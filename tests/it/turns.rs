//! Many sessions that run out together: each is refreshed in turn, wherever a place to ask from is free (S-41, S-44).

use futures_util::future::join_all;
use http::Method;
use supabase_bff::gotrue::Tokens;
use supabase_bff::session::Proof;

use crate::client::Browser;
use crate::harness::TestApp;
use crate::modes::Mode;
use crate::nodes::two_nodes;
use crate::tap::{Fault, bounded};
use crate::weather::Weather;

const REFRESH: &str = "grant_type=refresh_token";
/// Refreshes that a process asks for at the same time.
const PLACES: usize = 128;
/// Failures in a row after which a process asks no more for a while.
const IN_A_ROW: usize = 20;

/// A browser with the session of a guest: many of them cost little.
async fn guest(app: &TestApp) -> Browser {
    let (browser, headers) = (app.browser(), [("content-type", "application/json")]);
    let path = format!("{}/auth/v1/signup", app.auth.url());
    let answer = browser.send(Method::POST, &path, &headers, Some("{}".to_owned())).await;
    let tokens = Tokens::from_json(answer.body.as_bytes()).unwrap();
    let proof = Proof { method: "anonymous", remember: false, recovery: false };
    let made = app.sessions.make(tokens, proof).await.unwrap();
    let session = app.sessions.keep_new(&made, "").await.unwrap();
    for pair in app.sessions.cookie_header(&session).unwrap().split("; ") {
        let (name, value) = pair.split_once('=').unwrap();
        browser.set_cookie(name, value);
    }
    browser
}

async fn guests(app: &TestApp, count: usize) -> Vec<Browser> {
    join_all((0..count).map(|_| guest(app))).await
}

async fn signed_in(browser: Browser) -> bool {
    browser.get("/auth/session").await.json()["authenticated"] == true
}

/// S-44: where more sessions run out than may ask at once, those beyond wait; nobody is told to come back.
#[tokio::test]
async fn whoever_finds_every_place_taken_waits_for_a_turn() {
    for mode in [Mode::Cookie, Mode::Memory] {
        let app = TestApp::with(mode.plan()).await;
        let guests = guests(&app, PLACES + 30).await;
        app.past_expiry();
        app.auth.fail(REFRESH, Fault::Hold);
        let all = tokio::spawn(join_all(guests.into_iter().map(signed_in)));
        app.auth.arrived(REFRESH, PLACES).await;
        assert_eq!(app.browser().get("/auth/session").await.status, 200);
        assert_eq!(app.refreshes(), PLACES, "no more at once");
        app.auth.heal();
        app.auth.release();
        assert!(all.await.unwrap().into_iter().all(|served| served));
        assert_eq!(app.refreshes(), PLACES + 30);
    }
}

/// S-41: a node that is busy keeps no session from being refreshed by another, and is served by that.
#[tokio::test]
async fn a_busy_node_leaves_a_session_to_an_idle_one() {
    let (store, plan) = Weather::plan();
    let (app, here, there) = two_nodes(plan).await;
    let guests = guests(&app, PLACES).await;
    app.past_expiry();
    app.auth.fail(REFRESH, Fault::Hold);
    let busy = tokio::spawn(join_all(guests.into_iter().map(signed_in)));
    app.auth.arrived(REFRESH, PLACES).await;
    app.auth.heal();
    store.counts();
    let queued = tokio::spawn(async move { here.get("/api/notes").await.status });
    let looks = async {
        let mut reads = 0;
        while reads < 3 {
            reads += store.counts().reads;
            tokio::task::yield_now().await;
        }
    };
    bounded("looks at the record from the queue", looks).await;
    assert_eq!(there.get("/api/notes").await.status, 200);
    assert_eq!((queued.await.unwrap(), app.refreshes()), (200, PLACES + 1));
    app.auth.release();
    assert!(busy.await.unwrap().into_iter().all(|served| served));
}

/// S-41: a node that was stopped between its lease and its call finds the lease over, and does not ask.
#[tokio::test]
async fn a_lease_that_is_over_asks_nobody() {
    let (store, plan) = Weather::plan();
    let (app, here, there) = two_nodes(plan).await;
    app.past_expiry();
    store.keep_back_after(1); // the first look is the request's, the second the one under the lease
    let stopped = tokio::spawn(async move { here.get("/api/notes").await.status });
    store.kept().await;
    app.clock.advance(time::Duration::seconds(6)); // the lease is over by the store's clock
    assert_eq!(there.get("/api/notes").await.status, 200);
    store.let_go();
    assert_eq!((stopped.await.unwrap(), app.refreshes()), (200, 1));
}

/// S-41, S-44: a node that asks GoTrue for nothing, since it has failed too often there, serves what another node has brought
/// meanwhile, and tells nobody to come back.
#[tokio::test]
async fn a_node_that_may_not_ask_finds_what_another_brought() {
    for mode in [Mode::Memory, Mode::redis()] {
        let (store, plan) = Weather::over(mode.plan());
        let (app, here, there) = two_nodes(plan).await;
        let guests = guests(&app, IN_A_ROW + 1).await;
        app.past_expiry();
        app.auth.fail(REFRESH, Fault::code(503, "unexpected_failure"));
        for guest in &guests {
            assert_eq!(guest.get("/auth/session").await.status, 503);
        }
        assert_eq!(app.refreshes(), IN_A_ROW, "the last one was not asked for");
        app.auth.heal();
        store.keep_back_after(0);
        let late = tokio::spawn(async move { here.get("/api/notes").await.status });
        store.kept().await; // it has read the old record
        assert_eq!(there.get("/api/notes").await.status, 200, "the other node may ask");
        store.let_go();
        assert_eq!((late.await.unwrap(), app.refreshes()), (200, IN_A_ROW + 1));
        assert_eq!(guests[IN_A_ROW].get("/auth/session").await.status, 503, "and still asks for nothing");
        assert_eq!(app.refreshes(), IN_A_ROW + 1);
    }
}
