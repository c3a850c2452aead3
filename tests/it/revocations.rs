//! What ends sessions from outside: hooks, other devices, nodes that start later (S-45).

use base::clock::Clock;
use http::Method;
use serde_json::json;
use supabase_bff::event::Reason;
use supabase_bff::session::{Current, Subject};
use tower::ServiceExt;

use crate::client::Browser;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::model::slot;
use crate::modes::Mode;
use crate::nodes::two_nodes;
use crate::tap::bounded;
use crate::weather::{Mood, Weather};

/// What the first node knows of a browser's session.
async fn current(app: &TestApp, browser: &Browser) -> Current {
    app.sessions.current(&slot(browser)).await.expect("a live session")
}

async fn as_program(at: &Browser, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    at.fresh().send(Method::GET, "/api/notes", &[("authorization", &bearer)], None).await.status
}

/// The news takes its way.
async fn refused_soon(at: &Browser, token: &str) {
    bounded("the news on its way", async { while as_program(at, token).await != 401 {} }).await;
}

/// S-45: the end of one session, told by a hook, holds on both nodes, for the cookie and for the bare token.
#[tokio::test]
async fn a_session_that_was_deleted_is_refused_everywhere() {
    let (app, here, there) = two_nodes(Plan::in_memory()).await;
    let known = current(&app, &here).await.session;
    let token = known.access_token.expose().clone();
    let other = app.browser();
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(other.post("/auth/login", &login).await.status, 200);
    let subject = Subject::Session { user: known.user_id, id: known.gotrue_id };
    app.sessions.revoke(subject, Reason::Hook).await.unwrap();
    for browser in [&here, &there] {
        let answer = browser.stolen().get("/api/notes").await;
        assert_eq!((answer.status, answer.header("x-session-ended")), (401, "hook"));
    }
    assert_eq!(as_program(&here, &token).await, 401);
    refused_soon(&there, &token).await;
    assert_eq!(other.get("/api/notes").await.status, 200, "another session of the same person");
}

/// S-45: a ban counts for every session and token that began before it, in any mode on this node at least; those of
/// others go on.
#[tokio::test]
async fn a_banned_person_is_refused() {
    for mode in [Mode::Cookie, Mode::Memory, Mode::Sqlite] {
        let app = TestApp::with(mode.plan()).await;
        let ada = app.signed_in("ada@example.test").await;
        let eve = app.signed_in("eve@example.test").await;
        let known = current(&app, &ada).await.session;
        let token = known.access_token.expose().clone();
        assert_eq!(as_program(&ada, &token).await, 200);
        app.sessions
            .revoke(Subject::User { id: known.user_id, at: app.clock.now() }, Reason::UserBanned)
            .await
            .unwrap();
        assert_eq!(as_program(&ada, &token).await, 401, "S-45: the bare token");
        let answer = ada.get("/api/notes").await;
        assert_eq!((answer.status, answer.header("x-session-ended")), (401, "user_banned"));
        assert_eq!(eve.get("/api/notes").await.status, 200);
        app.clock.advance(time::Duration::seconds(2));
        let login = json!({ "email": "ada@example.test", "password": PASSWORD });
        assert_eq!(ada.post("/auth/login", &login).await.status, 200);
        assert_eq!(ada.get("/api/notes").await.status, 200, "what begins afterwards counts");
    }
}

/// S-45: a node that starts after a sign-out hears of it.
#[tokio::test]
async fn a_node_that_starts_later_catches_up() {
    let (app, here, _) = two_nodes(Plan::in_memory()).await;
    let token = current(&app, &here).await.session.access_token.expose().clone();
    assert_eq!(here.post("/auth/logout", &json!({})).await.status, 204);
    let late = app.browser().at(&app.node(&[]).await);
    refused_soon(&late, &token).await;
}

/// S-45: a revocation that could not be spread while the store was away is spread once it is back.
#[tokio::test]
async fn a_revocation_outlives_an_outage_of_the_store() {
    let (store, plan) = Weather::plan();
    let (app, here, there) = two_nodes(plan).await;
    let known = current(&app, &here).await.session;
    let token = known.access_token.expose().clone();
    store.turn(Mood::Down);
    let subject = Subject::Session { user: known.user_id, id: known.gotrue_id };
    assert!(app.sessions.revoke(subject, Reason::Hook).await.is_err(), "whoever sent it is to send it again");
    assert_eq!(as_program(&here, &token).await, 401, "at once on this node");
    store.turn(Mood::Well);
    refused_soon(&there, &token).await;
    let answer = here.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "hook"));
}

/// The list of devices: one's own alone, the one that asks first, then the latest (S-102).
#[tokio::test]
async fn devices_are_listed_and_ended() {
    for mode in [Mode::Memory, Mode::Sqlite] {
        let app = TestApp::with(mode.plan()).await;
        let ada = app.signed_in("ada@example.test").await;
        let eve = app.signed_in("eve@example.test").await;
        app.clock.advance(time::Duration::minutes(1));
        let phone = app.browser();
        let body = json!({ "email": "ada@example.test", "password": PASSWORD }).to_string();
        let agent = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0";
        let headers = [("content-type", "application/json"), ("user-agent", agent), ("x-csrf", "1")];
        assert_eq!(phone.send(Method::POST, "/auth/login", &headers, Some(body)).await.status, 200);
        let own = current(&app, &ada).await.session;
        let devices = app.sessions.devices(&own).await.unwrap();
        let shown: Vec<_> = devices.iter().map(|d| (d.browser.as_str(), d.current, d.aal)).collect();
        assert_eq!(shown, [("", true, 1), ("Firefox on Android", false, 1)]);
        assert_eq!(devices[0].id, ada.get("/auth/session").await.json()["session"]["id"].as_str().unwrap());
        let foreign = current(&app, &eve).await.session;
        let end = async |by, id| app.sessions.end_device(by, id).await.unwrap();
        assert_eq!(end(&foreign, &devices[1].id).await, None, "S-102: somebody else's");
        assert_eq!(end(&own, "s_unknown").await, None);
        assert_eq!(phone.get("/api/notes").await.status, 200);
        assert_eq!(end(&own, &devices[1].id).await.as_deref(), Some("Firefox on Android"));
        let answer = phone.get("/api/notes").await;
        assert_eq!((answer.status, answer.header("x-session-ended")), (401, "other_device"));
        assert_eq!(app.sessions.devices(&own).await.unwrap().len(), 1);
    }
}

/// `/readyz` follows the store, and asks it once a second.
#[tokio::test]
async fn readiness_follows_the_store() {
    let (store, plan) = Weather::plan();
    let app = TestApp::with(plan).await;
    let ready = async || {
        let request = http::Request::get("/readyz").body(axum::body::Body::empty()).unwrap();
        app.admin.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(ready().await, 200);
    store.turn(Mood::Down);
    assert_eq!(ready().await, 200, "known from a moment ago");
    app.clock.advance(time::Duration::SECOND);
    assert_eq!(ready().await, 503);
    store.turn(Mood::Well);
    app.clock.advance(time::Duration::SECOND);
    assert_eq!(ready().await, 200);
}
