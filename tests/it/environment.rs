//! What the program's environment must not change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::net::TcpListener;

use crate::client::Browser;
use crate::harness::{Echo, PASSWORD};
use crate::port::Port;
use crate::program::Program;

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

    let nobody = Port::take();
    let folder = tempfile::tempdir().unwrap();
    let rules = format!(
        "[upstreams]\necho = {{ url = \"http://{upstream}\" }}\nsecure = {{ url = \"https://localhost:{}\" }}\n\
         [[rules]]\nname = \"plain\"\npath = \"/api/plain\"\nto = \"echo\"\n\
         [[rules]]\nname = \"secure\"\npath = \"/api/secure\"\nto = \"secure\"\n",
        nobody.number()
    );
    std::fs::write(folder.path().join("bff.toml"), rules).unwrap();
    let proxy = format!("http://{proxy}");
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    let program = Program::start(folder.path(), &names.map(|name| (name, proxy.as_str()))).await;

    let browser = Browser::new(&program.base);
    let answer =
        browser.post("/auth/signup", &json!({ "email": "ada@example.test", "password": PASSWORD })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(browser.get("/api/plain").await.status, 200);
    assert_eq!(echo.last().line, "GET /api/plain");
    assert_eq!(browser.get("/api/secure").await.status, 502);
    assert_eq!(seen.load(Ordering::SeqCst), 0, "the proxy was asked for nothing");
}

/// With one core everything runs on one thread: the auth server, the demo's API and all requests, and no line of the log is
/// kept back.
#[tokio::test]
async fn one_core_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start_on_one_core(folder.path(), &[("BFF_LOG_FORMAT", "json")]).await;
    let browser = Browser::new(&program.base);
    let person = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(browser.post("/auth/signup", &person).await.status, 200);
    let asked = (0..40).map(|_| browser.get("/auth/session"));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.json()["authenticated"], true);
    }
    program.says(r#""http.route":"/auth/session""#).await;
    program.signal("TERM");
    program.says("shutting down").await;
}
