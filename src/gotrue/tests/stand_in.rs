//! Listeners that answer what a test tells them to, and remember what they were asked.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use base::secret::Secret;
use http::request::Parts;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::{GoTrue, Settings};

/// One request as it arrived.
pub(super) struct Asked {
    pub(super) parts: Parts,
    pub(super) body: Value,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn line(&self) -> String {
        format!("{} {}", self.parts.method, self.parts.uri)
    }
}

/// An HTTP server that gives its answers in order; the last one again and again.
pub(super) struct StandIn {
    pub(super) base: String,
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: Vec<u8>,
}

pub(super) fn answer(status: u16, body: &Value) -> Answer {
    text(status, "application/json", body.to_string())
}

pub(super) fn text(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: vec![("content-type", content_type)], body: body.into() }
}

type Shared = (Arc<Mutex<Vec<Asked>>>, Arc<Mutex<VecDeque<Answer>>>);

async fn reply(State((asked, answers)): State<Shared>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    asked.lock().unwrap().push(Asked { parts, body });
    let mut answers = answers.lock().unwrap();
    let next = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
    let mut response = Response::builder().status(next.status);
    for (name, value) in next.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(next.body)).unwrap()
}

impl StandIn {
    pub(super) async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/auth/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared: Shared = (asked.clone(), Arc::new(Mutex::new(answers.into())));
        let app = Router::new().fallback(reply).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, asked }
    }

    pub(super) fn client(&self) -> GoTrue {
        client(&self.base)
    }

    pub(super) fn last(&self) -> Asked {
        self.asked.lock().unwrap().pop().unwrap()
    }
}

pub(super) fn settings(base: &str) -> Settings {
    Settings {
        base: base.parse().unwrap(),
        public_base: "https://project.example.test/auth/v1".parse().unwrap(),
        api_key: Secret::new("sb_publishable_1".to_owned()),
        secret_key: None,
        client_ip_header: None,
    }
}

pub(super) fn http(total: Duration) -> reqwest::Client {
    static TLS: LazyLock<rustls::ClientConfig> = LazyLock::new(|| {
        base::http::install_tls_provider();
        base::http::tls_config()
    });
    base::http::client(TLS.clone(), total).unwrap()
}

pub(super) fn client(base: &str) -> GoTrue {
    GoTrue::new(settings(base), http(Duration::from_secs(10)))
}

/// A socket that reads a request, writes `bytes` as they are and closes.
pub(super) async fn raw(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut seen = [0; 4096];
            let _ = socket.read(&mut seen).await;
            let _ = socket.write_all(bytes).await;
        }
    });
    base
}

/// A socket that takes requests and never answers.
pub(super) async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    base
}

pub(super) const USER: &str = "6f3b1c52-7a0e-4a39-9a6e-0f3e54d1a001";

pub(super) fn user() -> Value {
    json!({
        "id": USER, "aud": "authenticated", "role": "authenticated", "email": "ada@example.test", "phone": "",
        "email_confirmed_at": "2026-01-01T10:00:00.123456789Z", "user_metadata": {"name": "Ada"},
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "identities": [
            {"id": "1", "identity_id": USER, "provider": "email", "email": "ada@example.test"},
            {"id": "2", "identity_id": USER, "provider": "github"},
        ],
        "factors": [{"id": USER, "factor_type": "totp", "status": "verified", "friendly_name": "phone"}],
        "created_at": "2026-01-01T10:00:00Z", "updated_at": "2026-01-01T10:00:00+01:00", "is_anonymous": false,
    })
}

pub(super) fn session() -> Value {
    json!({
        "access_token": "canary.access.token", "token_type": "bearer", "expires_in": 3600, "expires_at": 1,
        "refresh_token": "canary-refresh", "user": user(), "provider_token": "canary-provider",
        "weak_password": null,
    })
}
