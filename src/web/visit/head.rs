//! What the head of a request says about its caller.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::header::AsHeaderName;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::limit::client;
use crate::web::state::AppState;

pub(in crate::web) const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
pub(in crate::web) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(in crate::web) const X_CSRF: HeaderName = HeaderName::from_static("x-csrf");

/// What a browser says about where a request comes from (Fetch Metadata).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchSite {
    /// `same-origin`.
    SameOrigin,
    /// `same-site`.
    SameSite,
    /// `cross-site`.
    CrossSite,
    /// `none`: typed, bookmarked.
    None,
    /// No header: not a browser, or an old one.
    Unknown,
}

impl FetchSite {
    /// As the only `Sec-Fetch-Site` says.
    pub(in crate::web) fn of(headers: &HeaderMap) -> Self {
        match text(headers, SEC_FETCH_SITE) {
            Some("same-origin") => Self::SameOrigin,
            Some("same-site") => Self::SameSite,
            Some("cross-site") => Self::CrossSite,
            Some("none") => Self::None,
            _ => Self::Unknown,
        }
    }
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(in crate::web) struct Client {
    /// Of the connection.
    pub(in crate::web) peer: Option<IpAddr>,
    /// By S-83.
    pub(in crate::web) address: Option<IpAddr>,
    /// The address as text, for the log and for upstreams.
    pub(in crate::web) text: Option<String>,
}

impl Client {
    /// Reads what came with a request.
    pub(in crate::web) fn of(app: &AppState, headers: &HeaderMap, extensions: &Extensions) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let address =
            peer.map(|peer| client::resolve(peer, headers, &app.client_ip_header, &app.trusted_proxies));
        Self { peer, address, text: address.map(|address| address.to_string()) }
    }
}

/// `Sec-Fetch-Mode` where there is one; otherwise a form that is posted, or a GET that asks for HTML.
pub(super) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if let Some(mode) = text(headers, SEC_FETCH_MODE) {
        return mode == "navigate";
    }
    let accepts_html = text(headers, header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    match *method {
        Method::GET | Method::HEAD => accepts_html,
        Method::POST => is_form(headers),
        _ => false,
    }
}

/// Whether the body is one that a page's form makes.
pub(in crate::web) fn is_form(headers: &HeaderMap) -> bool {
    let kind = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        || kind.eq_ignore_ascii_case("multipart/form-data")
        || kind.eq_ignore_ascii_case("text/plain")
}

/// The only value of `name`; `None` if it is absent or doubled.
pub(super) fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?;
    all.next().is_none().then_some(value)
}

/// The only value of `name`; `None` if it is absent, doubled or no text.
pub(in crate::web) fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    only(headers, name)?.to_str().ok()
}
