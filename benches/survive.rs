//! A bad day of the real program: tokens expire, the auth server is gone for two minutes, the BFF dies in mid-refresh.
//!
//! `cargo bench --bench survive -- [--store cookie] [--tabs 10] [--lifetime 20] [--outage 120] [--pause-ms 20]`, times in
//! seconds; the store is `cookie`, `sqlite` or `redis`. Prints what one person's tabs saw, and ends with status 1 if the
//! person was signed out or is not signed in at the end.
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

#[path = "survive/browser.rs"]
mod browser;
mod person;
mod redis;
mod rig;
#[path = "survive/tap.rs"]
mod tap;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use http::{StatusCode, header};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use browser::Browser;
use redis::Redis;
use rig::Process;
use tap::Tap;

/// Longer than the auth server takes a rotated token for an honest repetition.
const PAST_REUSE_INTERVAL: Duration = Duration::from_secs(12);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signed_in = runtime.block_on(run())?;
    std::process::exit(i32::from(!signed_in));
}

/// What the day is played with.
struct Stage {
    tap: Tap,
    auth: SocketAddr,
    auth_folder: PathBuf,
    lifetime: u64,
    port: u16,
    admin: u16,
    keys: String,
    bff_folder: PathBuf,
    store: (&'static str, String),
    _redis: Option<Redis>,
    browser: Browser,
    tabs: usize,
    pause: Duration,
    counted: usize,
    sign_outs: usize,
}

async fn run() -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let outage = Duration::from_secs(rig::option("outage", 120)?);
    let strangers = Arc::new(AtomicUsize::new(0));
    let mut stage = Stage::set(folder.path(), strangers.clone()).await?;
    let life = Duration::from_secs(stage.lifetime);

    let auth = stage.auth_server().await?;
    let mut bff = stage.bff().await?;
    let base = format!("http://localhost:{}", stage.port);
    stage.browser.keep(&person::sign_up(&base, "ada@example.test").await?);
    println!(
        "sessions in {}, {} tabs, access tokens live {} s, outage {outage:?}\n\n{:<44} {:>9} {:>7} {:>7} {:>5} {:>6} {:>10} {:>10} {:>9} {:>9}",
        stage.store.1,
        stage.tabs,
        stage.lifetime,
        "",
        "requests",
        "200",
        "503",
        "401",
        "other",
        "no answer",
        "sign-outs",
        "slowest ms",
        "refreshes",
    );

    stage.load(life * 2).await;
    stage.report("load over two lifetimes of the token");

    tokio::time::sleep(life + Duration::from_secs(1)).await;
    stage.all_tabs_once().await;
    stage.report("the token has expired: all tabs at once");

    drop(auth);
    stage.load(outage).await;
    stage.report("the auth server is gone, under load");

    let auth = stage.auth_server().await?;
    let back = stage.until_answered().await;
    stage.report(&format!("it is back: first 200 after {:.1} s", back.as_secs_f64()));
    stage.load(Duration::from_secs(5)).await;
    stage.report("load again");

    for (title, wait) in [
        ("killed in mid-refresh, restarted", Duration::ZERO),
        ("the same, restarted 12 s later", PAST_REUSE_INTERVAL),
    ] {
        tokio::time::sleep(life + Duration::from_secs(1)).await;
        stage.tap.hold_next();
        let tabs = stage.start_all_tabs();
        stage.tap.held().await;
        drop(bff);
        tabs.join_all().await;
        tokio::time::sleep(wait).await;
        stage.report("all tabs wait for a refresh, kill -9");
        bff = stage.bff().await?;
        stage.all_tabs_once().await;
        stage.report(title);
        stage.load(Duration::from_secs(5)).await;
        stage.report("load again");
    }

    let (status, body) = stage.browser.get("/auth/session").await;
    let signed_in = status == 200 && body.contains("\"authenticated\":true");
    println!(
        "\nsigned in at the end: {signed_in}; sign-outs {}; requests that reached the upstream without a token {}",
        stage.sign_outs,
        strangers.load(Ordering::SeqCst),
    );
    drop(bff);
    drop(auth);
    Ok(signed_in && stage.sign_outs == 0)
}

impl Stage {
    async fn set(folder: &Path, strangers: Arc<AtomicUsize>) -> anyhow::Result<Self> {
        let auth = SocketAddr::from(([127, 0, 0, 1], rig::free_port()?));
        let tap = Tap::start(auth).await?;
        let upstream = upstream(strangers).await?;
        let (auth_folder, bff_folder) = (folder.join("auth"), folder.join("bff"));
        std::fs::create_dir(&auth_folder)?;
        std::fs::create_dir(&bff_folder)?;
        let rules = format!(
            "[upstreams]\nitems = {{ url = \"http://{upstream}\", kind = \"api\", token = \"user\" }}\n\n\
             [[rules]]\nname = \"items\"\npath = \"/api/**\"\nto = \"items\"\n"
        );
        std::fs::write(bff_folder.join("bff.toml"), rules)?;
        let port = rig::free_port()?;
        let (store, redis) = match rig::option("store", "cookie".to_owned())?.as_str() {
            "sqlite" => (("BFF_SESSION_STORE", "sqlite:sessions.db".to_owned()), None),
            "redis" => {
                let redis = Redis::start(folder).await?;
                (redis::setting(redis.address()), Some(redis))
            }
            mode => (("BFF_SESSION_STORE", mode.to_owned()), None),
        };
        Ok(Self {
            tap,
            auth,
            auth_folder,
            lifetime: rig::option("lifetime", 20)?,
            port,
            admin: rig::free_port()?,
            keys: rig::session_keys()?,
            bff_folder,
            store,
            _redis: redis,
            browser: Browser::new(&format!("http://localhost:{port}"), rig::client()?),
            tabs: rig::option("tabs", 10)?,
            pause: Duration::from_millis(rig::option("pause-ms", 20)?),
            counted: 0,
            sign_outs: 0,
        })
    }

    async fn auth_server(&self) -> anyhow::Result<Process> {
        let env = [
            ("AUTH_LISTEN", self.auth.to_string()),
            ("AUTH_PUBLIC_URL", self.tap.url()),
            ("AUTH_SITE_URL", format!("http://localhost:{}", self.port)),
            ("AUTH_ACCESS_TOKEN_LIFETIME", format!("{}s", self.lifetime)),
        ];
        let process = Process::start(&rig::program(), &["auth", "serve"], &env, &self.auth_folder, None)?;
        rig::wait_for(&format!("http://{}/health", self.auth)).await?;
        Ok(process)
    }

    async fn bff(&self) -> anyhow::Result<Process> {
        let mut env = rig::bff_env(self.port, self.admin, &self.tap.url(), &self.keys);
        env.push(self.store.clone());
        let process = Process::start(&rig::program(), &["serve"], &env, &self.bff_folder, None)?;
        rig::wait_for(&format!("http://127.0.0.1:{}/readyz", self.admin)).await?;
        Ok(process)
    }

    /// Every tab asks for data and for the session in turns, with a short pause between.
    async fn load(&self, length: Duration) {
        let deadline = Instant::now() + length;
        let mut tabs = JoinSet::new();
        for _ in 0..self.tabs {
            let (tab, pause) = (self.browser.clone(), self.pause);
            tabs.spawn(async move {
                while Instant::now() < deadline {
                    tab.get("/api/items").await;
                    tokio::time::sleep(pause).await;
                    tab.get("/auth/session").await;
                    tokio::time::sleep(pause).await;
                }
            });
        }
        tabs.join_all().await;
    }

    fn start_all_tabs(&self) -> JoinSet<(u16, String)> {
        let mut tabs = JoinSet::new();
        for _ in 0..self.tabs {
            let tab = self.browser.clone();
            tabs.spawn(async move { tab.get("/api/items").await });
        }
        tabs
    }

    async fn all_tabs_once(&self) {
        self.start_all_tabs().join_all().await;
    }

    /// Until a tab sees data again.
    async fn until_answered(&self) -> Duration {
        let begun = Instant::now();
        while self.browser.get("/api/items").await.0 != 200 && begun.elapsed() < Duration::from_secs(120) {
            tokio::time::sleep(self.pause).await;
        }
        begun.elapsed()
    }

    fn report(&mut self, title: &str) {
        let tally = self.browser.take_tally();
        let refreshes = self.tap.refreshes();
        println!("{title:<44} {tally} {:>9}", refreshes - self.counted);
        self.counted = refreshes;
        self.sign_outs += tally.sign_outs;
    }
}

/// The API behind the BFF; a request without a token is a stranger's.
async fn upstream(strangers: Arc<AtomicUsize>) -> anyhow::Result<SocketAddr> {
    async fn answer(
        State(strangers): State<Arc<AtomicUsize>>,
        request: Request,
    ) -> (StatusCode, &'static str) {
        let bearer = request.headers().get(header::AUTHORIZATION);
        if bearer.is_none_or(|value| !value.as_bytes().starts_with(b"Bearer ey")) {
            strangers.fetch_add(1, Ordering::SeqCst);
        }
        (StatusCode::OK, "items")
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().fallback(answer).with_state(strangers);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
