//! A browser as far as cookies, Fetch Metadata, redirects and forms go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

/// One browser with its cookies. Clones are further tabs.
#[derive(Clone)]
pub struct Browser {
    base: String,
    /// Where the bytes go: the node that answers under `base`.
    at: String,
    http: reqwest::Client,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The error code, in either face.
    pub fn code(&self) -> String {
        match serde_json::from_str::<Value>(&self.body) {
            Ok(body) => body["code"].as_str().unwrap_or_default().to_owned(),
            Err(_) => String::new(),
        }
    }

    /// The value of the hidden field `name` in the first form that has it.
    pub fn field(&self, name: &str) -> String {
        let at = self
            .body
            .find(&format!("name=\"{name}\""))
            .unwrap_or_else(|| panic!("no field {name}: {}", self.body));
        let rest = &self.body[at..];
        let value = rest.find("value=\"").map(|v| &rest[v + 7..]).unwrap();
        unescape(&value[..value.find('"').unwrap()])
    }

    /// The field `name` of the form that posts to `action`.
    pub fn form_token(&self, action: &str) -> String {
        let form = self
            .body
            .find(&format!("action=\"{action}\""))
            .unwrap_or_else(|| panic!("no form {action}: {}", self.body));
        let part = Self { status: 0, headers: HeaderMap::new(), body: self.body[form..].to_owned() };
        part.field("form_token")
    }

    /// Where a bounce page leads.
    pub fn refresh_url(&self) -> Option<String> {
        let at = self.body.find("http-equiv=\"refresh\"")?;
        let rest = &self.body[at..];
        let url = &rest[rest.find("url=")? + 4..];
        Some(unescape(&url[..url.find('"')?]))
    }
}

fn unescape(text: &str) -> String {
    text.replace("&#x2f;", "/")
        .replace("&#x27;", "'")
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

impl Browser {
    pub fn new(base: &str) -> Self {
        // A thousand at once connect as fast as the machine can, be it busy with something else.
        let patience = std::time::Duration::from_secs(180);
        let http = base::http::builder(base::http::tls_config(), patience);
        let http = http.connect_timeout(patience).build().unwrap();
        Self { base: base.to_owned(), at: base.to_owned(), http, cookies: Arc::default() }
    }

    /// Another browser, with no cookies. They share connections, for their making is slow.
    pub fn fresh(&self) -> Self {
        Self { cookies: Arc::default(), ..self.clone() }
    }

    /// The same browser once its site is answered by the node at `at`. For an https site that is a proxy which says so.
    pub fn at(&self, at: &str) -> Self {
        Self { at: at.to_owned(), ..self.clone() }
    }

    /// Another browser with a copy of these cookies.
    pub fn stolen(&self) -> Self {
        let cookies = self.cookies.lock().unwrap().clone();
        Self { cookies: Arc::new(Mutex::new(cookies)), ..self.clone() }
    }

    /// The site.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies
            .lock()
            .unwrap()
            .iter()
            .find(|(key, _)| key.starts_with(name))
            .map(|(_, value)| value.clone())
    }

    pub fn cookie_names(&self) -> Vec<String> {
        self.cookies.lock().unwrap().keys().cloned().collect()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// Where the bytes go, and the host that they name.
    pub fn addresses(&self) -> (String, String) {
        let authority = |url: &str| url.split_once("://").unwrap().1.to_owned();
        (authority(&self.at).replace("localhost", "127.0.0.1"), authority(&self.base))
    }

    /// The header `Cookie` as the browser sends it; empty if there is none.
    pub fn cookie_line(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// One request, with exactly these headers beside the cookies.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        self.dispatch(method, path, headers, body, None).await
    }

    /// A GET with this `Cookie` header, which need not be text.
    pub async fn get_with_cookie(&self, path: &str, headers: &[(&str, &str)], line: &[u8]) -> Answer {
        let line = HeaderValue::from_bytes(line).unwrap();
        self.dispatch(Method::GET, path, headers, None, Some(line)).await
    }

    async fn dispatch(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
        line: Option<HeaderValue>,
    ) -> Answer {
        let path = path.strip_prefix(&self.base).unwrap_or(path);
        let own = !path.starts_with("http");
        let url = if own { format!("{}{path}", self.at) } else { path.to_owned() };
        let mut request = self.http.request(method, url);
        if let Some(line) = line {
            request = request.header(header::COOKIE, line);
        }
        if own && self.at != self.base && !headers.iter().any(|(name, _)| *name == "host") {
            let (scheme, host) = self.base.split_once("://").unwrap();
            request = request.header(header::HOST, host).header("x-forwarded-proto", scheme);
        }
        let cookies = self.cookie_line();
        if own && !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status(), response.headers().clone());
        if own {
            self.keep(&headers);
        }
        let body = response.text().await.unwrap_or_default();
        Answer { status: status.as_u16(), headers, body }
    }

    /// Keeps the cookies that an answer sets.
    pub fn keep(&self, headers: &HeaderMap) {
        for value in headers.get_all(header::SET_COOKIE) {
            let text = value.to_str().unwrap_or_else(|_| panic!("{value:?}"));
            let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if attributes.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// `fetch(path)` from a page of ours.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &script(), None).await
    }

    /// `fetch(path, {method, body})` with JSON from a page of ours.
    pub async fn json(&self, method: Method, path: &str, body: &Value) -> Answer {
        let origin = self.base.clone();
        let mut headers = script().to_vec();
        headers.push(("content-type", "application/json"));
        headers.push(("origin", &origin));
        self.send(method, path, &headers, Some(body.to_string())).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::POST, path, body).await
    }

    /// A navigation that began on `site`: `same-origin`, `none`, `cross-site`. Strict cookies stay at home if cross-site.
    pub async fn navigate_from(&self, site: &str, path: &str) -> Answer {
        let headers = navigation(site);
        if site != "cross-site" {
            return self.send(Method::GET, path, &headers, None).await;
        }
        let lax: BTreeMap<_, _> = {
            let cookies = self.cookies.lock().unwrap();
            cookies
                .iter()
                .filter(|(name, _)| name.contains("sb_flow_"))
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect()
        };
        let outside = Self { cookies: Arc::new(Mutex::new(lax)), ..self.clone() };
        let answer = outside.send(Method::GET, path, &headers, None).await;
        self.keep(&answer.headers);
        answer
    }

    pub async fn navigate(&self, path: &str) -> Answer {
        self.navigate_from("none", path).await
    }

    pub async fn follow_from(&self, site: &str, path: &str) -> (String, Answer) {
        let (mut at, mut site) = (path.to_owned(), site.to_owned());
        for _ in 0..12 {
            let answer = self.navigate_from(&site, &at).await;
            let next = match StatusCode::from_u16(answer.status).unwrap() {
                status if status.is_redirection() => {
                    let location = answer.header("location").to_owned();
                    // A redirect stays in the chain of whoever began it; leaving the site makes it cross-site.
                    if location.starts_with("http") && !location.starts_with(&self.base)
                        || at.starts_with("http") && !at.starts_with(&self.base)
                    {
                        site = "cross-site".to_owned();
                    }
                    location
                }
                _ => match answer.refresh_url() {
                    Some(url) => {
                        site = if at.starts_with("http") && !at.starts_with(&self.base) {
                            "cross-site"
                        } else {
                            "same-origin"
                        }
                        .to_owned();
                        url
                    }
                    None => return (at, answer),
                },
            };
            at = match next.strip_prefix(&self.base) {
                Some(path) => path.to_owned(),
                None if next.starts_with('/') && at.starts_with("http") && !at.starts_with(&self.base) => {
                    let origin = at.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
                    format!("{origin}{next}")
                }
                None => next,
            };
        }
        panic!("too many redirects, last to {at}")
    }

    /// Sends a form of ours, as a browser does, without following.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let origin = self.base.clone();
        let mut headers = navigation("same-origin").to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        headers.push(("origin", &origin));
        self.send(Method::POST, path, &headers, Some(body)).await
    }
}

pub fn script() -> [(&'static str, &'static str); 4] {
    [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("x-csrf", "1"),
    ]
}

pub fn navigation(site: &str) -> [(&'static str, &str); 4] {
    [
        ("sec-fetch-site", site),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("accept", "text/html"),
    ]
}
