//! What an axum application takes: routes to merge, the layer around everything, guards for single routes.

use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;
use base::clock::{SharedClock, SystemClock};
use base::entropy::{SharedEntropy, SystemEntropy};
use base::vars::Problems;

use super::{Bff, Builder, Error};
use crate::config::{Inputs, Network, Settings, Sources};
use crate::policy::{Finding, Require};
use crate::web::within::{self, Around, Guard};

/// Settings that are refused, with everything that is wrong with them.
pub struct Refused(pub(super) Problems);

impl Refused {
    /// Of a [`Require`].
    fn of(findings: Vec<Finding>) -> Self {
        let mut problems = Problems::default();
        findings.into_iter().for_each(|finding| finding.report(&mut problems));
        Self(problems)
    }

    /// The findings.
    pub fn problems(&self) -> &Problems {
        &self.0
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.list().iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("\n"))
    }
}

/// As it is displayed: `fn main() -> Result<…>` prints this.
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Refused {}

impl Bff {
    /// Reads the environment and `bff.toml` as the program does, joins the parts and fetches the project's keys. The
    /// settings about listening and about the log have no effect: the application has its own.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`] lists every fault at once; [`Error::Store`] for a session store that cannot be used. A project
    /// that does not answer now is no error.
    pub async fn from_env() -> Result<Self, Error> {
        let inputs = without_auth_server(Inputs::of_process());
        Self::by(&inputs, Arc::new(SystemClock), Arc::new(SystemEntropy)).await
    }

    /// Settings by code instead of by environment and files.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What `inputs` say, made to run.
    pub(super) async fn by(
        inputs: &Inputs,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, Error> {
        base::http::install_tls_provider();
        let mut problems = Problems::default();
        let sources = Sources::read(inputs, &mut problems);
        let network = Network::read(&sources, &mut problems).unwrap_or_else(Network::usual);
        let settings = Settings::read(&sources, network, None, &mut problems);
        let Some(settings) = settings.filter(|_| !problems.has_faults()) else {
            return Err(Refused(problems).into());
        };
        for warning in problems.list() {
            tracing::warn!(error.code = warning.code, "{warning}");
        }
        let bff = Self::open(settings, None, clock, entropy).await?;
        bff.warm_up().await;
        Ok(bff)
    }

    /// Our paths, `/auth` and the mount of supabase-js: merge them into the application's router, at its root.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        within::routes(&self.state)
    }

    /// The layer around everything: the session and its refresh, the cross-origin gate for every route, response headers, one
    /// log line a request, refusals as page or JSON. Add it last, after the routes of [`routes`](Self::routes) and the
    /// application's own: a route outside of it lets nobody in.
    ///
    /// Serve with `into_make_service_with_connect_info::<SocketAddr>()`, so that limits count by address.
    pub fn layer(&self) -> Around {
        Around::new(&self.state)
    }

    /// A guard for `route_layer`: lets in whom `require` describes, and answers others as the gateway would. If `require`
    /// asks for what is not declared, the guard lets nobody in and the log says why;
    /// [`try_require`](Self::try_require) says it to the caller.
    pub fn require(&self, require: Require) -> Guard {
        self.try_require(require).unwrap_or_else(|refused| {
            tracing::error!("a route is closed, since its `require` is refused: {refused}");
            Guard::closed()
        })
    }

    /// The same for a start that is to fail.
    ///
    /// # Errors
    ///
    /// Every fault: scopes and roles that are not declared, claims that users write themselves.
    pub fn try_require(&self, require: Require) -> Result<Guard, Refused> {
        self.state.policy.get().require(require).map(Guard::new).map_err(Refused::of)
    }

    /// Whatever the rules of `bff.toml` serve, upstreams and folders: the application's fallback, if it wants one.
    pub fn gateway<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        within::gateway()
    }
}

/// Names beginning with `AUTH_` are the embedded server's. There is none, so they may be anything of the application's.
fn without_auth_server(inputs: Inputs) -> Inputs {
    let is_ours = |name: &OsStr| !name.to_string_lossy().starts_with("AUTH_");
    let environment = inputs.environment.into_iter().filter(|(name, _)| is_ours(name)).collect();
    Inputs { environment, ..inputs }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A variable of the application's own does not end its start; a misspelt one of ours does (S-93).
    #[test]
    fn names_of_the_application_are_its_own() {
        let faults = |name: &str| {
            let environment = vec![(name.into(), "x".into())];
            let file = Some(String::new());
            let inputs = without_auth_server(Inputs { environment, file, ..Inputs::default() });
            let mut problems = Problems::default();
            Sources::read(&inputs, &mut problems);
            problems.list().len()
        };
        assert_eq!((faults("AUTH_SECRET"), faults("BFF_LISTENN")), (0, 1));
    }
}
