//! The way from the nodes to the auth server: knows which node asked for which refresh, and can make the answers late.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// Who asked with which refresh token, and when, in order.
    calls: HashMap<String, Vec<(usize, Instant)>>,
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

    /// Why tokens were used for more than one call.
    pub fn further(&self, hit: Option<Hit>) -> Further {
        let book = self.inner.book();
        let mut further = Further::default();
        for calls in book.calls.values().filter(|calls| calls.len() > 1) {
            let by_hit =
                |(node, at): &(usize, Instant)| hit.is_some_and(|hit| hit.node == *node && hit.at <= *at);
            let first_by_hit = hit.is_some_and(|hit| calls[0].0 == hit.node);
            if first_by_hit {
                further.after_its_own += 1;
            } else if calls[1..].iter().all(by_hit) {
                further.by_itself_later += 1;
            } else {
                further.without_reason += 1;
                let told = |(node, at): &(usize, Instant)| match hit {
                    Some(hit) if *at < hit.at => {
                        format!("node {node} {:.3} s before", (hit.at - *at).as_secs_f64())
                    }
                    Some(hit) => format!("node {node} {:.3} s after", (*at - hit.at).as_secs_f64()),
                    None => format!("node {node} {:.3} s later", (*at - calls[0].1).as_secs_f64()),
                };
                further.first_without.get_or_insert(calls.iter().map(told).collect::<Vec<_>>().join(", "));
            }
        }
        further
    }
}

/// A node that was stopped or killed, and when.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    pub node: usize,
    pub at: Instant,
}

/// Tokens that were used for more than one call.
#[derive(Debug, Default)]
pub struct Further {
    /// The node that was hit had asked; another did so again, since nobody had the answer.
    pub after_its_own: usize,
    /// The node that was hit asked late with what it had begun before; others had asked meanwhile.
    pub by_itself_later: usize,
    /// Neither.
    pub without_reason: usize,
    /// Who asked for the first of these, and when, seen from the hit.
    pub first_without: Option<String>,
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
        book.calls.entry(token.clone()).or_default().push((node, Instant::now()));
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
