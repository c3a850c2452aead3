//! What the program's environment must not change.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::client::Browser;
use crate::harness::{Echo, PASSWORD};

/// The real program. Dropping it ends it.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

/// A proxy that counts who comes, and serves nobody.
async fn recorder() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, count)
}

/// S-51: with proxies in its environment, in either spelling, the program asks GoTrue, plain and TLS upstreams directly.
#[tokio::test]
async fn proxies_of_the_environment_are_ignored() {
    base::http::install_tls_provider();
    let echo = Echo::default();
    let upstream = echo.start().await;
    let (proxy, seen) = recorder().await;
    let through = reqwest::Client::builder().proxy(reqwest::Proxy::all(format!("http://{proxy}")).unwrap());
    assert!(through.build().unwrap().get(format!("http://{upstream}/")).send().await.is_err());
    assert_eq!(seen.swap(0, Ordering::SeqCst), 1, "the recorder hears a client that heeds it");

    let [port, admin, nobody] = [(); 3].map(|()| free_port().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let rules = format!(
        "[upstreams]\necho = {{ url = \"http://{upstream}\" }}\nsecure = {{ url = \"https://localhost:{nobody}\" }}\n\
         [[rules]]\nname = \"plain\"\npath = \"/api/plain\"\nto = \"echo\"\n\
         [[rules]]\nname = \"secure\"\npath = \"/api/secure\"\nto = \"secure\"\n"
    );
    std::fs::write(folder.path().join("bff.toml"), rules).unwrap();
    let base = format!("http://localhost:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_supabase-bff"));
    command
        .env_clear()
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .env("BFF_PUBLIC_URL", &base)
        .env("BFF_LISTEN", format!("127.0.0.1:{port}"))
        .env("BFF_ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
        .env("BFF_DATA_DIR", folder.path().join("data"))
        .env("AUTH_LISTEN", "127.0.0.1:0");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        let proxy = format!("http://{proxy}");
        command.env(name, &proxy).env(name.to_lowercase(), &proxy);
    }
    let _program = Program(command.spawn().unwrap());
    tokio::time::timeout(Duration::from_secs(60), listens(port)).await.expect("the program starts");

    let browser = Browser::new(&base);
    let answer =
        browser.post("/auth/signup", &json!({ "email": "ada@example.test", "password": PASSWORD })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(browser.get("/api/plain").await.status, 200);
    assert_eq!(echo.last().line, "GET /api/plain");
    assert_eq!(browser.get("/api/secure").await.status, 502);
    assert_eq!(seen.load(Ordering::SeqCst), 0, "the proxy was asked for nothing");
}

pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

pub async fn listens(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
}
