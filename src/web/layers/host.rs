//! Which host a request means, and over which scheme it came (S-91, S-92).

use std::net::IpAddr;

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use url::{Host, Url};

use crate::web::error::{Code, Error};
use crate::web::state::AppState;
use crate::web::visit::{SEC_FETCH_MODE, text};

/// Why a request stops here.
pub(super) enum Refused {
    /// It is sent to where it should have gone.
    Elsewhere(Response),
    /// It is refused.
    No(Error),
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Self::No(code.into())
    }
}

/// The public origin that the request names, by its place in the list.
pub(super) fn admit(app: &AppState, parts: &Parts, peer: Option<IpAddr>) -> Result<usize, Refused> {
    let host = named(parts)?;
    let named = |public: &Url| authority(public).eq_ignore_ascii_case(host);
    let Some(at) = app.public.iter().position(named) else {
        let near = app.on_loopback && is_loopback_literal(host) && is_navigation(parts);
        return Err(if near {
            to(app.public_url(), parts, StatusCode::FOUND)
        } else {
            Code::UnknownHost.into()
        });
    };
    let public = &app.public[at];
    if public.scheme() == "https" && !came_over_https(app, parts, peer) {
        let moved = is_navigation(parts);
        return Err(if moved {
            to(public, parts, StatusCode::PERMANENT_REDIRECT)
        } else {
            Code::PlainHttp.into()
        });
    }
    Ok(at)
}

/// `Host`, once; an absolute target must agree with it.
fn named(parts: &Parts) -> Result<&str, Refused> {
    let in_target = parts.uri.authority().map(|authority| authority.as_str());
    if parts.headers.get_all(header::HOST).iter().count() > 1 {
        return Err(Code::BadRequest.into());
    }
    let in_header = text(&parts.headers, header::HOST);
    match (in_target, in_header) {
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => Err(Code::UnknownHost.into()),
        (Some(host), _) | (None, Some(host)) if !host.contains('@') => Ok(host),
        _ => Err(Code::BadRequest.into()),
    }
}

fn authority(public: &Url) -> &str {
    &public[url::Position::BeforeHost..url::Position::AfterPort]
}

fn came_over_https(app: &AppState, parts: &Parts, peer: Option<IpAddr>) -> bool {
    let listed = peer.is_some_and(|peer| app.trusted_proxies.contains(peer));
    listed
        && text(&parts.headers, "x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

fn is_loopback_literal(host: &str) -> bool {
    match Url::parse(&format!("http://{host}/")).as_ref().map(Url::host) {
        Ok(Some(Host::Ipv4(address))) => address.is_loopback(),
        Ok(Some(Host::Ipv6(address))) => address.is_loopback(),
        Ok(Some(Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}

fn is_navigation(parts: &Parts) -> bool {
    let mode = text(&parts.headers, SEC_FETCH_MODE);
    let html = text(&parts.headers, header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    parts.method == Method::GET && mode.map_or(html, |mode| mode == "navigate")
}

/// The same target at `public`.
fn to(public: &Url, parts: &Parts, status: StatusCode) -> Refused {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let origin = public.origin().ascii_serialization();
    let Ok(location) = HeaderValue::from_str(&format!("{origin}{target}")) else {
        return Code::BadRequest.into();
    };
    let headers =
        [(header::LOCATION, location), (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
    Refused::Elsewhere((status, headers).into_response())
}
