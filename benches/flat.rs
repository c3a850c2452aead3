//! Memory of the real program while large bodies go through it, and whether an event is forwarded before the next is there.
//!
//! `cargo bench --bench flat -- [--mib 1024] [--most 16]`. A signed-in person sends a body of so many MiB to an upstream and has
//! one sent by it, first as fast as both can, then with a reader at the other end that begins late. Printed are the resident
//! memory before (`VmRSS`), its peak meanwhile (`VmHWM`, set back before each way) and MiB a second. Ends with status 1 if the
//! peak lies more than `--most` MiB above, if a byte is missing, or if the first event waits for the second.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]

#[expect(dead_code, reason = "the other programs use the rest")]
#[path = "load/figures.rs"]
mod figures;
mod person;
mod rig;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use rig::Process;

const MIB: usize = 1 << 20;
/// What one write holds.
const PIECE: usize = 64 << 10;
/// How long the late reader waits: enough for every buffer on the way to fill.
const LATE: Duration = Duration::from_secs(2);
/// Longer than anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// The program, and who speaks with it.
struct Site {
    port: u16,
    cookie: String,
    id: u32,
    most: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mib: usize = rig::option("mib", 1024)?;
    let most: f64 = rig::option("most", 16.0)?;
    let folder = tempfile::tempdir()?;
    let auth_folder = folder.path().join("auth");
    std::fs::create_dir_all(&auth_folder)?;
    let second = Arc::new(Notify::new());
    let upstream = TcpListener::bind("127.0.0.1:0").await?;
    let upstream_address = upstream.local_addr()?;
    tokio::spawn(serve(upstream, mib, second.clone()));

    let (auth, port, admin) = (rig::free_port()?, rig::free_port()?, rig::free_port()?);
    let env = [
        ("AUTH_LISTEN", format!("127.0.0.1:{auth}")),
        ("AUTH_SITE_URL", format!("http://localhost:{port}")),
        ("AUTH_CONFIRM_EMAIL", "false".to_owned()),
    ];
    let _auth = Process::start(&rig::program(), &["auth", "serve"], &env, &auth_folder, None)?;
    rig::wait_for(&format!("http://127.0.0.1:{auth}/health")).await?;
    let toml = format!(
        "[upstreams]\nlarge = {{ url = \"http://{upstream_address}\", token = \"user\", max_body = \"{}MiB\" }}\n\
         [[rules]]\nname = \"large\"\npath = \"/large/**\"\nto = \"large\"\nstrip = \"/large\"\n",
        mib + 1
    );
    std::fs::write(folder.path().join("bff.toml"), toml)?;
    let env = rig::bff_env(port, admin, &format!("http://127.0.0.1:{auth}"), &rig::session_keys()?);
    let bff = Process::start(&rig::program(), &["serve"], &env, folder.path(), None)?;
    rig::wait_for(&format!("http://127.0.0.1:{admin}/readyz")).await?;
    let cookie = person::sign_up(&format!("http://localhost:{port}"), "ada@example.test").await?;
    let site = Site { port, cookie, id: bff.0.id(), most };

    for late in [false, true] {
        site.measured(if late { "up, read late" } else { "up" }, mib, site.up(mib, late)).await?;
        site.measured(if late { "down, read late" } else { "down" }, mib, site.down(mib, late)).await?;
    }
    site.events(&second).await
}

impl Site {
    async fn ask(&self, method: &str, path: &str, more: &str) -> anyhow::Result<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let (port, cookie) = (self.port, &self.cookie);
        let head = format!(
            "{method} /large{path} HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n\
             Cookie: {cookie}\r\nX-CSRF: 1\r\nConnection: close\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        Ok(stream)
    }

    /// A body of `mib` MiB, which the upstream counts and says.
    async fn up(&self, mib: usize, late: bool) -> anyhow::Result<()> {
        let more = format!("Content-Type: application/octet-stream\r\nContent-Length: {}\r\n", mib * MIB);
        let mut stream = self.ask("POST", if late { "/late" } else { "/up" }, &more).await?;
        let piece = vec![7; PIECE];
        for _ in 0..mib * MIB / PIECE {
            stream.write_all(&piece).await?;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        ensure!(answer.ends_with(&format!("\r\n\r\n{}", mib * MIB)), "the upstream counted {answer}");
        Ok(())
    }

    /// The same the other way.
    async fn down(&self, mib: usize, late: bool) -> anyhow::Result<()> {
        let mut stream = self.ask("GET", "/down", "").await?;
        if late {
            tokio::time::sleep(LATE).await;
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        let (mut buffer, mut count) = (vec![0; PIECE], 0);
        loop {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => count += read,
            }
        }
        ensure!(count == mib * MIB, "{count} bytes came");
        Ok(())
    }

    /// The first event is here while the upstream still holds the second back.
    async fn events(&self, second: &Notify) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut stream = self.ask("GET", "/events", "").await?;
        let mut text = String::new();
        let mut buffer = [0; 4096];
        let mut first = None;
        while !text.contains("data: 2") {
            let read = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
            let read = read.context("no event within ten seconds")??;
            ensure!(read > 0, "the events ended: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
            if first.is_none() && text.contains("data: 1\n\n") {
                ensure!(!text.contains("data: 2"), "both events came at once");
                first = Some(begun.elapsed());
                second.notify_one();
            }
        }
        let first = first.context("the first event")?;
        println!(
            "the first event came after {:.1} ms, before the second was there",
            first.as_secs_f64() * 1000.0
        );
        Ok(())
    }

    async fn measured(
        &self,
        what: &str,
        mib: usize,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.id), "5")
            .context("the peak cannot be set back")?;
        let before = figures::resident_mib(self.id)?;
        let begun = Instant::now();
        timeout(PATIENCE, work).await.context("it takes too long")??;
        let took = begun.elapsed().as_secs_f64();
        let (peak, after) = (figures::peak_mib(self.id)?, figures::resident_mib(self.id)?);
        let fast = mib as f64 / took;
        println!(
            "{what:<16} {mib} MiB: {before:.1} MiB before, {peak:.1} at the peak, {after:.1} after; {fast:.0} MiB/s"
        );
        ensure!(peak - before <= self.most, "the peak lies more than {} MiB above", self.most);
        Ok(())
    }
}

/// Counts what comes, and sends as much.
async fn serve(listener: TcpListener, mib: usize, second: Arc<Notify>) -> std::io::Result<()> {
    let piece = Bytes::from(vec![7; PIECE]);
    let down = move || async move {
        let pieces = stream::repeat(piece).take(mib * MIB / PIECE).map(Ok::<_, Infallible>);
        let length = (mib * MIB).to_string();
        let head = [("content-type", "application/octet-stream".to_owned()), ("content-length", length)];
        (head, Body::from_stream(pieces))
    };
    let events = move || async move {
        let later = stream::once(async move {
            second.notified().await;
            Ok("data: 2\n\n")
        });
        let all = stream::iter([Ok::<_, Infallible>("data: 1\n\n")]).chain(later);
        ([("content-type", "text/event-stream")], Body::from_stream(all))
    };
    let router = Router::new()
        .route("/up", post(count))
        .route(
            "/late",
            post(async |body: Body| {
                tokio::time::sleep(LATE).await;
                count(body).await
            }),
        )
        .route("/down", get(down))
        .route("/events", get(events));
    axum::serve(listener, router).await
}

async fn count(body: Body) -> String {
    let mut pieces = body.into_data_stream();
    let mut count = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        count += piece.len();
    }
    count.to_string()
}
