//! The real program, as an operator starts it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use base::clock::{SharedClock, SystemClock};
use base::entropy::SystemEntropy;
use tokio::net::{TcpListener, TcpStream};

use crate::port::Port;
use crate::tap::{Tap, bounded};

const PROGRAM: &str = env!("CARGO_BIN_EXE_supabase-bff");

/// Dropping it ends it.
pub struct Program {
    child: Child,
    pub base: String,
    /// What it writes to standard error.
    said: PathBuf,
    /// Kept for as long as it runs.
    ports: Vec<Port>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

impl Program {
    /// `serve` in `folder`, with `environment` and nothing else but what places it on free ports of loopback.
    pub async fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let port = Port::take();
        let mut program = Self::start_at(&port, folder, environment).await;
        program.ports.push(port);
        program
    }

    /// The same on `port`, where another one may have been.
    pub async fn start_at(port: &Port, folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::run(Command::new(PROGRAM), port, folder, environment).await
    }

    /// The same as [`start`](Self::start), on a machine with one core as far as the program can see.
    pub async fn start_on_one_core(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        let one = cores.split([',', '-']).next().unwrap();
        let mut command = Command::new("taskset");
        command.args(["-c", one, PROGRAM]);
        let port = Port::take();
        let mut program = Self::run(command, &port, folder, environment).await;
        program.ports.push(port);
        program
    }

    async fn run(mut command: Command, port: &Port, folder: &Path, environment: &[(&str, &str)]) -> Self {
        let (port, admin) = (port.number(), Port::take());
        let base = format!("http://localhost:{port}");
        let said = folder.join("stderr.log");
        let child = command
            .env_clear()
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said).unwrap())
            .env("BFF_PUBLIC_URL", &base)
            .env("BFF_LISTEN", format!("127.0.0.1:{port}"))
            .env("BFF_ADMIN_LISTEN", format!("127.0.0.1:{}", admin.number()))
            .env("BFF_DATA_DIR", folder.join("data"))
            .env("AUTH_LISTEN", "127.0.0.1:0")
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let program = Self { child, base, said, ports: vec![admin] };
        bounded("the program's start", listens(port)).await;
        program
    }

    /// Sends it a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Its first line with these words on standard error, once it is there to its end.
    pub async fn says(&self, words: &str) -> String {
        let look = async {
            loop {
                let said = std::fs::read_to_string(&self.said).unwrap_or_default();
                let mut whole = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
                if let Some(line) = whole.find(|line| line.contains(words)) {
                    return line.to_owned();
                }
                tokio::task::yield_now().await;
            }
        };
        bounded(words, look).await
    }
}

/// A project for a program at `site`. The program lives by the machine's clock, so its auth server does as well.
pub async fn project(site: &str) -> (Tap, auth_server::Handle) {
    let (clock, tap): (SharedClock, _) = (Arc::new(SystemClock), Tap::start().await);
    let mut settings = auth_server::Settings::for_tests();
    settings.site_url = site.to_owned();
    settings.public_url = Some(tap.url().parse().unwrap());
    settings.default_role = Some("user".to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tap.lead_to(listener.local_addr().unwrap());
    let handle = auth_server::start(settings, clock, Arc::new(SystemEntropy), listener).await.unwrap();
    (tap, handle)
}

/// Waits until somebody listens there.
pub async fn listens(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
}
