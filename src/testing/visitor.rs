//! A browser as far as cookies and the headers of a page's script go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, Response, header};
use serde_json::Value;

use super::Error;

/// An answer is given up after this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser at the application. Clones are further tabs: they share the cookies.
#[derive(Debug, Clone)]
pub struct Visitor {
    base: String,
    at: SocketAddr,
    http: reqwest::Client,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Visitor {
    pub(super) fn new(base: &str, at: SocketAddr) -> Result<Self, Error> {
        let http = base::http::client(base::http::tls_config(), PATIENCE)?;
        Ok(Self { base: base.to_owned(), at, http, cookies: Arc::default() })
    }

    pub(super) fn fresh(&self) -> Self {
        Self { cookies: Arc::default(), ..self.clone() }
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// `fetch(path)` from a page of the application.
    ///
    /// # Errors
    ///
    /// Without an answer; one that refuses is an answer.
    pub async fn get(&self, path: &str) -> Result<Response<String>, Error> {
        self.send(Method::GET, path, &SCRIPT, None).await
    }

    /// `fetch(path, { method: 'POST', … })` with JSON and `X-CSRF: 1`, from a page of the application.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn post(&self, path: &str, body: &Value) -> Result<Response<String>, Error> {
        self.json(Method::POST, path, body).await
    }

    /// The same with another method.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn json(&self, method: Method, path: &str, body: &Value) -> Result<Response<String>, Error> {
        let own =
            [(header::ORIGIN.as_str(), &*self.base), (header::CONTENT_TYPE.as_str(), "application/json")];
        let headers = [&SCRIPT[..], &own].concat();
        self.send(method, path, &headers, Some(body.to_string())).await
    }

    /// The address typed in, without following a redirect.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn navigate(&self, path: &str) -> Result<Response<String>, Error> {
        let headers = [("sec-fetch-mode", "navigate"), ("sec-fetch-site", "none"), ("accept", "text/html")];
        self.send(Method::GET, path, &headers, None).await
    }

    /// A request with exactly these headers beside `Host` and the cookies.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Response<String>, Error> {
        let host = self.base.trim_start_matches("http://");
        let request = self.http.request(method, format!("http://{}{path}", self.at));
        let mut request = request.header(header::HOST, host);
        let cookies = self.cookie_line();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        self.keep(&headers);
        let mut response = Response::new(answer.text().await?);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// The header `Cookie` as the browser sends it; empty if there is none.
    pub fn cookie_line(&self) -> String {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&self, headers: &HeaderMap) {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for text in headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if attributes.split(';').any(|one| one.trim().eq_ignore_ascii_case("max-age=0")) {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// What a browser says of a page's script on its own site, and what our gate wants of it.
const SCRIPT: [(&str, &str); 3] =
    [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"), ("x-csrf", "1")];
