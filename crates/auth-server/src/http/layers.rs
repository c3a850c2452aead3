//! What every request passes through: one log line, a deadline, headers, the shape of errors, counters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, sleep_until};

use crate::App;
use crate::error::{ApiError, asks_newest, dress};
use crate::limit::Bucket;

/// Contract, section 1.6.
const DEADLINE: Duration = Duration::from_secs(10);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Answers that must not tell by their time whom an address belongs to come at multiples of this. It is longer than a
/// hash, a commit and a mail handed on take where nothing else goes on.
const STEP: Duration = Duration::from_millis(50);

/// How often each route was called; `/token` once for each grant. As long as the route table, so bounded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    fn count(&self, route: &str, query: &str) {
        let route = route.strip_prefix("/auth/v1").unwrap_or(route);
        let grants = ["password", "refresh_token", "pkce"];
        let grant = grants
            .iter()
            .find(|grant| query.split('&').any(|p| p.strip_prefix("grant_type=") == Some(*grant)));
        let name = match grant {
            Some(grant) if route == "/token" => format!("/token?grant_type={grant}"),
            _ => route.to_owned(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    /// The count of one route.
    pub(crate) fn of(&self, route: &str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(route).copied().unwrap_or_default()
    }
}

/// Counts the call, unless the route has no such method.
pub(crate) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let response = next.run(request).await;
    if let Some(route) = route.filter(|_| response.status() != StatusCode::METHOD_NOT_ALLOWED) {
        app.calls.count(route.as_str(), &query);
    }
    response
}

/// Counts the call against its client's limit, before the body is read. A grant that does not exist costs nothing.
pub(crate) async fn limit(
    State((app, bucket)): State<(App, Bucket)>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let query = request.uri().query().unwrap_or_default();
    if bucket != Bucket::Token || crate::token::names_a_grant(query) {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
        app.limits.take(bucket, request.headers(), peer, app.clock.now())?;
    }
    Ok(next.run(request).await)
}

/// Ends what takes longer than [`DEADLINE`], the reading of the body included.
pub(crate) async fn deadline(request: Request, next: Next) -> Response {
    let text = "Processing this request timed out, please retry after a moment.";
    let late = || ApiError::new(StatusCode::GATEWAY_TIMEOUT, "request_timeout", text).into_response();
    tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|_| late())
}

/// Holds an answer back until the next full [`STEP`] since the request came: whether anything was stored or mailed
/// behind it does not show in its time (S-71).
pub(crate) async fn even(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let answer = next.run(request).await;
    sleep_until(begun + next_step(begun.elapsed())).await;
    answer
}

fn next_step(elapsed: Duration) -> Duration {
    let steps = elapsed.as_nanos() / STEP.as_nanos() + 1;
    STEP * u32::try_from(steps).unwrap_or(u32::MAX)
}

/// Answers only to names of this machine and to the public one: a page elsewhere whose name was made to lead here
/// would otherwise read the outbox.
pub(crate) async fn host(State(app): State<App>, request: Request, next: Next) -> Response {
    let asked = request.uri().host().map(str::to_owned).or_else(|| {
        let host = request.headers().get(HOST)?.to_str().ok()?;
        url::Url::parse(&format!("http://{host}")).ok()?.host_str().map(str::to_owned)
    });
    let own = |host: &str| {
        let url = url::Url::parse(&format!("http://{host}"));
        let public = url::Url::parse(&app.public_url).ok();
        let public = public.as_ref().and_then(url::Url::host_str);
        url.is_ok_and(|url| base::http::is_loopback(&url) || url.host_str() == public)
    };
    if asked.is_some_and(|host| own(&host)) {
        return next.run(request).await;
    }
    let text = "This server does not answer to this host name";
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, "validation_failed", text).into_response()
}

/// `HEAD` is no method of ours: 405 as for any other wrong one, and `Allow` does not name it (contract, section 1.1).
pub(crate) async fn methods(mut request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        *request.method_mut() = Method::TRACE; // no route has it
    }
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(allow) = response.headers().get(ALLOW).and_then(|allow| allow.to_str().ok())
    {
        let own: Vec<_> = allow.split(',').filter(|method| *method != "HEAD").collect();
        if let Ok(own) = HeaderValue::from_str(&own.join(", ")) {
            response.headers_mut().insert(ALLOW, own);
        }
    }
    response
}

/// Writes the body of an error, the headers that every answer has, and one line of log.
pub(crate) async fn finish(State(app): State<App>, request: Request, next: Next) -> Response {
    let newest = asks_newest(request.headers());
    let given = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let fits = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let id = given.filter(fits).map_or_else(|| app.entropy.text::<12>(), str::to_owned);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let response = next.run(request).await;
    let mut response = dress(response, newest, &id);
    let status = response.status();
    let route = route.as_deref().unwrap_or("-");
    tracing::info!(request_id = id, http.method = %method, http.route = route, http.status = status.as_u16(), "answered");

    let headers = response.headers_mut();
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(CACHE_CONTROL, "no-store");
    default(REFERRER_POLICY, "no-referrer");
    default(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/plain") {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-71: whatever the work took below a step, the answer comes at its end.
    #[test]
    fn answers_come_at_full_steps() {
        for (took, at) in [
            (0, 50_000),
            (1, 50_000),
            (3_000, 50_000),
            (49_999, 50_000),
            (50_000, 100_000),
            (120_000, 150_000),
        ] {
            assert_eq!(next_step(Duration::from_micros(took)), Duration::from_micros(at), "{took} µs");
        }
    }
}
