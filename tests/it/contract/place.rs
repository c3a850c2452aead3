//! Where a story happens: a BFF of its own in front of the embedded server or of a real project.

use std::sync::Arc;
use std::time::Duration;

use base::clock::{SharedClock, SystemClock};
use base::entropy::{Entropy, SystemEntropy};
use base::seal::{KeyId, MasterKey};
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::github::FakeGitHub;
use super::mail::Mail;
use super::real::{Need, Real};
use crate::client::{Answer, Browser};
use crate::harness::{self, Echo, Plan, RULES, TestApp};
use crate::modes::Mode;
use crate::tap::{Tap, bounded};

/// A password that every project takes.
pub const PASSWORD: &str = "plover 42 gantry mist";

/// The place.
pub struct Place {
    /// The BFF.
    pub base: String,
    /// Between the BFF and the project.
    pub tap: Tap,
    /// The upstream of the rules.
    pub echo: Echo,
    /// Where browsers reach the project.
    pub project: String,
    /// The publishable key.
    pub key: String,
    github: Option<FakeGitHub>,
    admin_key: Option<String>,
    /// Whether sessions rest in cookies, which a refresh then changes.
    pub in_cookies: bool,
    kind: Kind,
}

enum Kind {
    Embedded(Box<TestApp>),
    Real { outbox: Option<String>, lifetime: u64, session_limit: u64, _folder: tempfile::TempDir },
}

/// Something that nobody used before.
pub fn random() -> uuid::Uuid {
    let entropy: &dyn Entropy = &SystemEntropy;
    entropy.uuid()
}

/// Stories ask for more mails and refreshes than a person would.
const HURRIED: [(&str, &str); 3] = [
    ("BFF_SESSION_REFRESH_COOLDOWN", "1ms"),
    ("BFF_LIMITS_MAIL_PER_RECIPIENT", "100/1m"),
    ("BFF_LIMITS_CONFIRM_PER_NETWORK", "1000/1m"),
];

impl Place {
    /// The embedded server, made as `needs` say.
    pub async fn embedded(needs: &[Need]) -> Self {
        base::http::install_tls_provider();
        let github = FakeGitHub::start(0).await;
        let mode = if needs.contains(&Need::Cookies) { Mode::Cookie } else { Mode::from_env() };
        let mut plan = Plan { github: Some(github.url.clone()), ..mode.plan() };
        if needs.contains(&Need::Confirmation) {
            plan.auth = |settings| settings.confirm_email = true;
        }
        if needs.contains(&Need::Closed) {
            plan.auth = |settings| settings.sign_up = false;
        }
        if needs.contains(&Need::SessionLimit) {
            plan.auth = |settings| settings.session_lifetime = Some(time::Duration::minutes(10));
        }
        for (name, value) in HURRIED {
            plan = plan.with(name, value);
        }
        let app = TestApp::with(plan).await;
        Self {
            base: app.base.clone(),
            tap: app.auth.clone(),
            echo: app.echo.clone(),
            project: app.auth_server().url().to_owned(),
            key: "sb_publishable_test".to_owned(),
            github: Some(github),
            admin_key: Some(app.auth_server().admin_key().expose().clone()),
            in_cookies: mode.is_cookie(),
            kind: Kind::Embedded(Box::new(app)),
        }
    }

    /// A BFF in front of `real`.
    pub async fn real(real: &Real) -> Self {
        let tap = Tap::start().await;
        let url: url::Url = real.url.parse().unwrap();
        let address = url.socket_addrs(|| None).unwrap()[0];
        tap.lead_to(address);
        let echo = Echo::default();
        let upstream = echo.start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let folder = tempfile::tempdir().unwrap();
        let sealing = MasterKey::generate(KeyId::parse("k1").unwrap(), &SystemEntropy).to_text();
        let mut env: Vec<(String, String)> = [
            ("SUPABASE_URL", tap.url()),
            ("SUPABASE_PUBLIC_URL", real.url.clone()),
            ("SUPABASE_PUBLISHABLE_KEY", real.key.clone()),
            ("SUPABASE_JWT_SECRET", real.jwt_secret.clone().unwrap_or_default()),
            ("BFF_PUBLIC_URL", base.clone()),
            ("BFF_LISTEN", "127.0.0.1:8080".to_owned()),
            ("BFF_SESSION_KEYS", sealing.expose().clone()),
            ("BFF_DATA_DIR", folder.path().join("data").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        env.retain(|(_, value)| !value.is_empty());
        env.extend(HURRIED.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let upstream = format!("echo = {{ url = \"http://{upstream}\", kind = \"api\", token = \"user\" }}");
        std::fs::write(folder.path().join("bff.toml"), format!("[upstreams]\n{upstream}\n{RULES}")).unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let store = match real.mode.plan().store {
            Some(open) => Some(open(clock.clone()).await),
            None => None,
        };
        let bff = harness::build(&env, folder.path(), clock, Arc::new(SystemEntropy), store);
        bff.warm_up().await;
        harness::serve(listener, bff.site());
        Self {
            base,
            tap,
            echo,
            project: real.url.clone(),
            key: real.key.clone(),
            github: real.github.clone(),
            admin_key: real.service_key.clone(),
            in_cookies: real.mode.is_cookie(),
            kind: Kind::Real {
                outbox: real.outbox.clone(),
                lifetime: real.lifetime,
                session_limit: real.session_limit.unwrap_or_default(),
                _folder: folder,
            },
        }
    }

    /// Whether the project is our own server.
    pub fn is_embedded(&self) -> bool {
        matches!(self.kind, Kind::Embedded(_))
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.base)
    }

    pub fn github(&self) -> &FakeGitHub {
        self.github.as_ref().expect("the story needs GitHub")
    }

    /// An address that nobody has used before.
    pub fn address(&self) -> String {
        format!("ada-{}@example.test", random().simple())
    }

    /// A new account, with the browser that made it and is signed in.
    pub async fn account(&self) -> (Browser, String) {
        self.account_with(PASSWORD).await
    }

    /// The same, with `password`.
    pub async fn account_with(&self, password: &str) -> (Browser, String) {
        let (browser, email) = (self.browser(), self.address());
        let made = browser.post("/auth/signup", &json!({ "email": email, "password": password })).await;
        assert_eq!(made.status, 200, "{}", made.body);
        if made.json()["status"] == "confirmation_sent" {
            let code = self.mail(&email, 1).await.code;
            let confirmed = browser.post("/auth/otp", &json!({ "email": email, "code": code })).await;
            assert_eq!(
                (confirmed.status, &confirmed.json()["status"]),
                (200, &json!("signed_in")),
                "{}",
                confirmed.body
            );
        }
        (browser, email)
    }

    /// A sign-in by JSON.
    pub async fn sign_in(&self, email: &str, password: &str) -> (Browser, Answer) {
        let browser = self.browser();
        let answer = browser.post("/auth/login", &json!({ "email": email, "password": password })).await;
        (browser, answer)
    }

    /// The newest mail to `email`, once `count` have come.
    pub async fn mail(&self, email: &str, count: usize) -> Mail {
        bounded(&format!("mail {count} to {email}"), async {
            loop {
                let mails = self.all_mails(email).await;
                if let (true, Some(newest)) = (mails.len() >= count, mails.last()) {
                    return Mail::read(newest["html"].as_str().unwrap());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
    }

    /// How many mails to `email` have come.
    pub async fn mails(&self, email: &str) -> usize {
        self.all_mails(email).await.len()
    }

    async fn all_mails(&self, email: &str) -> Vec<Value> {
        let url = match &self.kind {
            Kind::Embedded(app) => format!("{}/outbox.json", app.auth_server().url()),
            Kind::Real { outbox, .. } => outbox.clone().expect("the story needs mail"),
        };
        let all = Browser::new("http://nowhere.test").send(Method::GET, &url, &[], None).await.json();
        let mine = |mail: &&Value| mail["to"].as_str().is_some_and(|to| to.eq_ignore_ascii_case(email));
        all.as_array().unwrap().iter().filter(mine).cloned().collect()
    }

    /// A call to GoTrue without the BFF, as another client of the project makes it.
    pub async fn gotrue(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let url = format!("{}/auth/v1/{path}", self.project);
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("apikey", self.key.as_str()), ("x-supabase-api-version", "2024-01-01")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        Browser::new("http://nowhere.test").send(method, &url, &headers, body.map(Value::to_string)).await
    }

    /// A call that needs the service key.
    pub async fn administer(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.gotrue(method, path, self.admin_key.as_deref(), Some(body)).await
    }

    /// What GoTrue says to a refresh token: the status and the code.
    pub async fn trade(&self, refresh_token: &str) -> (u16, String) {
        let body = json!({ "refresh_token": refresh_token });
        let answer = self.gotrue(Method::POST, "token?grant_type=refresh_token", None, Some(&body)).await;
        (answer.status, answer.code())
    }

    /// The tokens that GoTrue gave the BFF last.
    pub fn tokens(&self) -> Value {
        let sessions = self.tap.answers("/auth/v1/").into_iter().rev();
        let mut sessions = sessions.filter_map(|body| serde_json::from_str::<Value>(&body).ok());
        sessions.find(|body| body["refresh_token"].is_string()).expect("GoTrue gave tokens")
    }

    /// The refresh token of the session that was made or refreshed last.
    pub fn refresh_token(&self) -> String {
        self.tokens()["refresh_token"].as_str().unwrap().to_owned()
    }

    pub fn refreshes(&self) -> usize {
        self.tap.calls("grant_type=refresh_token")
    }

    /// So long that a refresh on request is no longer held back.
    pub fn a_moment(&self) {
        if let Kind::Embedded(app) = &self.kind {
            app.clock.advance(time::Duration::seconds(1));
        }
    }

    /// The time by which codes of apps are made, in unix seconds.
    pub fn now(&self) -> i64 {
        match &self.kind {
            Kind::Embedded(app) => app.clock_now(),
            Kind::Real { .. } => base::clock::Clock::now(&SystemClock).unix_timestamp(),
        }
    }

    /// Into another second: sessions are told apart by whole ones.
    pub async fn another_second(&self) {
        match &self.kind {
            Kind::Embedded(app) => app.clock.advance(time::Duration::seconds(1)),
            Kind::Real { .. } => tokio::time::sleep(Duration::from_millis(1_100)).await,
        }
    }

    /// Until the newest access token is over.
    pub async fn until_expiry(&self) {
        match &self.kind {
            Kind::Embedded(app) => app.past_expiry(),
            Kind::Real { lifetime, .. } => tokio::time::sleep(Duration::from_secs(lifetime + 1)).await,
        }
    }

    /// Until the project's limit on sessions has passed.
    pub async fn until_the_session_limit(&self) {
        match &self.kind {
            Kind::Embedded(app) => app.clock.advance(time::Duration::minutes(11)),
            Kind::Real { session_limit, .. } => {
                tokio::time::sleep(Duration::from_secs(session_limit + 1)).await
            }
        }
    }

    /// Longer than a node remembers a refresh, and longer than any reuse interval.
    pub async fn half_a_minute(&self) {
        match &self.kind {
            Kind::Embedded(app) => app.clock.advance(time::Duration::seconds(31)),
            Kind::Real { .. } => tokio::time::sleep(Duration::from_secs(31)).await,
        }
    }
}
