//! The real program, as an operator starts it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

const PROGRAM: &str = env!("CARGO_BIN_EXE_supabase-bff");

/// Dropping it ends it.
pub struct Program {
    child: Child,
    pub base: String,
    /// What it writes to standard error.
    said: PathBuf,
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
        Self::start_at(free_port().unwrap(), folder, environment).await
    }

    /// The same on `port`, where another one may have been.
    pub async fn start_at(port: u16, folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::run(Command::new(PROGRAM), port, folder, environment).await
    }

    /// The same as [`start`](Self::start), on a machine with one core as far as the program can see.
    pub async fn start_on_one_core(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        let one = cores.split([',', '-']).next().unwrap();
        let mut command = Command::new("taskset");
        command.args(["-c", one, PROGRAM]);
        Self::run(command, free_port().unwrap(), folder, environment).await
    }

    async fn run(mut command: Command, port: u16, folder: &Path, environment: &[(&str, &str)]) -> Self {
        let admin = free_port().unwrap();
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
            .env("BFF_ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
            .env("BFF_DATA_DIR", folder.join("data"))
            .env("AUTH_LISTEN", "127.0.0.1:0")
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let program = Self { child, base, said };
        tokio::time::timeout(Duration::from_secs(60), listens(port)).await.expect("the program starts");
        program
    }

    /// Sends it a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Its first line with these words on standard error, once it is there.
    pub async fn says(&self, words: &str) -> String {
        let look = async {
            loop {
                let said = std::fs::read_to_string(&self.said).unwrap_or_default();
                if let Some(line) = said.lines().find(|line| line.contains(words)) {
                    return line.to_owned();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), look).await.unwrap_or_else(|_| panic!("{words}"))
    }
}

pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn listens(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
}
