//! The admin listener: probes on a door of their own (S-94).

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde_json::json;

use super::state::AppState;
use crate::event::CONTENT_TYPE;

/// `/livez`, `/readyz` and `/metrics`. Nothing here tells users, versions or settings.
pub fn router(app: &AppState) -> Router {
    Router::new()
        .route("/livez", get(|| async { axum::Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app.clone())
}

/// The figures, for Prometheus and its like.
async fn metrics(State(app): State<AppState>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], app.trail.metrics().text()).into_response()
}

/// 200 once a key set or an HS256 secret is there to verify with, and while the session store answers. GoTrue itself is
/// not asked: sessions work through its outages.
async fn ready(State(app): State<AppState>) -> Response {
    let missing = match (app.verifier.ready(), app.sessions.ready().await) {
        (true, true) => return axum::Json(json!({ "status": "ready" })).into_response(),
        (false, _) => "keys",
        (true, false) => "store",
    };
    let body = axum::Json(json!({ "status": "waiting", "for": missing }));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}
