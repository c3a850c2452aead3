//! The parts of a signed-in request, one at a time: `cargo bench --bench parts`.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use base::clock::{Clock, SharedClock, SystemClock};
use base::entropy::{SharedEntropy, SystemEntropy};
use base::seal::{KeyId, Keyring, MasterKey};
use base::secret::Secret;
use base::vars::Problems;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, header};
use supabase_bff::app::Bff;
use supabase_bff::config::{Inputs, Network, Settings, Sources};
use supabase_bff::gotrue::{self, GoTrue};
use supabase_bff::session::{self, Sessions, Slot};
use supabase_bff::token::{self, Expectations, KeySet, Verifier};
use supabase_bff::web::Site;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use url::Url;

const SECRET: &str = "a bench's own secret, longer than 32 bytes";
const EMAIL: &str = "ada@example.test";
const PASSWORD: &str = "plover gantry mist";
const KEY: &str = "sb_publishable_bench";

/// One auth server, a person's token from it, and what verifies that.
struct Project {
    auth: auth_server::Handle,
    token: String,
    keys: KeySet,
    expect: Expectations,
    verifier: Verifier,
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

fn entropy() -> SharedEntropy {
    Arc::new(SystemEntropy)
}

impl Project {
    async fn start(algorithm: auth_server::Algorithm) -> anyhow::Result<Self> {
        base::http::install_tls_provider();
        let shared = algorithm == auth_server::Algorithm::Hs256;
        let secret = Secret::new(SECRET.to_owned());
        let settings = auth_server::Settings {
            algorithm,
            secret_key: shared.then(|| secret.clone()),
            default_role: Some("user".to_owned()),
            ..auth_server::Settings::for_tests()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let auth = auth_server::start(settings, clock(), entropy(), listener).await?;
        let http = base::http::client(base::http::tls_config(), std::time::Duration::from_secs(10))?;
        let body = serde_json::json!({ "email": EMAIL, "password": PASSWORD });
        let answer = http.post(format!("{}/signup", auth.issuer())).json(&body).send().await?;
        let answer: serde_json::Value = answer.json().await?;
        let token = answer["access_token"].as_str().context("no token")?.to_owned();
        let jwks_url: Url = format!("{}/.well-known/jwks.json", auth.issuer()).parse()?;
        let published = http.get(jwks_url.clone()).send().await?.json().await?;
        let keys = KeySet::from_jwks(&published)?;
        let keys = if shared { keys.with_secret(&secret) } else { keys };
        let settings = token::Settings {
            issuer: auth.issuer().to_owned(),
            audience: "authenticated".to_owned(),
            user_roles: vec!["authenticated".to_owned()],
            leeway: time::Duration::seconds(10),
            hs256_secret: shared.then_some(secret),
            jwks_url: Some(jwks_url),
            jwks_max_stale: time::Duration::hours(24),
            memory: 1 << 20,
        };
        let verifier = Verifier::new(&settings, http, clock(), None);
        verifier.warm_up().await;
        Ok(Self { auth, token, keys, expect: settings.expectations(), verifier })
    }

    /// Sessions of this project, and one of them.
    async fn session(&self) -> anyhow::Result<(Sessions, Arc<session::Session>)> {
        let public_url: Url = "http://localhost:8080".parse()?;
        let master = MasterKey::generate(KeyId::parse("k1").context("a key id")?, &SystemEntropy);
        let http = base::http::client(base::http::tls_config(), std::time::Duration::from_secs(10))?;
        let base: Url = self.auth.issuer().parse()?;
        let gotrue = Arc::new(GoTrue::new(
            gotrue::Settings {
                base: base.clone(),
                public_base: base,
                api_key: Secret::new(KEY.to_owned()),
                secret_key: None,
                client_ip_header: None,
            },
            http,
        ));
        let tokens = gotrue.password(EMAIL, &Secret::new(PASSWORD.to_owned()), None, None).await?;
        let nothing = Vec::<(String, String)>::new();
        let settings = session::Settings::read(&nothing, &mut Problems::default()).context("settings")?;
        let sessions = Sessions::new(session::Parts {
            settings,
            public_url,
            keys: Keyring::new(&[master]).context("a ring")?,
            verifier: self.verifier.clone(),
            gotrue,
            trail: supabase_bff::event::Trail::default(),
            clock: clock(),
            entropy: entropy(),
            store: None,
        });
        let proof = session::Proof { method: "bench", remember: false, recovery: false };
        let made = sessions.make(tokens, proof).await?;
        Ok((sessions, made.session))
    }
}

fn open_a_session(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (sessions, session) = runtime
        .block_on(async { Project::start(auth_server::Algorithm::Es256).await?.session().await })
        .unwrap();
    let headers = || {
        let mut headers = HeaderMap::new();
        let cookie = sessions.cookie_header(&session).expect("it fits");
        headers.insert(header::COOKIE, cookie.parse().expect("a header's value"));
        headers
    };
    let open = |slot: Slot| black_box(sessions.peek(&slot)).expect("a session");
    // Sealed anew each time, so that it was never opened before.
    let unseen = || Slot::new(&headers(), None);
    c.bench_function("session/open/first", |b| b.iter_batched(unseen, open, BatchSize::SmallInput));
    let known = headers();
    let seen = || Slot::new(&known, None);
    c.bench_function("session/open/again", |b| b.iter_batched(seen, open, BatchSize::SmallInput));
}

fn verify_a_token(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let algorithms = [("hs256", auth_server::Algorithm::Hs256), ("es256", auth_server::Algorithm::Es256)];
    for (name, algorithm) in algorithms {
        let project = runtime.block_on(Project::start(algorithm)).unwrap();
        let now = SystemClock.now();
        c.bench_function(&format!("token/verify/{name}/uncached"), |b| {
            b.iter(|| token::verify(black_box(&project.token), &project.keys, &project.expect, now).unwrap());
        });
        c.bench_function(&format!("token/verify/{name}/cached"), |b| {
            b.to_async(&runtime)
                .iter(|| async { project.verifier.verify(black_box(&project.token)).await.unwrap() });
        });
    }
}

/// The router with everything around it, signed in, against an upstream on loopback.
struct Proxied {
    site: Site,
    cookie: String,
    _project: Project,
    _folder: tempfile::TempDir,
}

const RULES: &str = r#"
[scopes]
"items" = "Everything about items"
"items:read" = "Read items"

[roles]
user = ["items:read"]

[[rules]]
name = "bench"
path = "/api/**"
to = "bench"
scopes = ["items:read"]
"#;

impl Proxied {
    async fn start() -> anyhow::Result<Self> {
        let project = Project::start(auth_server::Algorithm::Es256).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = listener.local_addr()?;
        let answer = || async { ([(header::CONTENT_TYPE, "application/json")], "y".repeat(1024)) };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        let folder = tempfile::tempdir()?;
        let to = format!("url = \"http://{upstream}\", kind = \"api\", token = \"user\"");
        std::fs::write(folder.path().join("bff.toml"), format!("[upstreams]\nbench = {{ {to} }}\n{RULES}"))?;
        let master = MasterKey::generate(KeyId::parse("k1").context("a key id")?, &SystemEntropy);
        let env = [
            ("SUPABASE_URL", project.auth.url().to_owned()),
            ("SUPABASE_PUBLISHABLE_KEY", KEY.to_owned()),
            ("BFF_SESSION_KEYS", master.to_text().expose().clone()),
            ("BFF_DATA_DIR", folder.path().join("data").display().to_string()),
        ];
        let inputs = Inputs {
            environment: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            folder: folder.path().to_owned(),
            auth_variables: auth_server::VARIABLES,
            ..Inputs::default()
        };
        let mut problems = Problems::default();
        let sources = Sources::read(&inputs, &mut problems);
        let network = Network::read(&sources, &mut problems).context("network settings")?;
        let settings = Settings::read(&sources, network, None, &mut problems);
        ensure!(!problems.has_faults(), "{problems:#?}");
        let bff = Bff::build(settings.context("settings")?, None, clock(), entropy(), None)?;
        bff.warm_up().await;
        let site = bff.site();
        let body = serde_json::json!({ "email": "grace@example.test", "password": PASSWORD });
        let sign_up = request("POST", "/auth/signup", "").header(header::CONTENT_TYPE, "application/json");
        let answer = site.clone().oneshot(sign_up.body(Body::from(body.to_string()))?).await?;
        let pairs = answer.headers().get_all(header::SET_COOKIE).iter().filter_map(|v| v.to_str().ok());
        let cookie = pairs.filter_map(|line| line.split(';').next()).collect::<Vec<_>>().join("; ");
        ensure!(answer.status() == 200 && cookie.contains("sb_session"), "the sign-up failed");
        Ok(Self { site, cookie, _project: project, _folder: folder })
    }

    async fn ask(&self, path: &str) -> usize {
        let request = request("GET", path, &self.cookie).body(Body::empty()).unwrap();
        let answer = self.site.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        to_bytes(answer.into_body(), 1 << 20).await.unwrap().len()
    }
}

fn request(method: &str, path: &str, cookie: &str) -> http::request::Builder {
    let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000)));
    let request = Request::builder().method(method).uri(path).extension(peer);
    let request = request.header(header::HOST, "localhost:8080").header("x-csrf", "1");
    if cookie.is_empty() { request } else { request.header(header::COOKIE, cookie) }
}

fn one_request(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let proxied = runtime.block_on(Proxied::start()).unwrap();
    c.bench_function("request/session", |b| b.to_async(&runtime).iter(|| proxied.ask("/auth/session")));
    c.bench_function("request/proxied", |b| b.to_async(&runtime).iter(|| proxied.ask("/api/items")));
}

criterion_group!(parts, open_a_session, verify_a_token, one_request);
criterion_main!(parts);
