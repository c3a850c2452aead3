//! The middleware stack, outermost first: record the request, let it in, pass its gate, dress its answer.

mod code;
mod errors;
mod headers;
mod host;
mod load;
mod origin;
mod trace;

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use http::header;
use tower::Service;

pub(super) use errors::{bounce, dress};
pub(super) use headers::{Foreign, PAGE_POLICY};
pub(super) use origin::{cross_site, gate, is_listed};

use super::error::Flaw;
use super::state::AppState;
use super::visit::Visit;
use crate::gateway;
use crate::limit::client;

/// The router with the stack around it. A service of its own: a layer of axum's would be put around each route, and box
/// and clone for each request what is one step here.
#[derive(Clone)]
pub struct Site {
    app: AppState,
    router: Router,
}

impl Site {
    pub(super) fn new(app: &AppState, router: Router<AppState>) -> Self {
        Self { app: app.clone(), router: router.with_state(app.clone()) }
    }
}

impl<B> Service<http::Request<B>> for Site
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // a router always is
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let Self { app, router } = self.clone();
        Box::pin(async move { Ok(trace::record(app, request.map(Body::new), router).await) })
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
struct Client {
    /// Of the connection.
    peer: Option<IpAddr>,
    /// By S-83.
    address: Option<IpAddr>,
}

impl Client {
    fn of(app: &AppState, request: &Request) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let resolve =
            |peer| client::resolve(peer, request.headers(), &app.client_ip_header, &app.trusted_proxies);
        Self { peer, address: peer.map(resolve) }
    }
}

/// An answer, and the visit it belongs to if there was one.
struct Attended {
    response: Response,
    visit: Option<Visit>,
}

/// Everything between the log line and the handler.
async fn attend(
    app: AppState,
    request_id: String,
    client: Client,
    request: Request,
    mut router: Router,
) -> Attended {
    let (mut parts, body) = request.into_parts();
    if let Some(Flaw(code)) = parts.extensions.get() {
        return Attended { response: errors::turn_away(&app, &(*code).into(), &request_id), visit: None };
    }
    let public = match host::admit(&app, &parts, client.peer) {
        Ok(public) => public,
        Err(host::Refused::Elsewhere(response)) => return Attended { response, visit: None },
        Err(host::Refused::No(error)) => {
            return Attended { response: errors::turn_away(&app, &error, &request_id), visit: None };
        }
    };
    let visit = Visit::new(app.clone(), &parts, client.address, request_id, public);
    let place = load::admit(&app, &parts);
    let answer = match (&place, origin::preflight(&visit, &parts)) {
        (Err(error), _) => error.clone().into_response(),
        (Ok(_), Some(answer)) => answer,
        (Ok(_), None) => match origin::gate(&visit, &parts) {
            Ok(()) => match code::guard(&visit, &parts) {
                Some(clean) => clean,
                None => {
                    visit.load_session().await;
                    parts.extensions.insert(visit.clone());
                    let Ok(answer) = router.call(Request::from_parts(parts, body)).await;
                    answer
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
    let response = match place {
        Ok(place) => load::hold(answer, place),
        Err(_) => answer,
    };
    Attended { response, visit: Some(visit) }
}
