//! Memory of the real program for each socket that is open and silent.
//!
//! `cargo bench --bench sockets -- [--sockets 1000]`. Opens so many tunnels to an upstream, then so many sockets of Realtime with
//! one joined channel each, and prints what the resident memory of the process grew by (`VmRSS`), divided by their number.
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]

#[expect(dead_code, reason = "the other programs use the rest")]
#[path = "load/figures.rs"]
mod figures;
mod person;
mod rig;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use rig::Process;

/// Long enough for buffers to be given back and for the last task to have come to rest.
const REST: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let count: usize = rig::option("sockets", 1000)?;
    let folder = tempfile::tempdir()?;
    let auth_folder = folder.path().join("auth");
    std::fs::create_dir_all(&auth_folder)?;
    let (auth, project) = (free_address()?, TcpListener::bind("127.0.0.1:0").await?);
    let project_url = format!("http://{}", project.local_addr()?);
    let upstream = TcpListener::bind("127.0.0.1:0").await?;
    let upstream_address = upstream.local_addr()?;
    tokio::spawn(sockets_or(project, Some(auth)));
    tokio::spawn(sockets_or(upstream, None));

    let (port, admin) = (rig::free_port()?, rig::free_port()?);
    let env = [
        ("AUTH_LISTEN", auth.to_string()),
        ("AUTH_PUBLIC_URL", project_url.clone()),
        ("AUTH_SITE_URL", format!("http://localhost:{port}")),
        ("AUTH_CONFIRM_EMAIL", "false".to_owned()),
    ];
    let _auth = Process::start(&rig::program(), &["auth", "serve"], &env, &auth_folder, None)?;
    rig::wait_for(&format!("http://{auth}/health")).await?;
    let toml = format!(
        "[limits]\nconnections = 20000\nconnections_per_network = 20000\nsockets_per_session = 20000\n\
         [upstreams]\nlive = {{ url = \"http://{upstream_address}\", token = \"user\", websocket = true }}\n\
         [[rules]]\nname = \"live\"\npath = \"/live/**\"\nto = \"live\"\n"
    );
    std::fs::write(folder.path().join("bff.toml"), toml)?;
    let env = rig::bff_env(port, admin, &project_url, &rig::session_keys()?);
    let bff = Process::start(&rig::program(), &["serve"], &env, folder.path(), None)?;
    rig::wait_for(&format!("http://127.0.0.1:{admin}/readyz")).await?;
    let base = format!("http://localhost:{port}");
    let cookie = person::sign_up(&base, "ada@example.test").await?;

    let mut opened = Vec::new();
    for (name, path) in [("tunnel", "/live/room"), ("Realtime", "/supabase/realtime/v1/websocket?vsn=2.0.0")]
    {
        // The first of a kind pay for what all of them share.
        for _ in 0..20 {
            opened.push(open(port, path, &cookie).await?);
        }
        tokio::time::sleep(REST).await;
        let before = figures::resident_mib(bff.0.id())?;
        for _ in 0..count {
            opened.push(open(port, path, &cookie).await?);
        }
        tokio::time::sleep(REST).await;
        let after = figures::resident_mib(bff.0.id())?;
        let each = (after - before) * 1024.0 / count as f64;
        println!("{name:<9} {count} sockets: {before:.1} -> {after:.1} MiB, {each:.1} KiB each");
    }
    let open = rig::client()?.get(format!("http://127.0.0.1:{admin}/metrics")).send().await?.text().await?;
    let line = open.lines().find(|line| line.starts_with("bff_sockets_open ")).context("the gauge")?;
    ensure!(line.ends_with(&format!(" {}", opened.len())), "{line}, and {} were opened", opened.len());
    Ok(())
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], rig::free_port()?)))
}

/// A browser's socket, with one channel joined if it is Realtime's.
async fn open(port: u16, path: &str, cookie: &str) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let mut request = format!("ws://localhost:{port}{path}").into_client_request()?;
    request.headers_mut().insert("origin", format!("http://localhost:{port}").parse()?);
    request.headers_mut().insert("cookie", cookie.parse()?);
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    socket.send(Message::text(r#"["1","1","realtime:room","phx_join",{"config":{"private":true}}]"#)).await?;
    socket.next().await.context("an answer")??;
    Ok(socket)
}

/// WebSockets that say back what they hear; everything else goes to `otherwise`.
async fn sockets_or(listener: TcpListener, otherwise: Option<SocketAddr>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut begin = [0; 13];
            let Ok(13) = stream.peek(&mut begin).await else { return };
            if let Some(address) = otherwise.filter(|_| &begin != b"GET /realtime") {
                let Ok(mut onwards) = TcpStream::connect(address).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut onwards).await;
                return;
            }
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() && socket.send(Message::text("heard")).await.is_err() {
                    return;
                }
            }
        });
    }
}
