//! The middleware stack, outermost first: record the request, let it in, pass its gate, dress its answer.

mod errors;
mod headers;
mod host;
mod load;
mod origin;
mod trace;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

pub(super) use errors::{bounce, dress};
pub(super) use headers::{Foreign, PAGE_POLICY};
pub(super) use origin::{gate, is_listed};
pub(super) use trace::Route;

use super::state::AppState;
use super::visit::Visit;
use crate::limit::client;

/// Puts the stack around `router`.
pub fn around(router: Router<AppState>, app: &AppState) -> Router {
    router
        .layer(from_fn_with_state(app.clone(), attend))
        .layer(from_fn_with_state(app.clone(), trace::record))
        .with_state(app.clone())
}

/// Everything between the log line and the handler.
async fn attend(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let permit = match load::admit(&app, &request) {
        Ok(permit) => permit,
        Err(error) => return headers::finish(&app, None, errors::bare(&error, &request)),
    };
    let (mut parts, body) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let resolve = |peer| client::resolve(peer, &parts.headers, &app.client_ip_header, &app.trusted_proxies);
    let address = peer.map(resolve);
    let public = match host::admit(&app, &parts, peer) {
        Ok(public) => public,
        Err(host::Refused::Elsewhere(response)) => return headers::finish(&app, None, response),
        Err(host::Refused::No(error)) => {
            let request = Request::from_parts(parts, body);
            return headers::finish(&app, None, errors::bare(&error, &request));
        }
    };
    let request_id = trace::request_id(&parts);
    let visit = Visit::new(app.clone(), &parts, address, request_id, public);
    let answer = match origin::preflight(&app, &parts) {
        Some(answer) => answer,
        None => match origin::gate(&visit, &parts) {
            Ok(()) => {
                parts.extensions.insert(visit.clone());
                next.run(Request::from_parts(parts, body)).await
            }
            Err(error) => error.into_response(),
        },
    };
    let mut answer = errors::dress(&visit, answer);
    let cookies = visit.take_cookies();
    if !cookies.is_empty() {
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for name in ["cdn-cache-control", "surrogate-control", "expires"] {
            answer.headers_mut().remove(name);
        }
        for cookie in cookies {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    load::hold(headers::finish(&app, Some(&visit), answer), permit)
}
