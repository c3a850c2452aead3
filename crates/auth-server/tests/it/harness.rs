//! A server, a client that sees everything it answers, and a GitHub of our own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use auth_server::{Handle, Settings};
use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::{Json, Router, routing};
use base::clock::ManualClock;
use base::entropy::SystemEntropy;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use time::macros::datetime;
use url::Url;

pub(crate) const PASSWORD: &str = "Violet-harbour-42";
/// The pair of RFC 7636, appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A running server.
pub(crate) struct Server {
    pub(crate) handle: Handle,
    pub(crate) clock: ManualClock,
    http: reqwest::Client,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where a redirect leads.
    pub(crate) fn location(&self) -> Url {
        assert!(self.status.is_redirection(), "{self:?}");
        Url::parse(self.header("location")).unwrap()
    }

    /// The code of an error in the legacy shape, with its status: `400 bad_json`.
    pub(crate) fn refusal(&self) -> String {
        let code = self.json["error_code"].as_str().unwrap_or_else(|| panic!("no refusal: {self:?}"));
        assert_eq!((self.json["code"].as_u64(), self.header("x-sb-error-code")), (Some(self.number()), code));
        format!("{} {code}", self.number())
    }

    fn number(&self) -> u64 {
        self.status.as_u16().into()
    }

    /// The tokens and the person of a 200.
    pub(crate) fn session(&self) -> Session {
        assert_eq!(self.status, 200, "{self:?}");
        let text =
            |name: &str| self.json[name].as_str().unwrap_or_else(|| panic!("{name} in {self:?}")).to_owned();
        Session {
            access: text("access_token"),
            refresh: text("refresh_token"),
            user: self.json["user"].clone(),
        }
    }
}

/// What a sign-in gave.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) user: Value,
}

impl Session {
    /// The claims of the access token; the signature is not looked at.
    pub(crate) fn claims(&self) -> Value {
        let payload = self.access.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// A server whose settings `change` has changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::for_tests();
        change(&mut settings);
        let clock = ManualClock::at(datetime!(2026-01-01 12:00 UTC));
        let listener = tokio::net::TcpListener::bind(settings.listen).await.unwrap();
        let handle = auth_server::start(settings, Arc::new(clock.clone()), Arc::new(SystemEntropy), listener)
            .await
            .unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { handle, clock, http }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.handle.url()) };
        self.http.request(method, url)
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply { status, headers, text, json }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn get_as(&self, path: &str, bearer: &str) -> Reply {
        self.send(self.request(Method::GET, path).bearer_auth(bearer)).await
    }

    pub(crate) async fn post_as(&self, path: &str, bearer: &str, body: Value) -> Reply {
        self.send(self.request(Method::POST, path).bearer_auth(bearer).json(&body)).await
    }

    pub(crate) async fn call_as(&self, method: Method, path: &str, bearer: &str, body: Value) -> Reply {
        self.send(self.request(method, path).bearer_auth(bearer).json(&body)).await
    }

    /// A call of the administrator.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Value) -> Reply {
        let key = self.handle.admin_key().expose().clone();
        self.send(self.request(method, path).bearer_auth(key).json(&body)).await
    }

    pub(crate) async fn sign_up(&self, email: &str) -> Reply {
        self.post("/signup", json!({"email": email, "password": PASSWORD})).await
    }

    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Reply {
        self.post("/token?grant_type=password", json!({"email": email, "password": password})).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Reply {
        self.post("/token?grant_type=refresh_token", json!({"refresh_token": token})).await
    }

    pub(crate) async fn exchange(&self, code: &str, verifier: &str) -> Reply {
        self.post("/token?grant_type=pkce", json!({"auth_code": code, "code_verifier": verifier})).await
    }

    /// The token in the link of the newest mail to `email`, and the digits.
    pub(crate) fn mail(&self, email: &str) -> (String, String) {
        let mail = self.handle.outbox().into_iter().rev().find(|mail| mail.to == email).expect("a mail");
        let link = Url::parse(&mail.link).unwrap();
        (parameter(&link, "token_hash").or(parameter(&link, "token")).unwrap(), mail.code)
    }
}

/// How many of `calls` calls, made all at once, are answered with 200. The others have to be refusals.
pub(crate) async fn successes<F>(calls: usize, call: impl Fn(usize) -> F) -> usize
where
    F: Future<Output = Reply> + Send + 'static,
{
    let running: Vec<_> = (0..calls).map(|n| tokio::spawn(call(n))).collect();
    let mut done = 0;
    for call in running {
        let reply = call.await.unwrap();
        if reply.status == 200 {
            done += 1;
        } else {
            assert!(reply.refusal().starts_with('4'), "{reply:?}");
        }
    }
    done
}

/// A query parameter.
pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The parameters in a fragment.
pub(crate) fn fragment(url: &Url) -> HashMap<String, String> {
    url::form_urlencoded::parse(url.fragment().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// A GitHub of our own: a code is the name of a profile.
#[derive(Clone, Default)]
pub(crate) struct GitHub(Arc<Mutex<HashMap<String, Person>>>);

#[derive(Clone)]
struct Person {
    id: u64,
    email: String,
    verified: bool,
}

impl GitHub {
    /// Serves on loopback; the address is for `AUTH_GITHUB_URL`.
    pub(crate) async fn start() -> (Self, Url) {
        let github = Self::default();
        let router = Router::new()
            .route("/login/oauth/access_token", routing::post(Self::token))
            .route("/api/v3/user", routing::get(Self::user))
            .route("/api/v3/user/emails", routing::get(Self::emails))
            .with_state(github.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (github, url)
    }

    /// Somebody gives consent; the code is for the callback.
    pub(crate) fn consents(&self, id: u64, email: &str, verified: bool) -> String {
        let mut people = self.0.lock().unwrap();
        let code = format!("code-{}", people.len());
        people.insert(code.clone(), Person { id, email: email.to_owned(), verified });
        code
    }

    fn who(&self, headers: &HeaderMap) -> Person {
        let token =
            headers["authorization"].to_str().unwrap().strip_prefix("Bearer gho_").unwrap().to_owned();
        self.0.lock().unwrap()[&token].clone()
    }

    async fn token(State(this): State<Self>, Form(form): Form<HashMap<String, String>>) -> Json<Value> {
        assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("an-id", "a-secret"));
        let code = &form["code"];
        if !this.0.lock().unwrap().contains_key(code) {
            return Json(json!({"error": "bad_verification_code"}));
        }
        Json(json!({"access_token": format!("gho_{code}"), "token_type": "bearer", "scope": "user:email"}))
    }

    async fn user(State(this): State<Self>, headers: HeaderMap) -> Json<Value> {
        let Person { id, email, .. } = this.who(&headers);
        Json(json!({"id": id, "login": "octo", "name": "Octo Cat", "avatar_url": null, "email": email}))
    }

    async fn emails(State(this): State<Self>, headers: HeaderMap) -> Json<Value> {
        let Person { email, verified, .. } = this.who(&headers);
        let other = json!({"email": "other@example.test", "primary": false, "verified": true});
        Json(json!([other, {"email": email, "primary": true, "verified": verified}]))
    }
}
