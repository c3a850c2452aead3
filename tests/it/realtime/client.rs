//! The official client, unmodified, in Node: channels, new tokens, and the way back after an end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::stand_in::Heard;
use super::{id_of, phantom, with_realtime};
use crate::client::Browser;
use crate::harness::{Plan, TestApp};
use crate::tap::bounded;

/// A running client. It ends when this is dropped.
struct Client {
    child: Child,
    lines: mpsc::UnboundedReceiver<Value>,
    seen: Vec<Value>,
}

impl Client {
    async fn start(app: &TestApp, browser: &Browser, vsn: &str, phantom: &str) -> Self {
        let modules = crate::npm::modules().await;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/realtime/client.cjs");
        let mut child = Command::new("node")
            .arg(script)
            .env("NODE_PATH", modules)
            .env("BASE", &app.base)
            .env("COOKIE", browser.cookie_line())
            .env("PHANTOM", phantom)
            .env("VSN", vsn)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let (sender, lines) = mpsc::unbounded_channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(json!({ "event": "noise", "text": line }));
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for the next event of that name for which `fits`.
    async fn tells(&mut self, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let line =
                    self.lines.recv().await.unwrap_or_else(|| panic!("the client ended: {:#?}", self.seen));
                self.seen.push(line.clone());
                if line["event"] == event && fits(&line) {
                    return line;
                }
            }
        };
        bounded(event, waiting).await
    }

    async fn subscribes(&mut self) {
        self.tells("status", |line| line["status"] == "SUBSCRIBED").await;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// S-10, S-59, S-60: a private channel opens with the cookie's token in either protocol, messages pass both ways, new tokens
/// reach the channel without the page, and after the sign-out the socket is closed for good.
#[tokio::test]
async fn the_official_client_has_its_channels() {
    for vsn in ["2.0.0", "1.0.0"] {
        let (app, realtime) = with_realtime(Plan::in_memory()).await;
        let browser = app.signed_in("ada@example.test").await;
        let own = phantom(&id_of(&browser).await);
        let mut client = Client::start(&app, &browser, vsn, &own).await;
        client.subscribes().await;
        let first = realtime.tokens().pop().unwrap();
        assert!(first.starts_with("eyJ") && first != own, "{first}");
        realtime
            .hears("the client's message", |heard| match heard {
                Heard::Binary(bytes) => String::from_utf8_lossy(bytes).contains(r#"{"text":"hello"}"#),
                Heard::Text(frame) => frame.to_string().contains(r#"{"text":"hello"}"#),
                Heard::Knock { .. } => false,
            })
            .await;
        let payload = json!({ "type": "broadcast", "event": "shout", "payload": { "text": "back" } });
        let frame = match vsn {
            "2.0.0" => json!([null, null, "realtime:room", "broadcast", payload]),
            _ => json!({ "topic": "realtime:room", "event": "broadcast", "payload": payload, "ref": null }),
        };
        realtime.say(Message::text(frame.to_string()));
        client.tells("heard", |line| line["payload"]["text"] == "back").await;

        let known = realtime.tokens().len();
        app.inside_margin();
        let mut heard = realtime.heard.subscribe();
        bounded("a pushed token", heard.wait_for(|_| realtime.tokens().len() > known)).await.unwrap();
        assert_ne!(realtime.tokens().pop().unwrap(), first);

        assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
        client.tells("closed", |line| line["code"] == 4401 && line["reason"] == "user").await;
        client.tells("closed", |line| line["code"] == 1006).await; // it tries again, and is refused
        let seen = format!("{:?}", client.seen);
        for token in realtime.tokens() {
            assert!(!seen.contains(&token), "a token came back: {seen}");
        }
    }
}

/// Cookie mode: past the token's end the client comes back with today's cookie, which the handshake renews.
#[tokio::test]
async fn the_official_client_comes_back_after_an_expiry() {
    let (app, realtime) = with_realtime(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut client = Client::start(&app, &browser, "2.0.0", "").await;
    client.subscribes().await;
    let first = realtime.tokens().pop().unwrap();
    app.past_expiry();
    client.tells("closed", |line| line["code"] == 4401 && line["reason"] == "session_expired").await;
    client.subscribes().await;
    let second = realtime.tokens().pop().unwrap();
    assert!(second.starts_with("eyJ") && second != first);
    assert_eq!(app.refreshes(), 1);
}
