//! An app of one page in front of the BFF's `app` upstream, with supabase-js in its bundle.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use http::header;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

use crate::harness::{Plan, TestApp};
use crate::npm;

static BUNDLE: OnceCell<String> = OnceCell::const_new();

const PAGE: &str =
    "<!doctype html><title>Notes</title><p id=\"who\">…</p><script src=\"/bundle.js\"></script>";
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/drop_in/page.js");

/// What esbuild makes of the page's script.
async fn bundle() -> &'static str {
    BUNDLE
        .get_or_init(async || {
            let modules = npm::modules().await;
            tokio::task::spawn_blocking(move || made(modules)).await.unwrap()
        })
        .await
}

fn made(modules: &Path) -> String {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drop-in-bundle.js");
    let made = Command::new("node")
        .arg(modules.join("esbuild/bin/esbuild"))
        .args([SOURCE, "--bundle", "--format=iife", "--platform=browser", "--log-level=error"])
        .arg(format!("--outfile={}", out.display()))
        .env("NODE_PATH", modules)
        .output()
        .unwrap_or_else(|error| panic!("node does not start ({error}): install the package nodejs"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read_to_string(out).unwrap()
}

async fn start() -> SocketAddr {
    let script = bundle().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = get(async move || ([(header::CONTENT_TYPE, "text/javascript")], script));
    let router = Router::new().route("/bundle.js", script).fallback(async || Html(PAGE));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// The arrangement with this app behind every path that is nobody else's.
pub async fn with_page(plan: Plan) -> TestApp {
    let address = start().await;
    let rules = format!(
        "site = {{ url = \"http://{address}\", kind = \"app\", token = \"none\" }}\n{}\n[[rules]]\nname = \"site\"\npath = \"/**\"\nto = \"site\"\nallow = \"public\"\n",
        plan.rules
    );
    TestApp::with(Plan { rules, ..plan }).await
}
