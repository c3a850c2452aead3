//! A wire between the BFF and the auth server: it counts what passes, and can be told to fail.

mod sockets;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, http};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, header};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the wire does to a call instead of passing it on.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers with a status, a content type and a body, and asks nobody.
    Answer(u16, &'static str, String),
    /// Answers 429 with this many seconds in `Retry-After`, and asks nobody.
    Busy(u64),
    /// Passes the call on, then breaks off before the answer's end.
    Truncate,
    /// Breaks the connection off without an answer.
    Reset,
    /// Never answers.
    Silence,
    /// Begins an answer and never ends it.
    Dribble,
    /// Holds the call until [`Tap::release`], then passes it on.
    Hold,
    /// Passes the call on, but keeps the answer until [`Tap::release`].
    HoldAnswer,
    /// Holds the call until [`Tap::release`], then answers with a status and a code, and asks nobody.
    HoldThen(u16, &'static str),
}

impl Fault {
    /// An error of GoTrue's in the format that the BFF asks for.
    pub fn code(status: u16, code: &str) -> Self {
        let body = format!(r#"{{"code":"{code}","message":"as told"}}"#);
        Self::Answer(status, "application/json", body)
    }
}

/// One call that passed.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method, path and query.
    pub line: String,
    pub headers: HeaderMap,
    pub body: String,
}

#[derive(Clone)]
pub struct Tap(Arc<Inner>);

/// A call that a story waits for is there by then, however busy the machine is, or never.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where calls come in.
enum Door {
    Open {
        shut: watch::Sender<bool>,
        serving: JoinHandle<()>,
    },
    /// Bound and not listening: the port stays ours, and whoever connects is refused.
    Shut(TcpSocket),
}

struct Inner {
    address: SocketAddr,
    door: Mutex<Option<Door>>,
    sockets: Mutex<Option<(&'static str, SocketAddr)>>,
    target: Mutex<Option<SocketAddr>>,
    http: reqwest::Client,
    calls: Mutex<Vec<Call>>,
    answers: Mutex<Vec<(String, String)>>,
    faults: Mutex<Vec<(String, VecDeque<Fault>, bool)>>,
    gate: watch::Sender<u64>,
    holding: AtomicUsize,
}

impl Tap {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = base::http::client(base::http::tls_config(), Duration::from_secs(30)).unwrap();
        let tap = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            door: Mutex::default(),
            target: Mutex::default(),
            sockets: Mutex::default(),
            http,
            calls: Mutex::default(),
            answers: Mutex::default(),
            faults: Mutex::default(),
            gate: watch::channel(0).0,
            holding: AtomicUsize::new(0),
        }));
        tap.serve(listener);
        tap
    }

    fn serve(&self, listener: TcpListener) {
        let router = Router::new().fallback(pass).with_state(self.clone());
        let (shut, mut told) = watch::channel(false);
        let serving = tokio::spawn(async move {
            let until = async move { drop(told.wait_for(|shut| *shut).await) };
            axum::serve(listener, router).with_graceful_shutdown(until).await.unwrap();
        });
        *self.0.door.lock().unwrap() = Some(Door::Open { shut, serving });
    }

    /// From now on connections are refused, and those that are there end, as if the server had been stopped.
    pub async fn close(&self) {
        let door = self.0.door.lock().unwrap().take();
        let Some(Door::Open { shut, serving }) = door else { panic!("it was open") };
        shut.send_replace(true);
        bounded("the end of all connections", serving).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.0.address).unwrap();
        *self.0.door.lock().unwrap() = Some(Door::Shut(socket));
    }

    /// Takes connections again, under the same address.
    pub fn open(&self) {
        let door = self.0.door.lock().unwrap().take();
        let Some(Door::Shut(socket)) = door else { panic!("it was closed") };
        self.serve(socket.listen(1024).unwrap());
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// From now on calls go to `target`.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.0.target.lock().unwrap() = Some(target);
    }

    /// WebSockets below `path` go to the server at `target`.
    pub fn lead_below(&self, path: &'static str, target: SocketAddr) {
        *self.0.sockets.lock().unwrap() = Some((path, target));
    }

    /// How many calls had `part` in their line.
    pub fn calls(&self, part: &str) -> usize {
        self.0.calls.lock().unwrap().iter().filter(|call| call.line.contains(part)).count()
    }

    /// Every call whose line has `part`.
    pub fn seen(&self, part: &str) -> Vec<Call> {
        self.0.calls.lock().unwrap().iter().filter(|call| call.line.contains(part)).cloned().collect()
    }

    /// The bodies that came back to calls with `part` in their line.
    pub fn answers(&self, part: &str) -> Vec<String> {
        let answers = self.0.answers.lock().unwrap();
        answers.iter().filter(|(line, _)| line.contains(part)).map(|(_, body)| body.clone()).collect()
    }

    /// The next call with `part` in its line meets `fault`.
    pub fn fail_once(&self, part: &str, fault: Fault) {
        self.0.faults.lock().unwrap().push((part.to_owned(), VecDeque::from([fault]), false));
    }

    /// Every call with `part` in its line meets `fault`, until [`heal`](Self::heal).
    pub fn fail(&self, part: &str, fault: Fault) {
        self.0.faults.lock().unwrap().push((part.to_owned(), VecDeque::from([fault]), true));
    }

    /// No faults any more.
    pub fn heal(&self) {
        self.0.faults.lock().unwrap().clear();
    }

    /// Lets every held call go.
    pub fn release(&self) {
        self.0.gate.send_modify(|count| *count += 1);
    }

    /// Waits until `count` calls with `part` have arrived.
    pub async fn arrived(&self, part: &str, count: usize) {
        bounded(part, async {
            while self.calls(part) < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn fault_for(&self, line: &str) -> Option<Fault> {
        let mut faults = self.0.faults.lock().unwrap();
        let (_, queue, stays) =
            faults.iter_mut().find(|(part, queue, _)| line.contains(part.as_str()) && !queue.is_empty())?;
        if *stays { queue.front().cloned() } else { queue.pop_front() }
    }

    /// Waits until an answer is held.
    pub async fn holding(&self) {
        bounded("a held answer", async {
            while self.0.holding.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn held(&self) {
        let mut gate = self.0.gate.subscribe();
        self.0.holding.fetch_add(1, Ordering::SeqCst);
        let _ = gate.changed().await;
        self.0.holding.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What comes true sooner or later; fails, instead of waiting for ever, if it does not.
pub async fn bounded<T>(what: &str, work: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(PATIENCE, work).await else { panic!("waited in vain for {what}") };
    done
}

/// What happens within a second of the time that this thread gets: where a busy machine gives it none for a while, that while
/// counts as one of forty.
pub async fn within_a_second<T>(what: &str, work: impl Future<Output = T>) -> T {
    let second = async {
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = second => panic!("{what} took longer than a second"),
    }
}

async fn pass(State(tap): State<Tap>, request: Request) -> Response {
    let sockets = *tap.0.sockets.lock().unwrap();
    if let Some((_, target)) = sockets.filter(|(path, _)| request.uri().path().starts_with(path)) {
        return sockets::pass(request, target).await;
    }
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri);
    let body = to_bytes(body, 2 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    let fault = tap.fault_for(&line);
    let held = matches!(fault, Some(Fault::Hold)).then(|| tap.0.gate.subscribe());
    tap.0.calls.lock().unwrap().push(Call { line: line.clone(), headers: parts.headers.clone(), body: text });
    match &fault {
        Some(Fault::Answer(status, kind, body)) => {
            let status = StatusCode::from_u16(*status).unwrap();
            return (status, [(header::CONTENT_TYPE, *kind)], body.clone()).into_response();
        }
        Some(Fault::Busy(seconds)) => {
            let Fault::Answer(status, kind, body) = Fault::code(429, "over_request_rate_limit") else {
                unreachable!()
            };
            let headers = [(header::CONTENT_TYPE, kind), (header::RETRY_AFTER, &seconds.to_string())];
            return (StatusCode::from_u16(status).unwrap(), headers, body).into_response();
        }
        Some(Fault::HoldThen(status, code)) => {
            tap.held().await;
            let Fault::Answer(status, kind, body) = Fault::code(*status, code) else { unreachable!() };
            return (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, kind)], body)
                .into_response();
        }
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Dribble) => {
            let begin = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from("{"))]);
            let body = Body::from_stream(begin.chain(futures_util::stream::pending()));
            return ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        }
        Some(Fault::Reset) => return broken(String::new()),
        Some(Fault::Hold) => {
            let _ = held.unwrap().changed().await;
        }
        _ => {}
    }
    let Some(target) = *tap.0.target.lock().unwrap() else { return broken(String::new()) };
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let url = format!("http://{target}{}", parts.uri);
    let sent = tap.0.http.request(parts.method, url).headers(headers).body(body).send().await;
    let Ok(answer) = sent else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    tap.0.answers.lock().unwrap().push((line, String::from_utf8_lossy(&body).into_owned()));
    match fault {
        Some(Fault::HoldAnswer) => tap.held().await,
        Some(Fault::Truncate) => {
            return broken(String::from_utf8_lossy(&body[..body.len() / 2]).into_owned());
        }
        _ => {}
    }
    headers.remove(header::TRANSFER_ENCODING);
    (status, headers, body).into_response()
}

/// A response that ends in the middle: the connection is cut.
fn broken(begin: String) -> Response {
    let pieces = [Ok(bytes::Bytes::from(begin)), Err(std::io::Error::other("cut"))];
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    ([(header::CONTENT_TYPE, "application/json"), (header::CONTENT_LENGTH, "99999")], body).into_response()
}
