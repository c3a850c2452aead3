//! Stand-ins for the services of a project behind its gateway: each asks GoTrue whose bearer it got, keeps rows and files for
//! their owner alone, and remembers who came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::TestApp;

const KEY: &str = "sb_publishable_test";

/// Whom a request was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The key as bearer.
    Anon,
    /// Nobody: no bearer at all.
    Nobody,
    /// The `sub` of a token that GoTrue knows.
    User(String),
}

#[derive(Clone)]
pub struct Project(Arc<Inner>);

struct Inner {
    auth: String,
    http: reqwest::Client,
    seen: Mutex<Vec<(String, Who)>>,
    rows: Mutex<Vec<Value>>,
    /// By path.
    files: Mutex<BTreeMap<String, File>>,
    public: String,
}

/// The owner, the kind and the bytes.
type File = (String, String, Vec<u8>);

impl Project {
    /// Stands between the BFF of `app` and its auth server from now on.
    pub async fn behind(app: &TestApp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let http = base::http::client(base::http::tls_config(), std::time::Duration::from_secs(30)).unwrap();
        let project = Self(Arc::new(Inner {
            auth: format!("http://{}", app.auth_server().address()),
            http,
            seen: Mutex::default(),
            rows: Mutex::default(),
            files: Mutex::default(),
            public: app.auth.url(),
        }));
        let router = Router::new().fallback(answer).with_state(project.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        app.auth.lead_to(address);
        project
    }

    /// Who came to paths that hold `part`.
    pub fn seen(&self, part: &str) -> Vec<Who> {
        let seen = self.0.seen.lock().unwrap();
        seen.iter().filter(|(line, _)| line.contains(part)).map(|(_, who)| who.clone()).collect()
    }

    async fn who(&self, headers: &HeaderMap) -> Result<Who, StatusCode> {
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(value("apikey").as_deref(), Some(KEY), "the key is that of the project");
        let Some(bearer) = value("authorization") else { return Ok(Who::Nobody) };
        if bearer == format!("Bearer {KEY}") {
            return Ok(Who::Anon);
        }
        let asked = self.0.http.get(format!("{}/auth/v1/user", self.0.auth)).header("authorization", bearer);
        let user: Value = match asked.send().await.unwrap() {
            answer if answer.status() == 200 => serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
            _ => return Err(StatusCode::UNAUTHORIZED),
        };
        Ok(Who::User(user["id"].as_str().unwrap().to_owned()))
    }

    /// GoTrue itself.
    async fn pass(&self, parts: Parts, body: Vec<u8>) -> Response {
        let url = format!("{}{}", self.0.auth, parts.uri);
        let mut headers = parts.headers;
        headers.remove(header::HOST);
        headers.remove(header::CONTENT_LENGTH);
        let answer = self.0.http.request(parts.method, url).headers(headers).body(body).send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        (status, headers, answer.bytes().await.unwrap()).into_response()
    }

    fn rest(&self, parts: &Parts, body: &[u8], who: &Who) -> Response {
        let path = parts.uri.path();
        let Who::User(user) = who else {
            let refused =
                json!({ "code": "42501", "message": "permission denied", "details": null, "hint": null });
            return match *parts.method.as_str() == *"GET" {
                true => told(200, &json!([])),
                false => told(401, &refused),
            };
        };
        if path == "/rest/v1/rpc/whoami" {
            return told(200, &json!(user));
        }
        if parts.method == Method::POST {
            let mut row: Value = serde_json::from_slice(body).unwrap();
            let mut rows = self.0.rows.lock().unwrap();
            row["id"] = json!(rows.len() + 1);
            row["owner"] = json!(user);
            rows.push(row.clone());
            return told(201, &json!([row]));
        }
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let number = |text: &str| text.parse::<u64>().unwrap();
        let fits = |row: &Value| {
            row["owner"] == user.as_str()
                && query.iter().all(|(name, value)| match value.split_once('.') {
                    Some(("eq", wanted)) => row[name] == wanted,
                    Some(("gte", least)) => row[name].as_u64() >= Some(number(least)),
                    Some(("lte", most)) => row[name].as_u64() <= Some(number(most)),
                    _ => true,
                })
        };
        let rows: Vec<Value> = self.0.rows.lock().unwrap().iter().filter(|row| fits(row)).cloned().collect();
        told(200, &json!(rows))
    }

    fn storage(&self, parts: &Parts, body: Vec<u8>, who: &Who) -> Response {
        let path = parts.uri.path().strip_prefix("/storage/v1/").unwrap().to_owned();
        if let Some(file) = path.strip_prefix("object/sign/").filter(|_| parts.method == Method::GET) {
            assert!(!matches!(who, Who::User(_)), "what is public goes without anybody's token");
            let files = self.0.files.lock().unwrap();
            return match files.get(file).filter(|_| parts.uri.query() == Some("token=signed")) {
                Some((_, kind, bytes)) => {
                    ([(header::CONTENT_TYPE, kind.clone())], bytes.clone()).into_response()
                }
                None => told(400, &json!({ "statusCode": "400", "error": "InvalidJWT", "message": "no" })),
            };
        }
        let Who::User(user) = who else {
            return told(
                403,
                &json!({ "statusCode": "403", "error": "Unauthorized", "message": "row-level security" }),
            );
        };
        let kind = |headers: &HeaderMap| {
            headers.get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned()
        };
        if let Some(file) = path.strip_prefix("object/sign/") {
            return told(200, &json!({ "signedURL": format!("/object/sign/{file}?token=signed") }));
        }
        if path == "upload/resumable" && parts.method == Method::POST {
            let place = format!("{}/storage/v1/upload/resumable/one", self.0.public);
            self.0
                .files
                .lock()
                .unwrap()
                .insert("resumable".into(), (user.clone(), String::new(), Vec::new()));
            return (StatusCode::CREATED, [("location", place), ("tus-resumable", "1.0.0".into())])
                .into_response();
        }
        if path == "upload/resumable/one" {
            let mut files = self.0.files.lock().unwrap();
            let (_, _, bytes) =
                files.get_mut("resumable").filter(|file| file.0 == *user).expect("the owner goes on");
            bytes.extend_from_slice(&body);
            let offset = [("upload-offset", bytes.len().to_string()), ("tus-resumable", "1.0.0".into())];
            return (StatusCode::NO_CONTENT, offset).into_response();
        }
        let file = path.strip_prefix("object/").unwrap().to_owned();
        let mut files = self.0.files.lock().unwrap();
        match parts.method {
            Method::POST => {
                let (kind, bytes) = part(&kind(&parts.headers), &body);
                files.insert(file.clone(), (user.clone(), kind, bytes));
                told(200, &json!({ "Id": "1", "Key": file }))
            }
            _ => match files.get(&file).filter(|(owner, ..)| owner == user) {
                Some((_, kind, bytes)) => {
                    ([(header::CONTENT_TYPE, kind.clone())], bytes.clone()).into_response()
                }
                None => told(
                    400,
                    &json!({ "statusCode": "404", "error": "not_found", "message": "Object not found" }),
                ),
            },
        }
    }

    /// The bytes that a resumable upload has brought.
    pub fn resumed(&self) -> usize {
        self.0.files.lock().unwrap().get("resumable").map_or(0, |(_, _, bytes)| bytes.len())
    }
}

/// The file of a form as browsers send it: its kind and its bytes.
fn part(kind: &str, body: &[u8]) -> (String, Vec<u8>) {
    let Some((_, boundary)) = kind.split_once("boundary=") else { return (kind.to_owned(), body.to_vec()) };
    let find = |text: &[u8], from: usize| {
        body[from..].windows(text.len()).position(|window| window == text).map(|at| at + from)
    };
    let named = find(b"Content-Type: ", 0).expect("a part with a kind") + 14;
    let end = find(b"\r\n\r\n", named).unwrap();
    let last = find(format!("\r\n--{boundary}").as_bytes(), end).unwrap();
    let kind = String::from_utf8_lossy(&body[named..end]).lines().next().unwrap_or_default().to_owned();
    (kind, body[end + 4..last].to_vec())
}

fn told(status: u16, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::from_u16(status).unwrap(), kind, body.to_string()).into_response()
}

async fn answer(State(project): State<Project>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), 64 << 20).await.unwrap().to_vec();
    let path = parts.uri.path().to_owned();
    if path.starts_with("/auth/v1") || path == "/outbox.json" || path.starts_with("/pretend") {
        return project.pass(parts, body).await;
    }
    let who = match project.who(&parts.headers).await {
        Ok(who) => who,
        Err(status) => {
            return told(status.as_u16(), &json!({ "code": "PGRST301", "message": "JWT invalid" }));
        }
    };
    project.0.seen.lock().unwrap().push((format!("{} {path}", parts.method), who.clone()));
    match path.split('/').nth(1) {
        Some("rest") => project.rest(&parts, &body, &who),
        Some("storage") => project.storage(&parts, body, &who),
        Some("functions") => told(200, &json!({ "hello": format!("{who:?}") })),
        _ => told(404, &json!({ "message": "no such service" })),
    }
}
