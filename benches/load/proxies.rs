//! Other proxies: one to be compared with, and one that asks the program about its own requests.

use std::path::Path;

use super::pairs::Pairs;
use super::rig::{self, Process};
use super::{SERVER, person};

/// nginx on its own, with one worker and no log, before the upstream at `to`.
pub async fn nginx(to: u16, folder: &Path) -> anyhow::Result<(Process, u16)> {
    let port = rig::free_port()?;
    let place = folder.display();
    let settings = format!(
        "daemon off; master_process off; pid {place}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    upstream items {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://items;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, settings)?;
    let arguments = ["-c".to_owned(), path.display().to_string()];
    let process = Process::start(&program(), &arguments, &[], folder, Some(SERVER))?;
    rig::wait_for(&format!("http://127.0.0.1:{port}/api/items")).await?;
    Ok((process, port))
}

/// Debian keeps it off the path of ordinary users.
fn program() -> String {
    let usual = "/usr/sbin/nginx";
    if Path::new(usual).exists() { usual } else { "nginx" }.to_owned()
}

const RULES: &str = r#"
[scopes]
"items" = "Everything about items"
"items:read" = "Read items"

[roles]
user = ["items:read"]

[[rules]]
name = "app"
host = "localhost"
path = "/**"
scopes = ["items:read"]
"#;

/// A process of its own, since it trusts a proxy: what that asks about each request, beside what a page asks.
pub async fn forward_auth(auth: &str, keys: &str, number: usize, pairs: &mut Pairs) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("bff.toml"), RULES)?;
    let (port, admin) = (rig::free_port()?, rig::free_port()?);
    let mut env = rig::bff_env(port, admin, auth, keys);
    env.retain(|(name, _)| *name != "BFF_PUBLIC_URL");
    env.extend([
        ("BFF_PUBLIC_URL", format!("https://localhost:{port}")),
        ("BFF_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        ("BFF_SESSION_STORE", "sqlite:sessions.db".to_owned()),
        ("BFF_FORWARD_AUTH_ENABLED", "true".to_owned()),
        ("BFF_FORWARD_AUTH_HOSTS", format!("localhost:{port}")),
    ]);
    let bff = Process::start(&rig::program(), &["serve"], &env, folder.path(), Some(SERVER))?;
    rig::wait_for(&format!("http://127.0.0.1:{admin}/readyz")).await?;
    let base = format!("http://localhost:{port}");
    let cookie = person::sign_up(&base, &format!("ada-asked{number}@example.test")).await?;
    let head = |target: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\nX-Forwarded-Proto: https\r\nCookie: {cookie}\r\n"
        )
    };
    let session = format!("{}X-CSRF: 1\r\nAccept: application/json\r\n\r\n", head("/auth/session"));
    let verify = format!(
        "{}X-Forwarded-Method: GET\r\nX-Forwarded-Host: localhost:{port}\r\n\
         X-Forwarded-Uri: /api/items\r\n\r\n",
        head("/auth/verify")
    );
    pairs.measure((&bff, port, session), (&bff, port, verify)).await
}
