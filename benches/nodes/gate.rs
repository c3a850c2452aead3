//! The way from the nodes to the auth server: knows which node asked for which refresh, and can make the answers late.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::Value;
use tokio::net::TcpListener;

/// A door for each node, one book for all.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
    doors: Vec<SocketAddr>,
}

struct Inner {
    to: SocketAddr,
    http: reqwest::Client,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    late: Duration,
    /// Who asked with which refresh token, in order.
    calls: HashMap<String, Vec<usize>>,
    /// Who waits for an answer.
    waiting: HashSet<(usize, String)>,
}

/// What was asked for since the book was opened.
#[derive(Debug)]
pub struct Calls {
    pub all: usize,
    /// Different refresh tokens: one for each session and expiry.
    pub tokens: usize,
    /// Most calls with one and the same token.
    pub most: usize,
}

impl Gate {
    /// `count` doors to the auth server at `to`.
    pub async fn start(to: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let inner = Arc::new(Inner { to, http: crate::rig::client()?, book: Mutex::default() });
        let mut doors = Vec::new();
        for node in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            doors.push(listener.local_addr()?);
            let router = Router::new().fallback(pass).with_state((inner.clone(), node));
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        Ok(Self { inner, doors })
    }

    /// Where `node` finds the auth server.
    pub fn url(&self, node: usize) -> String {
        format!("http://{}", self.doors[node])
    }

    /// From now on the answer to a refresh comes `late` after the auth server has given it; a new page in the book.
    pub fn open_book(&self, late: Duration) {
        let mut book = self.inner.book();
        book.late = late;
        book.calls.clear();
    }

    /// How many refreshes `node` waits for now.
    pub fn waiting(&self, node: usize) -> usize {
        self.inner.book().waiting.iter().filter(|(by, _)| *by == node).count()
    }

    pub fn calls(&self) -> Calls {
        let book = self.inner.book();
        let counts = || book.calls.values().map(Vec::len);
        Calls { all: counts().sum(), tokens: book.calls.len(), most: counts().max().unwrap_or_default() }
    }

    /// How many tokens were used for more than one call although their first was not that of node `hit`.
    pub fn repeated_without(&self, hit: Option<usize>) -> usize {
        let book = self.inner.book();
        book.calls.values().filter(|calls| calls.len() > 1 && calls.first().copied() != hit).count()
    }
}

impl Inner {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass_on(&self, node: usize, request: Request) -> anyhow::Result<Response> {
        let (mut parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await?;
        let refreshes = parts.uri.query().is_some_and(|query| query.contains("grant_type=refresh_token"));
        let token = refreshes.then(|| serde_json::from_slice::<Value>(&body)).transpose()?;
        let token = token.and_then(|body| body["refresh_token"].as_str().map(str::to_owned));
        let _waits = token.map(|token| Waits::new(self, node, token));
        for name in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION] {
            parts.headers.remove(name);
        }
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let asked = self.http.request(parts.method, format!("http://{}{target}", self.to));
        let answer = asked.headers(parts.headers).body(body).send().await?;
        let (status, mut headers, body) = (answer.status(), answer.headers().clone(), answer.bytes().await?);
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        if refreshes {
            let late = self.book().late;
            tokio::time::sleep(late).await;
        }
        let mut response = (status, Body::from(body)).into_response();
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// While it is there somebody waits; it goes with the connection.
struct Waits<'a>(&'a Inner, usize, String);

impl<'a> Waits<'a> {
    fn new(inner: &'a Inner, node: usize, token: String) -> Self {
        let mut book = inner.book();
        book.calls.entry(token.clone()).or_default().push(node);
        book.waiting.insert((node, token.clone()));
        Self(inner, node, token)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.book().waiting.remove(&(self.1, self.2.clone()));
    }
}

async fn pass(State((inner, node)): State<(Arc<Inner>, usize)>, request: Request) -> Response {
    match inner.pass_on(node, request).await {
        Ok(response) => response,
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
