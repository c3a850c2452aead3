//! What handlers may ask for.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use base::clock::SharedClock;
use base::entropy::SharedEntropy;
use http::HeaderValue;
use tokio::sync::Semaphore;
use url::Url;

use super::api::hooks::Hooks;
use super::api::verify::ForwardAuth;
use super::assets::Assets;
use super::forms::Forms;
use super::ids::RequestIds;
use super::sockets::Sockets;
use super::supabase;
use super::templates::Templates;
use crate::event::Trail;
use crate::flow::Flows;
use crate::gateway::Gateway;
use crate::limit::client::TrustedProxies;
use crate::policy::InUse;
use crate::session::Sessions;
use crate::token::Verifier;

/// Everything that `app` joined. Clones share it.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// The running parts behind the public port.
pub struct Parts {
    /// Sign-in and what goes with it.
    pub flows: Flows,
    /// Sessions in cookies.
    pub sessions: Sessions,
    /// Bearer tokens.
    pub verifier: Verifier,
    /// Who may do what.
    pub policy: InUse,
    /// To the upstreams.
    pub gateway: Gateway,
    /// Pages.
    pub templates: Templates,
    /// Their static files.
    pub assets: Assets,
    /// Form tokens and notices.
    pub forms: Forms,
    /// The origins that are served; the first is canonical.
    pub public: Vec<Url>,
    /// Their hosts as a browser names them, in the same order.
    pub hosts: Vec<HeaderValue>,
    /// The listener is on loopback, where a loopback literal as `Host` is sent to the public URL.
    pub on_loopback: bool,
    /// `hsts_subdomains`.
    pub hsts_subdomains: bool,
    /// Peers whose forwarded headers count.
    pub trusted_proxies: TrustedProxies,
    /// The header that names the client.
    pub client_ip_header: http::HeaderName,
    /// Origins that may call from elsewhere.
    pub cors: Cors,
    /// `bearer.enabled`.
    pub bearer: bool,
    /// `token.enabled`.
    pub token: bool,
    /// `supabase.mount`.
    pub mount: String,
    /// Whether `auth` is among `supabase.services`.
    pub auth_below_mount: bool,
    /// `session.expose_claims`.
    pub expose_claims: Vec<String>,
    /// Whether the sign-up page asks for "stay signed in": `session.remember = ask`.
    pub ask_remember: bool,
    /// WebSockets.
    pub sockets: Sockets,
    /// Requests at once.
    pub in_flight: Arc<Semaphore>,
    /// The receiving end of the project's hooks, if there is one.
    pub hooks: Option<Hooks>,
    /// Whether another proxy may ask, and about what.
    pub forward_auth: Option<ForwardAuth>,
    /// Counts requests and refusals.
    pub trail: Trail,
    /// The demo page at `/`, if it is on.
    pub demo: bool,
    /// The time.
    pub clock: SharedClock,
    /// Names of requests.
    pub ids: RequestIds,
    /// Randomness for forms.
    pub entropy: SharedEntropy,
}

/// `cors.*`: exact origins only (S-18).
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// Byte for byte.
    pub origins: Vec<String>,
    /// How long a browser may keep a preflight's answer.
    pub max_age: Duration,
}

impl AppState {
    /// Joins `parts`.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Whether a path has a place in our router; every other one is a matter of rules.
    pub(super) fn is_own(&self, path: &str) -> bool {
        let ours = path.strip_prefix("/auth").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        ours || (self.demo && path == "/") || self.is_auth(path)
    }

    /// Whether `path` is one of the authentication service below the mount.
    pub(super) fn is_auth(&self, path: &str) -> bool {
        self.auth_below_mount && supabase::is_auth(&self.mount, path)
    }

    /// The canonical public origin.
    pub fn public_url(&self) -> &Url {
        &self.public[0]
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
