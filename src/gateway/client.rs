//! The HTTP client towards one upstream: kept HTTP/1.1 connections, no redirects, no proxies, bounded connecting.
//!
//! hyper speaks the protocol. What is kept here is a list of connections that wait for their next request: an upstream
//! is one address, known at the start, and nothing has to be looked up by name for each request.

mod rest;

use std::error::Error as _;
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tower::{BoxError, Service};

use super::Error;
use super::body::{BodyFault, RequestBody};
use rest::Rest;

pub(super) use rest::Lease;

/// Connections to one upstream. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Client {
    https: HttpsConnector<HttpConnector>,
    /// Scheme, host and port.
    address: Uri,
    /// Name, socket and TLS together may take so long.
    limit: Duration,
    rest: Rest,
}

impl Client {
    /// A client of the upstream at `address` that gives up connecting after `connect`.
    pub(super) fn new(mut tls: rustls::ClientConfig, address: Uri, connect: Duration) -> Self {
        tls.alpn_protocols.clear(); // the connector sets its own
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self { https, address, limit: connect, rest: Rest::default() }
    }

    /// Sends `request`, whose target is a path, and returns the head of the answer. The connection is busy until the
    /// lease is dropped, which belongs behind the last byte of the body.
    ///
    /// A request that no byte of had left when its kept connection turned out to be closed goes over another one. With
    /// `upgradable` it goes over a connection of its own, which may become something else than HTTP.
    pub(super) async fn request(
        &self,
        mut request: Request<RequestBody>,
        upgradable: bool,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        loop {
            let resting = if upgradable { None } else { self.rest.take() };
            let (mut sender, kept) = match resting {
                Some(sender) => (sender, true),
                None => (Box::pin(self.connect(upgradable)).await?, false), // rare: no weight on every request
            };
            let mut failed = match sender.try_send_request(request).await {
                Ok(answer) => return Ok((answer, self.rest.lease(sender))),
                Err(failed) => failed,
            };
            match failed.take_message() {
                Some(unsent) if kept => request = unsent,
                _ => return Err(judge(failed.into_error())),
            }
        }
    }

    async fn connect(&self, upgradable: bool) -> Result<SendRequest<RequestBody>, Error> {
        let connecting = async {
            let mut https = self.https.clone();
            std::future::poll_fn(|cx| https.poll_ready(cx)).await?;
            let stream = https.call(self.address.clone()).await?;
            Ok::<_, BoxError>(http1::handshake(stream).await?)
        };
        let connected = tokio::time::timeout(self.limit, connecting).await;
        let (sender, connection) = connected
            .map_err(|_| Error::UpstreamTimeout)?
            .map_err(|error| Error::UpstreamFailed(Some(error)))?;
        // What goes wrong there is told to the request, too.
        if upgradable {
            tokio::spawn(connection.with_upgrades());
        } else {
            tokio::spawn(connection);
        }
        Ok(sender)
    }
}

/// Whose fault a failed request was.
fn judge(error: hyper::Error) -> Error {
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(fault) = source.downcast_ref::<BodyFault>() {
            return match fault {
                BodyFault::TooLong => Error::BodyTooLarge,
                _ => Error::RequestBroken(error),
            };
        }
        cause = source.source();
    }
    Error::UpstreamFailed(Some(error.into()))
}
