//! What the head of a request says about its caller.

use std::net::IpAddr;

use http::header::AsHeaderName;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

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

/// The other end of a connection. Clones share its text.
#[derive(Debug, Clone)]
pub(in crate::web) struct Peer {
    address: IpAddr,
    text: HeaderValue,
}

impl Peer {
    pub(in crate::web) fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let text = HeaderValue::from_maybe_shared(bytes::Bytes::from(address.to_string()));
        let text = text.unwrap_or_else(|_| HeaderValue::from_static("")); // an address fits in any header
        Self { address, text }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(in crate::web) struct Client {
    /// The other end of the connection.
    pub(in crate::web) peer: Option<IpAddr>,
    /// By S-83.
    pub(in crate::web) address: Option<IpAddr>,
    /// The address as text, for upstreams.
    text: Option<HeaderValue>,
}

impl Client {
    /// Reads what came with a request on the connection from `peer`.
    pub(in crate::web) fn of(app: &AppState, headers: &HeaderMap, peer: Option<&Peer>) -> Self {
        let resolve =
            |peer: &Peer| client::resolve(peer.address, headers, &app.client_ip_header, &app.trusted_proxies);
        let address = peer.map(resolve);
        let known = peer.filter(|peer| address == Some(peer.address)).map(|peer| peer.text.clone());
        let text = known.or_else(|| address.map(|address| Peer::new(address).text));
        Self { peer: peer.map(|peer| peer.address), address, text }
    }

    /// The address as the value of a header.
    pub(in crate::web) fn value(&self) -> Option<&HeaderValue> {
        self.text.as_ref()
    }

    /// The same as text.
    pub(in crate::web) fn text(&self) -> Option<&str> {
        self.text.as_ref()?.to_str().ok()
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
