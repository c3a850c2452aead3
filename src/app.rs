//! Builds the running parts from the settings and joins them.

mod builder;
#[cfg(feature = "server")]
pub mod doctor;
mod library;
#[cfg(feature = "server")]
pub mod listen;
mod reload;
#[cfg(feature = "server")]
pub mod tools;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use base::clock::SharedClock;
use base::entropy::SharedEntropy;
use base::vars::Problems;
use tokio::sync::Semaphore;
use url::Origin;

use crate::config::{Live, Network, OWN_COOKIES, Project, Settings};
use crate::event::{Lists, Metrics, Trail};
use crate::flow::{self, Flows, Targets};
use crate::gateway::Gateway;
use crate::gateway::settings::UpstreamSettings;
use crate::gateway::upstream::{Surroundings, Upstream};
use crate::gotrue::GoTrue;
use crate::limit::{Bucket, Limiter};
use crate::policy::{InUse, Policy, Site};
use crate::session::store::Store;
use crate::session::{self, Remember, Sessions};
use crate::token::Verifier;
use crate::web::assets::Assets;
use crate::web::forms::Forms;
use crate::web::ids::RequestIds;
use crate::web::templates::{Development, Templates};
use crate::web::{self, AppState};

/// GoTrue is given up after this long.
const GOTRUE_TIME: Duration = Duration::from_secs(10);

pub use builder::Builder;
pub use library::Refused;

/// Why the parts could not be joined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are refused: every fault in one list.
    #[error(transparent)]
    Settings(#[from] Refused),
    /// The HTTP client refused its TLS configuration.
    #[error("the HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
    /// The keys that seal sessions could not be read or written.
    #[error("the session keys cannot be kept in the data folder")]
    Keys(#[from] std::io::Error),
    /// A built-in template is broken.
    #[error(transparent)]
    Template(#[from] web::templates::Error),
    /// An upstream or a rule is refused; `check` lists why.
    #[error("the upstreams or rules are refused: run `supabase-bff check`")]
    Rules,
    /// The session store cannot be used: one finding, which says what to do about it.
    #[error("the session store cannot be used")]
    Store(Problems),
    /// `pages.default_return` is no path of this site.
    #[error("pages.default_return is not a path of this site")]
    DefaultReturn,
}

/// A backend-for-frontend, ready to serve.
#[derive(Clone)]
pub struct Bff {
    state: AppState,
    /// What the rules stand in, until the next start.
    site: Site,
}

impl Bff {
    /// Opens the store that the settings name, then joins the parts as [`build`](Self::build) does.
    ///
    /// # Errors
    ///
    /// [`Error`]; a store that does not answer now is one, since nothing tells a wrong address from an outage.
    pub async fn open(
        settings: Settings,
        development: Option<Development>,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, Error> {
        let store = crate::store::open(&settings.store, clock.clone()).await.map_err(|failure| {
            let mut problems = Problems::default();
            settings.store.report(&failure, &mut problems);
            Error::Store(problems)
        })?;
        let bff = Self::build(settings, development, clock, entropy, store)?;
        bff.state.sessions.follow();
        Ok(bff)
    }

    /// Joins the parts. Makes no call: [`warm_up`](Self::warm_up) does. Sessions rest in `store`,
    /// whatever the settings name; without one, in cookies.
    ///
    /// # Errors
    ///
    /// [`Error`], which names what could not be made.
    pub fn build(
        settings: Settings,
        development: Option<Development>,
        clock: SharedClock,
        entropy: SharedEntropy,
        store: Option<Store>,
    ) -> Result<Self, Error> {
        let tls = base::http::tls_config();
        let http = base::http::client(tls.clone(), GOTRUE_TIME)?;
        let network = settings.network;
        let public_url = network.canonical().clone();
        let on_loopback = network.is_loopback();
        let keys = settings.keys.open(&*entropy)?;
        let upstreams = upstreams(&settings.upstreams, &settings.project, &network)?;
        let site = Site {
            upstreams: settings.upstreams.iter().map(|(name, _)| name.clone()).collect(),
            ..settings.site.clone()
        };
        let policy = Policy::build(settings.rules, settings.grants, &site).map_err(|_| Error::Rules)?;
        let max_age = settings.cors.max_age.try_into().unwrap_or_default();
        let verifier =
            Verifier::new(&settings.token, http.clone(), clock.clone(), Some(network.data_dir.clone()));
        let gotrue = Arc::new(GoTrue::new(settings.gotrue, http));
        let trail = Trail::new(Metrics::new(Lists {
            routes: routes(&policy),
            providers: settings.providers.names().map(str::to_owned).collect(),
            codes: web::error::Code::ALL.iter().map(|code| code.as_str()).collect(),
            buckets: Bucket::ALL.map(Bucket::as_str).to_vec(),
            gotrue: Some(gotrue.counted()),
            jwks: Some(verifier.counted().jwks),
            tokens: Some(verifier.counted().tokens),
        }));
        let ask_remember = settings.session.remember == Remember::Ask;
        let expose_claims = settings.session.expose_claims.clone();
        let limits = store.as_ref().and_then(|store| store.limits.clone());
        let sessions = Sessions::new(session::Parts {
            settings: settings.session,
            public_url: public_url.clone(),
            keys: keys.clone(),
            verifier: verifier.clone(),
            gotrue: gotrue.clone(),
            trail: trail.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            store,
        });
        let limiter = match limits {
            Some(limits) => Limiter::sharing(clock.clone(), limits, &keys.purpose("limit").mac(&[b"nodes"])),
            None => Limiter::new(clock.clone(), &*entropy),
        };
        let others: Vec<String> =
            settings.pages.allowed_return_origins.iter().map(Origin::ascii_serialization).collect();
        let targets =
            Targets::new(&public_url, &others, &settings.pages.default_return).ok_or(Error::DefaultReturn)?;
        let sockets = web::Sockets::new(settings.limits.sockets_per_session);
        let in_flight = Arc::new(Semaphore::new(settings.limits.in_flight));
        let flows = Flows::new(flow::Parts {
            gotrue,
            sessions: sessions.clone(),
            limiter,
            trail: trail.clone(),
            limits: settings.limits,
            providers: settings.providers,
            passwords: settings.password,
            targets,
            public_url: public_url.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        });
        let assets = Assets::new(&settings.pages);
        let demo = development.as_ref().is_some_and(|development| development.demo_url.is_some());
        let templates = Templates::new(&settings.pages, &assets, development)?;
        let origin = public_url.origin().ascii_serialization();
        let state = AppState::new(web::Parts {
            forms: Forms::new(&keys, sessions.names().clone(), origin),
            flows,
            sessions,
            verifier,
            policy: InUse::new(policy),
            gateway: Gateway::new(upstreams, &tls),
            templates,
            assets,
            hosts: network.public.iter().map(web::host_of).collect(),
            public: network.public,
            on_loopback,
            hsts_subdomains: network.hsts_subdomains,
            trusted_proxies: network.proxies,
            client_ip_header: network.client_ip_header,
            cors: web::Cors { origins: settings.cors.origins, max_age },
            bearer: settings.bearer,
            auth_below_mount: settings.site.services.iter().any(|service| service == "auth"),
            token: settings.token_grants,
            mount: settings.site.mount,
            expose_claims,
            ask_remember,
            sockets,
            in_flight,
            hooks: settings.hooks.map(web::Hooks::new),
            forward_auth: settings.forward_auth,
            trail,
            demo,
            clock,
            ids: RequestIds::new(entropy.clone()),
            entropy,
        });
        Ok(Self { state, site })
    }

    /// Fetches the key set and the project's settings, so that the first visitor need not wait, and begins to hear of what
    /// other nodes revoke. An outage is no error: all of it is asked for again when it is needed.
    pub async fn warm_up(&self) {
        self.state.sessions.follow();
        tokio::join!(self.state.verifier.warm_up(), self.state.flows.warm_up());
    }

    /// Ends every WebSocket, and waits for that as long as `time`. Belongs before the end of the process.
    pub async fn close_sockets(&self, time: Duration) {
        self.state.sockets.close(time).await;
    }

    /// The public port.
    pub fn site(&self) -> web::Site {
        web::site(&self.state)
    }

    /// The admin port.
    pub fn admin(&self) -> Router {
        web::admin::router(&self.state)
    }

    /// What only the running project can tell, for the table of the start.
    pub async fn live(&self) -> Live {
        let offer = self.state.flows.offer().await;
        let keys = if self.state.verifier.ready() {
            "loaded"
        } else {
            "not to be had yet: asked for at the first use"
        };
        Live { sign_up: Some(offer.signup), providers: Some(offer.providers), keys: Some(keys.to_owned()) }
    }

    /// What only the running project can tell and somebody should mend. Knows after [`warm_up`](Self::warm_up).
    pub fn findings(&self) -> Problems {
        let mut problems = Problems::default();
        if self.state.flows.spares_the_secret_key() {
            let why = "The project checks captchas, which beside a secret key it would not: sign-ins go without the \
                       key, so GoTrue counts all of them as this program's.";
            let fix = "Nothing to do, unless sign-ins meet GoTrue's limit: then raise it in the project.";
            problems.warning("BFF-KEY-004", "SUPABASE_SECRET_KEY", None, why, fix);
        }
        problems
    }

    /// The sessions: who is signed in by a cookie, what ends them.
    pub fn sessions(&self) -> Sessions {
        self.state.sessions.clone()
    }

    /// The verifier of access tokens, for whoever stands beside the BFF in this process.
    pub fn verifier(&self) -> Verifier {
        self.state.verifier.clone()
    }
}

/// What a request can be counted under: a template of our own paths, or the rule that it matched.
fn routes(policy: &Policy) -> Vec<String> {
    let own = web::templates_of_paths().into_iter().map(str::to_owned);
    own.chain(policy.rules().iter().map(|rule| rule.name().to_owned())).collect()
}

/// The project behind the mount, and the upstreams of `bff.toml`.
fn upstreams(
    listed: &[(String, UpstreamSettings)],
    project: &Project,
    network: &Network,
) -> Result<Vec<Upstream>, Error> {
    let around = Surroundings {
        plain_http: &network.plain_http,
        link_local: &network.link_local,
        own_cookies: OWN_COOKIES,
    };
    let mut problems = Problems::default(); // `config` has reported them
    let supabase =
        Upstream::supabase(&project.url, &project.public_url, project.key.clone(), &around, &mut problems);
    let own = listed.iter().map(|(name, one)| Upstream::build(name, one.clone(), &around, &mut problems));
    supabase.into_iter().map(Some).chain(own).collect::<Option<Vec<_>>>().ok_or(Error::Rules)
}
