//! The demo API: what a service behind the BFF looks like. It sees a bearer token and verifies it with the library's own
//! verifier; cookies never reach it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::request::Parts;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::policy::RuleSettings;
use crate::token::{Claims, Verifier};

/// As many items as the demo remembers.
const MOST: usize = 100;

/// The API on its own listener; its rules are those of [`Rules`].
pub fn router(verifier: Verifier) -> Router {
    let api = Api { verifier, items: Arc::default() };
    Router::new()
        .route("/api/public", get(|| async { Json(json!({ "message": "Anybody may read this." })) }))
        .route("/api/users/me", get(me))
        .route("/api/users/{id}", delete(remove))
        .route("/api/items", get(list).post(create))
        .route("/api/vault", get(vault))
        .fallback(|| async { (StatusCode::NOT_FOUND, Json(json!({ "error": "not_found" }))) })
        .with_state(api)
}

/// What stands in place of `bff.toml` while nothing is configured.
#[derive(Debug, Deserialize)]
pub struct Rules {
    /// `[scopes]`.
    pub scopes: BTreeMap<String, String>,
    /// `[roles]`.
    pub roles: BTreeMap<String, Vec<String>>,
    /// `[[rules]]`; their upstream is called `demo`.
    pub rules: Vec<RuleSettings>,
}

impl Rules {
    /// The rules of this API.
    ///
    /// # Errors
    ///
    /// Never, as a test shows.
    pub fn read() -> Result<Self, toml::de::Error> {
        toml::from_str(RULES)
    }
}

const RULES: &str = r#"
[scopes]
"items" = "Everything about items"
"items:read" = "Read items"
"items:write" = "Create and modify items"

[roles]
user = ["items:read"]
editor = ["items"]
admin = ["*"]

[[rules]]
name = "demo-public"
methods = ["GET"]
path = "/api/public"
to = "demo"
allow = "public"

[[rules]]
name = "demo-items-read"
methods = ["GET"]
path = "/api/items"
to = "demo"
scopes = ["items:read"]

[[rules]]
name = "demo-items-write"
methods = ["POST"]
path = "/api/items"
to = "demo"
scopes = ["items:write"]

[[rules]]
name = "demo-vault"
methods = ["GET"]
path = "/api/vault"
to = "demo"
aal = 2

[[rules]]
name = "demo-users-delete"
methods = ["DELETE"]
path = "/api/users/*"
to = "demo"
roles = ["admin"]

[[rules]]
name = "demo"
methods = ["GET"]
path = "/api/users/me"
to = "demo"
"#;

#[derive(Clone)]
struct Api {
    verifier: Verifier,
    items: Arc<Mutex<VecDeque<Item>>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Item {
    #[serde(default)]
    owner: String,
    title: String,
}

/// The person behind the bearer token.
struct Caller(Arc<Claims>);

impl FromRequestParts<Api> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer "));
        let refused = |error: &str| {
            let challenge = [(header::WWW_AUTHENTICATE, r#"Bearer realm="demo""#)];
            (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "error": error }))).into_response()
        };
        let Some(token) = token else { return Err(refused("no_token")) };
        api.verifier.verify(token).await.map(Self).map_err(|_| refused("invalid_token"))
    }
}

async fn me(Caller(claims): Caller) -> Json<Value> {
    Json(json!({
        "id": claims.sub,
        "email": claims.email,
        "role": claims.role,
        "app_metadata": claims.set().app_metadata(),
    }))
}

async fn list(State(api): State<Api>, Caller(claims): Caller) -> Json<Value> {
    let items = api.items.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all: Vec<Item> = vec![
        Item { owner: "demo".into(), title: "A boat".into() },
        Item { owner: "demo".into(), title: "A longer rope".into() },
    ];
    let own = claims.sub.to_string();
    all.extend(items.iter().filter(|item| item.owner == own).cloned());
    Json(json!({ "items": all }))
}

async fn create(State(api): State<Api>, Caller(claims): Caller, body: Option<Json<Item>>) -> Response {
    let title = body.map_or_else(|| "Something new".to_owned(), |Json(item)| item.title);
    let item = Item { owner: claims.sub.to_string(), title: title.chars().take(200).collect() };
    let mut items = api.items.lock().unwrap_or_else(PoisonError::into_inner);
    if items.len() == MOST {
        items.pop_front();
    }
    items.push_back(item.clone());
    (StatusCode::CREATED, Json(json!(item))).into_response()
}

async fn remove(Caller(_): Caller, Path(id): Path<String>) -> Json<Value> {
    Json(json!({ "removed": id, "note": "The demo only pretends: nobody was removed." }))
}

async fn vault(Caller(claims): Caller) -> Json<Value> {
    Json(json!({ "secret": "Two steps led you here.", "aal": claims.aal }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_read() {
        let rules = Rules::read().unwrap();
        assert_eq!(rules.rules.len(), 6);
        assert!(rules.rules.iter().all(|rule| rule.to.as_deref() == Some("demo")));
    }
}
