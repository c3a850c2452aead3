//! From flags, environment and files to the settings of both servers.

#[cfg(feature = "embedded")]
use std::net::TcpListener;

#[cfg(feature = "embedded")]
use anyhow::Context;
use base::vars::{Problems, Vars};

use super::{Flags, Misconfigured};
use crate::config::{Embedded, Inputs, Network, Settings, Sources};

/// What a command has to go by.
#[derive(Debug)]
pub struct Loaded {
    /// Of the BFF.
    pub settings: Settings,
    /// Of the embedded auth server, if it stands in for a project.
    #[cfg(feature = "embedded")]
    pub auth: Option<Auth>,
    /// Warnings, and nothing worse.
    pub warnings: Problems,
}

/// The embedded auth server, to be started.
#[cfg(feature = "embedded")]
#[derive(Debug)]
pub struct Auth {
    /// `AUTH_…`.
    pub settings: auth_server::Settings,
    /// Already bound, so that the BFF knows the address; `None` unless asked for.
    pub listener: Option<TcpListener>,
}

/// Whether sockets are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The auth server's listener is bound.
    Serving,
    /// Nothing is opened: addresses are taken as they are written.
    Looking,
}

impl Flags {
    /// The layers of this process, this command line on top.
    pub(super) fn inputs(&self) -> Inputs {
        let config = self.config.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("BFF_CONFIG", "--config", config),
            ("listen", "--listen", self.listen.clone()),
            ("public_url", "--public-url", self.public_url.clone()),
            ("log.level", "--log-level", self.log_level.clone()),
        ];
        let given = flags.into_iter().filter_map(|(name, flag, value)| Some((name, flag, value?)));
        Inputs { flags: given.collect(), auth_variables: AUTH_VARIABLES, ..Inputs::of_process() }
    }
}

#[cfg(feature = "embedded")]
pub(super) const AUTH_VARIABLES: &[&str] = auth_server::VARIABLES;
#[cfg(not(feature = "embedded"))]
pub(super) const AUTH_VARIABLES: &[&str] = &[];

impl Loaded {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// A refused configuration, with all that is wrong with it (exit status 3); or a listener that cannot be bound.
    pub(super) fn read(inputs: &Inputs, start: Start) -> anyhow::Result<Self> {
        let mut problems = Problems::default();
        match read(inputs, start, &mut problems)? {
            Some(mut loaded) if !problems.has_faults() => {
                loaded.warnings = problems;
                Ok(loaded)
            }
            _ => Err(Misconfigured(problems).into()),
        }
    }
}

/// The same for `check`, which lists faults instead of failing.
pub(super) fn read(inputs: &Inputs, start: Start, problems: &mut Problems) -> anyhow::Result<Option<Loaded>> {
    let sources = Sources::read(inputs, problems);
    let network = Network::read(&sources, problems).unwrap_or_else(Network::usual);
    let project_given = sources.get("SUPABASE_URL").is_some();
    #[cfg(feature = "embedded")]
    let auth = if project_given { None } else { auth(&sources, &network, start, problems)? };
    #[cfg(feature = "embedded")]
    let embedded = match &auth {
        Some(auth) => Some(auth.embedded()?),
        None if project_given => None,
        None => Some(Auth::usual()?), // its faults are listed; so shall be those of everything else
    };
    #[cfg(not(feature = "embedded"))]
    let embedded = {
        let _ = (project_given, start);
        None::<Embedded>
    };
    let settings = Settings::read(&sources, network, embedded.as_ref(), problems);
    #[cfg(feature = "embedded")]
    let settings = settings.map(|settings| share_secret(settings, auth.as_ref()));
    Ok(settings.map(|settings| Loaded {
        settings,
        #[cfg(feature = "embedded")]
        auth,
        warnings: Problems::default(),
    }))
}

#[cfg(feature = "embedded")]
fn auth(
    sources: &Sources,
    network: &Network,
    start: Start,
    problems: &mut Problems,
) -> anyhow::Result<Option<Auth>> {
    let defaults = auth_server::Defaults {
        bff_public_url: network.canonical().clone(),
        data_dir: network.data_dir.clone(),
    };
    let Some(settings) = auth_server::Settings::read(sources, &defaults, problems) else { return Ok(None) };
    let listener = match start {
        Start::Serving if !problems.has_faults() => Some(bind(settings.listen)?),
        _ => None,
    };
    Ok(Some(Auth { settings, listener }))
}

/// An embedded server that signs with HS256 publishes no key: its secret is then ours as well, as `SUPABASE_JWT_SECRET`
/// would be for a project.
#[cfg(feature = "embedded")]
fn share_secret(mut settings: Settings, auth: Option<&Auth>) -> Settings {
    if let Some(auth) = auth.filter(|auth| auth.settings.algorithm == auth_server::Algorithm::Hs256) {
        settings.token.hs256_secret =
            settings.token.hs256_secret.or_else(|| auth.settings.secret_key.clone());
    }
    settings
}

/// Binds the auth server's address.
#[cfg(feature = "embedded")]
pub(super) fn bind(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("The auth server cannot listen on {address}.\n  hint: set AUTH_LISTEN=127.0.0.1:0 for any free port")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(feature = "embedded")]
impl Auth {
    fn usual() -> anyhow::Result<Embedded> {
        let url: url::Url = "http://127.0.0.1:9999".parse()?;
        Ok(Embedded { url: url.clone(), public_url: url })
    }

    fn embedded(&self) -> anyhow::Result<Embedded> {
        let address = match &self.listener {
            Some(listener) => listener.local_addr()?,
            None => self.settings.listen,
        };
        let url: url::Url = format!("http://{address}").parse().context("the auth server's address")?;
        let public_url = self.settings.public_url.clone().unwrap_or_else(|| url.clone());
        Ok(Embedded { url, public_url })
    }
}
