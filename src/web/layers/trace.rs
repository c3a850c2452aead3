//! One id, one span and one log line a request; a panic ends its request and nothing else (S-88, S-89).

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use http::Extensions;
use tracing::Instrument;

use super::{errors, headers};
use crate::web::error::Code;
use crate::web::state::AppState;

/// The id of a request.
#[derive(Debug, Clone)]
pub(super) struct Id(pub(super) String);

/// The rule that a proxied request matched; stands in the log where our own paths have their template.
#[derive(Debug, Clone)]
pub struct Route(pub String);

pub(super) fn request_id(extensions: &Extensions) -> &str {
    extensions.get::<Id>().map(|id| id.0.as_str()).unwrap_or_default()
}

/// The outermost layer.
pub(super) async fn record(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = app.entropy.text::<12>();
    request.extensions_mut().insert(Id(id.clone()));
    let begun = app.clock.now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    // The address is found out by the next step, the upstream by the gateway.
    let span = tracing::info_span!(
        "request",
        request_id = id.as_str(),
        client.address = tracing::field::Empty,
        upstream = tracing::field::Empty,
        upstream_ms = tracing::field::Empty,
    );
    // Boxed once: as part of this future it would be moved with every layer around it.
    let attend = Box::pin(super::attend(app.clone(), request, next));
    let run = AssertUnwindSafe(attend).catch_unwind().instrument(span.clone());
    // The panic hook has logged where; a body that names nothing is all the caller gets.
    let response = run.await.unwrap_or_else(|_| {
        app.trail.metrics().refused(Code::Internal as usize);
        errors::bare(&Code::Internal.into(), &id)
    });
    let response = headers::finish(&id, response);
    let route = response.extensions().get::<Route>().map(|route| route.0.as_str());
    let route = route.or(path.as_ref().map(MatchedPath::as_str));
    let took = app.clock.now() - begun;
    app.trail.metrics().requests().count(route, &method, response.status(), took.unsigned_abs());
    span.in_scope(|| {
        tracing::info!(
            http.method = method.as_str(),
            http.route = route.unwrap_or("none"),
            http.status = response.status().as_u16(),
            duration_ms = (took.as_seconds_f64() * 1e6).round() / 1e3,
            "request"
        );
    });
    response
}
