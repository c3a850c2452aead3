//! What a store costs: its round trips per request, the time that each mode adds to cookie mode's, and memory.
//!
//! `cargo bench --bench stores -- [--rounds 7] [--seconds 2] [--connections 16] [--requests 2000] [--sessions 100000]`.
//! Nothing is judged here: the figures are printed.
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

mod crowd;
#[expect(dead_code, reason = "the other programs use the rest")]
#[path = "load/figures.rs"]
mod figures;
mod person;
mod redis;
mod rig;
mod talk;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use redis::Redis;
use rig::Process;
use talk::Connection;

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

/// One BFF with somebody signed in.
struct Mode {
    name: &'static str,
    process: Process,
    port: u16,
    env: Vec<(&'static str, String)>,
    cookie: String,
}

async fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path()).await?;
    let auth = SocketAddr::from(([127, 0, 0, 1], rig::free_port()?));
    let env = [
        ("AUTH_LISTEN", auth.to_string()),
        ("AUTH_DATABASE", ":memory:".to_owned()),
        ("AUTH_LIMITS", "off".to_owned()),
        ("AUTH_ACCESS_TOKEN_LIFETIME", "24h".to_owned()),
    ];
    let _auth = Process::start(&rig::program(), &["auth", "serve"], &env, folder.path(), None)?;
    rig::wait_for(&format!("http://{auth}/health")).await?;
    let upstream = upstream().await?;
    let rules = format!(
        "[upstreams]\nitems = {{ url = \"http://{upstream}\", kind = \"api\", token = \"user\" }}\n\n\
         [[rules]]\nname = \"items\"\npath = \"/api/**\"\nto = \"items\"\nanonymous_users = true\n"
    );
    std::fs::write(folder.path().join("bff.toml"), rules)?;
    let stores = [
        ("cookie", ("BFF_SESSION_STORE", "cookie".to_owned())),
        ("sqlite", ("BFF_SESSION_STORE", "sqlite:sessions.db".to_owned())),
        ("redis", redis::setting(redis.address())),
    ];
    let mut modes = Vec::new();
    for (name, store) in stores {
        modes.push(Mode::start(name, store, &format!("http://{auth}"), folder.path()).await?);
    }
    let [cookie, _, in_redis] = &modes[..] else { unreachable!() };

    round_trips(&redis, in_redis).await?;
    let connections: usize = rig::option("connections", 16)?;
    for path in ["/auth/session", "/api/items"] {
        for connections in [1, connections] {
            compare(&modes, path, connections).await?;
        }
    }
    memory(&redis, in_redis, cookie, &format!("http://{auth}"), folder.path()).await
}

impl Mode {
    async fn start(
        name: &'static str,
        store: (&'static str, String),
        auth: &str,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let (port, admin) = (rig::free_port()?, rig::free_port()?);
        let mut env = rig::bff_env(port, admin, auth, &rig::session_keys()?);
        env.push(store);
        let process = Process::start(&rig::program(), &["serve"], &env, folder, None)?;
        rig::wait_for(&format!("http://127.0.0.1:{admin}/readyz")).await?;
        let cookie =
            person::sign_up(&format!("http://localhost:{port}"), &format!("{name}@example.test")).await?;
        Ok(Self { name, process, port, env, cookie })
    }

    fn get(&self, path: &str, cookie: &str) -> String {
        talk::get(path, &format!("localhost:{}", self.port), &format!("Cookie: {cookie}"))
    }

    /// Asks on `connections` connections for `length`; seconds from a request to its answer, and of the processor.
    async fn load(&self, path: &str, connections: usize, length: Duration) -> anyhow::Result<Round> {
        let request = self.get(path, &self.cookie);
        let before = figures::cpu_seconds(self.process.0.id())?;
        let (begun, mut tasks) = (Instant::now(), JoinSet::new());
        for _ in 0..connections {
            let (mut connection, request) = (Connection::open(self.port).await?, request.clone());
            tasks.spawn(async move {
                let mut answers = 0_u32;
                while begun.elapsed() < length {
                    let reply = connection.ask(&request).await?;
                    ensure!(reply.status == 200 && !reply.ends, "{} {}", reply.status, reply.body);
                    answers += 1;
                }
                anyhow::Ok(answers)
            });
        }
        let mut answers = 0;
        while let Some(done) = tasks.join_next().await {
            answers += done??;
        }
        let own = u32::try_from(connections)?;
        Ok(Round {
            latency: begun.elapsed().as_secs_f64() * f64::from(own) / f64::from(answers),
            cpu: (figures::cpu_seconds(self.process.0.id())? - before) / f64::from(answers),
        })
    }
}

/// Seconds per request.
struct Round {
    latency: f64,
    cpu: f64,
}

/// All modes in turns.
async fn compare(modes: &[Mode], path: &str, connections: usize) -> anyhow::Result<()> {
    let rounds: usize = rig::option("rounds", 7)?;
    let length = Duration::from_secs_f64(rig::option("seconds", 2.0)?);
    let mut all: Vec<Vec<Round>> = modes.iter().map(|_| Vec::new()).collect();
    for number in 0..=rounds {
        for (mode, rounds) in modes.iter().zip(&mut all) {
            let round = mode.load(path, connections, length).await?;
            if number > 0 {
                rounds.push(round); // the first warms up
            }
        }
    }
    println!("\nGET {path}, {connections} connections, {rounds} rounds of {length:?} each, medians");
    let middle =
        |rounds: &[Round], of: fn(&Round) -> f64| figures::median(&rounds.iter().map(of).collect::<Vec<_>>());
    let first = all.first().context("a mode")?;
    let (base, base_cpu) = (middle(first, |round| round.latency), middle(first, |round| round.cpu));
    for (mode, rounds) in modes.iter().zip(&all) {
        let (latency, cpu) = (middle(rounds, |round| round.latency), middle(rounds, |round| round.cpu));
        println!(
            "  {:<8} {:>9.1} µs  {:>6.2} times cookie mode   processor of the BFF {:>7.1} µs {:>6.2} times",
            mode.name,
            latency * 1e6,
            latency / base,
            cpu * 1e6,
            cpu / base_cpu
        );
    }
    Ok(())
}

/// What Redis is asked while somebody is signed in and nothing changes.
async fn round_trips(redis: &Redis, mode: &Mode) -> anyhow::Result<()> {
    let requests: u32 = rig::option("requests", 2000)?;
    let mut connection = Connection::open(mode.port).await?;
    for path in ["/auth/session", "/api/items"] {
        let request = mode.get(path, &mode.cookie);
        connection.ask(&request).await?; // a first look may do more
        let before = commands(redis).await?;
        for _ in 0..requests {
            let reply = connection.ask(&request).await?;
            ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
        }
        let after = commands(redis).await?;
        let more = |name: &str| after[name] - before.get(name).copied().unwrap_or_default();
        let asked = after.keys().filter(|name| *name != "info" && more(name) > 0);
        let shown = asked.map(|name| format!("{name} {:.4}", f64::from(more(name)) / f64::from(requests)));
        println!("GET {path}: commands of Redis per request: {}", shown.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

async fn ask_redis<T: ::redis::FromRedisValue>(redis: &Redis, words: &[&str]) -> anyhow::Result<T> {
    let client = ::redis::Client::open(format!("redis://{}", redis.address()))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = ::redis::cmd(words[0]);
    Ok(command.arg(&words[1..]).query_async(&mut connection).await?)
}

/// How often each command was called so far.
async fn commands(redis: &Redis) -> anyhow::Result<BTreeMap<String, u32>> {
    let text: String = ask_redis(redis, &["INFO", "commandstats"]).await?;
    let counted = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    let own = ["client|setinfo", "hello", "client|setname"];
    Ok(text.lines().filter_map(counted).filter(|(name, _)| !own.contains(&name.as_str())).collect())
}

/// A node and Redis with so many sessions, each of which was used.
async fn memory(redis: &Redis, mode: &Mode, other: &Mode, auth: &str, folder: &Path) -> anyhow::Result<()> {
    let count: usize = rig::option("sessions", 100_000)?;
    let server: u32 = {
        let text: String = ask_redis(redis, &["INFO", "server"]).await?;
        let id = text.lines().find_map(|line| line.strip_prefix("process_id:")).context("process_id")?;
        id.trim().parse()?
    };
    let node = mode.process.0.id();
    let before = (figures::resident_mib(node)?, figures::resident_mib(server)?);
    let begun = Instant::now();
    let people = crowd::gather(auth, count, &mode.env, folder).await?;
    let made = begun.elapsed();
    let fresh = figures::resident_mib(server)?;
    let begun = Instant::now();
    let shared = std::sync::Arc::new((people, std::sync::atomic::AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (shared, mut connection) = (shared.clone(), Connection::open(mode.port).await?);
        let host = format!("localhost:{}", mode.port);
        tasks.spawn(async move {
            let (people, next) = &*shared;
            let turn = || people.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            while let Some(person) = turn() {
                let request = talk::get("/api/items", &host, &format!("Cookie: {}", person.cookie));
                let reply = connection.ask(&request).await?;
                ensure!(reply.status == 200, "{} {}: {}", person.id, reply.status, reply.body);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    println!(
        "\n{count} sessions made in {:.0} s and each used once in {:.0} s",
        made.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    println!(
        "  memory of the node: {:.1} MiB before, {:.1} MiB after",
        before.0,
        figures::resident_mib(node)?
    );
    println!(
        "  memory of Redis: {:.1} MiB before, {fresh:.1} MiB with them, {:.1} MiB after",
        before.1,
        figures::resident_mib(server)?
    );
    println!(
        "  memory of the node in cookie mode, with one session: {:.1} MiB",
        figures::resident_mib(other.process.0.id())?
    );
    Ok(())
}

async fn upstream() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().fallback(|| async { "items" });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
