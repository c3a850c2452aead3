//! Sockets: time limits, caps, drain (S-95 to S-97). Needs the feature `server`.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum_server::accept::Accept;
use axum_server::{Handle, Server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::limit::{client::TrustedProxies, network};

/// How many connections may be open. Beyond that a connection is closed before a byte is read.
#[derive(Debug, Clone)]
pub struct Caps {
    /// All together.
    pub connections: usize,
    /// Of one network; trusted proxies are not counted.
    pub per_network: usize,
    /// Whose connections are other people's.
    pub proxies: TrustedProxies,
}

/// A listener that is being served.
pub struct Listening {
    handle: Handle<SocketAddr>,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Listening {
    /// Takes no new connection, lets open requests end within `drain`, then closes what is left.
    pub async fn drain(self, drain: Duration) -> io::Result<()> {
        self.handle.graceful_shutdown(Some(drain));
        self.task.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Ends when the listener fails; otherwise never.
    pub async fn failed(&mut self) -> io::Error {
        match (&mut self.task).await {
            Ok(Ok(())) => io::Error::other("the listener ended"),
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        }
    }
}

/// Serves `router` on `listener`: request heads within 10 s, at most 32 KiB and 100 fields; 100 streams a connection.
///
/// # Errors
///
/// When the socket cannot be used by the runtime.
pub fn serve(listener: TcpListener, router: Router, caps: Caps) -> io::Result<Listening> {
    listener.set_nonblocking(true)?;
    let handle = Handle::new();
    let mut server: Server<SocketAddr> = axum_server::from_tcp(listener)?;
    let head = Duration::from_secs(10);
    let http = server.http_builder();
    http.http1().header_read_timeout(head).max_headers(100).max_buf_size(32 << 10);
    http.http2()
        .max_concurrent_streams(100)
        .max_header_list_size(32 << 10)
        .keep_alive_interval(Duration::from_secs(60));
    let server = server
        .handle(handle.clone())
        .first_request_timeout(head)
        .acceptor(Doorkeeper(Arc::new(Count { caps, open: Mutex::default() })));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(Listening { handle, task: tokio::spawn(server.serve(service)) })
}

/// Counts connections and turns away what is too many.
#[derive(Clone)]
struct Doorkeeper(Arc<Count>);

struct Count {
    caps: Caps,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_network: HashMap<String, usize>,
}

impl<S> Accept<TcpStream, S> for Doorkeeper {
    type Stream = Counted;
    type Service = S;
    type Future = Ready<io::Result<(Counted, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.0.clone().admit(stream).map(|stream| (stream, service)))
    }
}

impl Count {
    fn admit(self: Arc<Self>, stream: TcpStream) -> io::Result<Counted> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?.ip();
        let key = (!self.caps.proxies.contains(peer)).then(|| network(peer));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_network = key.as_ref().map_or(0, |key| open.by_network.get(key).copied().unwrap_or(0));
        if open.all >= self.caps.connections || of_network >= self.caps.per_network {
            return Err(io::Error::other("too many connections"));
        }
        open.all += 1;
        if let Some(key) = &key {
            open.by_network.insert(key.clone(), of_network + 1);
        }
        drop(open);
        Ok(Counted { stream, place: Place { count: self, key } })
    }
}

/// A connection's place in the count, given back when it is dropped.
struct Place {
    count: Arc<Count>,
    key: Option<String>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.count.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        let Some(key) = &self.key else { return };
        match open.by_network.get_mut(key) {
            Some(1) | None => {
                open.by_network.remove(key);
            }
            Some(more) => *more -= 1,
        }
    }
}

/// A connection that holds its place.
pub struct Counted {
    stream: TcpStream,
    #[expect(dead_code, reason = "held for its Drop")]
    place: Place,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
