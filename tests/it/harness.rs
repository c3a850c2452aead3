//! Both servers, a tap between them and an echo upstream in one process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use base::clock::{ManualClock, SharedClock};
use base::entropy::{SharedEntropy, SystemEntropy};
use base::seal::{KeyId, MasterKey};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use supabase_bff::app::Bff;
use supabase_bff::app::listen::{self, App, Caps, Limits};
use supabase_bff::limit::client::TrustedProxies;
use supabase_bff::session::Sessions;
use supabase_bff::session::store::Store;
use supabase_bff::store::memory::Memory;
use time::{Duration, OffsetDateTime};
use tokio::net::TcpListener;

use crate::client::Browser;
use crate::reading;
use crate::tap::Tap;

/// When every story begins.
pub const START: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);
/// A password that no list knows.
pub const PASSWORD: &str = "plover gantry mist";

/// What a story may choose.
#[derive(Clone)]
pub struct Plan {
    /// Further variables of the BFF.
    pub env: Vec<(String, String)>,
    /// `bff.toml` after the upstream `echo`, whose address is written `{echo}`.
    pub rules: String,
    /// Changes to the auth server.
    pub auth: fn(&mut auth_server::Settings),
    /// Where the BFF's randomness comes from.
    pub entropy: SharedEntropy,
    /// Where the auth server finds GitHub, instead of its pretend one.
    pub github: Option<url::Url>,
    /// Makes the store of the sessions, on the clock of the story; `None`: they are in cookies.
    pub store: Option<Opener>,
}

/// Opens a store.
pub type Opener = Arc<dyn Fn(SharedClock) -> BoxFuture<'static, Store> + Send + Sync>;

impl Default for Plan {
    fn default() -> Self {
        let entropy = Arc::new(SystemEntropy);
        Self { env: Vec::new(), rules: RULES.to_owned(), auth: |_| {}, entropy, github: None, store: None }
    }
}

impl Plan {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sessions rest in what `open` makes; every node of the story shares it.
    pub fn resting_in<F>(mut self, open: impl Fn(SharedClock) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Store> + Send + 'static,
    {
        self.store = Some(Arc::new(move |clock| Box::pin(open(clock))));
        self
    }

    /// Sessions rest in memory.
    pub fn in_memory() -> Self {
        Self::default().resting_in(|clock| async { Store::of(Memory::new(clock)) })
    }
}

pub const RULES: &str = r#"
[scopes]
"items" = "Everything about items"
"items:read" = "Read items"
"items:write" = "Create and modify items"

[roles]
user = ["items:read"]
editor = ["items"]
admin = ["*"]

[[rules]]
name = "public"
path = "/api/public/**"
to = "echo"
allow = "public"

[[rules]]
name = "items-read"
path = "/api/items/**"
methods = ["GET"]
to = "echo"
scopes = ["items:read"]

[[rules]]
name = "items-write"
path = "/api/items/**"
methods = ["POST"]
to = "echo"
scopes = ["items:write"]

[[rules]]
name = "admin"
path = "/api/admin/**"
to = "echo"
roles = ["admin"]

[[rules]]
name = "vault"
path = "/api/vault"
to = "echo"
aal = 2

[[rules]]
name = "cookie-only"
path = "/api/cookie/**"
to = "echo"
bearer = false

[[rules]]
name = "api"
path = "/api/**"
to = "echo"
"#;

/// What the echo upstream saw.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn bearer(&self) -> &str {
        self.headers.get("authorization").map_or("", |value| value.to_str().unwrap())
    }
}

/// Status, headers and body that the upstream was told to answer with.
type Told = (u16, Vec<(String, String)>, String);

/// An upstream that remembers what came and can be told to fail.
#[derive(Clone, Default)]
pub struct Echo {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Mutex<Option<Told>>>,
}

impl Echo {
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the upstream was asked")
    }

    /// From now on it answers so.
    pub fn answer(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        *self.answer.lock().unwrap() = Some((status, headers, body.to_owned()));
    }

    pub async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(echo).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }
}

async fn echo(State(echo): State<Echo>, request: Request) -> axum::response::Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap_or_default();
    let line = format!("{} {}", parts.method, parts.uri);
    let seen = Seen {
        line: line.clone(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    echo.seen.lock().unwrap().push(seen);
    let told = echo.answer.lock().unwrap().clone();
    let (status, headers, body) = told.unwrap_or_else(|| {
        (200, vec![("content-type".into(), "application/json".into())], format!("{{\"line\":{line:?}}}"))
    });
    let mut response = axum::response::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body.into()).unwrap()
}

/// The whole arrangement.
pub struct TestApp {
    pub base: String,
    pub clock: ManualClock,
    pub auth: Tap,
    pub echo: Echo,
    pub admin: Router,
    pub bff: Bff,
    pub sessions: Sessions,
    browser: Browser,
    handle: auth_server::Handle,
    pub folder: tempfile::TempDir,
    pub env: Vec<(String, String)>,
    /// With what holds it.
    store: Option<(Store, Opener)>,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(Plan::default()).await
    }

    pub async fn with(plan: Plan) -> Self {
        crate::files::make_room();
        base::http::install_tls_provider();
        let clock = ManualClock::at(START);
        let shared: SharedClock = Arc::new(clock.clone());
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());

        let auth = Tap::start().await;
        let mut settings = auth_server::Settings::for_tests();
        settings.site_url = base.clone();
        settings.redirect_urls = vec![format!("{base}/auth/**")];
        settings.public_url = Some(auth.url().parse().unwrap());
        settings.default_role = Some("user".to_owned());
        if let Some(url) = plan.github {
            let secret = base::secret::Secret::new("github-secret".to_owned());
            settings.github = Some(auth_server::Client { id: "github-client".to_owned(), secret });
            settings.github_url = Some(url);
        }
        (plan.auth)(&mut settings);
        let auth_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = auth_listener.local_addr().unwrap();
        let handle =
            auth_server::start(settings, shared.clone(), entropy.clone(), auth_listener).await.unwrap();
        auth.lead_to(address);

        let echo = Echo::default();
        let upstream = echo.start().await;
        let folder = tempfile::tempdir().unwrap();
        let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &*entropy).to_text();
        let mut env: Vec<(String, String)> = [
            ("SUPABASE_URL", auth.url()),
            ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_test".to_owned()),
            ("BFF_PUBLIC_URL", base.clone()),
            ("BFF_LISTEN", "127.0.0.1:8080".to_owned()),
            ("BFF_SESSION_KEYS", key.expose().clone()),
            ("BFF_DATA_DIR", folder.path().join("data").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        env.extend(plan.env);
        let toml = format!(
            "[upstreams]\necho = {{ url = \"http://{upstream}\", kind = \"api\", token = \"user\" }}\n{}",
            plan.rules.replace("{echo}", &format!("http://{upstream}"))
        );
        std::fs::write(folder.path().join("bff.toml"), toml).unwrap();
        let store = match plan.store {
            Some(open) => Some((open(shared.clone()).await, open)),
            None => None,
        };
        let bff = build(&env, folder.path(), shared, plan.entropy, store.as_ref().map(|s| s.0.clone()));
        bff.warm_up().await;
        let (admin, sessions) = (bff.admin(), bff.sessions());
        serve(listener, bff.site());
        let public = env.iter().rfind(|(name, _)| name == "BFF_PUBLIC_URL").map(|(_, value)| value.as_str());
        let browser = Browser::new(public.unwrap_or(&base)).at(&base);
        Self { base, browser, clock, auth, echo, admin, bff, sessions, handle, folder, env, store }
    }

    /// Another process of the same deployment with `changes` to its variables; its own address.
    pub async fn node(&self, changes: &[(&str, &str)]) -> String {
        self.process(changes).await.0
    }

    /// The same, with its sessions.
    pub async fn process(&self, changes: &[(&str, &str)]) -> (String, Sessions) {
        let mut env = self.env.clone();
        env.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let clock = Arc::new(self.clock.clone());
        let bff = build(
            &env,
            self.folder.path(),
            clock,
            Arc::new(SystemEntropy),
            self.store.as_ref().map(|s| s.0.clone()),
        );
        bff.warm_up().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        serve(listener, bff.site());
        (address, bff.sessions())
    }

    /// The value of a variable of the BFF.
    pub fn variable(&self, name: &str) -> String {
        self.env.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// A browser of this site, whatever its address.
    pub fn browser(&self) -> Browser {
        self.browser.fresh()
    }

    /// A browser whose person has just signed up as `email`.
    pub async fn signed_in(&self, email: &str) -> Browser {
        let browser = self.browser();
        let body = serde_json::json!({ "email": email, "password": PASSWORD });
        let answer = browser.post("/auth/signup", &body).await;
        assert_eq!(
            (answer.status, answer.json()["status"].as_str()),
            (200, Some("signed_in")),
            "{}",
            answer.body
        );
        browser
    }

    /// Tokens of the auth server itself, as a program would get them there.
    pub async fn tokens(&self, email: &str, password: &str) -> serde_json::Value {
        let body = serde_json::json!({ "email": email, "password": password });
        let path = format!("{}/auth/v1/token?grant_type=password", self.auth.url());
        let headers = [("content-type", "application/json")];
        self.browser().send(http::Method::POST, &path, &headers, Some(body.to_string())).await.json()
    }

    /// The mails that the auth server sent, newest last.
    pub async fn outbox(&self) -> Vec<serde_json::Value> {
        let path = format!("{}/outbox.json", self.auth.url());
        let list = self.browser().send(http::Method::GET, &path, &[], None).await.json();
        list.as_array().expect("a list of mails").clone()
    }

    /// The time of the story, in unix seconds.
    pub fn clock_now(&self) -> i64 {
        base::clock::Clock::now(&self.clock).unix_timestamp()
    }

    /// Moves to where the access token is over.
    pub fn past_expiry(&self) {
        self.clock.advance(Duration::minutes(31));
    }

    /// Moves to where the access token is inside the refresh margin.
    pub fn inside_margin(&self) {
        self.clock.advance(Duration::minutes(29));
    }

    pub fn refreshes(&self) -> usize {
        self.auth.calls("grant_type=refresh_token")
    }

    /// Where the sessions of all nodes rest.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref().map(|(store, _)| store)
    }

    pub fn auth_server(&self) -> &auth_server::Handle {
        &self.handle
    }
}

pub fn build(
    env: &[(String, String)],
    folder: &Path,
    clock: SharedClock,
    entropy: SharedEntropy,
    store: Option<Store>,
) -> Bff {
    let (settings, problems) = reading::settings(env, folder);
    assert!(!problems.has_faults(), "{problems:#?}");
    Bff::build(settings.unwrap(), None, clock, entropy, store).unwrap()
}

/// The listener that the program itself uses. Its time limits are real time, which a busy machine may need for a thousand
/// connections: no story hangs on them.
pub fn serve(listener: TcpListener, site: impl App) {
    let caps = Caps { connections: 100_000, per_network: 100_000, proxies: TrustedProxies::none() };
    let hour = std::time::Duration::from_secs(3600);
    let limits = Limits { head: hour, idle: hour, stall: hour };
    drop(listen::serve_with(listener.into_std().unwrap(), site, caps, limits).unwrap()); // dropped, it stays at work
}
