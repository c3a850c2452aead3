//! Serves with the settings of the environment, until it is interrupted:
//!
//! ```sh
//! AUTH_DATABASE=:memory: cargo run -p supabase-bff-auth-server --example serve
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use auth_server::{Defaults, Settings};
use base::clock::SystemClock;
use base::entropy::SystemEntropy;
use base::vars::Problems;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let vars: Vec<(String, String)> = std::env::vars().collect();
    let public_url = std::env::var("BFF_PUBLIC_URL").unwrap_or_else(|_| "http://localhost:8080".to_owned());
    let defaults = Defaults { bff_public_url: public_url.parse()?, data_dir: PathBuf::from("data") };
    let mut problems = Problems::default();
    let settings = Settings::read(&vars, &defaults, &mut problems);
    let list: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
    let Some(settings) = settings else { anyhow::bail!("{}", list.join("\n")) };

    let listener = tokio::net::TcpListener::bind(settings.listen).await?;
    let handle =
        auth_server::start(settings, Arc::new(SystemClock), Arc::new(SystemEntropy), listener).await?;
    let mut note = format!("{}\nauth server: {}\n", list.join("\n"), handle.url());
    if handle.has_outbox() {
        note.push_str(&format!("outbox: {}/outbox\n", handle.url()));
    }
    std::io::Write::write_all(&mut std::io::stdout(), note.as_bytes())?;
    tokio::signal::ctrl_c().await?;
    handle.shutdown().await?;
    Ok(())
}
