//! The embedded auth server under load: sign-ins beside the hash alone, refreshes, and its memory when 500 people sign in
//! at the same moment.
//!
//! `cargo bench --bench auth -- [--rounds 5] [--seconds 4] [--connections 4] [--crowd 500]`. The server has one core, who
//! asks it the other. Nothing is judged here: the figures are printed.
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

#[path = "load/figures.rs"]
mod figures;
#[expect(dead_code, reason = "programs that measure the BFF use the rest")]
mod rig;
#[expect(dead_code, reason = "programs that measure the BFF use the rest")]
mod talk;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use base::entropy::{Entropy, SystemEntropy};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use figures::{cpu_seconds, median, peak_mib, resident_mib};
use rig::{PASSWORD, Process};
use talk::{Connection, Reply};

/// The server, and the hash alone, have this core for themselves; whoever asks has the other.
const SERVER: usize = 0;
const OTHERS: usize = 1;

/// What a password costs by default: KiB and passes (S-72).
const COST: (u32, u32) = (19_456, 2);

/// So many accounts share the sign-ins.
const PEOPLE: usize = 20;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("hash") => hash_alone(arguments.get(1).context("seconds")?.parse()?),
        Some("measure") => {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
        }
        _ => {
            let own = std::env::current_exe()?;
            let pinned =
                ["-c".to_owned(), OTHERS.to_string(), own.display().to_string(), "measure".to_owned()];
            let status = Command::new("taskset").args(pinned).args(arguments).status();
            std::process::exit(status.context("taskset does not start")?.code().unwrap_or(1));
        }
    }
}

/// Hashes for `seconds`, one after the other, and prints how many that is a second.
fn hash_alone(seconds: f64) -> anyhow::Result<()> {
    let params = Params::new(COST.0, COST.1, 1, None).context("the cost")?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (begun, mut done) = (Instant::now(), 0_u32);
    while begun.elapsed().as_secs_f64() < seconds {
        let salt: [u8; 16] = (&SystemEntropy as &dyn Entropy).bytes();
        argon2.hash_password_with_salt(PASSWORD.as_bytes(), &salt).context("a hash")?;
        done += 1;
    }
    println!("{}", f64::from(done) / begun.elapsed().as_secs_f64());
    Ok(())
}

/// One auth server.
struct Server {
    process: Process,
    port: u16,
    /// MiB before its first password.
    idle: f64,
}

impl Server {
    async fn start(folder: &Path, core: Option<usize>) -> anyhow::Result<Self> {
        let (port, admin) = (rig::free_port()?, (&SystemEntropy as &dyn Entropy).text::<48>());
        let env = vec![
            ("AUTH_LISTEN", format!("127.0.0.1:{port}")),
            ("AUTH_DATABASE", folder.join(format!("{port}.db")).display().to_string()),
            ("AUTH_LIMITS", "off".to_owned()),
            ("AUTH_ADMIN_KEY", admin.clone()),
        ];
        let process = Process::start(&rig::program(), &["auth", "serve"], &env, folder, core)?;
        rig::wait_for(&format!("http://127.0.0.1:{port}/health")).await?;
        let idle = resident_mib(process.0.id())?;
        let http = rig::client()?;
        for n in 0..PEOPLE {
            let person = json!({ "email": email(n), "password": PASSWORD, "email_confirm": true });
            let request = http.post(format!("http://127.0.0.1:{port}/admin/users")).bearer_auth(&admin);
            let answer = request.json(&person).send().await?;
            ensure!(answer.status() == 200, "an account cannot be made: {}", answer.text().await?);
        }
        Ok(Self { process, port, idle })
    }

    /// Sign-ins a second on `connections` connections.
    async fn sign_ins(&self, connections: usize, length: Duration) -> anyhow::Result<f64> {
        let (begun, mut tasks) = (Instant::now(), JoinSet::new());
        for n in 0..connections {
            let (mut connection, request) = (Connection::open(self.port).await?, sign_in(self.port, n));
            tasks.spawn(async move {
                let mut done = 0_u32;
                while begun.elapsed() < length {
                    good(&connection.ask(&request).await?)?;
                    done += 1;
                }
                anyhow::Ok(done)
            });
        }
        Ok(total(tasks).await? / begun.elapsed().as_secs_f64())
    }

    /// Refreshes a second: each connection refreshes a session of its own, one token after the other.
    async fn refreshes(&self, connections: usize, length: Duration) -> anyhow::Result<f64> {
        let mut sessions = Vec::new();
        for n in 0..connections {
            let mut connection = Connection::open(self.port).await?;
            let token = refresh_token(&connection.ask(&sign_in(self.port, n)).await?)?;
            sessions.push((connection, token));
        }
        let (begun, mut tasks, port) = (Instant::now(), JoinSet::new(), self.port);
        for (mut connection, mut token) in sessions {
            tasks.spawn(async move {
                let mut done = 0_u32;
                while begun.elapsed() < length {
                    token = refresh_token(&connection.ask(&refresh(port, &token)).await?)?;
                    done += 1;
                }
                anyhow::Ok(done)
            });
        }
        Ok(total(tasks).await? / begun.elapsed().as_secs_f64())
    }
}

fn email(n: usize) -> String {
    format!("person-{n}@example.test")
}

fn sign_in(port: u16, n: usize) -> String {
    post(port, "password", &json!({ "email": email(n % PEOPLE), "password": PASSWORD }))
}

fn refresh(port: u16, token: &str) -> String {
    post(port, "refresh_token", &json!({ "refresh_token": token }))
}

fn post(port: u16, grant: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST /token?grant_type={grant} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn good(reply: &Reply) -> anyhow::Result<()> {
    ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
    Ok(())
}

fn refresh_token(reply: &Reply) -> anyhow::Result<String> {
    good(reply)?;
    let body: Value = serde_json::from_str(&reply.body)?;
    Ok(body["refresh_token"].as_str().context("a refresh token")?.to_owned())
}

async fn total(mut tasks: JoinSet<anyhow::Result<u32>>) -> anyhow::Result<f64> {
    let mut all = 0;
    while let Some(done) = tasks.join_next().await {
        all += done??;
    }
    Ok(f64::from(all))
}

async fn measure() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (rounds, connections): (usize, usize) = (rig::option("rounds", 5)?, rig::option("connections", 4)?);
    let seconds: f64 = rig::option("seconds", 4.0)?;
    let length = Duration::from_secs_f64(seconds);
    let server = Server::start(folder.path(), Some(SERVER)).await?;
    let id = server.process.0.id();
    server.sign_ins(connections, Duration::from_secs(1)).await?; // warms up

    println!("one core, {connections} connections, {rounds} rounds of {seconds} s in turns; a second");
    println!("{:>10}{:>12}{:>8}{:>18}", "sign-ins", "hash alone", "ratio", "core busy (hash)");
    let (mut all, mut alone, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let before = cpu_seconds(id)?;
        let ours = server.sign_ins(connections, length).await?;
        let busy = (cpu_seconds(id)? - before) / seconds;
        let bare = hash_elsewhere(seconds)?;
        println!("{ours:>10.1}{bare:>12.1}{:>8.3}{busy:>18.2}", ours / bare);
        all.push(ours);
        alone.push(bare);
        ratios.push(ours / bare);
    }
    let (ours, bare) = (median(&all), median(&alone));
    println!(
        "median {ours:.1} to {bare:.1}: {:.3}; of the rounds' ratios {:.3}\n",
        ours / bare,
        median(&ratios)
    );

    let mut refreshed = Vec::new();
    for _ in 0..rounds {
        refreshed.push(server.refreshes(2 * connections, length).await?);
    }
    let each = refreshed.iter().map(|one| format!("{one:.0}")).collect::<Vec<_>>().join(" ");
    println!("refreshes on {} connections: median {:.0} ({each})\n", 2 * connections, median(&refreshed));
    drop(server);
    crowd(folder.path(), rig::option("crowd", 500)?).await
}

/// The hash in a process of its own, on the server's core.
fn hash_elsewhere(seconds: f64) -> anyhow::Result<f64> {
    let own = std::env::current_exe()?;
    let mut command = Command::new("taskset");
    command.args(["-c", &SERVER.to_string()]).arg(own).args(["hash", &seconds.to_string()]);
    let output = command.output().context("taskset does not start")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Everybody signs in at the same moment, at a server that has all cores. Those beyond its queue are told to come again.
async fn crowd(folder: &Path, people: usize) -> anyhow::Result<()> {
    let server = Server::start(folder, None).await?;
    let (id, port) = (server.process.0.id(), server.port);
    let mut connections = Vec::new();
    for _ in 0..people {
        connections.push(Connection::open(port).await?);
    }
    let mut refreshing = Connection::open(port).await?;
    let token = refresh_token(&refreshing.ask(&sign_in(port, 0)).await?)?;
    let alone = peak_mib(id)?;
    let (begun, mut tasks) = (Instant::now(), JoinSet::new());
    for (n, mut connection) in connections.into_iter().enumerate() {
        tasks.spawn(async move { connection.ask(&sign_in(port, n)).await });
    }
    let meanwhile = Instant::now();
    refresh_token(&refreshing.ask(&refresh(port, &token)).await?)?;
    let meanwhile = meanwhile.elapsed();
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    while let Some(reply) = tasks.join_next().await {
        *answers.entry(reply??.status).or_default() += 1;
    }
    let took = begun.elapsed().as_secs_f64();
    println!("{people} sign-ins at once, answered in {took:.2} s: {answers:?} (status: how many)");
    println!("a refresh among them took {:.0} ms", meanwhile.as_secs_f64() * 1e3);
    println!(
        "idle {:.1} MiB (VmRSS); the most so far (VmHWM) after one sign-in at a time {alone:.1} MiB,",
        server.idle
    );
    println!("after the crowd {:.1} MiB; now {:.1} MiB (VmRSS)", peak_mib(id)?, resident_mib(id)?);
    Ok(())
}
