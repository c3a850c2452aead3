//! `serve`: settings, parts, listeners, and a graceful end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use base::clock::{SharedClock, SystemClock};
use base::entropy::{SharedEntropy, SystemEntropy};
use base::vars::Problems;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::load::{self, Loaded, Start};
use super::{Flags, refused, remark, telemetry};
use crate::app::Bff;
use crate::app::listen::{self, Caps, Listening};
use crate::config::{self, Settings};
#[cfg(feature = "embedded")]
use crate::web::templates::Development;

/// Runs until SIGTERM or Ctrl-C.
pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    let loaded = Loaded::read(&flags.inputs(), Start::Serving)?;
    let pen = telemetry::install(&loaded.settings.log)?;
    let runtime = pen.follow(super::runtime().enable_all()).build()?;
    let ended = runtime.block_on(serve(loaded, flags));
    drop(runtime);
    pen.flush();
    ended
}

async fn serve(loaded: Loaded, flags: &Flags) -> anyhow::Result<()> {
    let clock: SharedClock = Arc::new(SystemClock);
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let signals = Signals::hear().context("signals cannot be heard")?;
    let mut settings = loaded.settings;
    let public = bind(settings.network.listen, "BFF_LISTEN")?;
    let admin = bind(settings.network.admin_listen, "BFF_ADMIN_LISTEN")?;
    let demo = if settings.demo { Some(demo_listener(&mut settings)?) } else { None };
    #[cfg(feature = "embedded")]
    let (auth, development) = match loaded.auth {
        Some(auth) => {
            let (handle, development) = start_auth(auth, &settings, &clock, &entropy).await?;
            (Some(handle), Some(development))
        }
        None => (None, None),
    };
    #[cfg(not(feature = "embedded"))]
    let development = None;

    let (drain, caps) = (settings.network.drain, caps(&settings));
    super::retired::note(&settings, clock.now());
    let known = settings.clone();
    let bff = Bff::open(settings, development, clock, entropy).await.map_err(refused)?;
    if let Some(listener) = demo {
        listen::serve(listener, crate::demo::router(bff.verifier()), caps.clone())?;
    }
    let mut front = listen::serve(public, bff.site(), caps.clone())?;
    let mut side = listen::serve(admin, bff.admin(), caps)?;
    bff.warm_up().await;
    let live = bff.findings();
    let warnings: Vec<_> = loaded.warnings.list().into_iter().chain(live.list()).collect();
    announce(&known, &bff, &warnings).await;

    let ended = wait(signals, &mut front, &mut side, flags, &bff).await;
    tracing::info!("shutting down: open requests may end within {}", drain);
    let drain = drain.try_into().unwrap_or_default();
    // What is left after that is closed.
    let _ = tokio::join!(bff.close_sockets(drain), front.drain(drain), side.drain(drain));
    #[cfg(feature = "embedded")]
    if let Some(auth) = auth {
        auth.shutdown().await.context("the auth server did not end well")?;
    }
    ended
}

/// Heard from before anything listens: one that comes early waits, where it would otherwise end the process at once.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn hear() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Until a signal says stop, or a listener fails. SIGHUP has the rules read again.
async fn wait(
    mut signals: Signals,
    front: &mut Listening,
    side: &mut Listening,
    flags: &Flags,
    bff: &Bff,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            error = front.failed() => return Err(error).context("the public listener failed"),
            error = side.failed() => return Err(error).context("the admin listener failed"),
            _ = signals.hang_up.recv() => reload(flags, bff),
        }
    }
}

fn reload(flags: &Flags, bff: &Bff) {
    let mut problems = Problems::default();
    let settings = match load::read(&flags.inputs(), Start::Looking, &mut problems).and_then(stand_in) {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!("the configuration cannot be read again: {error:#}");
            None
        }
    };
    let _ = bff.reload(settings, problems); // which has told what there is to tell
}

/// The demo's own rules where nothing else is configured, as at the start.
fn stand_in(loaded: Option<Loaded>) -> anyhow::Result<Option<Settings>> {
    let Some(mut settings) = loaded.map(|loaded| loaded.settings) else { return Ok(None) };
    if settings.demo {
        let demo = crate::demo::Rules::read().context("the demo's own rules")?;
        settings.stand_in_demo("http://127.0.0.1".to_owned(), demo.rules, demo.scopes, demo.roles);
    }
    Ok(Some(settings))
}

fn bind(address: SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address}\n  hint: stop what uses that port, or set {variable} to another address")
    })
}

fn caps(settings: &Settings) -> Caps {
    Caps {
        connections: settings.limits.connections,
        per_network: settings.limits.connections_per_network,
        proxies: settings.network.proxies.clone(),
    }
}

/// The demo API's listener; from now on `settings` lead to it.
fn demo_listener(settings: &mut Settings) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").context("the demo API cannot listen on loopback")?;
    let rules = crate::demo::Rules::read().context("the demo's own rules")?;
    let url = format!("http://{}", listener.local_addr()?);
    settings.stand_in_demo(url, rules.rules, rules.scopes, rules.roles);
    Ok(listener)
}

#[cfg(feature = "embedded")]
async fn start_auth(
    auth: super::load::Auth,
    settings: &Settings,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> anyhow::Result<(auth_server::Handle, Development)> {
    let mut own = auth.settings;
    if settings.demo {
        own.default_role = Some("user".to_owned());
    }
    let listener = auth.listener.context("the auth server has no listener")?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let handle = auth_server::start(own, clock.clone(), entropy.clone(), listener).await?;
    let base = settings.project.public_url.as_str().trim_end_matches('/');
    let development = Development {
        outbox_url: handle.has_outbox().then(|| format!("{base}/outbox")),
        demo_url: settings.demo.then(|| "/".to_owned()),
    };
    Ok((handle, development))
}

/// Prints the table of the start. `settings` are as they were before the parts took them.
async fn announce(settings: &Settings, bff: &Bff, warnings: &[&base::vars::Problem]) {
    let url = settings.network.canonical().as_str().trim_end_matches('/');
    let table = config::table(settings, &bff.live().await, warnings);
    remark(&format!("\nsupabase-bff serves {url}\n\n{table}"));
}
