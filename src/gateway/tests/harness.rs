//! A gateway with one upstream behind it, a policy that permits, and an upstream that remembers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use base::secret::Secret;
use base::vars::Problems;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::gateway::upstream::{Surroundings, Upstream};
use crate::gateway::{Error, Extra, Gateway};
use crate::policy::{Grants, Policy, RuleSettings, Site, Via, Who};
use crate::token::Claims;

pub(super) const TOKEN: &str = "canary.access.token";
pub(super) const KEY: &str = "sb_publishable_canary";

/// A request as an upstream saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Seen {
    /// All values of `name`, joined.
    pub(super) fn header(&self, name: &str) -> String {
        all(&self.headers, name)
    }
}

pub(super) fn all(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
    values.join(" | ")
}

/// An upstream that remembers every request and answers all of them alike.
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    pub(super) async fn start(answer: &[(&'static str, &'static str)]) -> Self {
        Self::answering(StatusCode::OK, answer).await
    }

    pub(super) async fn answering(status: StatusCode, answer: &[(&'static str, &'static str)]) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in answer {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&seen);
        let app = axum::Router::new().fallback(async move |request: Request<Body>| {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            let target = head.uri.to_string();
            memory.lock().unwrap().push(Seen { method: head.method, target, headers: head.headers, body });
            let mut response = Response::new(Body::from("answer"));
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            response
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request there was.
    pub(super) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

/// An upstream of bare sockets.
pub(super) async fn bare() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads the head of a request, and not a byte more.
pub(super) async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Answers one request with `answer` as it stands and returns what was asked.
pub(super) async fn answer_once(listener: &TcpListener, answer: &str) -> String {
    let (mut socket, _) = listener.accept().await.unwrap();
    let head = read_head(&mut socket).await;
    socket.write_all(answer.as_bytes()).await.unwrap();
    head
}

/// A gateway to one upstream with one rule for it.
pub(super) struct Door {
    pub(super) gateway: Arc<Gateway>,
    policy: Policy,
    signed_in: bool,
}

impl Door {
    /// To an own upstream at `address`. `upstream` and `rule` are further lines of the file.
    pub(super) fn own(address: SocketAddr, upstream: &str, rule: &str) -> Self {
        Self::at(&format!("http://{address}"), upstream, rule)
    }

    /// The same with an upstream at `url`.
    pub(super) fn at(url: &str, upstream: &str, rule: &str) -> Self {
        let upstream = format!("url = '{url}'\n{upstream}");
        let around = Surroundings { own_cookies: &["sb_"], ..Surroundings::default() };
        let mut problems = Problems::default();
        let built = Upstream::build("orders", toml::from_str(&upstream).unwrap(), &around, &mut problems);
        let rule = format!("name = 'orders'\nto = 'orders'\n{rule}");
        let rule = if rule.contains("path =") { rule } else { format!("{rule}\npath = '/**'") };
        Self::new(built.unwrap_or_else(|| panic!("{problems:?}")), vec![toml::from_str(&rule).unwrap()])
    }

    /// To a Supabase project at `address`, behind the mount.
    pub(super) fn supabase(address: SocketAddr) -> Self {
        let url = Url::parse(&format!("http://{address}")).unwrap();
        let public = Url::parse("https://ref.example.test").unwrap();
        let key = Secret::new(KEY.to_owned());
        let around = Surroundings::default();
        let upstream = Upstream::supabase(&url, &public, key, &around, &mut Problems::default());
        Self::new(upstream.unwrap(), Vec::new())
    }

    fn new(upstream: Upstream, rules: Vec<RuleSettings>) -> Self {
        base::http::install_tls_provider();
        let roots = rustls::RootCertStore::empty();
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let site = Site { upstreams: ["orders".to_owned()].into(), ..Site::default() };
        let policy = Policy::build(rules, Grants::default(), &site).unwrap();
        Self { gateway: Arc::new(Gateway::new(vec![upstream], &tls)), policy, signed_in: false }
    }

    /// From now on somebody with [`TOKEN`] asks.
    pub(super) fn signed_in(mut self) -> Self {
        self.signed_in = true;
        self
    }

    /// Sends a request as the routes of the site would: find, decide, forward.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let bearer = self.signed_in.then(|| Secret::new(TOKEN.to_owned()));
        self.send_with(request, bearer).await
    }

    pub(super) async fn send_with(
        &self,
        mut request: Request<Body>,
        bearer: Option<Secret<String>>,
    ) -> Result<Response<Body>, Error> {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let claims = claims();
        let who = if self.signed_in {
            Who::User { claims: &claims, via: Via::Cookie, auth_time: None, limited: false }
        } else {
            Who::Nobody
        };
        let rule = self.policy.find(None, request.method(), request.uri().path()).unwrap();
        let permit = self.policy.decide(rule, &who, now).unwrap();
        let extra = Extra {
            bearer: bearer.as_ref().and_then(base::http::bearer),
            client: Some("192.0.2.7"),
            proto: "https",
            host: &HeaderValue::from_static("app.example.test"),
            request_id: &HeaderValue::from_static("req-1"),
            begun: tokio::time::Instant::now(),
            socket: None,
        };
        self.gateway.forward(permit, &mut request, extra).await
    }
}

fn claims() -> Claims {
    let claims = json!({
        "iss": "https://ref.example.test/auth/v1", "sub": "0b5f2f7e-6f1c-4d8e-9a53-3b1d6f0f4a11",
        "session_id": "5d1f9a52-8a43-4a1e-8a0e-0f4cb6a2a7d2", "aud": "authenticated", "exp": 1_800_000_900,
        "iat": 1_800_000_000, "role": "authenticated", "email": "ada@example.test",
        "app_metadata": { "roles": ["editor", "a,b", "admin"] },
    });
    let serde_json::Value::Object(claims) = claims else { unreachable!() };
    Claims::read(claims).unwrap()
}

pub(super) fn get(target: &str) -> Request<Body> {
    Request::builder().uri(target).body(Body::empty()).unwrap()
}

pub(super) fn get_with(target: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = get(target);
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

pub(super) fn post(target: &str, body: Body) -> Request<Body> {
    Request::builder().method(Method::POST).uri(target).body(body).unwrap()
}

pub(super) async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
