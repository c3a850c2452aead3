//! Several nodes on one Redis: one refresh per session over all of them, whatever happens to one; sign-outs that reach
//! every node.
//!
//! `cargo bench --bench nodes -- [--sessions 1000] [--requests 100] [--nodes 5] [--connections 100] [--lifetime 90]
//! [--tries 20] [--cuts 5]`; the lifetime of access tokens is in seconds, connections are per node. Prints what was seen,
//! and ends with status 1 if a promise was broken. One who asks for everybody at the same time has as many connections as
//! let two nodes want each session at once.
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

mod crowd;
#[path = "nodes/gate.rs"]
mod gate;
mod person;
mod redis;
#[path = "nodes/revoked.rs"]
mod revoked;
mod rig;
mod talk;
#[path = "nodes/wave.rs"]
mod wave;
#[path = "nodes/wire.rs"]
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crowd::Person;
use gate::{Gate, Hit};
use redis::Redis;
use rig::Process;
use wave::{Order, Tally, Wave};
use wire::Wire;

/// An auth server that answers so late is slower than a lease, but not yet given up.
const SLOWER_THAN_THE_LEASE: Duration = Duration::from_secs(7);
/// So late that a node can be hit while it waits.
const IN_MID_REFRESH: Duration = Duration::from_secs(3);
/// How long a node is stopped: its lease runs out, and it has given up its own call when it goes on.
const STOPPED: Duration = Duration::from_secs(12);
/// How many of its sessions a node must be refreshing before it is hit, if there are as many.
const HIT_AT: usize = 20;
/// To one node. The program takes more than that from one address only if it is told so.
const MOST_CONNECTIONS: usize = 400;
/// No node has this number.
const NOBODY: usize = usize::MAX;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kept = runtime.block_on(run())?;
    std::process::exit(i32::from(!kept));
}

async fn run() -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let mut stage = Stage::set(folder.path()).await?;
    println!(
        "{} nodes, {} sessions, {} requests of each, access tokens live {:?}\n",
        stage.nodes.len(),
        stage.people.len(),
        stage.requests,
        stage.lifetime
    );
    println!(
        "{:<44} {:>9} {:>9} {:>7} {:>10} {:>9} {:>9} {:>7} {:>9} {:>9} {:>9}",
        "",
        "requests",
        "200",
        "failed",
        "no answer",
        "sign-outs",
        "strangers",
        "s",
        "slowest s",
        "refreshes",
        "/session"
    );
    let mut kept = stage.expire_together().await?;
    kept &= stage.slow_auth_server().await?;
    kept &= stage.stopped().await?;
    kept &= stage.killed().await?;
    kept &= stage.all_are_signed_in().await?;
    kept &= stage.sign_outs().await?;
    println!("\nevery promise kept: {kept}");
    Ok(kept)
}

/// What is played with.
struct Stage {
    redis: Redis,
    gate: Gate,
    /// Between the second node and Redis.
    wire: Wire,
    people: Arc<Vec<Person>>,
    expired: Instant,
    lifetime: Duration,
    requests: usize,
    connections: usize,
    ports: Vec<u16>,
    nodes: Vec<Option<Process>>,
    keys: String,
    folder: PathBuf,
    _auth: Process,
}

/// What happened in one act.
struct Act<'a> {
    title: &'a str,
    tally: Tally,
    /// The node that was stopped or killed: only what it had begun may lead to a further call.
    hit: Option<Hit>,
    /// Whether every request must have been answered with what it asked for.
    unfailing: bool,
}

impl Stage {
    async fn set(folder: &Path) -> anyhow::Result<Self> {
        let (count, lifetime): (usize, u64) = (rig::option("nodes", 5)?, rig::option("lifetime", 90)?);
        ensure!(count > 1, "one node alone has nobody to agree with");
        let redis = Redis::start(folder).await?;
        let auth_address = SocketAddr::from(([127, 0, 0, 1], rig::free_port()?));
        let gate = Gate::start(auth_address, count).await?;
        let wire = Wire::start(redis.address()).await?;
        let ports = (0..count).map(|_| rig::free_port()).collect::<anyhow::Result<Vec<_>>>()?;
        let env = [
            ("AUTH_LISTEN", auth_address.to_string()),
            ("AUTH_PUBLIC_URL", gate.url(0)),
            ("AUTH_SITE_URL", format!("http://localhost:{}", ports[0])),
            ("AUTH_DATABASE", ":memory:".to_owned()),
            ("AUTH_LIMITS", "off".to_owned()),
            ("AUTH_ACCESS_TOKEN_LIFETIME", format!("{lifetime}s")),
        ];
        let auth = Process::start(&rig::program(), &["auth", "serve"], &env, folder, None)?;
        rig::wait_for(&format!("http://{auth_address}/health")).await?;
        let upstream = upstream().await?;
        let rules = format!(
            "[upstreams]\nitems = {{ url = \"http://{upstream}\", kind = \"api\", token = \"user\" }}\n\n\
             [[rules]]\nname = \"items\"\npath = \"/api/**\"\nto = \"items\"\nanonymous_users = true\n"
        );
        std::fs::write(folder.join("bff.toml"), rules)?;
        let mut stage = Self {
            redis,
            gate,
            wire,
            people: Arc::default(),
            expired: Instant::now(),
            lifetime: Duration::from_secs(lifetime),
            requests: rig::option("requests", 100)?,
            connections: rig::option("connections", 100)?,
            ports,
            nodes: Vec::new(),
            keys: rig::session_keys()?,
            folder: folder.to_owned(),
            _auth: auth,
        };
        for node in 0..count {
            let started = stage.start(node).await?;
            stage.nodes.push(Some(started));
        }
        let (door, env) = (stage.gate.url(0), stage.env(0, rig::free_port()?));
        stage.people = Arc::new(crowd::gather(&door, rig::option("sessions", 1000)?, &env, folder).await?);
        stage.expired = stage.expiry();
        Ok(stage)
    }

    fn env(&self, node: usize, admin: u16) -> Vec<(&'static str, String)> {
        let mut env = rig::bff_env(self.ports[node], admin, &self.gate.url(node), &self.keys);
        env.retain(|(name, _)| *name != "BFF_PUBLIC_URL");
        let redis = if node == 1 { self.wire.address() } else { self.redis.address() };
        env.extend([
            ("BFF_PUBLIC_URL", format!("http://{}", self.host())),
            ("SUPABASE_PUBLIC_URL", self.gate.url(0)),
            redis::setting(redis),
            ("BFF_LIMITS_PASSWORD_PER_NETWORK", "1000000/1m".to_owned()),
            ("BFF_LIMITS_MAIL_PER_NETWORK", "1000000/1m".to_owned()),
            ("BFF_LIMITS_GOTRUE_BUDGET", "off".to_owned()),
            ("BFF_LIMITS_CONNECTIONS_PER_NETWORK", "4096".to_owned()),
        ]);
        env
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.ports[0])
    }

    async fn start(&self, node: usize) -> anyhow::Result<Process> {
        let admin = rig::free_port()?;
        let process =
            Process::start(&rig::program(), &["serve"], &self.env(node, admin), &self.folder, None)?;
        rig::wait_for(&format!("http://127.0.0.1:{admin}/readyz")).await?;
        Ok(process)
    }

    /// When all tokens that are given now have run out.
    fn expiry(&self) -> Instant {
        Instant::now() + self.lifetime + Duration::from_secs(1)
    }

    fn wave(&self, order: Order) -> Wave {
        let connections = match order {
            Order::ByPerson => self.connections,
            Order::ByTurn => (2 * self.people.len() / self.ports.len()).clamp(1, MOST_CONNECTIONS),
        };
        Wave {
            people: self.people.clone(),
            requests: self.requests,
            order,
            ports: self.ports.clone(),
            connections,
            host: self.host(),
            lost: Arc::new(AtomicUsize::new(NOBODY)),
        }
    }

    /// Until every token has run out; then the auth server answers so `late`.
    async fn all_expired(&mut self, late: Duration) {
        tokio::time::sleep_until(self.expired.into()).await;
        self.gate.open_book(late);
    }

    async fn expire_together(&mut self) -> anyhow::Result<bool> {
        self.all_expired(Duration::ZERO).await;
        let tally = self.wave(Order::ByPerson).run().await;
        self.end(Act { title: "all expire together", tally, hit: None, unfailing: true })
    }

    async fn slow_auth_server(&mut self) -> anyhow::Result<bool> {
        self.all_expired(SLOWER_THAN_THE_LEASE).await;
        let tally = self.wave(Order::ByTurn).run().await;
        let title = format!("the auth server takes {SLOWER_THAN_THE_LEASE:?}");
        self.end(Act { title: &title, tally, hit: None, unfailing: false })
    }

    async fn stopped(&mut self) -> anyhow::Result<bool> {
        self.all_expired(IN_MID_REFRESH).await;
        let wave = tokio::spawn(self.wave(Order::ByTurn).run());
        let node = self.until_hit(&wave).await?;
        let hit = Some(Hit { node, at: Instant::now() });
        self.signal(node, "STOP")?;
        tokio::time::sleep(STOPPED).await;
        self.signal(node, "CONT")?;
        let title = format!("one is stopped in mid-refresh, for {STOPPED:?}");
        self.end(Act { title: &title, tally: wave.await?, hit, unfailing: false })
    }

    async fn killed(&mut self) -> anyhow::Result<bool> {
        self.all_expired(IN_MID_REFRESH).await;
        let wave = self.wave(Order::ByTurn);
        let lost = wave.lost.clone();
        let wave = tokio::spawn(wave.run());
        let node = self.until_hit(&wave).await?;
        let hit = Some(Hit { node, at: Instant::now() });
        lost.store(node, Ordering::SeqCst);
        self.nodes[node] = None; // dropped: `kill -9`
        let tally = wave.await?;
        self.nodes[node] = Some(self.start(node).await?);
        self.end(Act { title: "one is killed in mid-refresh", tally, hit, unfailing: false })
    }

    /// Waits until a node refreshes enough sessions: the number of the one that refreshes most.
    async fn until_hit(&self, wave: &JoinHandle<Tally>) -> anyhow::Result<usize> {
        let enough = HIT_AT.min(self.people.len() / self.ports.len() / 2).max(1);
        loop {
            let all = (0..self.ports.len()).map(|node| (node, self.gate.waiting(node)));
            if let Some((node, waiting)) = all.max_by_key(|(_, waiting)| *waiting)
                && waiting >= enough
            {
                return Ok(node);
            }
            ensure!(!wave.is_finished(), "no node refreshed as many sessions as it should be hit at");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn signal(&self, node: usize, name: &str) -> anyhow::Result<()> {
        let id = self.nodes[node].as_ref().context("a running node")?.0.id().to_string();
        ensure!(Command::new("kill").args([&format!("-{name}"), &id]).status()?.success(), "kill -{name}");
        Ok(())
    }

    fn end(&mut self, act: Act<'_>) -> anyhow::Result<bool> {
        let Act { title, tally, hit, unfailing } = act;
        let calls = self.gate.calls();
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let ratio = calls.all as f64 / self.people.len() as f64;
        println!("{title:<44} {tally} {:>9} {ratio:>9.3}", calls.all);
        let further = self.gate.further(hit);
        if let Some(failure) = &tally.first_failure {
            println!("    the first failure: {failure}");
        }
        if calls.all > calls.tokens {
            println!(
                "    a further call: {} sessions whose call the node had out, {} by the node itself when it went on, \
                 {} without a reason; at most {} calls for one session",
                further.after_its_own, further.by_itself_later, further.without_reason, calls.most
            );
        }
        if let Some(who) = &further.first_without {
            println!("    the first without a reason: {who}");
        }
        if calls.tokens != self.people.len() {
            println!("    {} sessions were refreshed", calls.tokens);
        }
        if tally.length > self.lifetime * 3 / 4 {
            println!("    it took longer than fresh tokens are left alone: give it a longer --lifetime");
        }
        self.expired = self.expiry();
        Ok((tally.failed == 0 || !unfailing)
            && tally.sign_outs == 0
            && tally.strangers == 0
            && calls.tokens == self.people.len()
            && further.without_reason == 0
            && calls.most <= 2)
    }

    /// One request of everybody at each node.
    async fn all_are_signed_in(&mut self) -> anyhow::Result<bool> {
        let wave = Wave { requests: self.ports.len(), ..self.wave(Order::ByTurn) };
        let tally = wave.run().await;
        println!("{:<44} {tally}", "everybody at every node, at the end");
        if let Some(failure) = &tally.first_failure {
            println!("    the first failure: {failure}");
        }
        Ok(tally.answered == tally.sent)
    }

    /// Ends every connection of Redis but the one that asks for it.
    async fn kill_connections(&self) -> anyhow::Result<()> {
        let client = ::redis::Client::open(format!("redis://{}", self.redis.address()))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = ::redis::cmd("CLIENT");
        command.arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]);
        Ok(command.exec_async(&mut connection).await?)
    }

    async fn sign_outs(&self) -> anyhow::Result<bool> {
        let act = revoked::Act { here: self.ports[0], there: self.ports[1], host: self.host() };
        let tries: usize = rig::option("tries", 20)?;
        let mut kept =
            act.report("sign-out on one node, seen on another", tries, async || Ok(()), async || {}).await?;
        let killed = async || self.kill_connections().await;
        kept &= act
            .report("the same, all connections of Redis killed before", tries, killed, async || {})
            .await?;
        for (number, seconds) in [1, 3, 6, 12, 25].into_iter().take(rig::option("cuts", 5)?).enumerate() {
            let cut = async || {
                self.wire.cut();
                Ok(())
            };
            let mend = async || {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                self.wire.mend();
            };
            let title = format!("{}. the other is cut off Redis for {seconds} s", number + 1);
            kept &= act.report(&title, 1, cut, mend).await?;
        }
        Ok(kept)
    }
}

/// The API behind the nodes: says whose token it was given; at `/api/bearer` the token itself.
async fn upstream() -> anyhow::Result<SocketAddr> {
    async fn answer(request: Request) -> String {
        let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if request.uri().path() == "/api/bearer" {
            return token.to_owned();
        }
        let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Option<serde_json::Value> = claims.and_then(|json| serde_json::from_slice(&json).ok());
        claims.and_then(|claims| claims["sub"].as_str().map(str::to_owned)).unwrap_or_default()
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    Ok(address)
}
