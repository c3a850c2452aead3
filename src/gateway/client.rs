//! The HTTP client towards one upstream: pooled HTTP/1.1 connections, no redirects, no proxies, bounded connecting.

use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::{BoxError, Service};

use super::Error;
use super::body::{BodyFault, RequestBody};

/// Connections to one upstream.
#[derive(Debug, Clone)]
pub(super) struct Client(legacy::Client<Connector, RequestBody>);

/// Connects, and gives up once name, socket and TLS together take too long.
#[derive(Debug, Clone)]
struct Connector {
    https: HttpsConnector<HttpConnector>,
    limit: Duration,
}

/// The time to connect was up.
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
struct NoConnection;

const IDLE_CONNECTION: Duration = Duration::from_secs(60);
const IDLE_CONNECTIONS: usize = 256;

impl Client {
    /// A client that gives up connecting after `connect`.
    pub(super) fn new(mut tls: rustls::ClientConfig, connect: Duration) -> Self {
        tls.alpn_protocols.clear(); // the connector sets its own
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(Connector { https, limit: connect });
        Self(client)
    }

    pub(super) fn request(&self, request: Request<RequestBody>) -> legacy::ResponseFuture {
        self.0.request(request)
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.https.call(uri));
        Box::pin(async { connecting.await.map_err(|_| NoConnection)? })
    }
}

/// Whose fault a failed request was.
pub(super) fn judge(error: legacy::Error) -> Error {
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(fault) = source.downcast_ref::<BodyFault>() {
            return match fault {
                BodyFault::TooLong => Error::BodyTooLarge,
                _ => Error::RequestBroken(error),
            };
        }
        if source.is::<NoConnection>() {
            return Error::UpstreamTimeout;
        }
        cause = source.source();
    }
    Error::UpstreamFailed(Some(error))
}
