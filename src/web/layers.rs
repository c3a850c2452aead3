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
use http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;
use tower::Service;

pub(super) use errors::{bounce, dress};
pub(super) use headers::PAGE_POLICY;
pub(super) use origin::{cross_site, gate, is_listed, is_marked, same_origin_only};
pub use trace::REQUEST_LINE;
pub(super) use trace::record;

use super::api::verify::{self, Original};
use super::error::Flaw;
use super::ids::RequestId;
use super::routes;
use super::state::AppState;
use super::supabase;
use super::visit::{Client, Face, Peer, Visit};
use crate::gateway;

/// What stands behind the stack: our own paths and the gateway, or an application that brought its own.
pub(super) trait Behind: Send + 'static {
    /// Whether rules of `bff.toml` may excuse a path from S-14: they say nothing about paths that they do not serve (S-19).
    const EXCUSES: bool;

    /// The answer to a request that the stack let in.
    fn answer(self, visit: &Visit, request: Request) -> impl Future<Output = Response> + Send;
}

/// The router with the stack around it. A service of its own: a layer of axum's would be put around each route, and box
/// and clone for each request what is one step here.
#[derive(Clone)]
pub struct Site {
    app: AppState,
    router: Router,
    peer: Option<Peer>,
}

impl Site {
    pub(super) fn new(app: &AppState, router: Router<AppState>) -> Self {
        Self { app: app.clone(), router: router.with_state(app.clone()), peer: None }
    }

    /// The same for a connection from `peer`. Without, the peer is the one in the request's `ConnectInfo<SocketAddr>`, as
    /// axum's own listener leaves it there, if there is one.
    #[must_use]
    pub fn for_peer(&self, peer: IpAddr) -> Self {
        Self { peer: Some(Peer::new(peer)), ..self.clone() }
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
        let Self { app, router, peer } = self.clone();
        let peer = peer.or_else(|| told_peer(request.extensions()));
        Box::pin(async move { Ok(trace::record(app, peer, request.map(Body::new), router).await) })
    }
}

/// The other end of the connection, where the server said it.
pub(super) fn told_peer(extensions: &http::Extensions) -> Option<Peer> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| Peer::new(info.0.ip()))
}

/// An answer, and the visit it belongs to if there was one.
struct Attended {
    response: Response,
    visit: Option<Visit>,
}

/// Everything between the log line and the handler.
async fn attend<B: Behind>(
    app: AppState,
    request_id: RequestId,
    client: Client,
    request: Request,
    behind: B,
) -> Attended {
    let (mut parts, body) = request.into_parts();
    let visit = match enter(&app, &mut parts, client, request_id) {
        Ok(visit) => visit,
        Err(response) => return Attended { response: *response, visit: None },
    };
    let place = match load::admit(&app, &parts) {
        Ok(place) => place,
        Err(error) => return leave(visit, error.into_response(), None),
    };
    let answer = match refuse(&visit, &parts, B::EXCUSES) {
        Some(answer) => answer,
        None => {
            visit.load_session().await;
            behind.answer(&visit, Request::from_parts(parts, body)).await
        }
    };
    leave(visit, answer, Some(place))
}

/// Finds out what the request is about. The error is the answer to one that names no host of ours.
fn enter(
    app: &AppState,
    parts: &mut Parts,
    client: Client,
    request_id: RequestId,
) -> Result<Visit, Box<Response>> {
    if let Some(Flaw(code)) = parts.extensions.get() {
        return Err(Box::new(errors::turn_away(app, &(*code).into(), request_id.as_str())));
    }
    // Another proxy's question names the host that it asks about, whatever its own `Host` is.
    if let Some(asked) = Original::of(app, parts, client.peer) {
        let original = asked.map_err(|code| Box::new(verify::turned_away(app, code)))?;
        let public = original.public;
        parts.extensions.insert(original);
        return Ok(Visit::new(app.clone(), parts, client, request_id, public));
    }
    match host::admit(app, parts, client.peer) {
        Ok(public) => Ok(Visit::new(app.clone(), parts, client, request_id, public)),
        Err(host::Refused::Elsewhere(response)) => Err(Box::new(response)),
        Err(host::Refused::No(error)) => Err(Box::new(errors::turn_away(app, &error, request_id.as_str()))),
    }
}

/// The answer to a request that does not come as far as a handler.
fn refuse(visit: &Visit, parts: &Parts, excuses: bool) -> Option<Response> {
    if visit.face() == Face::Verdict {
        return None; // the request that it is about has its own gate
    }
    origin::preflight(visit, parts).or_else(|| match origin::gate(visit, parts, excuses) {
        Ok(()) => code::guard(visit, parts),
        Err(error) => Some(error.into_response()),
    })
}

/// Our own paths; every other one is a matter of rules.
impl Behind for Router {
    const EXCUSES: bool = true;

    async fn answer(mut self, visit: &Visit, mut request: Request) -> Response {
        if visit.app().is_own(request.uri().path()) {
            request.extensions_mut().insert(visit.clone());
            if visit.speaks_with_gotrue()
                && let Some(uri) = supabase::named(&visit.app().mount, request.uri())
            {
                *request.uri_mut() = uri;
            }
            let Ok(answer) = self.call(request).await;
            return answer;
        }
        routes::answer(visit, &mut request).await.unwrap_or_else(IntoResponse::into_response)
    }
}

/// Dresses the answer and gives it the cookies that it needs.
fn leave(visit: Visit, answer: Response, place: Option<OwnedSemaphorePermit>) -> Attended {
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
        Some(place) => load::hold(answer, place),
        None => answer,
    };
    Attended { response, visit: Some(visit) }
}
