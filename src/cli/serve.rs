//! `serve`: settings, then the parts, then the listeners, and an end that lets open requests finish.

use anyhow::Context;

use super::{Flags, Loaded, Start};

/// Runs until the process is told to end.
pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    let _loaded = Loaded::read(&flags.inputs(), Start::Serving)?;
    anyhow::bail!("serve is joined in the next commit")
}

/// Waits for SIGTERM or Ctrl-C.
pub(super) async fn until_told_to_end() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be heard")?;
    tokio::select! {
        _ = terminate.recv() => {}
        heard = tokio::signal::ctrl_c() => heard.context("signals cannot be heard")?,
    }
    Ok(())
}
