//! The middleware stack, outermost first: record the request, let it in, pass its gate, dress its answer.

mod code;
mod errors;
mod headers;
mod host;
mod load;
mod origin;
mod trace;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header;

pub(super) use errors::{bounce, dress};
pub(super) use headers::{Foreign, PAGE_POLICY};
pub(super) use origin::{cross_site, gate, is_listed};
pub(super) use trace::Route;

use super::state::AppState;
use super::visit::Visit;
use crate::gateway;
use crate::limit::client;

/// Puts the stack around `router`.
pub fn around(router: Router<AppState>, app: &AppState) -> Router {
    // One layer of axum, not one for each step: every one of them boxes what it hands on.
    router.layer(from_fn_with_state(app.clone(), trace::record)).with_state(app.clone())
}

/// Everything between the log line and the handler.
async fn attend(app: AppState, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let request_id = trace::request_id(&parts.extensions).to_owned();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let resolve = |peer| client::resolve(peer, &parts.headers, &app.client_ip_header, &app.trusted_proxies);
    let address = peer.map(resolve);
    if let Some(address) = address {
        tracing::Span::current().record("client.address", tracing::field::display(address));
    }
    let public = match host::admit(&app, &parts, peer) {
        Ok(public) => public,
        Err(host::Refused::Elsewhere(response)) => return response,
        Err(host::Refused::No(error)) => {
            app.trail.metrics().refused(error.code as usize);
            return errors::bare(&error, &request_id);
        }
    };
    let visit = Visit::new(app.clone(), &parts, address, request_id, public);
    let place = load::admit(&app, &parts);
    let answer = match (&place, origin::preflight(&visit, &parts)) {
        (Err(error), _) => error.clone().into_response(),
        (Ok(_), Some(answer)) => answer,
        (Ok(_), None) => match origin::gate(&visit, &parts) {
            Ok(()) => match code::guard(&visit, &parts) {
                Some(clean) => clean,
                None => {
                    parts.extensions.insert(visit.clone());
                    next.run(Request::from_parts(parts, body)).await
                }
            },
            Err(error) => error.into_response(),
        },
    };
    let mut answer = errors::dress(&visit, answer);
    let cookies = visit.take_cookies();
    if !cookies.is_empty() {
        gateway::never_cached(answer.headers_mut());
        for cookie in cookies {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    headers::correct(&visit, &mut answer);
    match place {
        Ok(place) => load::hold(answer, place),
        Err(_) => answer,
    }
}
