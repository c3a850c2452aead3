//! What ends a socket: its session, its token, its rule, its number, its server (S-60, S-61).

use serde_json::json;
use supabase_bff::event::Reason;
use supabase_bff::session::Subject;

use super::{EchoSockets, RULES, is_closed, open, open_now, open_with, refusal, says_back, with_sockets};
use crate::harness::{PASSWORD, Plan};
use crate::mfa::{prove, with_app};
use crate::modes::Mode;
use crate::tap::{Fault, bounded, within_a_second};

/// S-60: a sign-out closes the sockets of its session, here within a second, on every other node soon, and nobody else's.
#[tokio::test]
async fn a_sign_out_closes_the_sockets_of_every_node() {
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let (app, upstream) = with_sockets(mode.plan()).await;
        let second = app.node(&[]).await;
        let browser = app.signed_in("ada@example.test").await;
        let neighbour = app.signed_in("eve@example.test").await;
        let mut here = open(&browser, "/live/room").await;
        let mut there = open(&browser.at(&second), "/live/room").await;
        let mut other = open(&neighbour, "/live/room").await;
        for socket in [&mut here, &mut there, &mut other] {
            says_back(socket, "open").await;
        }
        assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
        within_a_second("the end here", is_closed(&mut here)).await;
        is_closed(&mut there).await;
        says_back(&mut other, "still").await;
        upstream.are_open(1).await;
        open_now(&app, 1.0).await;
    }
}

/// S-45, S-60: so do a hook's word about the session or the person, a sign-in over it, and a new password elsewhere.
#[tokio::test]
async fn every_end_of_a_session_closes_its_sockets() {
    let (app, _upstream) = with_sockets(Plan::in_memory()).await;
    let (_, sessions) = app.process(&[]).await;
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    app.signed_in("ada@example.test").await;
    app.signed_in("eve@example.test").await;
    for end in ["session", "person", "replaced", "another user", "password"] {
        let browser = app.browser();
        assert_eq!(browser.post("/auth/login", &login).await.status, 200);
        let mut socket = open(&browser, "/live/room").await;
        says_back(&mut socket, end).await;
        let current = app.sessions.current(&crate::model::slot(&browser)).await.unwrap().session;
        let (user, id) = (current.user_id, current.gotrue_id);
        match end {
            "session" => sessions.revoke(Subject::Session { user, id }, Reason::Hook).await.unwrap(),
            "person" => {
                let said = Subject::User { id: user, at: base::clock::Clock::now(&app.clock) };
                sessions.revoke(said, Reason::UserBanned).await.unwrap();
            }
            "replaced" => assert_eq!(browser.post("/auth/login", &login).await.status, 200),
            "another user" => {
                let eve = json!({ "email": "eve@example.test", "password": PASSWORD });
                assert_eq!(browser.post("/auth/login", &eve).await.status, 200);
            }
            _ => {
                app.clock.advance(time::Duration::seconds(2));
                let other = app.browser();
                assert_eq!(other.post("/auth/login", &login).await.status, 200);
                assert_eq!(other.post("/auth/logout", &json!({ "scope": "others" })).await.status, 204);
            }
        }
        is_closed(&mut socket).await;
        app.clock.advance(time::Duration::seconds(2)); // whoever signs in now is not meant by it
    }
}

/// S-60: in cookie mode nothing refreshes for a socket: it closes when its token runs out, unless a request of the same
/// browser has brought another.
#[tokio::test]
async fn a_socket_ends_with_its_token_in_cookie_mode() {
    let (app, _upstream) = with_sockets(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut socket = open(&browser, "/live/room").await;
    app.inside_margin();
    assert_eq!(browser.get("/api/notes").await.status, 200);
    assert_eq!(app.refreshes(), 1);
    app.clock.advance(time::Duration::minutes(5)); // past the end of the token that the socket began with
    says_back(&mut socket, "newer").await;
    app.past_expiry();
    is_closed(&mut socket).await;
    assert_eq!(app.refreshes(), 1, "the socket asked for nothing");
    let mut again = open(&browser, "/live/room").await;
    says_back(&mut again, "the handshake's answer brings the cookie").await;
    assert_eq!(app.refreshes(), 2);
    assert_eq!(browser.get("/auth/session").await.json()["authenticated"], true);
}

/// S-60: where a store keeps the tokens they are renewed in time, once for all sockets; without GoTrue the socket ends at
/// the token's end.
#[tokio::test]
async fn a_socket_outlives_its_token_in_store_mode() {
    let (app, _upstream) = with_sockets(Plan::in_memory()).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut one = open(&browser, "/live/room").await;
    let mut two = open(&browser, "/live/room").await;
    for (round, minutes) in [(1, 29), (2, 27)] {
        app.clock.advance(time::Duration::minutes(minutes));
        app.auth.arrived("grant_type=refresh_token", round).await;
        bounded("new tokens", async {
            while app.sessions.current(&crate::model::slot(&browser)).await.unwrap().session.expires_at
                < base::clock::Clock::now(&app.clock) + time::Duration::minutes(10)
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        app.clock.advance(time::Duration::minutes(2));
        says_back(&mut one, "still").await;
        says_back(&mut two, "still").await;
    }
    assert_eq!(app.refreshes(), 2);
    app.auth.fail("grant_type=refresh_token", Fault::code(503, "unexpected_failure"));
    app.past_expiry();
    is_closed(&mut one).await;
    is_closed(&mut two).await;
    assert_eq!(browser.get("/auth/session").await.status, 503, "the session itself is kept");
}

/// S-08: the limits of the session hold for its sockets.
#[tokio::test]
async fn a_socket_ends_with_the_idle_limit() {
    for plan in [Plan::default(), Plan::in_memory()] {
        let (app, _upstream) = with_sockets(plan.with("BFF_SESSION_IDLE", "10m")).await;
        let browser = app.signed_in("ada@example.test").await;
        let mut socket = open(&browser, "/live/room").await;
        for _ in 0..3 {
            app.clock.advance(time::Duration::minutes(6));
            assert_eq!(browser.get("/api/notes").await.status, 200);
            says_back(&mut socket, "used").await;
        }
        app.clock.advance(time::Duration::minutes(11));
        is_closed(&mut socket).await;
    }
}

/// S-98: new tokens that no longer satisfy the rule close what the old ones opened.
#[tokio::test]
async fn a_lost_role_closes_its_sockets() {
    let (app, _upstream) = with_sockets(Plan::in_memory()).await;
    let browser = app.signed_in("ada@example.test").await;
    let id = app.sessions.current(&crate::model::slot(&browser)).await.unwrap().session.user_id;
    let set_roles = async |roles: &[&str]| {
        let path = format!("{}/auth/v1/admin/users/{id}", app.auth.url());
        let key = format!("Bearer {}", app.auth_server().admin_key().expose());
        let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
        let body = json!({ "app_metadata": { "role": null, "roles": roles } }).to_string();
        let answer = app.browser().send(http::Method::PUT, &path, &headers, Some(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    set_roles(&["admin"]).await;
    app.clock.advance(time::Duration::minutes(1));
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    let mut socket = open(&browser, "/admin-live/room").await;
    let mut plain = open(&browser, "/live/room").await;
    set_roles(&["user"]).await;
    app.clock.advance(time::Duration::minutes(1));
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    is_closed(&mut socket).await;
    says_back(&mut plain, "still").await;
}

/// S-61: so many sockets of one session and no more; one that ends makes room, other sessions have their own.
#[tokio::test]
async fn a_session_has_so_many_sockets() {
    let (app, upstream) = with_sockets(Plan::default().with("BFF_LIMITS_SOCKETS_PER_SESSION", "3")).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(open(&browser, "/live/room").await);
    }
    let (status, body) = refusal(open_with(&browser, "/live/room", &[]).await);
    assert_eq!(status, 429, "{body}");
    assert_eq!(upstream.knocks().len(), 3);
    let neighbour = app.signed_in("eve@example.test").await;
    says_back(&mut open(&neighbour, "/live/room").await, "room").await;
    drop(sockets.pop());
    open_now(&app, 2.0).await;
    says_back(&mut open(&browser, "/live/room").await, "room").await;
    assert_eq!(
        refusal(open_with(&browser, "/live/refuse", &[]).await).0,
        418,
        "a refusal gives its place back"
    );
    says_back(&mut open(&browser, "/live/room").await, "room").await;
}

/// At the end of the process sockets are closed, and none begins.
#[tokio::test]
async fn sockets_end_with_the_process() {
    let (app, upstream) = with_sockets(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut socket = open(&browser, "/live/room").await;
    says_back(&mut socket, "open").await;
    let most = std::time::Duration::from_secs(3600);
    bounded("the end of all sockets, long before the time that they have", app.bff.close_sockets(most)).await;
    is_closed(&mut socket).await;
    upstream.are_open(0).await;
    assert_eq!(refusal(open_with(&browser, "/live/room", &[]).await).0, 503);
}

/// S-60, S-98: new rules are asked about every open socket, a person's, a program's and nobody's. What they let in no more
/// ends within a second, all else goes on; a proof that has grown old closes nothing.
#[tokio::test]
async fn new_rules_are_asked_about_open_sockets() {
    let live = "path = \"/live/**\"\nto = \"sockets\"";
    let open_live = "to = \"sockets\"\nallow = \"public\"";
    for plan in [Plan::default(), Plan::in_memory()] {
        let (app, upstream) = with_sockets(plan).await;
        let browser = app.signed_in("ada@example.test").await;
        let tokens = app.tokens("ada@example.test", PASSWORD).await;
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let mut person = open(&browser, "/live/room").await;
        let program = open_with(&app.browser(), "/live/room", &[("authorization", &bearer)]).await;
        let mut program = program.expect("a socket").0;
        let mut anybody = open(&app.browser(), "/open-live/room").await;
        app.clock.advance(time::Duration::minutes(2));
        let first = RULES.replace("{sockets}", &upstream.address.to_string());
        app.reload("[[rules]]\nname = ").unwrap_err();
        app.reload(&first.replace(live, &format!("{live}\nmax_age = \"1m\""))).unwrap();
        for socket in [&mut person, &mut program, &mut anybody] {
            says_back(socket, "still").await;
        }
        let second = first.replace(open_live, "to = \"sockets\"");
        let third = second.replace(live, &format!("{live}\nbearer = false"));
        let fourth = third.replace(live, "path = \"/life/**\"\nto = \"sockets\"");
        let mut left = vec![&mut person, &mut program, &mut anybody];
        for rules in [second, third, fourth] {
            app.reload(&rules).unwrap();
            within_a_second("an end by new rules", is_closed(left.pop().unwrap())).await;
            for socket in &mut left {
                says_back(socket, "still").await;
            }
        }
        upstream.are_open(0).await;
        open_now(&app, 0.0).await;
    }
}

/// S-98: so does a rule that leads the path to another upstream: what is said there is not for this one.
#[tokio::test]
async fn a_path_that_leads_elsewhere_closes_its_sockets() {
    let (app, upstream) = with_sockets(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut socket = open(&browser, "/live/room").await;
    let mut plain = open(&browser, "/open-live/room").await;
    let rules = RULES.replace("{sockets}", &upstream.address.to_string());
    app.reload(&rules.replace("path = \"/live/**\"\nto = \"sockets\"", "path = \"/live/**\"\nto = \"echo\""))
        .unwrap();
    is_closed(&mut socket).await;
    says_back(&mut plain, "still").await;
}

/// S-98: the age of a proof that a rule asks for beside a second factor is one of the opening, not of what is open.
#[tokio::test]
async fn an_old_second_proof_closes_nothing() {
    let upstream = EchoSockets::start().await;
    let rules = RULES
        .replace("{sockets}", &upstream.address.to_string())
        .replace("name = \"live\"", "name = \"live\"\naal = 2\nmax_age = \"5m\"");
    let (app, phone) = with_app(Plan { rules: rules.clone(), ..Plan::in_memory() }).await;
    let browser = app.browser();
    browser.post("/auth/login", &json!({ "email": "ada@example.test", "password": PASSWORD })).await;
    assert_eq!(prove(&browser, &phone.code(&app)).await.status, 200);
    let mut socket = open(&browser, "/live/room").await;
    app.clock.advance(time::Duration::minutes(6));
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    app.reload(&rules).unwrap();
    says_back(&mut socket, "still").await;
    assert_eq!(refusal(open_with(&browser, "/live/room", &[]).await).0, 401, "none begins with it");
}
