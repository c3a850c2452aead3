//! The fixed address of an upstream, and the request target that is sent there.

use std::borrow::Cow;
use std::net::IpAddr;

use base::vars::Problems;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use url::{Host, Origin, Url};

use super::upstream::Surroundings;

/// A value that cannot be read or means nothing.
pub(super) const VALUE: &str = "BFF-CONF-002";

/// Scheme, host and port of an upstream, and the first part of every path there. Only configuration makes one (S-48).
#[derive(Debug)]
pub(super) struct Target {
    /// Scheme, host and port, and `/`.
    pub(super) address: Uri,
    /// Host and port as `Host`.
    pub(super) host: HeaderValue,
    /// First part of every path, without a slash at its end.
    pub(super) base: String,
    pub(super) origin: Origin,
}

impl Target {
    /// Judges the URL in `text`: TLS unless the host is loopback or named as dangerous (S-51, S-90), no link-local
    /// address (S-48).
    pub(super) fn judge(
        text: &str,
        place: &str,
        with_token: bool,
        around: &Surroundings<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let url = Url::parse(text).ok().filter(is_plain);
        let Some((url, host)) = url.as_ref().and_then(|url| Some((url, url.host()?))) else {
            let why = "An upstream is an http or https URL without user, query and fragment.";
            problems.fault(VALUE, place, Some(text), why, "Write it as https://host:port/path.");
            return None;
        };
        let named = host.to_string();
        let bare = |host: &str| host.trim_matches(['[', ']']).to_ascii_lowercase();
        let among = |list: &[String]| list.iter().any(|entry| bare(entry) == bare(&named));
        if is_link_local(&host) && !among(around.link_local) {
            let why = "Link-local addresses lead to the metadata service of the machine.";
            let fix = format!("Use another address, or add \"{named}\" to danger_link_local.");
            problems.fault("BFF-UP-003", place, Some(text), why, fix);
            return None;
        }
        if url.scheme() == "http" && !base::http::is_loopback(url) && !among(around.plain_http) {
            let (code, why) = if with_token {
                ("BFF-UP-001", "Access tokens would travel without encryption.")
            } else {
                ("BFF-UP-002", "What users send and see would travel without encryption.")
            };
            let fix = format!("Use https, or add \"{named}\" to danger_plain_http.");
            problems.fault(code, place, Some(text), why, fix);
            return None;
        }
        let text = url.port().map_or_else(|| named.clone(), |port| format!("{named}:{port}"));
        Some(Self {
            address: format!("{}://{text}/", url.scheme()).parse().ok()?,
            host: HeaderValue::from_str(&text).ok()?,
            base: url.path().trim_end_matches('/').to_owned(),
            origin: url.origin(),
        })
    }

    /// The target of a request as it stands in its first line: our base, `rest` of the judged path, and the query as it came.
    ///
    /// `whole` is the request's own path and query, taken over without a copy where nothing changes. `None` if the
    /// parts do not make a target.
    pub(super) fn uri(
        &self,
        whole: Option<&PathAndQuery>,
        rest: &str,
        query: Option<Cow<'_, str>>,
    ) -> Option<Uri> {
        let same = |whole: &&PathAndQuery| {
            self.base.is_empty() && whole.path() == rest && whole.query() == query.as_deref()
        };
        Some(Uri::from(match whole.filter(same) {
            Some(whole) => whole.clone(),
            None => {
                let rest = if rest.is_empty() && self.base.is_empty() { "/" } else { rest };
                let mut text = String::with_capacity(
                    self.base.len() + rest.len() + query.as_deref().map_or(0, |q| q.len() + 1),
                );
                text.extend([self.base.as_str(), rest]);
                if let Some(query) = query {
                    text.extend(["?", &*query]);
                }
                PathAndQuery::from_maybe_shared(Bytes::from(text)).ok()?
            }
        }))
    }
}

/// The query with `key` in place of whatever it brought as `apikey`: some clients can put it nowhere else.
pub(super) fn with_key<'q>(query: &'q str, key: &str) -> Cow<'q, str> {
    let is_key = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        decodes_to_apikey(name.as_bytes())
    };
    if !query.split('&').any(is_key) {
        return Cow::Borrowed(query);
    }
    let key: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
    let pairs =
        query.split('&').map(|pair| if is_key(pair) { format!("apikey={key}") } else { pair.to_owned() });
    Cow::Owned(pairs.collect::<Vec<_>>().join("&"))
}

fn decodes_to_apikey(mut name: &[u8]) -> bool {
    for expected in b"apikey" {
        let (byte, rest) = match name {
            [b'%', high, low, rest @ ..] => {
                let digits = [*high, *low];
                let escaped = std::str::from_utf8(&digits).ok().and_then(|d| u8::from_str_radix(d, 16).ok());
                (escaped.unwrap_or(b'%'), rest)
            }
            [byte, rest @ ..] => (*byte, rest),
            [] => return false,
        };
        if !byte.eq_ignore_ascii_case(expected) {
            return false;
        }
        name = rest;
    }
    name.is_empty()
}

/// The origins in `list`; whatever is none becomes a fault at `place`.
pub(super) fn origins(list: &[String], place: &str, problems: &mut Problems) -> Vec<Origin> {
    let mut origins = Vec::new();
    for text in list {
        match Url::parse(text).ok().filter(|url| is_plain(url) && url.path() == "/") {
            Some(url) => origins.push(url.origin()),
            None => problems.fault(
                VALUE,
                place,
                Some(text),
                "This is no origin.",
                "Write it as https://host:port.",
            ),
        }
    }
    origins
}

fn is_plain(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

/// 169.254.0.0/16, fe80::/10, and the addresses outside these under which clouds serve metadata.
fn is_link_local(host: &Host<&str>) -> bool {
    let address = match *host {
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address).to_canonical(),
        Host::Domain(_) => return false,
    };
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || matches!(v4.octets(), [100, 100, 100, 200] | [192, 0, 0, 192])
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str, with_token: bool, around: &Surroundings<'_>) -> Result<Target, &'static str> {
        let mut problems = Problems::default();
        let target = Target::judge(text, "url", with_token, around, &mut problems);
        target.ok_or_else(|| problems.list()[0].code)
    }

    fn uri(target: &Target, path: &str, rest: &str) -> String {
        let whole: PathAndQuery = path.parse().unwrap();
        target.uri(Some(&whole), rest, whole.query().map(Cow::Borrowed)).unwrap().to_string()
    }

    /// S-48: addresses of metadata services are refused as literals, however they are written.
    #[test]
    fn link_local_addresses_are_refused() {
        let none = Surroundings::default();
        for url in [
            "http://169.254.169.254/latest",
            "https://169.254.0.1",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200",
        ] {
            assert_eq!(judge(url, false, &none).err(), Some("BFF-UP-003"), "{url}");
        }
        let named = ["169.254.1.1".to_owned(), "fe80::1".to_owned()];
        let around = Surroundings { link_local: &named, plain_http: &named, ..Surroundings::default() };
        assert!(judge("http://169.254.1.1", false, &around).is_ok());
        assert!(judge("http://[fe80::1]:80", false, &around).is_ok());
        assert!(judge("http://169.254.1.2", false, &around).is_err());
    }

    /// S-51: without TLS a token goes to loopback alone, or where the owner says so in so many words.
    #[test]
    fn plain_http_is_for_loopback() {
        let none = Surroundings::default();
        for url in
            ["http://127.0.0.1:3000", "http://localhost", "http://[::1]:3000", "https://orders.internal"]
        {
            assert!(judge(url, true, &none).is_ok(), "{url}");
        }
        let internal = "http://orders.internal:8080";
        assert_eq!(judge(internal, true, &none).err(), Some("BFF-UP-001"));
        assert_eq!(judge(internal, false, &none).err(), Some("BFF-UP-002"));
        assert_eq!(judge("http://127.0.0.1.evil.test", true, &none).err(), Some("BFF-UP-001"));
        let named = ["Orders.internal".to_owned()];
        let around = Surroundings { plain_http: &named, ..Surroundings::default() };
        assert!(judge(internal, true, &around).is_ok());
        assert!(judge("http://other.internal", true, &around).is_err());
    }

    #[test]
    fn an_upstream_is_a_plain_url() {
        for url in [
            "orders",
            "ftp://a",
            "http://",
            "https://u@a.test",
            "https://a.test/?q",
            "https://a.test/#f",
            "unix:/s",
        ] {
            assert_eq!(judge(url, false, &Surroundings::default()).err(), Some(VALUE), "{url}");
        }
    }

    /// S-48: the address is the configured one, whatever the path looks like. S-49: the rest goes as it came.
    #[test]
    fn targets_keep_the_address_and_the_bytes() {
        let bare = judge("http://127.0.0.1:3000/", true, &Surroundings::default()).unwrap();
        for (path, rest, expected) in [
            ("/rest/v1/@evil?x=//evil&y=%2e", "/rest/v1/@evil", "/rest/v1/@evil?x=//evil&y=%2e"),
            ("//evil/a", "//evil/a", "//evil/a"),
            ("/api/a%20b?", "/a%20b", "/a%20b?"),
            ("/api", "", "/"),
            ("/api?q", "", "/?q"),
        ] {
            assert_eq!(uri(&bare, path, rest), expected);
        }
        let based = judge("https://orders.internal/v2/", true, &Surroundings::default()).unwrap();
        assert_eq!(uri(&based, "/orders/1?q=a+b", "/orders/1"), "/v2/orders/1?q=a+b");
        assert_eq!(uri(&based, "/orders", ""), "/v2");
        assert_eq!(
            (&*based.address.to_string(), based.host.as_bytes()),
            ("https://orders.internal/", &b"orders.internal"[..])
        );
        assert_eq!(
            (&*bare.address.to_string(), bare.host.as_bytes()),
            ("http://127.0.0.1:3000/", &b"127.0.0.1:3000"[..])
        );
    }

    #[test]
    fn a_key_in_the_query_is_replaced() {
        for (query, expected) in [
            ("n=gte.3&n=lte.8", "n=gte.3&n=lte.8"),
            ("apikey=theirs", "apikey=sb_1%2B"),
            ("a=1&apikey=theirs&apikey&vsn=1", "a=1&apikey=sb_1%2B&apikey=sb_1%2B&vsn=1"),
            ("%61pi%6Bey=theirs&APIKEY=x", "apikey=sb_1%2B&apikey=sb_1%2B"),
            ("apikeys=1&xapikey=2&a=apikey=3&%=1&%6=1", "apikeys=1&xapikey=2&a=apikey=3&%=1&%6=1"),
            ("", ""),
        ] {
            assert_eq!(with_key(query, "sb_1+"), expected, "{query}");
        }
    }
}
