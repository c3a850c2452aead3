//! `mint-session`: cookies for load tests, from sessions that Supabase gave.

use std::io::BufRead;
use std::sync::Arc;

use anyhow::Context;
use base::clock::SystemClock;
use base::entropy::SystemEntropy;

use super::{Flags, Loaded, Start, say};
use crate::app::Bff;
use crate::gotrue::Tokens;
use crate::session::{Proof, Sessions};

/// Reads answers of `POST /token`, one JSON object a line, and prints a `Cookie` header value for each. Tokens are
/// verified as at a sign-in: what comes out opens what a signed-in browser opens.
pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    let settings = Loaded::read(&flags.inputs(), Start::Looking)?.settings;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bff = Bff::build(settings, None, Arc::new(SystemClock), Arc::new(SystemEntropy))?;
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("standard input cannot be read")?;
        if !line.trim().is_empty() {
            let cookie = runtime.block_on(cookie(bff.sessions(), line.as_bytes()));
            say(&cookie.with_context(|| format!("line {}", number + 1))?)?;
        }
    }
    Ok(())
}

async fn cookie(sessions: &Sessions, line: &[u8]) -> anyhow::Result<String> {
    let tokens = Tokens::from_json(line).context("this is no session of Supabase")?;
    let proof = Proof { method: "minted", remember: false, recovery: false };
    let made = sessions.make(tokens, proof).await?;
    sessions.cookie_header(&made.session).context("the session is too large for its cookies")
}
