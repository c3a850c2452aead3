//! Load on loopback: the real program beside bare servers, one core each, as ratios of one run.
//!
//! `cargo bench --bench load -- [--processes 3] [--rounds 5] [--seconds 1] [--connections 32] [--starts 11]`, and with
//! `--people 100000` instead of all that: so many signed-in people against one. Nothing is judged here: the figures are
//! printed.
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

#[path = "load/bare.rs"]
mod bare;
#[expect(dead_code, reason = "another program asks for the ids")]
mod crowd;
#[path = "load/drive.rs"]
mod drive;
#[expect(dead_code, reason = "the other programs use the rest")]
#[path = "load/figures.rs"]
mod figures;
#[path = "load/pairs.rs"]
mod pairs;
#[path = "load/people.rs"]
mod people;
mod person;
#[path = "load/proxies.rs"]
mod proxies;
mod rig;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base::clock::SystemClock;
use base::entropy::SystemEntropy;

use pairs::Pairs;
use rig::Process;

/// The server that is measured has this core for itself; whoever asks and answers it has the other.
const SERVER: usize = 0;
const OTHERS: usize = 1;

/// The upstream behind both proxies; `bench` asks for a session, a scope and the user's token.
const RULES: &str = r#"
[scopes]
"items" = "Everything about items"
"items:read" = "Read items"

[roles]
user = ["items:read"]
authenticated = ["items:read"]

[[rules]]
name = "bench"
path = "/api/**"
to = "bench"
scopes = ["items:read"]
anonymous_users = true
"#;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match words.as_slice() {
        ["serve", "route", port, size] => runtime.block_on(bare::route(port.parse()?, size.parse()?)),
        ["serve", "proxy", port, to] => runtime.block_on(bare::proxy(port.parse()?, to.parse()?)),
        _ if words.first() == Some(&"measure") => runtime.block_on(measure()),
        _ => {
            // Everything but the servers runs on one core: this program starts itself there.
            let mut again = vec!["measure".to_owned()];
            again.extend(arguments.into_iter().filter(|word| word != "--bench"));
            let own = std::env::current_exe()?;
            let status = std::process::Command::new("taskset")
                .args(["-c", &OTHERS.to_string()])
                .arg(own)
                .args(again)
                .status()
                .context("taskset does not start")?;
            std::process::exit(status.code().unwrap_or(1));
        }
    }
}

async fn measure() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let auth = auth_server().await?;
    let keys = rig::session_keys()?;
    let own = std::env::current_exe()?;
    let own = own.to_str().context("a path in UTF-8")?;
    let serve = |what: &[&str], core| {
        let arguments: Vec<&str> = std::iter::once("serve").chain(what.iter().copied()).collect();
        Process::start(own, &arguments, &[], folder.path(), Some(core))
    };

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let upstream_port = listener.local_addr()?.port();
    tokio::spawn(bare::upstream(listener, 1024));
    if rig::option("people", 0)? > 0 {
        return people::against_one(auth.url(), &keys, upstream_port).await;
    }

    start_times(folder.path(), auth.url(), &keys).await?;

    std::fs::write(folder.path().join("bff.toml"), bff_toml(upstream_port))?;
    // Where a process lies in memory moves its figures by several per cent: each is started more than once.
    let processes: usize = rig::option("processes", 3)?;
    let (mut session, mut proxied, mut nginx) = (Pairs::default(), Pairs::default(), Pairs::default());
    let mut forward_auth = Pairs::default();
    for number in 1..=processes {
        let ports: Vec<u16> = (0..4).map(|_| rig::free_port()).collect::<Result<_, _>>()?;
        let [bff_port, admin_port, route_port, proxy_port] = ports[..] else { unreachable!() };
        let env = rig::bff_env(bff_port, admin_port, auth.url(), &keys);
        let bff = Process::start(&rig::program(), &["serve"], &env, folder.path(), Some(SERVER))?;
        rig::wait_for(&format!("http://127.0.0.1:{admin_port}/readyz")).await?;
        let base = format!("http://localhost:{bff_port}");
        let cookie = person::sign_up(&base, &format!("ada{number}@example.test")).await?;
        let get = |path: &str, port: u16| {
            format!(
                "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nX-CSRF: 1\r\nAccept: application/json\r\nCookie: {cookie}\r\n\r\n"
            )
        };
        let one = drive::once(bff_port, &get("/auth/session", bff_port)).await?;
        if number == 1 {
            println!(
                "a session cookie of {} bytes; GET /auth/session answers {} bytes",
                cookie.len(),
                one.body
            );
        }
        let route = serve(&["route", &route_port.to_string(), &one.body.to_string()], SERVER)?;
        let proxy = serve(&["proxy", &proxy_port.to_string(), &upstream_port.to_string()], SERVER)?;
        rig::wait_for(&format!("http://127.0.0.1:{route_port}/auth/session")).await?;
        rig::wait_for(&format!("http://127.0.0.1:{proxy_port}/api/items")).await?;
        let bare = (&route, route_port, get("/auth/session", route_port));
        session.measure(bare, (&bff, bff_port, get("/auth/session", bff_port))).await?;
        let bare = (&proxy, proxy_port, get("/api/items", proxy_port));
        proxied.measure(bare, (&bff, bff_port, get("/api/items", bff_port))).await?;
        drop(proxy);
        let (other, other_port) = proxies::nginx(upstream_port, folder.path()).await?;
        let ours = (&bff, bff_port, get("/api/items", bff_port));
        nginx.measure((&other, other_port, get("/api/items", other_port)), ours).await?;
        if number == processes {
            println!("memory after the load: {:.1} MiB", figures::resident_mib(bff.0.id())?);
        }
        drop((bff, other));
        proxies::forward_auth(auth.url(), &keys, number, &mut forward_auth).await?;
    }
    session.print("GET /auth/session against a bare axum route");
    proxied.print("1 KiB through rule, session and token against a bare axum and hyper proxy");
    nginx.print("1 KiB through rule, session and token against nginx without any check");
    forward_auth.print("GET /auth/verify against GET /auth/session, both of ours, sessions in SQLite");
    Ok(())
}

fn bff_toml(upstream: u16) -> String {
    let upstream = format!("url = \"http://127.0.0.1:{upstream}\", kind = \"api\", token = \"user\"");
    format!("[upstreams]\nbench = {{ {upstream} }}\n{RULES}")
}

/// The embedded auth server in this process: for the sign-in, and idle during the load.
async fn auth_server() -> anyhow::Result<auth_server::Handle> {
    let settings =
        auth_server::Settings { default_role: Some("user".to_owned()), ..auth_server::Settings::for_tests() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    Ok(auth_server::start(settings, Arc::new(SystemClock), Arc::new(SystemEntropy), listener).await?)
}

/// From the start of the process to its first answer, and its memory when it is idle. Both cores are the program's.
async fn start_times(folder: &Path, auth: &str, keys: &str) -> anyhow::Result<()> {
    let starts: usize = rig::option("starts", 11)?;
    let data = tempfile::tempdir()?;
    for (title, alone) in [("the BFF alone", true), ("with auth server and demo", false)] {
        let (mut times, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..starts {
            let (port, admin) = (rig::free_port()?, rig::free_port()?);
            let mut env = rig::bff_env(port, admin, auth, keys);
            env.push(("BFF_DATA_DIR", data.path().join("data").display().to_string()));
            if !alone {
                env.retain(|(name, _)| !name.starts_with("SUPABASE_"));
                env.push(("AUTH_LISTEN", "127.0.0.1:0".to_owned()));
            }
            let request = format!("GET /auth/session HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
            let begun = Instant::now();
            let process = Process::start(&rig::program(), &["serve"], &env, folder, None)?;
            while drive::once(port, &request).await.is_err() {
                anyhow::ensure!(begun.elapsed() < Duration::from_secs(10), "no answer within 10 s");
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            rig::wait_for(&format!("http://127.0.0.1:{admin}/readyz")).await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            memory.push(figures::resident_mib(process.0.id())?);
        }
        println!(
            "{title}: first answer {:.1} ms after the start (median of {starts}; {:.1} to {:.1}), idle memory {:.1} MiB",
            figures::median(&times),
            times.iter().copied().fold(f64::INFINITY, f64::min),
            times.iter().copied().fold(0.0, f64::max),
            figures::median(&memory),
        );
    }
    Ok(())
}
