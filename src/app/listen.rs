//! Sockets: time limits, caps, drain (S-95 to S-97).
//!
//! hyper limits the head of a request in size; what it does not know is how long a head may dribble once it has begun, how
//! slowly an answer may be read, and how many connections one network may hold. The stream and the door in front of it
//! know, and count the pause between two requests as well.

mod caps;
mod heads;
mod stream;
mod work;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::middleware::AddExtension;
use axum::response::Response;
use axum::{Extension, Router};
use axum_server::Handle;
use axum_server::accept::Accept;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::{Layer, Service};

pub use caps::Caps;
use caps::Door;
use stream::Watched;
use work::{Counted, Work};

use crate::web::Site;

/// How long a connection may take for what. By default 10 s for a head and 60 s for the rest.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the first byte of a head to its last; and from the connection to the end of its first head.
    pub head: Duration,
    /// Without a request.
    pub idle: Duration,
    /// Without reading on while an answer waits.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), idle: Duration::from_secs(60), stall: Duration::from_secs(60) }
    }
}

/// Largest head, in bytes.
const HEAD_BYTES: u16 = 32 << 10;
/// Most fields of a head.
const HEAD_FIELDS: usize = 100;
/// Most requests at once on one HTTP/2 connection.
const STREAMS: u32 = 100;
/// Most connections that are told at the same time that there is no room; others are closed without a word.
const REFUSALS: usize = 64;
/// What they are told.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    cache-control: no-store\r\ncontent-length: 0\r\n\r\n";

/// A listener at work. Dropping it leaves it at work.
#[derive(Debug)]
pub struct Listening {
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
}

impl Listening {
    /// Waits until the listener ends by itself, and says why. It does not end while all is well.
    pub async fn failed(&mut self) -> io::Error {
        let ended = (&mut self.task).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        ended.err().unwrap_or_else(|| io::Error::other("the listener ended"))
    }

    /// Ends now, whatever is open.
    pub fn stop(self) {
        self.handle.shutdown();
    }

    /// Takes no more connections, closes idle ones, and gives open requests `time` to end; then all are closed.
    ///
    /// # Errors
    ///
    /// When the listener had failed before.
    pub async fn drain(self, time: Duration) -> io::Result<()> {
        self.handle.graceful_shutdown(Some(time));
        self.task.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// What can be served: a router, or one with more around it.
pub trait App: Clone + Send + Sync + 'static {
    /// What serves one connection.
    type Service: Service<http::Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static;

    /// For a connection from `peer`.
    fn at(&self, peer: SocketAddr) -> Self::Service;
}

impl App for Site {
    type Service = Self;

    fn at(&self, peer: SocketAddr) -> Self {
        self.for_peer(peer.ip())
    }
}

/// Its requests carry `ConnectInfo<SocketAddr>`.
impl App for Router {
    type Service = AddExtension<Self, ConnectInfo<SocketAddr>>;

    fn at(&self, peer: SocketAddr) -> Self::Service {
        Extension(ConnectInfo(peer)).layer(self.clone())
    }
}

/// Makes the service of each connection.
#[derive(Debug, Clone)]
struct Connections<A>(A);

impl<A: App> Service<SocketAddr> for Connections<A> {
    type Response = A::Service;
    type Error = Infallible;
    type Future = Ready<Result<A::Service, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, peer: SocketAddr) -> Self::Future {
        ready(Ok(self.0.at(peer)))
    }
}

/// Begins to serve `app` on `listener`.
///
/// # Errors
///
/// When the listener cannot be used.
pub fn serve(listener: TcpListener, app: impl App, caps: Caps) -> io::Result<Listening> {
    serve_with(listener, app, caps, Limits::default())
}

/// The same with time limits of the caller's.
///
/// # Errors
///
/// When the listener cannot be used.
pub fn serve_with(listener: TcpListener, app: impl App, caps: Caps, limits: Limits) -> io::Result<Listening> {
    let guard = Guard { door: Door::new(caps), refusals: Arc::new(Semaphore::new(REFUSALS)), limits };
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener)?
        .handle(handle.clone())
        .acceptor(guard)
        .first_request_timeout(Some(limits.head));
    let builder = server.http_builder();
    builder
        .http1()
        .header_read_timeout(None) // the stream counts, without a timer for each request
        .max_headers(HEAD_FIELDS)
        .max_buf_size(usize::from(HEAD_BYTES));
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::from(HEAD_BYTES))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100);
    let task = tokio::spawn(server.serve(Connections(app)));
    Ok(Listening { handle, task })
}

/// Lets connections in, one place each, and watches them.
#[derive(Debug, Clone)]
struct Guard {
    door: Door,
    refusals: Arc<Semaphore>,
    limits: Limits,
}

type Accepted<S> = Pin<Box<dyn Future<Output = io::Result<(Watched<TcpStream>, Counted<S>)>> + Send>>;

impl<S: Send + 'static> Accept<TcpStream, S> for Guard {
    type Stream = Watched<TcpStream>;
    type Service = Counted<S>;
    type Future = Accepted<S>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move {
            let peer = stream.peer_addr()?;
            let Some(place) = guard.door.enter(peer.ip()) else {
                guard.refuse(stream).await;
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "no room for this connection"));
            };
            stream.set_nodelay(true)?;
            let work = Work::default();
            let watched = Watched::new(stream, work.clone(), guard.limits, place);
            Ok((watched, Counted::new(service, work)))
        })
    }
}

impl Guard {
    /// Says 503 to somebody who has asked, within a second; not to everybody at once.
    async fn refuse(&self, mut stream: TcpStream) {
        let Ok(_turn) = self.refusals.try_acquire() else { return };
        let answer = async {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await; // unread bytes would reset the connection before its answer
            let _ = stream.write_all(NO_ROOM).await;
            let _ = stream.shutdown().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), answer).await;
    }
}
