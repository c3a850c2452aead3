//! Store mode on two nodes: one refresh, one end, whatever happens to either.

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use crate::client::Browser;
use crate::cookies::session_of;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::model::slot;
use crate::modes::Mode;
use crate::tap::{Fault, bounded};

const REFRESH: &str = "grant_type=refresh_token";

/// Two nodes over one store, and a browser of each with Ada's session.
pub async fn two_nodes(plan: Plan) -> (TestApp, Browser, Browser) {
    let app = TestApp::with(plan).await;
    let second = app.node(&[]).await;
    let here = app.signed_in("ada@example.test").await;
    let there = here.stolen().at(&second);
    (app, here, there)
}

/// S-11: a copy of the cookie is refused by the other node at once, and a bearer token of that session soon.
#[tokio::test]
async fn a_sign_out_holds_on_every_node() {
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let (app, here, there) = two_nodes(mode.plan()).await;
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
        bounded("the news on its way", async { while program(&there).await != 401 {} }).await;
    }
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
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let parallel = if matches!(mode, Mode::Redis(_)) { 50 } else { 200 };
        let (app, here, there) = two_nodes(mode.plan()).await;
        for inside in [false, true] {
            if inside {
                app.inside_margin()
            } else {
                app.past_expiry()
            }
            let before = app.refreshes();
            app.auth.fail_once(REFRESH, Fault::Hold);
            let ask = |n: usize| if n.is_multiple_of(2) { here.clone() } else { there.clone() };
            let all = tokio::spawn(join_all(
                (0..parallel).map(ask).map(|tab| async move { tab.get("/api/notes").await.status }),
            ));
            app.auth.arrived(REFRESH, before + 1).await;
            app.auth.release();
            assert!(all.await.unwrap().iter().all(|status| *status == 200));
            assert_eq!(app.refreshes(), before + 1);
        }
    }
}

/// S-43: a refresh on one node that ends after a sign-out on the other brings nobody back; its new token is revoked.
#[tokio::test]
async fn a_sign_out_elsewhere_during_a_refresh_wins() {
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let (app, here, there) = two_nodes(mode.plan()).await;
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

/// S-41: a node that was stopped gives its own call up when it goes on; what the other brought meanwhile serves it too.
#[tokio::test]
async fn a_call_that_is_given_up_after_another_was_answered_fails_nobody() {
    let (app, here, there) = two_nodes(Plan::in_memory()).await;
    app.past_expiry();
    app.auth.fail_once(REFRESH, Fault::HoldThen(503, "unexpected_failure"));
    let stopped = tokio::spawn(async move { here.get("/api/notes").await.status });
    app.auth.holding().await;
    app.clock.advance(time::Duration::seconds(6)); // the lease is over by the store's clock
    assert_eq!(there.get("/api/notes").await.status, 200);
    let newest = app.echo.last().bearer().to_owned();
    app.auth.release();
    assert_eq!((stopped.await.unwrap(), app.refreshes()), (200, 2));
    assert_eq!(app.echo.last().bearer(), newest);
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

/// S-12: a rolling restart through two rotations, in the two steps of each: no session is lost; the list of devices is
/// whole on every node while the key of a session's last refresh is on the ring, and past that for whoever was refreshed
/// in between.
#[tokio::test]
async fn two_rotations_leave_every_list_whole() {
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let app = TestApp::with(mode.plan()).await;
        let key = |number: u64| {
            let entropy = base::entropy::SeededEntropy::new(number);
            let id = base::seal::KeyId::parse(&format!("k{number}")).unwrap();
            base::seal::MasterKey::generate(id, &entropy).to_text().expose().clone()
        };
        let (first, second, third) = (app.variable("BFF_SESSION_KEYS"), key(2), key(3));
        let login = json!({ "email": "ada@example.test", "password": PASSWORD });
        let mut people = vec![app.signed_in("ada@example.test").await];
        let rings = [
            vec![&first, &second],
            vec![&second, &first],
            vec![&second, &first, &third],
            vec![&third, &second, &first],
            vec![&third, &second],
            vec![&third],
        ];
        let mut before = (app.base.clone(), app.sessions.clone());
        for ring in &rings {
            let keys = ring.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(",");
            let after = app.process(&[("BFF_SESSION_KEYS", &keys)]).await;
            // Both run for a while; one more person's browser comes on either.
            for (node, _) in [&before, &after] {
                let browser = app.browser();
                assert_eq!(browser.at(node).post("/auth/login", &login).await.status, 200);
                people.push(browser);
            }
            for wait in [0, 31] {
                app.clock.advance(time::Duration::minutes(wait));
                for (node, sessions) in [&before, &after] {
                    for browser in &people {
                        assert_eq!(browser.at(node).get("/api/notes").await.status, 200, "{keys}");
                    }
                    let own = sessions.current(&slot(&people[0])).await.unwrap().session;
                    let listed = sessions.devices(&own).await.unwrap().len();
                    assert_eq!(listed, people.len(), "{keys}");
                }
            }
            before = after;
        }
        let last = app.browser().at(&before.0);
        assert_eq!(last.post("/auth/login", &login).await.status, 200);
        assert_eq!(last.post("/auth/logout", &json!({ "scope": "others" })).await.status, 204);
        for other in &people {
            assert_eq!(other.at(&before.0).get("/api/notes").await.header("x-session-ended"), "other_device");
        }
    }
}
