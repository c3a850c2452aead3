//! Forwards what a permit allows.
//!
//! [`path`] judges the path that rules and upstreams then share, [`upstream`] says where requests may go at all;
//! [`Gateway::forward`] consumes the permit of [`policy`](crate::policy), cleans the request, adds the token last,
//! streams both ways and cleans the answer. Nothing is collected, followed or tried again.

mod answer;
mod body;
mod client;
mod context;
mod folder;
mod headers;
mod location;
pub mod path;
pub mod realtime;
pub mod settings;
pub mod socket;
mod target;
pub mod upstream;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use axum::BoxError;
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use tokio::time::Instant;

pub use answer::never_cached;
pub use body::BodyFault;
pub use context::WrongContext;
pub use location::Astray;

use answer::Asked;
use body::{AnswerBody, RequestBody};
use client::{Client, Lease};
use headers::About;
use location::Here;
use path::{BadPath, Path};
use socket::{Handshake, UpstreamHalf};
use target::Target;
use upstream::{Service, Upstream};

use crate::policy::{Allow, Permit};

/// Sends permitted requests to their upstreams over pooled connections.
#[derive(Debug)]
pub struct Gateway {
    /// A handful: they are looked through.
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    upstream: Upstream,
    /// `None` for a folder.
    client: Option<Client>,
}

/// What the caller knows about a request and its headers do not say.
#[derive(Debug)]
pub struct Extra<'a> {
    /// `Bearer` and the access token of who asks, valid at this moment without any leeway.
    pub bearer: Option<HeaderValue>,
    /// The client's address (S-83).
    pub client: Option<&'a HeaderValue>,
    /// `http` or `https`, as the browser sees it.
    pub proto: &'static str,
    /// The public host that was asked for, with its port unless it is the scheme's own.
    pub host: &'a HeaderValue,
    /// Sent as `X-Request-Id`.
    pub request_id: &'a HeaderValue,
    /// The present moment.
    pub begun: Instant,
    /// The request is to become a WebSocket. Only for an upstream that [takes them](Upstream::takes_sockets).
    pub socket: Option<&'a Handshake>,
}

/// Why a request was not answered by its upstream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such upstream, or the rule is for forward-auth alone: 404.
    #[error("there is no upstream of that name")]
    NoUpstream,
    /// 400 `bad_path`.
    #[error(transparent)]
    BadPath(#[from] BadPath),
    /// TRACE, CONNECT or an unknown method: 405.
    #[error("this method is not forwarded")]
    Method,
    /// A permit for a user, and no token to show for him: 401, never a forward as a stranger (S-52).
    #[error("there is no token to forward")]
    NoToken,
    /// 413 `body_too_large`.
    #[error("the body is longer than allowed")]
    BodyTooLarge,
    /// The browser's own half broke off or came too slowly: 400 `bad_request`.
    #[error("the request did not arrive")]
    RequestBroken(#[source] hyper::Error),
    /// No connection, or no sound answer: 502 `upstream_failed`.
    #[error("the upstream failed")]
    UpstreamFailed(#[source] Option<BoxError>),
    /// 504 `upstream_timeout`.
    #[error("the upstream did not answer in time")]
    UpstreamTimeout,
    /// The answer's `Location` leaves the site: 502 `upstream_failed`.
    #[error(transparent)]
    ForbiddenRedirect(#[from] Astray),
}

impl Gateway {
    /// A gateway to `upstreams`, by name. `tls` verifies those with https.
    pub fn new(upstreams: Vec<Upstream>, tls: &rustls::ClientConfig) -> Self {
        let route = |upstream: Upstream| {
            let to = |target: &Target| Client::new(tls.clone(), target.address.clone(), upstream.connect);
            let client = upstream.target.as_ref().map(to);
            Route { upstream, client }
        };
        Self { routes: upstreams.into_iter().map(route).collect() }
    }

    /// The upstream called `name`.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.route(name).map(|route| &route.upstream)
    }

    fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.upstream.name == name)
    }

    /// Sends `request` where `permit` says and answers with what comes back. Its headers and its body are taken out.
    ///
    /// With a handshake the answer may be a 101 with an [`UpstreamHalf`] in its extensions. Dropping the future, or the answer's
    /// body, ends the call to the upstream. `request` carries the path as it
    /// came from the network; it is judged here with what its upstream allows, whatever the caller's look-up
    /// allowed.
    ///
    /// # Errors
    ///
    /// [`Error`]; the upstream saw nothing unless it is one of the last five.
    pub async fn forward(
        &self,
        permit: Permit,
        request: &mut Request<Body>,
        extra: Extra<'_>,
    ) -> Result<Response<Body>, Error> {
        let route = permit.upstream().and_then(|name| self.route(name)).ok_or(Error::NoUpstream)?;
        let upstream = &route.upstream;
        let service = upstream.service(permit.rule());
        let limits = upstream.limits(permit.rule());

        if !is_forwarded(request.method()) {
            return Err(Error::Method);
        }
        if request.body().size_hint().lower() > limits.max_body {
            return Err(Error::BodyTooLarge);
        }
        let (body, mut headers) = (std::mem::take(request.body_mut()), std::mem::take(request.headers_mut()));
        let from = request.uri();
        let path = Path::judge(from.path(), upstream.allow_encoded(permit.rule()))?;
        let rest = path.below(permit.strip()).ok_or(Error::NoUpstream)?;
        let public = permit.allow() == Allow::Public;
        let here = Here {
            proto: extra.proto,
            host: extra.host.to_str().unwrap_or_default(),
            path: &path,
            prefix: permit.strip(),
        };
        if let Some(folder) = &upstream.folder {
            let mut answer = folder.answer(rest, request.method(), &headers).await?;
            let (status, has_body) = (answer.status(), !answer.body().is_end_stream());
            let asked = Asked { upstream, service, public, as_document: false, here };
            answer::clean(answer.headers_mut(), status, has_body, &asked)?;
            return Ok(answer);
        }
        let (Some(target), Some(client)) = (&upstream.target, &route.client) else {
            return Err(Error::NoUpstream);
        };
        let query = from.query().map(|query| match &upstream.api_key {
            Some(key) => target::with_key(query, key.text.expose()),
            None => Cow::Borrowed(query),
        });
        let uri = target.uri(from.path_and_query(), rest, query).ok_or(Error::NoUpstream)?;

        let wants_token = upstream.takes_token && permit.allow() != Allow::Public;
        let bearer = match extra.bearer.filter(|_| wants_token) {
            Some(bearer) => Some(bearer),
            None if wants_token && permit.allow() == Allow::User => return Err(Error::NoToken),
            None => None,
        };
        let as_document = service.is_some_and(Service::is_storage) && context::is_document(&headers);
        headers::strip(&mut headers, upstream, service);
        let about = About {
            client: extra.client,
            proto: extra.proto,
            host: extra.host,
            request_id: extra.request_id,
        };
        let identity = permit.identity().filter(|_| upstream.identity_headers);
        match &upstream.api_key {
            Some(key) => headers::add_key(&mut headers, key.plain.clone(), about.request_id.clone()),
            None => headers::add_forwarded(&mut headers, about, permit.strip(), identity),
        }
        headers.insert(header::HOST, target.host.clone());
        if let Some(bearer) = bearer.or_else(|| upstream.api_key.as_ref().map(|key| key.bearer.clone())) {
            headers.insert(header::AUTHORIZATION, bearer);
        }

        set_length(&mut headers, request.method(), &body);
        let socket = extra.socket.filter(|_| upstream.takes_sockets(permit.rule()));
        if let Some(handshake) = socket {
            handshake.write(&mut headers);
        }
        let mut onwards = Request::new(body);
        (*onwards.method_mut(), *onwards.uri_mut(), *onwards.headers_mut()) =
            (request.method().clone(), uri, headers);
        let (answer, lease) = send(client, onwards, limits, extra.begun, socket.is_some()).await?;
        let (mut head, body) = answer.into_parts();
        if let (Some(handshake), StatusCode::SWITCHING_PROTOCOLS) = (socket, head.status) {
            let mut answer = handshake.accept(handshake.judge(&head.headers)?);
            let upgraded = head.extensions.remove().ok_or(Error::UpstreamFailed(None))?;
            answer.extensions_mut().insert(UpstreamHalf { upgraded, idle: limits.idle });
            return Ok(answer);
        }
        if head.status.is_informational() {
            return Err(Error::UpstreamFailed(None)); // a 101 that nobody asked for
        }
        let asked = Asked { upstream, service, public, as_document, here };
        answer::clean(&mut head.headers, head.status, !body.is_end_stream(), &asked)?;
        let mut answer = Response::new(Body::new(AnswerBody::new(body, lease, limits.idle)));
        (*answer.status_mut(), *answer.headers_mut()) = (head.status, head.headers);
        Ok(answer)
    }
}

/// What [`is_forwarded`], for `Allow`.
pub const FORWARDED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Methods that are forwarded if a rule allows them (S-57).
pub fn is_forwarded(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
    )
}

/// One request, one answer. The clock of the first byte starts when the last byte of the request has left.
async fn send(
    client: &Client,
    request: Request<Body>,
    limits: upstream::Limits,
    begun: Instant,
    upgradable: bool,
) -> Result<(Response<hyper::body::Incoming>, Lease), Error> {
    let mut progress = None;
    let request = request.map(|body| {
        if body.is_end_stream() {
            return RequestBody::new(body, limits.max_body, limits.idle);
        }
        let (body, watched) = RequestBody::watched(body, limits.max_body, limits.idle);
        progress = Some(watched);
        body
    });
    let hangs = async {
        match progress {
            Some(progress) => progress.upstream_hangs(limits.first_byte, limits.idle).await,
            None => tokio::time::sleep_until(begun + limits.first_byte).await,
        }
    };
    tokio::select! {
        biased;
        answer = client.request(request, upgradable) => answer,
        () = hangs => Err(Error::UpstreamTimeout),
    }
}

/// Writes the framing anew: the length is that of the body, not of a header (S-57).
fn set_length(headers: &mut HeaderMap, method: &Method, body: &Body) {
    if let Some(length) = body.size_hint().exact().filter(|n| *n > 0 || has_content(method)) {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
}

/// Whether a missing `Content-Length` would puzzle a server.
fn has_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
