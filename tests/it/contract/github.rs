//! A GitHub of our own, in the layout of GitHub Enterprise that both servers ask for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Fields = HashMap<String, String>;

/// Who is signed in there, and what he answers when asked.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The account with this number, login and address agrees.
    Agrees { id: u32, login: String, email: String },
    /// The person presses "Cancel".
    Denies,
}

/// The site. Clones share it.
#[derive(Clone)]
pub struct FakeGitHub {
    pub url: url::Url,
    inner: Arc<Inner>,
}

struct Inner {
    answer: Mutex<Answer>,
    /// What stands behind the codes that were handed out.
    profiles: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<Fields>>,
}

impl FakeGitHub {
    /// Listens on `port` of the loopback interface; 0 takes any.
    pub async fn start(port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = TcpListener::bind(address).await.expect("the port of GitHub is free");
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (profiles, asked) = (Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { answer: Mutex::new(Answer::Denies), profiles, asked });
        let github = Self { url, inner };
        let router = Router::new()
            .route("/login/oauth/authorize", get(authorize))
            .route("/login/oauth/access_token", post(token))
            .route("/api/v3/user", get(user))
            .route("/api/v3/user/emails", get(emails))
            .with_state(github.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        github
    }

    /// From now on this is what happens there.
    pub fn answer(&self, answer: Answer) {
        *self.inner.answer.lock().unwrap() = answer;
    }

    /// The last query with which a browser came.
    pub fn asked(&self) -> Fields {
        self.inner.asked.lock().unwrap().last().cloned().expect("a browser came to GitHub")
    }

    fn profile(&self, headers: &HeaderMap) -> Option<Answer> {
        let header = headers.get("authorization")?.to_str().ok()?;
        let code = header.split_once(" gho_")?.1;
        self.inner.profiles.lock().unwrap().get(code).cloned()
    }
}

async fn authorize(State(github): State<FakeGitHub>, Query(query): Query<Fields>) -> Redirect {
    let mut back: url::Url = query["redirect_uri"].parse().unwrap();
    let answer = github.inner.answer.lock().unwrap().clone();
    match &answer {
        Answer::Agrees { .. } => {
            let mut profiles = github.inner.profiles.lock().unwrap();
            let code = format!("code{}", profiles.len());
            back.query_pairs_mut().append_pair("code", &code).append_pair("state", &query["state"]);
            profiles.insert(code, answer);
        }
        Answer::Denies => {
            let text = "The user has denied your application access.";
            back.query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair("error_description", text)
                .append_pair("state", &query["state"]);
        }
    }
    github.inner.asked.lock().unwrap().push(query);
    Redirect::to(back.as_str())
}

async fn token(State(github): State<FakeGitHub>, Form(form): Form<Fields>) -> Json<Value> {
    let known = github.inner.profiles.lock().unwrap().contains_key(&form["code"]);
    Json(match known {
        true => {
            json!({ "access_token": format!("gho_{}", form["code"]), "token_type": "bearer", "scope": "user:email" })
        }
        false => json!({ "error": "bad_verification_code" }),
    })
}

async fn user(State(github): State<FakeGitHub>, headers: HeaderMap) -> Response {
    let Some(Answer::Agrees { id, login, .. }) = github.profile(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let avatar = format!("https://avatars.example.test/{id}");
    Json(json!({ "id": id, "login": login, "name": "Ada", "email": null, "avatar_url": avatar }))
        .into_response()
}

async fn emails(State(github): State<FakeGitHub>, headers: HeaderMap) -> Response {
    let Some(Answer::Agrees { email, .. }) = github.profile(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    Json(json!([{ "email": email, "primary": true, "verified": true }])).into_response()
}
