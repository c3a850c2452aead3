//! A real Redis on a free port of this machine, ended with its handle.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base::clock::SharedClock;
use base::secret::Secret;
use redis::aio::MultiplexedConnection;
use supabase_bff::store::redis::Redis;

use crate::port::Port;

pub const PASSWORD: &str = "p/a:s@s w%rd";
const ENCODED: &str = "p%2Fa%3As%40s%20w%25rd";

/// The rights that the documentation asks for; no more are used.
const USER: &str = "user bff on resetchannels -@all +@read +@write +@connection +@scripting +time -@dangerous \
    ~{app.example.test}:* ";

/// How to reach it.
#[derive(Debug, Clone)]
pub enum Setup {
    /// One password for all.
    Password,
    /// A user with a password and no rights but those of the documentation.
    User,
    /// As `User`, but what is written outlives the server.
    Durable,
    /// As `User`, over TLS: certificate and key are files. Beside it stands a plain port for the administrator.
    Tls(PathBuf, PathBuf),
}

pub struct Server {
    process: Child,
    port: Port,
    tls_port: Port,
    setup: Setup,
    folder: PathBuf,
}

impl Server {
    /// Starts one and waits until it listens.
    pub fn start(setup: Setup, folder: &Path) -> Self {
        let (port, tls_port) = (Port::take(), Port::take());
        let process = launch(&setup, folder, &port, &tls_port);
        Self { process, port, tls_port, setup, folder: folder.to_owned() }
    }

    /// What a setting would hold.
    pub fn url(&self) -> String {
        let port = self.port.number();
        match self.setup {
            Setup::Password => format!("redis://:{ENCODED}@127.0.0.1:{port}"),
            Setup::User | Setup::Durable => format!("redis://bff:{ENCODED}@127.0.0.1:{port}/0"),
            Setup::Tls(..) => format!("rediss://bff:{ENCODED}@localhost:{}", self.tls_port.number()),
        }
    }

    pub fn stop(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    /// Starts it again on the port it had.
    pub fn start_again(&mut self) {
        self.process = launch(&self.setup, &self.folder, &self.port, &self.tls_port);
    }

    /// `STOP`: it says nothing any more; `CONT`: it goes on.
    pub fn signal(&self, signal: &str) {
        let sent =
            Command::new("kill").args([&format!("-{signal}"), &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// A connection of the administrator.
    pub async fn admin(&self) -> MultiplexedConnection {
        let url = format!("redis://:{ENCODED}@127.0.0.1:{}", self.port.number());
        redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// One command of the administrator.
    pub async fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.admin().await).await.unwrap()
    }

    /// Until the server's own clock has moved by `time`.
    pub async fn wait_for(&self, time: Duration) {
        let mut admin = self.admin().await;
        let mut began = None;
        loop {
            let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut admin).await.unwrap();
            let now = Duration::from_secs(seconds) + Duration::from_micros(micros);
            if now > *began.get_or_insert(now) + time {
                return;
            }
        }
    }
}

/// A store at `url`. A busy machine may be slower than one connection is waited for.
pub async fn store(url: String, prefix: &str, clock: SharedClock) -> Redis {
    let url = Secret::new(url);
    for _ in 0..60 {
        if let Ok(store) = Redis::connect(&url, prefix, clock.clone()).await {
            return store;
        }
    }
    Redis::connect(&url, prefix, clock).await.expect("a connection at the sixty-first try")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(setup: &Setup, folder: &Path, port: &Port, tls_port: &Port) -> Child {
    let mut lines =
        vec![format!("port {}", port.number()), "bind 127.0.0.1".to_owned(), "save \"\"".to_owned()];
    lines.push(format!("requirepass \"{PASSWORD}\""));
    lines.push(format!("dir \"{}\"", folder.display()));
    if !matches!(setup, Setup::Password) {
        lines.push(format!("{USER}\">{PASSWORD}\""));
    }
    if matches!(setup, Setup::Durable) {
        lines.push("appendonly yes\nappendfsync always".to_owned());
    }
    if let Setup::Tls(certificate, key) = setup {
        lines.push(format!("tls-port {}\ntls-auth-clients no", tls_port.number()));
        lines.push(format!("tls-cert-file \"{}\"", certificate.display()));
        lines.push(format!("tls-key-file \"{}\"", key.display()));
    }
    let path = folder.join("redis.conf");
    fs::write(&path, lines.join("\n")).unwrap();
    let mut process = Command::new("redis-server")
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed: apt-get install redis-server");
    let output = process.stdout.take().unwrap();
    let mut said = Vec::new();
    let mut lines = BufReader::new(output).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.contains("Ready to accept connections") {
            std::thread::spawn(move || lines.for_each(drop)); // a full pipe would stop it
            return process;
        }
        said.push(line);
    }
    process.wait().unwrap();
    panic!("redis-server does not start:\n{}", said.join("\n"))
}
