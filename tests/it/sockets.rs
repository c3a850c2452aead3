//! WebSockets of own upstreams: who may open one, what goes through, what ends it.

mod ends;
mod handshakes;

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::Browser;
use crate::harness::{Plan, TestApp};
use crate::metrics::figures;
use crate::tap::bounded;

pub type Socket = WebSocketStream<TcpStream>;
/// A socket with the head that accepted it, or the refusal.
pub type Opened = Result<(Socket, http::Response<Option<Vec<u8>>>), Error>;

/// What a handshake brought to the upstream.
#[derive(Debug, Clone)]
pub struct Knock {
    pub target: String,
    pub headers: HeaderMap,
}

/// A WebSocket server that says back what it hears.
#[derive(Clone)]
pub struct EchoSockets {
    pub address: std::net::SocketAddr,
    knocks: Arc<Mutex<Vec<Knock>>>,
    open: Arc<tokio::sync::watch::Sender<usize>>,
}

impl EchoSockets {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = Self { address, knocks: Arc::default(), open: Arc::default() };
        let server = own.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        own
    }

    async fn serve(self, stream: TcpStream) {
        let knocks = self.knocks.clone();
        let look = |request: &Request, mut response: Response| {
            let knock = Knock { target: request.uri().to_string(), headers: request.headers().clone() };
            if let Some(offered) = knock.headers.get("sec-websocket-protocol") {
                let first = offered.to_str().unwrap().split(',').next().unwrap().trim().parse().unwrap();
                response.headers_mut().insert("sec-websocket-protocol", first);
            }
            let refused = knock.target.contains("refuse");
            knocks.lock().unwrap().push(knock);
            if refused {
                let mut no = ErrorResponse::new(Some("not today".to_owned()));
                *no.status_mut() = StatusCode::IM_A_TEAPOT;
                return Err(no);
            }
            Ok(response)
        };
        let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, look).await else { return };
        self.open.send_modify(|open| *open += 1);
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close()
                || ((message.is_text() || message.is_binary()) && socket.send(message).await.is_err())
            {
                break;
            }
        }
        self.open.send_modify(|open| *open -= 1);
    }

    pub fn knocks(&self) -> Vec<Knock> {
        self.knocks.lock().unwrap().clone()
    }

    /// Waits until so many sockets are open here.
    pub async fn are_open(&self, count: usize) {
        let mut open = self.open.subscribe();
        bounded("sockets at the upstream", open.wait_for(|open| *open == count)).await.unwrap();
    }
}

const RULES: &str = r#"
sockets = { url = "http://{sockets}", kind = "api", token = "user", websocket = true }
[roles]
admin = ["*"]
[[rules]]
name = "live"
path = "/live/**"
to = "sockets"
[[rules]]
name = "admin-live"
path = "/admin-live/**"
to = "sockets"
roles = ["admin"]
[[rules]]
name = "open-live"
path = "/open-live/**"
to = "sockets"
allow = "public"
[[rules]]
name = "api"
path = "/api/**"
to = "echo"
"#;

pub async fn with_sockets(plan: Plan) -> (TestApp, EchoSockets) {
    let upstream = EchoSockets::start().await;
    let rules = RULES.replace("{sockets}", &upstream.address.to_string());
    (TestApp::with(Plan { rules, ..plan }).await, upstream)
}

/// `new WebSocket(path, protocols)` from a page of ours, with further headers.
pub async fn open_with(browser: &Browser, path: &str, headers: &[(&str, &str)]) -> Opened {
    let (at, host) = browser.addresses();
    let stream = TcpStream::connect(at).await.unwrap();
    let mut request = format!("ws://{host}{path}").into_client_request().unwrap();
    let own = [("origin", format!("http://{host}")), ("cookie", browser.cookie_line())];
    for (name, value) in own.iter().map(|(n, v)| (*n, v.as_str())).chain(headers.iter().copied()) {
        let name: http::HeaderName = name.parse().unwrap();
        if value.is_empty() {
            request.headers_mut().remove(name);
        } else {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
    }
    let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
    browser.keep(answer.headers());
    Ok((socket, answer))
}

pub async fn open(browser: &Browser, path: &str) -> Socket {
    open_with(browser, path, &[]).await.expect("a socket").0
}

/// The status with which a handshake is refused.
pub fn refusal(no: Opened) -> (u16, String) {
    match no {
        Err(Error::Http(answer)) => {
            let body = answer.body().as_deref().unwrap_or_default();
            (answer.status().as_u16(), String::from_utf8_lossy(body).into_owned())
        }
        other => panic!("not refused: {other:?}"),
    }
}

pub async fn says_back(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let back = bounded("an echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(back.into_text().unwrap().as_str(), text);
}

/// Waits for the end of a socket that nobody said good-bye on.
pub async fn is_closed(socket: &mut Socket) {
    let ended = async { while let Some(Ok(_)) = socket.next().await {} };
    bounded("the end of the socket", ended).await;
}

pub async fn open_now(app: &TestApp, count: f64) {
    let until = async {
        while figures(app).await["bff_sockets_open"] != count {
            tokio::task::yield_now().await;
        }
    };
    bounded("the gauge of sockets", until).await;
}

/// S-50, S-51: frames pass both ways, whole and in their order; the upstream sees our token and not what the browser said.
#[tokio::test]
async fn a_socket_goes_to_its_upstream_with_the_token() {
    let (app, upstream) = with_sockets(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let canaries = [
        ("x-forwarded-user", "canary"),
        ("apikey", "canary"),
        ("x-request-id", "canary"),
        ("sec-websocket-protocol", "chat, other"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ];
    let (mut socket, answer) = open_with(&browser, "/live/room?x=1", &canaries).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    assert!(!answer.headers().contains_key("sec-websocket-extensions"));
    assert!(answer.headers().contains_key("x-request-id"));
    let knock = upstream.knocks().pop().unwrap();
    assert_eq!(knock.target, "/live/room?x=1");
    assert!(knock.headers["authorization"].to_str().unwrap().starts_with("Bearer eyJ"));
    assert_eq!(knock.headers["host"], upstream.address.to_string());
    assert_eq!(knock.headers["sec-websocket-protocol"], "chat, other");
    let text = format!("{:?}", knock.headers);
    for absent in ["canary", "cookie", "sec-websocket-extensions", "sb_session"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    open_now(&app, 1.0).await;
    for n in 0..100 {
        says_back(&mut socket, &format!("message {n}")).await;
    }
    let large = vec![7; 3 << 20];
    socket.send(Message::binary(large.clone())).await.unwrap();
    let back = bounded("a large echo", socket.next()).await.unwrap().unwrap();
    assert!(back.into_data() == large);
    socket.close(None).await.unwrap();
    is_closed(&mut socket).await;
    upstream.are_open(0).await;
    open_now(&app, 0.0).await;
}

/// A browser that goes away takes its socket with it.
#[tokio::test]
async fn a_client_who_leaves_ends_the_socket_upstream() {
    let (app, upstream) = with_sockets(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let mut socket = open(&browser, "/live/room").await;
    says_back(&mut socket, "here").await;
    upstream.are_open(1).await;
    drop(socket);
    upstream.are_open(0).await;
    open_now(&app, 0.0).await;
}

/// What the upstream answers instead of a socket is the answer.
#[tokio::test]
async fn a_refusal_is_passed_on() {
    let (app, _upstream) = with_sockets(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let (status, body) = refusal(open_with(&browser, "/live/refuse", &[]).await);
    assert!(status == 418 && body.contains("not today"), "{status} {body}");
    open_now(&app, 0.0).await;
}

/// S-98: the rule decides before the upstream hears of a socket; a public one has no token.
#[tokio::test]
async fn the_rule_decides_first() {
    let (app, upstream) = with_sockets(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let status = |no| refusal(no).0;
    assert_eq!(status(open_with(&app.browser(), "/live/room", &[]).await), 401);
    assert_eq!(status(open_with(&browser, "/admin-live/room", &[]).await), 403);
    assert_eq!(status(open_with(&browser, "/nowhere", &[]).await), 404);
    let ended = browser.stolen();
    browser.post("/auth/logout", &json!({})).await;
    assert_eq!(status(open_with(&ended, "/live/room", &[]).await), 401);
    assert!(upstream.knocks().is_empty());
    says_back(&mut open(&app.browser(), "/open-live/room").await, "anybody").await;
    assert!(!upstream.knocks()[0].headers.contains_key("authorization"));
}
