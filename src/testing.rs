//! Both servers in one process, for the tests of applications that use this library: real HTTP, real cookies, people who
//! sign in, and a clock that a test moves.
//!
//! ```
//! use axum::{Router, routing::get};
//! use supabase_bff::testing::TestBff;
//! use supabase_bff::{Bff, User};
//!
//! fn application(bff: &Bff) -> Router {
//!     let routes = Router::new().route("/me", get(async |user: User| user.email));
//!     routes.merge(bff.routes()).layer(bff.layer())
//! }
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let test = TestBff::builder().application(application).start().await?;
//! assert_eq!(test.visitor().get("/me").await?.status(), 401);
//! let ada = test.sign_in("ada@example.test").await?;
//! assert_eq!(ada.get("/me").await?.body(), "ada@example.test");
//! # Ok::<(), supabase_bff::testing::Error>(())
//! # }).unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```

mod visitor;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use base::clock::{ManualClock, SharedClock};
use base::entropy::{SharedEntropy, SystemEntropy};
use base::seal::{KeyId, MasterKey};
use http::{Method, header};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::net::TcpListener;

use crate::app::listen::{self, Caps, Listening};
use crate::app::{Bff, Builder};
use crate::limit::client::TrustedProxies;

pub use visitor::Visitor;

/// Why something could not be done; a test shows it and fails.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// When every test begins.
pub const START: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);

/// The password of everybody; no list knows it.
const PASSWORD: &str = "plover gantry mist";

/// More connections than a test has.
const CONNECTIONS: usize = 10_000;

/// The BFF, an auth server in memory, and an application, each on a free port of loopback. Dropped, all of them end.
#[derive(Debug)]
pub struct TestBff {
    base: String,
    clock: ManualClock,
    auth: auth_server::Handle,
    /// What a page or a program is made of: connections, and the addresses.
    visitor: Visitor,
    front: Option<Listening>,
    folder: PathBuf,
}

impl TestBff {
    /// Without an application: the pages, the JSON and the mount of supabase-js.
    ///
    /// # Errors
    ///
    /// When a port cannot be bound.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// With settings, or with an application.
    pub fn builder() -> TestBuilder {
        TestBuilder::default()
    }

    /// Where the application is, such as `http://localhost:41234`.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// The password of everybody whom this makes.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// A browser in which nobody is signed in.
    pub fn visitor(&self) -> Visitor {
        self.visitor.fresh()
    }

    /// A browser in which this person is signed in, by password; the account is made if there is none.
    ///
    /// # Errors
    ///
    /// When the sign-in is refused.
    pub async fn sign_in(&self, email: &str) -> Result<Visitor, Error> {
        self.enter(email, None).await
    }

    /// The same with `app_metadata.role` set to this role, which is to be declared.
    ///
    /// # Errors
    ///
    /// When the sign-in is refused.
    pub async fn sign_in_as(&self, email: &str, role: &str) -> Result<Visitor, Error> {
        self.enter(email, Some(role)).await
    }

    /// An access token of this person, as a program would bring it in `Authorization`; the account is made if there is none.
    ///
    /// # Errors
    ///
    /// When the auth server refuses.
    pub async fn bearer(&self, email: &str) -> Result<String, Error> {
        self.account(email, None).await?;
        let body = json!({ "email": email, "password": PASSWORD });
        let told = self.at_auth_server(Method::POST, "/token?grant_type=password", &body).await?;
        let token = told["access_token"].as_str();
        token.map(str::to_owned).ok_or_else(|| format!("the auth server gave no token: {told}").into())
    }

    /// Moves the time of both servers on; access tokens last for 30 minutes.
    pub fn advance(&self, by: std::time::Duration) {
        self.clock.advance(Duration::try_from(by).unwrap_or(Duration::MAX));
    }

    /// The text of every mail so far, newest last.
    pub fn mails(&self) -> Vec<String> {
        self.auth.outbox().into_iter().map(|mail| mail.text()).collect()
    }

    /// How often the auth server was asked for a refresh.
    pub fn refreshes(&self) -> u64 {
        self.auth.calls("/token?grant_type=refresh_token")
    }

    async fn enter(&self, email: &str, role: Option<&str>) -> Result<Visitor, Error> {
        self.account(email, role).await?;
        let visitor = self.visitor();
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = visitor.post("/auth/login", &body).await?;
        if !answer.status().is_success() {
            return Err(format!("{email} cannot sign in: {} {}", answer.status(), answer.body()).into());
        }
        Ok(visitor)
    }

    /// Makes the account, or gives it `role` if there is one.
    async fn account(&self, email: &str, role: Option<&str>) -> Result<(), Error> {
        let mut body = json!({ "email": email, "password": PASSWORD, "email_confirm": true });
        if let Some(role) = role {
            body["app_metadata"] = json!({ "role": role });
        }
        let made = self.at_auth_server(Method::POST, "/admin/users", &body).await?;
        if made["id"].is_string() {
            return Ok(());
        }
        if made["error_code"] != "email_exists" {
            return Err(format!("{email} gets no account: {made}").into());
        }
        let Some(role) = role else { return Ok(()) };
        let all = self.at_auth_server(Method::GET, "/admin/users?per_page=1000", &Value::Null).await?;
        let people = all["users"].as_array().into_iter().flatten();
        let known = people.clone().find(|person| person["email"] == email);
        let id = known.and_then(|person| person["id"].as_str()).ok_or("the account is not on the list")?;
        let change = json!({ "app_metadata": { "role": role } });
        let changed = self.at_auth_server(Method::PUT, &format!("/admin/users/{id}"), &change).await?;
        changed["id"]
            .is_string()
            .then_some(())
            .ok_or_else(|| format!("{email} gets no role: {changed}").into())
    }

    async fn at_auth_server(&self, method: Method, path: &str, body: &Value) -> Result<Value, Error> {
        let url = format!("{}/auth/v1{path}", self.auth.url());
        let key = self.auth.admin_key();
        let mut request = self.visitor.http().request(method, url).bearer_auth(key.expose());
        if !body.is_null() {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        Ok(serde_json::from_str(&request.send().await?.text().await?)?)
    }
}

impl Drop for TestBff {
    fn drop(&mut self) {
        if let Some(front) = self.front.take() {
            front.stop();
        }
        let _ = std::fs::remove_dir_all(&self.folder); // it may never have been made
    }
}

type Made = Box<dyn FnOnce(&Bff) -> Router + Send>;

/// What a [`TestBff`] is to be.
#[derive(Default)]
#[must_use = "nothing runs before `start`"]
pub struct TestBuilder {
    settings: Builder,
    application: Option<Made>,
}

impl TestBuilder {
    /// Settings of the BFF, such as scopes and roles; what it must know of the test's servers is added.
    pub fn settings(mut self, settings: Builder) -> Self {
        self.settings = settings;
        self
    }

    /// The application, with the routes and the layer of the BFF that it is given.
    pub fn application(mut self, make: impl FnOnce(&Bff) -> Router + Send + 'static) -> Self {
        self.application = Some(Box::new(make));
        self
    }

    /// Starts both servers and the application.
    ///
    /// # Errors
    ///
    /// Refused settings, each fault of them; a port that cannot be bound.
    pub async fn start(self) -> Result<TestBff, Error> {
        base::http::install_tls_provider();
        let clock = ManualClock::at(START);
        let shared: SharedClock = Arc::new(clock.clone());
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let base = format!("http://localhost:{}", address.port());

        let mut own = auth_server::Settings::for_tests();
        own.site_url.clone_from(&base);
        own.redirect_urls = vec![format!("{base}/auth/**")];
        let at_auth = TcpListener::bind("127.0.0.1:0").await?;
        let auth = auth_server::start(own, shared.clone(), entropy.clone(), at_auth).await?;

        let folder = std::env::temp_dir().join(format!("supabase-bff-{}", entropy.uuid()));
        let key = MasterKey::generate(KeyId::parse("k1").ok_or("k1 is the id of a key")?, &*entropy);
        let settings = self.settings.supabase(auth.url(), "sb_publishable_test").public_url(&base);
        let settings = settings.session_keys(key.to_text().expose());
        let settings = settings.set("data_dir", &folder.display().to_string());
        let bff = settings.clock(shared).entropy(entropy).build().await?;
        let application = match self.application {
            Some(make) => make(&bff),
            None => bff.routes().layer(bff.layer()),
        };
        let proxies = TrustedProxies::none();
        let caps = Caps { connections: CONNECTIONS, per_network: CONNECTIONS, proxies };
        let front = listen::serve(listener.into_std()?, application, caps)?;
        let visitor = Visitor::new(&base, address)?;
        Ok(TestBff { base, clock, auth, visitor, front: Some(front), folder })
    }
}
