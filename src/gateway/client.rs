//! The HTTP client towards one upstream: pooled HTTP/1.1 connections, no redirects, no proxies, bounded connecting.

use std::error::Error as _;
use std::time::Duration;

use http::{Request, Uri};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::util::BoxCloneSyncService;

use super::Error;
use super::body::{BodyFault, RequestBody};

/// A connector whose whole work, name, socket and TLS, ends within a time.
type Connector = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, tower::BoxError>;

/// Connections to one upstream.
#[derive(Debug, Clone)]
pub(super) struct Client(legacy::Client<Connector, RequestBody>);

const IDLE_CONNECTION: Duration = Duration::from_secs(60);
const IDLE_CONNECTIONS: usize = 256;

impl Client {
    /// A client that gives up connecting after `connect`.
    pub(super) fn new(mut tls: rustls::ClientConfig, connect: Duration) -> Self {
        tls.alpn_protocols.clear(); // the connector sets its own
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connector = BoxCloneSyncService::new(tower::timeout::Timeout::new(https, connect));
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Self(client)
    }

    pub(super) fn request(&self, request: Request<RequestBody>) -> legacy::ResponseFuture {
        self.0.request(request)
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
        if source.is::<tower::timeout::error::Elapsed>() {
            return Error::UpstreamTimeout;
        }
        cause = source.source();
    }
    Error::UpstreamFailed(Some(error))
}
