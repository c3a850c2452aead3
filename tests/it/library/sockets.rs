//! A WebSocket of the developer's own: his to speak on, and his to end when he is told.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde_json::json;
use supabase_bff::event::Reason;
use supabase_bff::{Ended, User};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::{ADA, Mine};
use crate::client::Browser;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::modes::Mode;
use crate::sockets::{Socket, open, open_with, refusal, says_back};
use crate::tap::within_a_second;

/// Says back what it hears until the user may go on no longer, and then why.
pub async fn echo(user: User, mut request: Request) -> Response {
    let mut handshake = http::Request::new(());
    *handshake.headers_mut() = request.headers().clone();
    let answer = create_response_with_body(&handshake, Body::empty).expect("a handshake");
    let upgraded = hyper::upgrade::on(&mut request);
    let ended = user.ended();
    tokio::spawn(async move {
        let io = TokioIo::new(upgraded.await.expect("an upgrade"));
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        let ended = {
            let talk = async {
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = talk => return,
                ended = ended => ended,
            }
        };
        let frame = CloseFrame { code: ended.close_code().into(), reason: ended.as_str().into() };
        let _ = socket.close(Some(frame)).await;
    });
    answer
}

async fn close_of(socket: &mut Socket) -> (u16, String) {
    let close = async {
        loop {
            if let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() {
                return (frame.code.into(), frame.reason.as_str().to_owned());
            }
        }
    };
    within_a_second("the close", close).await
}

async fn before(plan: Plan) -> (Mine, Browser) {
    let mine = Mine::before(TestApp::with(plan).await).await;
    let browser = mine.signed_in(ADA).await;
    (mine, browser)
}

/// S-45, S-60: it is told within a second that the session is over, by a sign-out here or on another node.
#[tokio::test]
async fn a_sign_out_ends_a_users_socket() {
    for mode in [Mode::Cookie, Mode::Memory, Mode::redis()] {
        let (mine, browser) = before(mode.plan()).await;
        let eve = mine.signed_in("eve@example.test").await;
        let (mut socket, mut other) = (open(&browser, "/socket").await, open(&eve, "/socket").await);
        says_back(&mut socket, "open").await;
        says_back(&mut other, "open").await;
        let elsewhere = match mode {
            Mode::Cookie => browser.stolen(),
            _ => browser.at(&mine.app.node(&[]).await),
        };
        assert_eq!(elsewhere.post("/auth/logout", &json!({})).await.status, 204);
        assert_eq!(close_of(&mut socket).await, (4401, "user".to_owned()));
        says_back(&mut other, "still").await;
        assert_eq!(refusal(open_with(&browser, "/socket", &[]).await).0, 401);
    }
}

/// S-60: nobody's token outlives its end: in cookie mode, and for a program; a store renews it meanwhile.
#[tokio::test]
async fn a_users_socket_ends_with_its_token() {
    for mode in [Mode::Cookie, Mode::Memory] {
        let (mine, browser) = before(mode.plan()).await;
        let tokens = mine.app.tokens(ADA, PASSWORD).await;
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let mut socket = open(&browser, "/socket").await;
        let program = open_with(&mine.browser(), "/socket", &[("authorization", &bearer)]).await;
        let mut program = program.expect("a socket").0;
        says_back(&mut program, "open").await;
        if matches!(mode, Mode::Memory) {
            mine.app.inside_margin();
            mine.app.auth.arrived("grant_type=refresh_token", 1).await;
            assert_eq!(browser.get("/me").await.status, 200); // joins what is under way
        }
        mine.app.clock.advance(time::Duration::minutes(if matches!(mode, Mode::Memory) { 2 } else { 31 }));
        assert_eq!(close_of(&mut program).await, (4401, "session_expired".to_owned()));
        if matches!(mode, Mode::Memory) {
            says_back(&mut socket, "renewed").await;
            continue;
        }
        assert_eq!(close_of(&mut socket).await, (4401, "session_expired".to_owned()));
        assert_eq!(browser.get("/me").await.status, 200, "the session itself goes on");
    }
}

/// S-98: new roles are asked about it by the guard that let the user in. The end of the process ends it as well.
#[tokio::test]
async fn new_roles_and_the_end_of_the_process_end_a_users_socket() {
    let (mine, browser) = before(Plan::default()).await;
    let mut guarded = open(&browser, "/readers-socket").await;
    let mut plain = open(&browser, "/socket").await;
    says_back(&mut guarded, "open").await;
    says_back(&mut plain, "open").await;
    mine.app.reload(&crate::harness::RULES.replace("user = [\"items:read\"]", "user = []")).unwrap();
    assert_eq!(close_of(&mut guarded).await, (4403, "forbidden".to_owned()));
    says_back(&mut plain, "still").await;
    mine.app.bff.close_sockets(std::time::Duration::from_secs(3600)).await;
    assert_eq!(close_of(&mut plain).await, (1012, "drain".to_owned()));
}

/// The codes and words are those of our own sockets.
#[test]
fn every_end_has_a_code_and_a_word() {
    let all = [Ended::Session(Reason::Idle), Ended::Expired, Ended::Forbidden, Ended::Drain];
    let told = all.map(|ended| (ended.close_code(), ended.as_str()));
    assert_eq!(told, [(4401, "idle"), (4401, "session_expired"), (4403, "forbidden"), (1012, "drain")]);
}
