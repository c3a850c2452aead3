//! The request that another proxy asks about, in that proxy's words (S-62, S-63).

use std::net::IpAddr;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri, header};

use super::settings::{Family, ForwardAuth, authority};
use crate::gateway;
use crate::gateway::path::{AllowEncoded, Path};
use crate::web::error::Code;
use crate::web::state::AppState;

/// Where a proxy asks that describes the original request by headers.
const BY_HEADERS: &str = "/auth/verify";
/// Where Envoy asks: with the method of the original request, its path behind this one, its host in `Host`.
const BY_PATH: &str = "/auth/verify/envoy";
/// The longest target, in bytes, as at our own door.
const TARGET: usize = 8 << 10;

/// What was asked for at the proxy, sound in every part.
#[derive(Debug, Clone)]
pub(in crate::web) struct Original {
    /// Its method.
    pub(super) method: Method,
    /// Its path and query, byte for byte.
    pub(super) uri: Uri,
    /// Its origin, by the place in `public_url`.
    pub(in crate::web) public: usize,
    /// Whether the answer goes to the browser as it is.
    pub(super) passed_on: bool,
}

impl Original {
    /// The original request, if `parts` is a proxy's question about one; `None` for every other request.
    ///
    /// # Errors
    ///
    /// [`Code::ProxyNotTrusted`] for a peer that is no listed proxy, and for one that does not say method, scheme, host
    /// and address once each; [`Code::UnknownHost`] for a host that is not listed; [`Code::PlainHttp`] for one of ours
    /// over http; [`Code::BadPath`] by S-49. Never a guess.
    pub(in crate::web) fn of(
        app: &AppState,
        parts: &Parts,
        peer: Option<IpAddr>,
    ) -> Option<Result<Self, Code>> {
        let forward = app.forward_auth.as_ref()?;
        let path = parts.uri.path();
        let by_path = path.strip_prefix(BY_PATH).is_some_and(|rest| rest.starts_with('/'));
        if path != BY_HEADERS && !by_path {
            return None;
        }
        if !peer.is_some_and(|peer| app.trusted_proxies.contains(peer)) {
            return Some(Err(Code::ProxyNotTrusted));
        }
        Some(if by_path { envoy(app, forward, parts) } else { told(app, forward, &parts.headers) })
    }
}

fn told(app: &AppState, forward: &ForwardAuth, headers: &HeaderMap) -> Result<Original, Code> {
    match forward.family {
        Family::Forwarded => {
            let method = once(headers, "x-forwarded-method")?;
            let (scheme, host) = (once(headers, "x-forwarded-proto")?, once(headers, "x-forwarded-host")?);
            original(app, forward, method, (scheme, host), once(headers, "x-forwarded-uri")?)
        }
        Family::Original => {
            let (method, url) = (once(headers, "x-original-method")?, once(headers, "x-original-url")?);
            let (scheme, rest) = url.split_once("://").ok_or(Code::ProxyNotTrusted)?;
            let at = rest.find('/').ok_or(Code::ProxyNotTrusted)?;
            original(app, forward, method, (scheme, &rest[..at]), &rest[at..])
        }
    }
}

fn envoy(app: &AppState, forward: &ForwardAuth, parts: &Parts) -> Result<Original, Code> {
    let target = parts.uri.path_and_query().map(PathAndQuery::as_str).and_then(|t| t.strip_prefix(BY_PATH));
    let target = target.ok_or(Code::ProxyNotTrusted)?;
    let host = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => once(&parts.headers, header::HOST.as_str())?,
    };
    let scheme = once(&parts.headers, "x-forwarded-proto")?;
    let asked = original(app, forward, parts.method.as_str(), (scheme, host), target)?;
    Ok(Original { passed_on: true, ..asked })
}

fn original(
    app: &AppState,
    forward: &ForwardAuth,
    method: &str,
    (scheme, host): (&str, &str),
    target: &str,
) -> Result<Original, Code> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Code::ProxyNotTrusted)?;
    if !gateway::is_forwarded(&method) {
        return Err(Code::MethodNotAllowed);
    }
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err(Code::ProxyNotTrusted);
    }
    let listed = forward.hosts.iter().any(|listed| listed.eq_ignore_ascii_case(host));
    let named = |(_, public): &(usize, &url::Url)| listed && authority(public).eq_ignore_ascii_case(host);
    let mut ours = app.public.iter().enumerate().filter(named).peekable();
    if ours.peek().is_none() {
        return Err(Code::UnknownHost);
    }
    let fits = |(_, public): &(usize, &url::Url)| public.scheme().eq_ignore_ascii_case(scheme);
    let (public, _) = ours.find(fits).ok_or(Code::PlainHttp)?;
    Ok(Original { method, uri: uri(target)?, public, passed_on: false })
}

/// Path and query as they came. What the parser would read in another way is refused, such as a `#`.
fn uri(target: &str) -> Result<Uri, Code> {
    if target.len() > TARGET || !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains('#') {
        return Err(Code::BadPath);
    }
    let path = target.split('?').next().unwrap_or_default();
    Path::judge(path, AllowEncoded::default()).map_err(|_| Code::BadPath)?;
    let parsed: PathAndQuery = target.parse().map_err(|_| Code::BadPath)?;
    if parsed.as_str() != target {
        return Err(Code::BadPath);
    }
    Ok(Uri::from(parsed))
}

/// The value of `name`, which occurs once and in no other spelling: many programs read `X_Forwarded_Uri` as the same.
fn once<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Code> {
    let plain = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte };
    let same = |other: &str| other.len() == name.len() && other.bytes().map(plain).eq(name.bytes());
    let mut all = headers.iter().filter(|(other, _)| same(other.as_str()));
    match (all.next(), all.next()) {
        (Some((found, value)), None) if found.as_str() == name => {
            value.to_str().map_err(|_| Code::ProxyNotTrusted)
        }
        _ => Err(Code::ProxyNotTrusted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    /// S-63: a header that is absent, doubled or there in another spelling says nothing.
    #[test]
    fn a_header_counts_once() {
        let name = "x-forwarded-uri";
        assert_eq!(once(&headers(&[(name, "/a")]), name), Ok("/a"));
        for bad in [
            &[][..],
            &[(name, "/a"), (name, "/a")],
            &[(name, "/a"), ("x_forwarded_uri", "/b")],
            &[(name, "/a"), ("x-forwarded.uri", "/a")],
            &[("x_forwarded_uri", "/a")],
            &[(name, "\u{e9}")],
        ] {
            assert_eq!(once(&headers(bad), name), Err(Code::ProxyNotTrusted), "{bad:?}");
        }
    }

    /// S-49, S-63: what is judged are the bytes that the proxy will send on.
    #[test]
    fn a_target_is_read_in_one_way() {
        for good in ["/", "/a/b?c=d", "/a%20b", "/?", "/a?x=/../y&z=//"] {
            assert_eq!(uri(good).unwrap().path_and_query().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a",
            "//a",
            "/a/../b",
            "/%2e%2e/b",
            "/a%2fb",
            "/a;b",
            "/a\\b",
            "/a#b",
            "/a?b#c",
            "/%",
            "/a b",
            "/\u{e9}",
            "http://evil.test/",
            "*",
            "/a\u{7f}",
        ] {
            assert_eq!(uri(bad), Err(Code::BadPath), "{bad}");
        }
        assert_eq!(uri(&format!("/{}", "a".repeat(TARGET))), Err(Code::BadPath));
    }
}
