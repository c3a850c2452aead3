//! What the measuring programs share: real processes on loopback, each on the core it is given.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base::entropy::SystemEntropy;
use base::seal::{KeyId, MasterKey};

/// The program under measurement: the one that was built along, or the one that `BENCH_PROGRAM` names.
pub fn program() -> String {
    std::env::var("BENCH_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_supabase-bff").to_owned())
}

/// A password that no list knows.
pub const PASSWORD: &str = "plover gantry mist";

/// A process of ours. Dropping it ends it at once, as `kill -9` does.
pub struct Process(pub Child);

impl Process {
    /// Starts `program` in `folder` with nothing in its environment but `env`, on core `core` if one is named:
    /// `taskset` becomes the program, so that the process is the program's own.
    pub fn start<A: AsRef<OsStr>>(
        program: &str,
        arguments: &[A],
        env: &[(&str, String)],
        folder: &Path,
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let mut command = match core {
            Some(core) => {
                let mut pinned = Command::new("taskset");
                pinned.arg("-c").arg(core.to_string()).arg(program);
                pinned
            }
            None => Command::new(program),
        };
        command.args(arguments).env_clear().current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in env {
            command.env(name, value);
        }
        if std::env::var_os("BENCH_SHOW_LOGS").is_none() {
            command.stderr(Stdio::null());
        }
        Ok(Self(command.spawn().with_context(|| format!("{program} does not start"))?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A fresh value for `BFF_SESSION_KEYS`.
pub fn session_keys() -> anyhow::Result<String> {
    let id = KeyId::parse("k1").context("a key id")?;
    Ok(MasterKey::generate(id, &SystemEntropy).to_text().expose().clone())
}

/// The environment of a BFF at `port` in front of the auth server at `auth`.
pub fn bff_env(port: u16, admin: u16, auth: &str, keys: &str) -> Vec<(&'static str, String)> {
    vec![
        ("SUPABASE_URL", auth.to_owned()),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_bench".to_owned()),
        ("BFF_PUBLIC_URL", format!("http://localhost:{port}")),
        ("BFF_LISTEN", format!("127.0.0.1:{port}")),
        ("BFF_ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
        ("BFF_SESSION_KEYS", keys.to_owned()),
    ]
}

/// Waits until `url` answers 200.
pub async fn wait_for(url: &str) -> anyhow::Result<()> {
    let http = client()?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if http.get(url).send().await.is_ok_and(|answer| answer.status() == 200) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("{url} does not answer")
}

/// A client that keeps no cookies and follows no redirect.
pub fn client() -> anyhow::Result<reqwest::Client> {
    base::http::install_tls_provider();
    Ok(base::http::client(base::http::tls_config(), Duration::from_secs(20))?)
}

/// The value of `--name` on the command line.
pub fn option<T: std::str::FromStr>(name: &str, default: T) -> anyhow::Result<T> {
    let mut arguments = std::env::args().skip_while(|argument| *argument != format!("--{name}")).skip(1);
    match arguments.next() {
        None => Ok(default),
        Some(text) => text.parse().ok().with_context(|| format!("--{name} cannot be {text}")),
    }
}
