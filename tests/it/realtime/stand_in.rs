//! A Realtime that checks tokens and remembers what it hears.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::KEY;
use crate::tap::bounded;

/// So many messages may wait for a socket.
pub const MOST: usize = 512;

/// What Realtime saw.
#[derive(Debug, Clone)]
pub enum Heard {
    Knock { target: String, headers: HeaderMap },
    Text(Value),
    Binary(Vec<u8>),
}

/// A stand-in of Realtime, and of everything else of the project by way of the auth server.
#[derive(Clone)]
pub struct StandIn {
    pub address: std::net::SocketAddr,
    pub heard: Arc<watch::Sender<Vec<Heard>>>,
    /// Said to every socket that is open.
    says: broadcast::Sender<Message>,
    tokens: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = Self {
            address,
            heard: Arc::default(),
            says: broadcast::Sender::new(MOST),
            tokens: Arc::default(),
        };
        let server = own.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        own
    }

    fn hear(&self, heard: Heard) {
        self.heard.send_modify(|all| all.push(heard));
    }

    async fn serve(self, stream: TcpStream) {
        let look = |request: &Request, response: Response| {
            self.hear(Heard::Knock { target: request.uri().to_string(), headers: request.headers().clone() });
            Ok(response)
        };
        let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, look).await else { return };
        let mut says = self.says.subscribe();
        loop {
            let message = tokio::select! {
                message = socket.next() => message,
                said = says.recv() => {
                    if socket.send(said.unwrap()).await.is_err() { return }
                    continue;
                }
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    for answer in self.answer(&text) {
                        if socket.send(answer).await.is_err() {
                            return;
                        }
                    }
                }
                Some(Ok(Message::Binary(bytes))) => self.hear(Heard::Binary(bytes.to_vec())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return,
            }
        }
    }

    /// Joins are accepted if their token is a person's or the key; what was sent to a channel comes back on it.
    fn answer(&self, text: &str) -> Vec<Message> {
        let frame: Value = serde_json::from_str(text).unwrap();
        self.hear(Heard::Text(frame.clone()));
        let part = |at: usize, name: &str| match &frame {
            Value::Array(all) => all[at].clone(),
            object => object[name].clone(),
        };
        let (join, reference, topic) = (part(0, "join_ref"), part(1, "ref"), part(2, "topic"));
        let (event, payload) = (part(3, "event"), part(4, "payload"));
        let write = |reference: &Value, event: &str, payload: Value| {
            let frame = match frame {
                Value::Array(_) => json!([join, reference, topic, event, payload]),
                _ => {
                    json!({ "topic": topic, "event": event, "payload": payload, "ref": reference, "join_ref": join })
                }
            };
            Message::text(frame.to_string())
        };
        let fine = json!({ "status": "ok", "response": { "postgres_changes": [] } });
        match event.as_str().unwrap() {
            "phx_join" => {
                let token = payload["access_token"].as_str().unwrap_or_default().to_owned();
                let good = token == KEY || token.starts_with("eyJ");
                self.tokens.lock().unwrap().push(token);
                let no = json!({ "status": "error", "response": { "reason": "Unauthorized" } });
                vec![write(&reference, "phx_reply", if good { fine } else { no })]
            }
            "access_token" => {
                self.tokens
                    .lock()
                    .unwrap()
                    .push(payload["access_token"].as_str().unwrap_or_default().to_owned());
                Vec::new()
            }
            "broadcast" => vec![write(&Value::Null, "broadcast", payload)],
            _ => vec![write(&reference, "phx_reply", json!({ "status": "ok", "response": {} }))],
        }
    }

    /// The tokens of all joins and updates so far.
    pub fn tokens(&self) -> Vec<String> {
        self.tokens.lock().unwrap().clone()
    }

    /// Waits until so many tokens came; the last of them.
    pub async fn token(&self, count: usize) -> String {
        let mut heard = self.heard.subscribe();
        bounded("a token", heard.wait_for(|_| self.tokens().len() >= count)).await.unwrap();
        assert_eq!(self.tokens().len(), count, "{:?}", self.tokens());
        self.tokens().pop().unwrap()
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.borrow().clone()
    }

    /// Waits until Realtime has heard something like it.
    pub async fn hears(&self, what: &str, fits: impl Fn(&Heard) -> bool) {
        let mut heard = self.heard.subscribe();
        bounded(what, heard.wait_for(|all| all.iter().any(&fits))).await.unwrap();
    }

    /// How many messages some socket has not taken yet.
    pub fn behind(&self) -> usize {
        self.says.len()
    }

    /// Says `message` to every socket.
    pub fn say(&self, message: Message) {
        self.says.send(message).unwrap();
    }
}
