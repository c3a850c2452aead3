//! What the head of a request says about its caller.

use std::net::IpAddr;

use http::header::AsHeaderName;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::limit::client;
use crate::web::state::AppState;

pub(in crate::web) const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
pub(in crate::web) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

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
    fn named(text: Option<&str>) -> Self {
        match text {
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

/// What a request says about its sender and its purpose, found in one pass over its head.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) accept: Field<'a>,
    pub(super) accept_language: Field<'a>,
    pub(super) origin: Field<'a>,
    pub(super) referer: Field<'a>,
    sec_fetch_mode: Field<'a>,
    sec_fetch_site: Field<'a>,
    x_csrf: Field<'a>,
}

/// A field that counts only where it came once.
#[derive(Default, Clone, Copy)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    Once(&'a HeaderValue),
    Doubled,
}

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = if let Self::Absent = self { Self::Once(value) } else { Self::Doubled };
    }

    pub(super) fn value(self) -> Option<&'a HeaderValue> {
        if let Self::Once(value) = self { Some(value) } else { None }
    }

    fn text(self) -> Option<&'a str> {
        self.value()?.to_str().ok()
    }
}

impl<'a> Said<'a> {
    pub(super) fn read(headers: &'a HeaderMap) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            let field = match name.as_str() {
                "accept" => &mut said.accept,
                "accept-language" => &mut said.accept_language,
                "origin" => &mut said.origin,
                "referer" => &mut said.referer,
                "sec-fetch-mode" => &mut said.sec_fetch_mode,
                "sec-fetch-site" => &mut said.sec_fetch_site,
                "x-csrf" => &mut said.x_csrf,
                _ => continue,
            };
            field.add(value);
        }
        said
    }

    pub(super) fn site(&self) -> FetchSite {
        FetchSite::named(self.sec_fetch_site.text())
    }

    /// Whether the header is there that no foreign page can add without a preflight (S-14).
    pub(super) fn is_marked(&self) -> bool {
        self.x_csrf.text() == Some("1")
    }

    /// `Sec-Fetch-Mode` where there is one; otherwise a form that is posted, or a GET that asks for HTML.
    pub(super) fn is_navigation(&self, method: &Method, headers: &HeaderMap) -> bool {
        if let Some(mode) = self.sec_fetch_mode.text() {
            return mode == "navigate";
        }
        match *method {
            Method::GET | Method::HEAD => {
                self.accept.text().is_some_and(|accept| accept.contains("text/html"))
            }
            Method::POST => is_form(headers),
            _ => false,
        }
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

/// The only value of `name`; `None` if it is absent, doubled or no text.
pub(in crate::web) fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?;
    if all.next().is_none() { value.to_str().ok() } else { None }
}
