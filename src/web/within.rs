//! Inside somebody's axum application: the stack as a layer around its routes, our paths as a router to merge, guards
//! for single routes and extractors for handlers.
//!
//! Nothing here decides. Whoever asks who is there goes the way of a proxied request: one caller, one rule, one decision.

mod person;
mod require;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use http::{HeaderValue, header};
use tower::{Layer, Service, ServiceExt};

pub use person::User;
pub use require::{Guard, Guarded};

use super::error::Error;
use super::layers::{self, Behind};
use super::state::AppState;
use super::visit::{Face, Visit};
use super::{pages, paths, routes, streams};
use crate::gateway;

/// The stack as a layer: session, cross-origin gate, response headers, the log line, and refusals dressed as page or JSON.
/// Goes around everything, our own routes included.
#[derive(Clone)]
pub struct Around {
    app: AppState,
}

impl Around {
    /// The stack of `app`.
    pub fn new(app: &AppState) -> Self {
        Self { app: app.clone() }
    }
}

impl<S> Layer<S> for Around {
    type Service = Inside<S>;

    fn layer(&self, inner: S) -> Inside<S> {
        Inside { app: self.app.clone(), inner }
    }
}

/// What [`Around`] makes of a service.
#[derive(Clone)]
pub struct Inside<S> {
    app: AppState,
    inner: S,
}

impl<S> Service<Request> for Inside<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // the inner one is waited for with the request
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { app, inner } = self.clone();
        if request.extensions().get::<Visit>().is_some() {
            return Box::pin(inner.oneshot(request)); // the layer was put on twice: it has been here
        }
        let peer = layers::told_peer(request.extensions());
        if peer.is_none() {
            note_no_peer();
        }
        Box::pin(async move { Ok(layers::record(app, peer, request, Theirs(inner)).await) })
    }
}

/// Tells once that limits cannot tell one network from another.
fn note_no_peer() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::warn!(
            "the server does not say who connects, so no limit counts by address and no proxy is trusted: serve \
             with into_make_service_with_connect_info::<SocketAddr>()"
        );
    });
}

/// A developer's application.
struct Theirs<S>(S);

impl<S> Behind for Theirs<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    /// The path may be a route that no rule knows of.
    const EXCUSES: bool = false;

    async fn answer(self, visit: &Visit, mut request: Request) -> Response {
        if let Some(path) = request.extensions().get::<MatchedPath>() {
            visit.app().trail.metrics().requests().learn(path.as_str());
            visit.note_path(path);
        }
        let own = visit.app().is_own(request.uri().path()) || visit.face() == Face::Supabase;
        request.extensions_mut().insert(visit.clone());
        let Ok(answer) = self.0.oneshot(request).await;
        if own || visit.is_answered() || answer.extensions().get::<Arc<Error>>().is_some() {
            return answer;
        }
        let person = visit.caller();
        let tied = match &person {
            Some(caller) => streams::tie(visit.app(), caller, answer),
            None => Ok(answer),
        };
        match tied {
            Ok(answer) => dress(visit, answer, person.is_some()),
            Err(error) => error.into_response(),
        }
    }
}

/// What an answer of the application carries beyond its own headers. One that was made for a session is kept by no cache
/// but, if it says so itself, the browser's (S-09).
fn dress(visit: &Visit, mut answer: Response, for_somebody: bool) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Its forms need an Origin (S-13, S-67).
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    if for_somebody && !is_private(headers) {
        gateway::never_cached(headers);
    }
    visit.note_answered();
    answer
}

fn is_private(headers: &http::HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    lines.any(|line| {
        line.split(',').any(|word| word.trim().eq_ignore_ascii_case("private"))
            && !line.to_ascii_lowercase().contains("public")
    })
}

/// Our paths, `/auth` and the mount, for a router that has [`Around`] around it.
pub fn routes<S: Clone + Send + Sync + 'static>(app: &AppState) -> Router<S> {
    let mount = app.mount.as_str();
    let own = paths(false, app.hooks.is_some(), app.forward_auth.is_some());
    let router = own.into_iter().fold(Router::new(), |router, (path, methods)| {
        match path.strip_prefix(super::supabase::NAMED) {
            Some(rest) if app.auth_below_mount => router.route(&format!("{mount}{rest}"), methods),
            Some(_) => router,
            None => router.route(path, methods),
        }
    });
    let router = router.method_not_allowed_fallback(pages::wrong_method);
    let rest = [mount.to_owned(), format!("{mount}/"), format!("{mount}/{{*rest}}")];
    let router = rest.into_iter().fold(router, |router, path| router.route(&path, any(by_rule)));
    router.with_state(app.clone())
}

/// Whatever the rules of `bff.toml` serve, for an application that wants its upstreams and folders.
pub fn gateway<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    any(by_rule)
}

async fn by_rule(visit: Visit, mut request: Request) -> Result<Response, Error> {
    routes::answer(&visit, &mut request).await
}
