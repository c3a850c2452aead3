//! Supabase Realtime behind the mount: whose token goes into which frame, and what ends the socket. The stand-in checks the
//! token of each join, as Realtime does, and remembers every frame.

mod client;
mod limits;
mod stand_in;

use futures_util::{SinkExt, StreamExt};
use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::client::{Browser, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mfa::{prove, with_app};
use crate::modes::Mode;
use crate::sockets::{Socket, open_with, refusal};
use crate::tap::{bounded, within_a_second};
use stand_in::{Heard, StandIn};

const KEY: &str = "sb_publishable_test";

/// An app whose project has this Realtime. Everything but its paths is the auth server's.
pub async fn with_realtime(plan: Plan) -> (TestApp, StandIn) {
    let app = TestApp::with(plan).await;
    let stand_in = StandIn::start().await;
    app.auth.lead_below("/realtime/v1/websocket", stand_in.address);
    (app, stand_in)
}

const WEBSOCKET: &str = "/supabase/realtime/v1/websocket";

async fn connect(browser: &Browser, query: &str) -> Socket {
    open_with(browser, &format!("{WEBSOCKET}?{query}"), &[]).await.expect("a socket").0
}

async fn send(socket: &mut Socket, text: impl Into<Utf8Bytes>) {
    socket.send(Message::text(text)).await.unwrap();
}

async fn next(socket: &mut Socket) -> Message {
    bounded("a frame", async {
        loop {
            match socket.next().await.expect("a frame").expect("a sound frame") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    })
    .await
}

/// The code and the word with which the socket is closed.
async fn close_of(socket: &mut Socket) -> (u16, String) {
    loop {
        if let Message::Close(Some(frame)) = next(socket).await {
            return (frame.code.into(), frame.reason.as_str().to_owned());
        }
    }
}

/// A token of the same shape that opens nothing, for `sub`.
fn phantom(sub: &str) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let head = encode(r#"{"alg":"HS256","kid":"phantom","typ":"JWT"}"#);
    format!(
        "{head}.{}.{}",
        encode(&json!({ "sub": sub }).to_string()),
        encode("phantom-token-not-a-credential--")
    )
}

async fn id_of(browser: &Browser) -> String {
    browser.get("/auth/session").await.json()["user"]["id"].as_str().unwrap().to_owned()
}

fn join(payload: &Value) -> String {
    json!(["1", "1", "realtime:room", "phx_join", payload]).to_string()
}

/// S-59: in either protocol every join and every update gets the person's token, whatever the page put there; it is in no
/// frame that comes back and in no address.
#[tokio::test]
async fn a_join_carries_the_persons_token() {
    let (app, realtime) = with_realtime(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let own = phantom(&id_of(&browser).await);
    let (mut count, mut frames) = (0, String::new());
    for brought in [json!(null), json!(own), json!("sb_publishable_canary"), json!("bff")] {
        for arrays in [true, false] {
            let vsn = if arrays { "2.0.0" } else { "1.0.0" };
            let mut socket = connect(&browser, &format!("apikey=canary&vsn={vsn}&access_token=canary")).await;
            for event in ["phx_join", "access_token"] {
                let payload =
                    json!({ "config": { "private": true }, "access_token": brought, "user_token": brought });
                let frame = match arrays {
                    true => json!(["1", "1", "realtime:room", event, payload]),
                    false => {
                        json!({ "topic": "realtime:room", "event": event, "payload": payload, "ref": "1", "join_ref": "1" })
                    }
                };
                send(&mut socket, frame.to_string()).await;
                count += 1;
                assert!(realtime.token(count).await.starts_with("eyJ"));
            }
            let said = next(&mut socket).await.into_text().unwrap();
            assert!(said.contains(r#""status":"ok""#), "{said}");
            frames.push_str(&said);
            let token = realtime.tokens().pop().unwrap();
            realtime.say(Message::text(json!([null, null, "t", "system", { "message": token }]).to_string()));
            realtime.say(Message::binary(token.clone().into_bytes()));
            realtime.say(Message::binary(&b"\x04harmless"[..]));
            frames.push_str(&next(&mut socket).await.into_text().unwrap());
            assert_eq!(
                next(&mut socket).await.into_data(),
                &b"\x04harmless"[..],
                "the frame with the token is gone"
            );
        }
    }
    assert!(!frames.contains("eyJ"), "{frames}");
    let seen = format!("{:?}", realtime.heard());
    assert!(!seen.contains("canary") && !seen.contains(&own), "{seen}");
    for heard in realtime.heard() {
        if let Heard::Knock { target, headers } = heard {
            assert!(target.starts_with("/realtime/v1/websocket?vsn="), "{target}");
            assert!(target.ends_with(&format!("apikey={KEY}")), "{target}");
            assert!(!target.contains("eyJ"), "{target}");
            assert_eq!(headers["apikey"], KEY);
            assert!(!headers.contains_key("cookie"));
        }
    }
}

/// The intent rule: a page that means another person than the cookie's, or a person where there is none, is closed with 4401
/// before anything of it passes; whoever means nobody joins with the key.
#[tokio::test]
async fn a_page_never_acts_as_somebody_else() {
    let (app, realtime) = with_realtime(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let eve = app.signed_in("eve@example.test").await;
    let (own, other) = (phantom(&id_of(&browser).await), phantom(&id_of(&eve).await));
    let real = app.tokens("eve@example.test", PASSWORD).await["access_token"].as_str().unwrap().to_owned();
    let stranger = app.browser();
    for (who, token) in [(&browser, &other), (&browser, &real), (&stranger, &own), (&stranger, &real)] {
        for event in ["phx_join", "access_token"] {
            let mut socket = connect(who, "vsn=2.0.0").await;
            send(
                &mut socket,
                json!(["1", "1", "realtime:room", event, { "access_token": token }]).to_string(),
            )
            .await;
            assert_eq!(close_of(&mut socket).await, (4401, "session_changed".to_owned()));
        }
    }
    assert_eq!(realtime.tokens(), Vec::<String>::new());
    let mut socket = connect(&stranger, "vsn=2.0.0").await;
    for (count, payload) in [json!({}), json!({ "access_token": "sb_publishable_other" })].iter().enumerate()
    {
        send(&mut socket, join(payload)).await;
        assert_eq!(realtime.token(count + 1).await, KEY);
    }
    let strict = TestApp::with(Plan::default().with("BFF_SUPABASE_SIGNED_OUT", "refuse")).await;
    assert_eq!(refusal(open_with(&strict.browser(), &format!("{WEBSOCKET}?vsn=2.0.0"), &[]).await).0, 401);
}

/// S-60: where a store keeps the tokens a new one is pushed to every channel before the old one ends; a step up at once.
#[tokio::test]
async fn a_new_token_is_pushed() {
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let (app, realtime) = with_realtime(mode.plan()).await;
        let browser = app.signed_in("ada@example.test").await;
        let mut socket = connect(&browser, "vsn=2.0.0").await;
        send(&mut socket, join(&json!({}))).await;
        let first = realtime.token(1).await;
        app.inside_margin();
        let second = realtime.token(2).await;
        assert_ne!(first, second);
        app.clock.advance(time::Duration::minutes(5));
        send(&mut socket, json!(["1", "2", "realtime:room", "access_token", {}]).to_string()).await;
        assert_eq!(realtime.token(3).await, second, "the newest that is known");
        app.clock.advance(time::Duration::minutes(1));
        assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
        let third = realtime.token(4).await;
        assert!(third != second && third.starts_with("eyJ"));
        assert_eq!(app.refreshes(), 2);
    }
}

/// S-60: sockets of another node hear of a step up from the next request that comes there with the new cookie.
#[tokio::test]
async fn a_step_up_on_another_node_is_pushed_with_the_next_request() {
    for mode in [Mode::Cookie, Mode::redis()] {
        let (app, phone) = with_app(mode.plan().with("BFF_MFA_ENFORCE", "per_rule")).await;
        let realtime = StandIn::start().await;
        app.auth.lead_below("/realtime/v1/websocket", realtime.address);
        let second = app.node(&[]).await;
        let browser = app.browser();
        browser.post("/auth/login", &json!({ "email": "ada@example.test", "password": PASSWORD })).await;
        let mut socket = connect(&browser.at(&second), "vsn=2.0.0").await;
        send(&mut socket, join(&json!({}))).await;
        let first = realtime.token(1).await;
        assert_eq!(prove(&browser, &phone.code(&app)).await.status, 200);
        let vault = browser.at(&second).get("/api/vault").await;
        assert_eq!(vault.status, 200, "{}", vault.body);
        let raised = realtime.token(2).await;
        assert_ne!(raised, first);
        assert_eq!(app.echo.last().bearer(), format!("Bearer {raised}"));
        assert_eq!(app.refreshes(), 0);
    }
}

/// S-60: each end has its word, within a second.
#[tokio::test]
async fn every_end_has_its_code() {
    let (app, realtime) = with_realtime(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut socket = connect(&browser, "vsn=2.0.0").await;
    send(&mut socket, join(&json!({}))).await;
    realtime.token(1).await;
    let copy = browser.stolen();
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    let close = within_a_second("the end of a sign-in", close_of(&mut socket)).await;
    assert_eq!(close, (4401, "user".to_owned()));
    let no = refusal(open_with(&copy, &format!("{WEBSOCKET}?vsn=2.0.0"), &[]).await);
    assert_eq!(no.0, 401, "S-52: a dead cookie is no stranger");

    let browser = app.signed_in("eve@example.test").await;
    let mut socket = connect(&browser, "vsn=2.0.0").await;
    send(&mut socket, join(&json!({}))).await;
    realtime.token(2).await;
    app.past_expiry();
    assert_eq!(close_of(&mut socket).await, (4401, "session_expired".to_owned()), "cookie mode");
    assert_eq!(app.refreshes(), 0);
    let mut socket = connect(&browser, "vsn=2.0.0").await;
    assert_eq!(app.refreshes(), 1, "the handshake's answer carries the cookie");
    send(&mut socket, join(&json!({}))).await;
    realtime.token(3).await;
    bounded("the end of all sockets", app.bff.close_sockets(std::time::Duration::from_secs(3600))).await;
    assert_eq!(close_of(&mut socket).await, (1012, "drain".to_owned()));
}

/// S-61: what is too large, unmasked or no message ends the socket with the protocol's own code, and Realtime sees none of it.
#[tokio::test]
async fn limits_have_their_codes() {
    let (app, realtime) = with_realtime(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let broadcast = |text: &str| json!(["1", null, "realtime:room", "broadcast", { "x": text }]).to_string();
    let largest = broadcast(&"y".repeat((1 << 20) - broadcast("").len()));
    let mut socket = connect(&browser, "vsn=2.0.0").await;
    send(&mut socket, join(&json!({}))).await;
    next(&mut socket).await;
    send(&mut socket, largest).await;
    realtime
        .hears("a message of 1 MiB", |heard| matches!(heard, Heard::Text(frame) if frame[3] == "broadcast"))
        .await;
    next(&mut socket).await;
    let _ = socket.send(Message::text("z".repeat((1 << 20) + 1))).await; // it may be refused before all of it is sent
    assert_eq!(close_of(&mut socket).await.0, 1009);
    for bad in
        ["no message", r#"{"topic":"t","event":"phx_join","payload":{}}"#, r#"["1","2","t","phx_join",[]]"#]
    {
        let mut socket = connect(&browser, "vsn=2.0.0").await;
        send(&mut socket, bad).await;
        assert_eq!(close_of(&mut socket).await.0, 1007, "{bad}");
    }
    let mut socket = connect(&browser, "vsn=2.0.0").await;
    let binary = [&[0, 1, 1, 1, 8][..], b"11t", b"phx_join"].concat();
    socket.send(Message::binary(binary)).await.unwrap();
    assert_eq!(close_of(&mut socket).await.0, 1007);
    let mut socket = connect(&browser, "vsn=2.0.0").await;
    use tokio::io::AsyncWriteExt;
    socket.get_mut().write_all(b"\x81\x02hi").await.unwrap(); // no mask
    assert_eq!(close_of(&mut socket).await.0, 1002);
    let mut socket = connect(&browser, "vsn=2.0.0").await;
    for n in 0..=500 {
        let join = json!([n, n, format!("realtime:{n}"), "phx_join", {}]).to_string();
        let _ = socket.send(Message::text(join)).await; // the last ones may come too late
    }
    assert_eq!(close_of(&mut socket).await.0, 1013);
    let texts = realtime.heard().iter().filter(|heard| matches!(heard, Heard::Binary(_))).count();
    assert_eq!(texts, 0);
    for query in ["vsn=3.0.0", "vsn=1.0.0&vsn=2.0.0"] {
        assert_eq!(
            refusal(open_with(&browser, &format!("{WEBSOCKET}?{query}"), &[]).await).0,
            400,
            "{query}"
        );
    }
}

/// Binary frames pass both ways as they are.
#[tokio::test]
async fn binary_frames_pass() {
    let (app, realtime) = with_realtime(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut socket = connect(&browser, "vsn=2.0.0").await;
    send(&mut socket, join(&json!({}))).await;
    next(&mut socket).await;
    let push = b"\x03\x01\x01\x01\x01\x00\x0111te{}".to_vec();
    socket.send(Message::binary(push.clone())).await.unwrap();
    realtime.hears("the push", |heard| matches!(heard, Heard::Binary(bytes) if *bytes == push)).await;
    realtime.say(Message::binary(&b"\x04\x01\x01\x00\x01te{}"[..]));
    assert_eq!(next(&mut socket).await.into_data(), &b"\x04\x01\x01\x00\x01te{}"[..]);
}

/// S-58 holds here as anywhere; what is no handshake is no request for Realtime.
#[tokio::test]
async fn a_realtime_socket_is_opened_by_our_pages_alone() {
    let (app, realtime) = with_realtime(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    for origin in ["", "null", "https://evil.test"] {
        let no = open_with(&browser, &format!("{WEBSOCKET}?vsn=2.0.0"), &[("origin", origin)]).await;
        assert_eq!(refusal(no).0, 403, "{origin}");
    }
    let plain = browser.send(Method::GET, WEBSOCKET, &script(), None).await;
    assert_eq!((plain.status, plain.code().as_str()), (400, "bad_request"));
    assert!(realtime.heard().is_empty());
    let off = TestApp::with(Plan::default().with("BFF_SUPABASE_SERVICES", "rest")).await;
    assert_eq!(refusal(open_with(&off.browser(), &format!("{WEBSOCKET}?vsn=2.0.0"), &[]).await).0, 404);
}

/// `httpSend` of the client: forwarded like a request of any service, names of channels as they are.
#[tokio::test]
async fn messages_by_http_are_forwarded() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.auth.fail("/realtime/v1/api", crate::tap::Fault::Answer(202, "application/json", "{}".into()));
    let path = "/supabase/realtime/v1/api/broadcast/realtime%2Froom/events/x?private=true&apikey=canary";
    let answer = browser.post(path, &json!({ "text": "hello" })).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let call = app.auth.seen("/realtime/v1/api").pop().unwrap();
    assert_eq!(
        call.line,
        format!("POST /realtime/v1/api/broadcast/realtime%2Froom/events/x?private=true&apikey={KEY}")
    );
    assert!(call.headers["authorization"].to_str().unwrap().starts_with("Bearer eyJ"));
    let read = browser.send(Method::GET, "/supabase/realtime/v1/api/tenants", &script(), None).await;
    assert_eq!(read.status, 405);
}
