//! The HTTP client for small bodies: GoTrue, key sets, providers. One TLS provider, no redirects, bounded time.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderValue;
use rustls_platform_verifier::BuilderVerifierExt;
use url::Url;

use crate::secret::Secret;

/// `Bearer <token>`, marked so that nothing prints it. `None` if the token cannot stand in a header.
pub fn bearer(token: &Secret<String>) -> Option<HeaderValue> {
    let text = ["Bearer ", token.expose()].concat();
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Installs the TLS provider of the process. Call it before the first TLS configuration; a second call is harmless,
/// and where the host program brought its own, that one stays.
pub fn install_tls_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Verifies against the system's roots, or against the bundled ones where a machine has none (S-90).
///
/// Reading the roots takes milliseconds: call it once and clone the result.
pub fn tls_config() -> rustls::ClientConfig {
    match rustls::ClientConfig::builder().with_platform_verifier() {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "this machine has no root certificates: the bundled ones are used");
            let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
        }
    }
}

/// The roots that [`tls_config`] goes by, as PEM, for clients that take no finished configuration: those of
/// `SSL_CERT_FILE` or of the system. `None` where a machine has none.
pub fn system_roots() -> Option<Vec<u8>> {
    let mut store = rustls::RootCertStore::empty();
    let mut pem = Vec::new();
    for root in rustls_native_certs::load_native_certs().certs {
        if store.add(root.clone()).is_err() {
            continue; // one that cannot be read must not cost the others
        }
        pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(&root).as_bytes().chunks(64) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
    }
    (!pem.is_empty()).then_some(pem)
}

/// A client that follows no redirect, ignores proxy variables, sends no `Referer` and gives up after `total`.
///
/// # Errors
///
/// When the TLS configuration cannot be used by the client.
pub fn client(tls: rustls::ClientConfig, total: Duration) -> reqwest::Result<reqwest::Client> {
    builder(tls, total).build()
}

/// The same before it is built, for whoever wants more of it.
pub fn builder(mut tls: rustls::ClientConfig, total: Duration) -> reqwest::ClientBuilder {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()]; // a configuration handed in has none
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(3).min(total))
        .timeout(total)
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .referer(false)
        .no_proxy()
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than the limit; the rest was not read.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The connection broke, or the time was up.
    #[error("the answer broke off")]
    Broken(#[source] reqwest::Error),
}

/// Reads the body of `response` up to `limit` bytes.
///
/// # Errors
///
/// [`BodyError`]; the URL is not part of it.
pub async fn read_body(mut response: reqwest::Response, limit: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| BodyError::Broken(e.without_url()))? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Whether `url` names this machine: `localhost`, `127.0.0.0/8` or `::1`.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
