//! Starting and ending the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::clock::SharedClock;
use base::entropy::SharedEntropy;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use crate::db::{Db, DbError};
use crate::keys::{KeyError, Secrets, Signer};
use crate::limit::Limits;
use crate::mail::{Mail, Outbox};
use crate::pages::Templates;
use crate::password::Hasher;
use crate::providers::Providers;
use crate::redirect::Redirects;
use crate::rotation::RefreshTokens;
use crate::settings::{Settings, is_private, unsafe_start};
use crate::{App, Server, http};

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open requests may go on once the server ends.
const DRAIN: Duration = Duration::from_secs(10);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// S-77: what these settings would do on this socket.
    #[error("{variable}: {why} {fix}")]
    Unsafe {
        /// The variable to change.
        variable: &'static str,
        /// What would happen.
        why: &'static str,
        /// One way to mend it.
        fix: &'static str,
    },
    /// Another setting is not usable.
    #[error("{0}")]
    Settings(&'static str),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A built-in page or the HTTP client.
    #[error("{0}")]
    Parts(String),
    /// The socket.
    #[error("the socket cannot be used")]
    Socket(#[from] std::io::Error),
}

/// A running server. Dropping it ends the server at once; [`shutdown`](Self::shutdown) lets open requests finish.
#[derive(Debug)]
pub struct Handle {
    app: App,
    address: SocketAddr,
    control: axum_server::Handle<SocketAddr>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Handle {
    /// The public address, such as `http://127.0.0.1:9999`: no path, no slash at its end.
    pub fn url(&self) -> &str {
        &self.app.public_url
    }

    /// `iss` of the tokens: the public address and `/auth/v1`.
    pub fn issuer(&self) -> &str {
        &self.app.issuer
    }

    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bearer of `/admin/*`.
    pub fn admin_key(&self) -> &base::secret::Secret<String> {
        &self.app.admin_key
    }

    /// Whether mails rest in the outbox, because there is no mail server.
    pub fn has_outbox(&self) -> bool {
        self.app.outbox.list().is_some()
    }

    /// The mails so far, newest last; none where a mail server takes them.
    pub fn outbox(&self) -> Vec<Mail> {
        self.app.outbox.list().unwrap_or_default()
    }

    /// How often a route was called, with or without the prefix: `/user`, `/token?grant_type=refresh_token`.
    pub fn calls(&self, route: &str) -> u64 {
        self.app.calls.of(route)
    }

    /// How often a password was hashed or compared.
    pub fn password_work(&self) -> u64 {
        self.app.hasher.done()
    }

    /// Takes no more connections, waits up to ten seconds for open requests and as long for open mails, and ends.
    ///
    /// # Errors
    ///
    /// What ended the server before.
    pub async fn shutdown(mut self) -> std::io::Result<()> {
        self.control.graceful_shutdown(Some(DRAIN));
        let ended = (&mut self.task).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if tokio::time::timeout(DRAIN, self.app.outbox.flush()).await.is_err() {
            tracing::warn!("some mails were not delivered in time");
        }
        ended
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.control.shutdown();
    }
}

/// Serves on `listener` until the handle is dropped. Makes database and keys at first start.
///
/// # Errors
///
/// [`StartError`], before anything is served.
pub async fn start(
    settings: Settings,
    clock: SharedClock,
    entropy: SharedEntropy,
    listener: TcpListener,
) -> Result<Handle, StartError> {
    let address = listener.local_addr()?;
    if let Some(found) = unsafe_start(&settings, address, settings.public_url.as_ref()).first() {
        return Err(StartError::Unsafe { variable: found.variable, why: found.why, fix: found.fix });
    }
    base::http::install_tls_provider();
    let public_url = public_url(&settings, address);
    let outbox = Outbox::new(&settings).map_err(|error| StartError::Parts(error.to_string()))?;
    let pretend = is_private(address, settings.public_url.as_ref());
    let build = move || build(settings, clock, entropy, public_url, outbox, pretend);
    let server =
        tokio::task::spawn_blocking(build).await.map_err(|error| StartError::Parts(error.to_string()))?;
    let app: App = Arc::new(server?);

    let control = axum_server::Handle::new();
    let mut server = axum_server::from_tcp(listener.into_std()?)?
        .handle(control.clone())
        .first_request_timeout(Some(HEAD_TIMEOUT));
    let builder = server.http_builder();
    builder.http1().header_read_timeout(HEAD_TIMEOUT).max_headers(100).max_buf_size(32 << 10);
    builder.http2().max_concurrent_streams(100).max_header_list_size(32 << 10);
    let service = http::router(&app).into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(server.serve(service));
    Ok(Handle { app, address, control, task })
}

fn public_url(settings: &Settings, address: SocketAddr) -> String {
    let own = || format!("http://{address}");
    settings.public_url.as_ref().map(Url::to_string).unwrap_or_else(own).trim_end_matches('/').to_owned()
}

fn build(
    settings: Settings,
    clock: SharedClock,
    entropy: SharedEntropy,
    public_url: String,
    outbox: Outbox,
    pretend: bool,
) -> Result<Server, StartError> {
    let signer = Signer::open(&settings, &*entropy)?;
    let secrets = Secrets::open(&settings, &*entropy)?;
    let site = Redirects::new(&settings.site_url, &settings.redirect_urls);
    let issuer = format!("{public_url}/auth/v1");
    let failed = |error: &dyn std::fmt::Display| StartError::Parts(error.to_string());
    Ok(Server {
        db: Db::open(&settings.database)?,
        signer,
        refresh_tokens: RefreshTokens::new(settings.refresh_tokens, secrets.ring.purpose("refresh tokens")),
        codes: secrets.ring.purpose("one-time codes"),
        provider_tokens: secrets.ring.purpose("provider tokens"),
        factor_secrets: secrets.ring.purpose("second factors"),
        pretend_codes: secrets.ring.purpose("pretend provider codes"),
        admin_key: secrets.admin_key,
        hasher: Hasher::new(settings.hash_threads, Arc::clone(&entropy)),
        outbox,
        redirects: site.ok_or(StartError::Settings("AUTH_SITE_URL is not an address"))?,
        providers: Providers::new(&settings, &issuer, pretend).map_err(|error| failed(&error))?,
        templates: Templates::new().map_err(|error| failed(&error))?,
        limits: Limits::new(&settings),
        calls: http::Calls::default(),
        settings,
        clock,
        entropy,
        issuer,
        public_url,
    })
}
