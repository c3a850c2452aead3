//! One id, one span and one log line a request; a panic ends its request and nothing else (S-88, S-89).

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt;
use tracing::Instrument;

use super::{Attended, Behind, errors, headers};
use crate::web::error::Code;
use crate::web::state::AppState;
use crate::web::visit::{Client, Peer, Visit};

/// The target of the one line a request.
pub const REQUEST_LINE: &str = "supabase_bff::request";

/// The outermost layer.
pub(in crate::web) async fn record<B: Behind>(
    app: AppState,
    peer: Option<Peer>,
    request: Request,
    behind: B,
) -> Response {
    let id = app.ids.next();
    let begun = app.clock.now();
    let method = request.method().clone();
    let client = Client::of(&app, request.headers(), peer.as_ref());
    let span = tracing::info_span!("request", request_id = id.as_str(), client.address = client.text());
    // Boxed once: as part of this future it would be moved with every layer around it.
    let attend = Box::pin(super::attend(app.clone(), id.clone(), client, request, behind));
    let mut run = pin!(AssertUnwindSafe(attend).catch_unwind().instrument(span));
    // The panic hook has logged where; a body that names nothing is all the caller gets.
    let Attended { response, visit } = run.as_mut().await.unwrap_or_else(|_| {
        let response = errors::turn_away(&app, &Code::Internal.into(), id.as_str());
        Attended { response, visit: None }
    });
    let dressed = visit.as_ref().is_some_and(Visit::is_answered);
    let response = headers::finish(&id, dressed, response);
    let route = visit.as_ref().and_then(Visit::route).unwrap_or("none");
    let forwarded = visit.as_ref().and_then(Visit::forwarded);
    let took = app.clock.now() - begun;
    app.trail.metrics().requests().count(route, &method, response.status(), took.unsigned_abs());
    tracing::info!(
        target: REQUEST_LINE,
        parent: run.as_ref().get_ref().span(),
        {
            http.method = method.as_str(),
            http.route = route,
            http.status = response.status().as_u16(),
            upstream = forwarded.map(|(upstream, _)| upstream),
            upstream_ms = forwarded.map(|(_, millis)| millis),
            duration_ms = (took.as_seconds_f64() * 1e6).round() / 1e3
        },
        "request"
    );
    response
}
