//! `mint-session`: cookies for load tests, from sessions that Supabase gave.

use std::io::BufRead;
use std::sync::Arc;

use anyhow::Context;
use base::clock::SystemClock;
use base::entropy::SystemEntropy;

use super::{Flags, Loaded, Start, refused, say};
use crate::app::Bff;

/// Reads answers of `POST /token`, one JSON object a line, and prints a `Cookie` header value for each. Tokens are
/// verified as at a sign-in: what comes out opens what a signed-in browser opens.
pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    let settings = Loaded::read(&flags.inputs(), Start::Looking)?.settings;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let opened = Bff::open(settings, None, Arc::new(SystemClock), Arc::new(SystemEntropy));
    let bff = runtime.block_on(opened).map_err(refused)?;
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("standard input cannot be read")?;
        if !line.trim().is_empty() {
            let minted = runtime.block_on(bff.mint(line.as_bytes()));
            say(&minted.with_context(|| format!("line {} of the input", number + 1))?)?;
        }
    }
    Ok(())
}
