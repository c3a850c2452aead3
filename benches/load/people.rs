//! One person's requests beside those of very many, to the same process.
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::time::{Duration, Instant};

use anyhow::Context;

use super::drive::{self, Requests};
use super::pairs::Pairs;
use super::rig::{self, Process};
use super::{SERVER, bff_toml, crowd, figures};

/// Anonymous people have no role but the database's.
const BY_ROLE: &str = r#"
[claims]
roles = ["role"]
"#;

/// Proxied requests of one person, and of `--people` different ones in turns: sessions in cookies.
pub async fn against_one(auth: &str, keys: &str, upstream: u16) -> anyhow::Result<()> {
    let count: usize = rig::option("people", 0)?;
    let folder = tempfile::tempdir()?;
    let (port, admin) = (rig::free_port()?, rig::free_port()?);
    let env = rig::bff_env(port, admin, auth, keys);
    std::fs::write(folder.path().join("bff.toml"), format!("{}{BY_ROLE}", bff_toml(upstream)))?;
    let people = crowd::gather(auth, count, &env, folder.path()).await?;
    let get = |person: &crowd::Person| {
        format!(
            "GET /api/items HTTP/1.1\r\nHost: localhost:{port}\r\nX-CSRF: 1\r\nAccept: application/json\r\nCookie: {}\r\n\r\n",
            person.cookie
        )
    };
    let first = people.first().map(get).context("nobody")?;
    let requests: Vec<String> = people.iter().map(get).collect();
    drop(people);
    let mut pairs = Pairs::default();
    for _ in 0..rig::option("processes", 3)? {
        let bff = Process::start(&rig::program(), &["serve"], &env, folder.path(), Some(SERVER))?;
        rig::wait_for(&format!("http://127.0.0.1:{admin}/readyz")).await?;
        let all = Requests::new(requests.iter().cloned());
        first_time(&bff, port, &all).await?;
        pairs.measure((&bff, port, Requests::from(first.clone())), (&bff, port, all)).await?;
    }
    pairs.print(&format!("1 KiB proxied for {count} people in turns (ours) against one of them (bare)"));
    Ok(())
}

/// Whoever comes for the first time costs more: the cookie is opened and the token verified.
async fn first_time(bff: &Process, port: u16, all: &Requests) -> anyhow::Result<()> {
    let connections: usize = rig::option("connections", 32)?;
    let (begun, before) = (Instant::now(), figures::cpu_seconds(bff.0.id())?);
    let mut answers = 0;
    while !all.all_asked() {
        answers += drive::run(port, all, connections, Duration::from_millis(250)).await?;
    }
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), figures::cpu_seconds(bff.0.id())? - before);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let answers = answers as f64;
    println!(
        "everybody for the first time: {:.0} /s, {:.0} a processor second; memory then: {:.1} MiB",
        answers / seconds,
        answers / cpu,
        figures::resident_mib(bff.0.id())?
    );
    Ok(())
}
