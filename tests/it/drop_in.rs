//! `auth/v1` below the mount, as auth-js calls it.

mod changes;
mod chromium;
mod factors;
mod journey;
mod mails;
mod node;
mod project;
pub mod providers;
mod sessions;
mod site;
mod story;
mod who;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Browser};
use crate::harness::{PASSWORD, TestApp};

/// What supabase-js is made with in place of a key.
pub const KEY: &str = "bff";

/// One supabase-js in one tab: it holds what a session answer gave it, the browser holds the cookies.
pub struct Client {
    pub browser: Browser,
    pub session: Value,
}

impl Client {
    pub fn new(app: &TestApp) -> Self {
        Self::of(&app.browser())
    }

    pub fn of(browser: &Browser) -> Self {
        Self { browser: browser.clone(), session: Value::Null }
    }

    /// The access token that it sends, or the key.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.session["access_token"].as_str().unwrap_or(KEY))
    }

    /// A call as auth-js makes it from a page of ours.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.call_as(&self.bearer(), method, path, body).await
    }

    /// The same with another bearer.
    pub async fn call_as(&self, bearer: &str, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let origin = self.browser.base().to_owned();
        let headers = [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
            ("apikey", KEY),
            ("authorization", bearer),
            ("x-client-info", "supabase-js-web/2.119.1"),
            ("x-supabase-api-version", "2024-01-01"),
            ("content-type", "application/json;charset=UTF-8"),
            ("origin", &origin),
        ];
        let path = format!("/supabase/{path}");
        self.browser.send(method, &path, &headers, body.map(Value::to_string)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, &format!("auth/v1/{path}"), Some(body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, &format!("auth/v1/{path}"), None).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, &format!("auth/v1/{path}"), Some(body)).await
    }

    /// Takes the session of `answer`, as auth-js does.
    pub fn keep(&mut self, answer: &Answer) {
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.session = answer.json();
        assert!(self.session["access_token"].is_string(), "{}", answer.body);
    }

    /// Somebody who has just signed up.
    pub async fn signed_up(app: &TestApp, email: &str) -> Self {
        let mut client = Self::new(app);
        let answer = client.post("signup", &json!({ "email": email, "password": PASSWORD })).await;
        client.keep(&answer);
        client
    }

    pub async fn refresh_with(&self, token: &str) -> Answer {
        self.post("token?grant_type=refresh_token", &json!({ "refresh_token": token })).await
    }

    pub fn refresh_token(&self) -> &str {
        self.session["refresh_token"].as_str().unwrap()
    }
}

/// The three parts of a JWT-shaped text, decoded.
pub fn parts(token: &str) -> (Value, Value, String) {
    let parts: Vec<_> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let read = |at: usize| serde_json::from_slice(&parts[at]).unwrap();
    (read(0), read(1), String::from_utf8(parts[2].clone()).unwrap())
}
