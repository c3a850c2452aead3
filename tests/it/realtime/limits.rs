//! What Realtime's sockets may not do to the program and to each other (S-61), and what new tokens may no longer have (S-98).

use futures_util::StreamExt;
use http::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::stand_in::Heard;
use super::{WEBSOCKET, close_of, connect, id_of, join, next, send, with_realtime};
use crate::harness::Plan;
use crate::mailbox::administer;
use crate::sockets::{open_now, open_with, refusal};
use crate::tap::{bounded, within_a_second};

/// S-98: a person whose new token says a role that is nobody's here is let go with 4403; whoever comes back is refused, and
/// other people stay.
#[tokio::test]
async fn a_role_that_is_no_persons_closes_with_4403() {
    for plan in [Plan::default(), Plan::in_memory()] {
        let (app, realtime) = with_realtime(plan).await;
        let (browser, eve) =
            (app.signed_in("ada@example.test").await, app.signed_in("eve@example.test").await);
        let (mut socket, mut other) =
            (connect(&browser, "vsn=2.0.0").await, connect(&eve, "vsn=2.0.0").await);
        for (count, socket) in [&mut socket, &mut other].into_iter().enumerate() {
            send(socket, join(&json!({}))).await;
            realtime.token(count + 1).await;
            next(socket).await;
        }
        let path = format!("admin/users/{}", id_of(&browser).await);
        let set = administer(&app, Method::PUT, &path, &json!({ "role": "suspended" })).await;
        assert_eq!(set.status, 200, "{}", set.body);
        app.clock.advance(time::Duration::minutes(1));
        browser.post("/auth/refresh", &json!({})).await;
        let close = within_a_second("the end of a role", close_of(&mut socket)).await;
        assert_eq!(close, (4403, "forbidden".to_owned()));
        assert_eq!(realtime.tokens().len(), 2, "the new token was pushed nowhere");
        let no = refusal(open_with(&browser, &format!("{WEBSOCKET}?vsn=2.0.0"), &[]).await);
        assert!([401, 503].contains(&no.0), "{}: {}", no.0, no.1);
        let knocks = realtime.heard().iter().filter(|heard| matches!(heard, Heard::Knock { .. })).count();
        assert_eq!(knocks, 2);
        send(&mut other, json!(["1", "2", "realtime:room", "access_token", {}]).to_string()).await;
        assert!(realtime.token(3).await.starts_with("eyJ"));
    }
}

/// S-61: twenty sockets of a session, and the next is a 429 at the handshake that Realtime does not hear of.
#[tokio::test]
async fn a_session_has_twenty_sockets() {
    let (app, realtime) = with_realtime(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(connect(&browser, "vsn=2.0.0").await);
    }
    let no = refusal(open_with(&browser, &format!("{WEBSOCKET}?vsn=2.0.0"), &[]).await);
    assert_eq!(no.0, 429, "{}", no.1);
    assert_eq!(realtime.heard().len(), 20);
    drop(sockets.pop());
    open_now(&app, 19.0).await;
    connect(&browser, "vsn=2.0.0").await;
}

/// S-61: a browser that reads nothing holds up nobody else, and what Realtime says meanwhile waits with Realtime. How much
/// lies between the two is for the system's own buffers to say: tens of MiB on some machines.
#[tokio::test]
async fn a_slow_reader_stalls_nobody_else() {
    const WAITING: usize = 16;
    let (app, realtime) = with_realtime(Plan::default()).await;
    let (ada, eve) = (app.signed_in("ada@example.test").await, app.signed_in("eve@example.test").await);
    let mut slow = connect(&ada, "vsn=2.0.0").await;
    let mut quick = connect(&eve, "vsn=2.0.0").await;
    send(&mut slow, join(&json!({}))).await;
    send(&mut quick, join(&json!({}))).await;
    realtime.hears("both", |_| realtime.tokens().len() == 2).await;
    next(&mut slow).await;
    next(&mut quick).await;
    let large = "x".repeat(1 << 19);
    let mut count = 0;
    while realtime.behind() < WAITING {
        assert!(
            count < super::stand_in::MOST,
            "{} of {count} messages wait with Realtime",
            realtime.behind()
        );
        let frame = json!([null, null, "realtime:room", "broadcast", { "n": count, "x": large }]);
        realtime.say(Message::text(frame.to_string()));
        let told = bounded("the quick one", quick.next()).await.unwrap().unwrap();
        assert!(told.into_text().unwrap().contains(&format!(r#""n":{count},"#)));
        count += 1;
    }
    assert_eq!(app.refreshes(), 0);
    let logout = ada.post("/auth/logout", &json!({})).await;
    assert_eq!(logout.status, 204);
    open_now(&app, 1.0).await;
}
