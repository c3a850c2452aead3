//! Where people may be sent back to (contract, section 4.4), without the sources of it that a stranger controls:
//! neither a `redirect_to` header nor `Referer` is looked at (S-76).

use url::{Host, Url};

/// The site and the list of further targets.
#[derive(Debug)]
pub(crate) struct Redirects {
    site_text: String,
    site: Url,
    patterns: Vec<Vec<char>>,
}

impl Redirects {
    /// `None` if the site's address does not parse.
    pub(crate) fn new(site: &str, patterns: &[String]) -> Option<Self> {
        let patterns = patterns.iter().map(|pattern| pattern.chars().collect()).collect();
        Some(Self { site_text: site.to_owned(), site: Url::parse(site).ok()?, patterns })
    }

    /// The site itself: where everything else ends that is not allowed.
    pub(crate) fn site(&self) -> &str {
        &self.site_text
    }

    /// The site's host, without a port.
    pub(crate) fn site_host(&self) -> String {
        self.site.host_str().unwrap_or("localhost").trim_matches(['[', ']']).replace(':', "-")
    }

    /// The site's origin, as browsers send it.
    pub(crate) fn site_origin(&self) -> String {
        self.site.origin().ascii_serialization()
    }

    /// `wanted` in the form in which a browser will read it, or the site.
    pub(crate) fn choose(&self, wanted: Option<&str>) -> String {
        wanted.and_then(|text| self.allowed(text)).unwrap_or_else(|| self.site_text.clone())
    }

    fn allowed(&self, text: &str) -> Option<String> {
        if text.len() > 2048 || text.bytes().any(|b| b <= b' ' || b >= 0x7f || b == b'\\') {
            return None;
        }
        let url = Url::parse(text).ok()?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let canonical = canonical(text, &url);
        let without_fragment = canonical.split('#').next().unwrap_or_default();
        let allowed = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback() && !is_number(text),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            _ => false,
        };
        let is_address = matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)));
        let listed = || {
            let text: Vec<char> = without_fragment.chars().collect();
            !is_address && self.patterns.iter().any(|pattern| matches(pattern, &text))
        };
        (allowed || self.is_site(&url) || listed()).then_some(canonical)
    }

    fn is_site(&self, url: &Url) -> bool {
        let same_host = url.scheme() == self.site.scheme() && url.host() == self.site.host();
        let same_port = url.port_or_known_default() == self.site.port_or_known_default();
        let loopback = url.scheme() == "http" && base::http::is_loopback(url);
        url.has_host() && same_host && (same_port || loopback)
    }
}

/// Whether the host of a pattern has a wildcard.
pub(crate) fn has_wildcard_host(pattern: &str) -> bool {
    let rest = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
    rest.split('/').next().is_some_and(|host| host.contains(['*', '?']))
}

/// The parser's form, except that an empty path stays empty: `https://example.com?x` gains no slash.
fn canonical(text: &str, url: &Url) -> String {
    let full = url.as_str();
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let has_slash = rest.split(['?', '#']).next().is_some_and(|start| start.contains('/'));
    let origin = url.origin().ascii_serialization();
    match full.strip_prefix(&origin).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) if !has_slash => format!("{origin}{rest}"),
        _ => full.to_owned(),
    }
}

/// `http://2130706433/` reads as an address only to some.
fn is_number(text: &str) -> bool {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    !host.contains('.')
}

/// `*` and `?` do not cross `.` and `/`, `**` does. Works in time `pattern * text`.
fn matches(pattern: &[char], text: &[char]) -> bool {
    // `reached[i]`: the pattern read so far matches the first `i` characters.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let crosses = pattern[at] == '*' && pattern.get(at + 1) == Some(&'*');
        let mut next = vec![false; text.len() + 1];
        match pattern[at] {
            '*' => {
                next[0] = reached[0];
                for i in 0..text.len() {
                    let passes = crosses || !is_separator(text[i]);
                    next[i + 1] = reached[i + 1] || (next[i] && passes);
                }
            }
            wanted => {
                for i in 0..text.len() {
                    let fits = text[i] == wanted || (wanted == '?' && !is_separator(text[i]));
                    next[i + 1] = reached[i] && fits;
                }
            }
        }
        reached = next;
        at += if crosses { 2 } else { 1 };
    }
    reached[text.len()]
}

fn is_separator(c: char) -> bool {
    c == '.' || c == '/'
}

/// Sets `pairs` in the query of a target; a fragment is dropped, other parameters stay.
pub(crate) fn with_query(target: &str, pairs: &[(&str, &str)]) -> String {
    let target = target.split('#').next().unwrap_or_default();
    let (base, query) = target.split_once('?').unwrap_or((target, ""));
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    let kept = url::form_urlencoded::parse(query.as_bytes());
    encoded.extend_pairs(kept.filter(|(key, _)| !pairs.iter().any(|(name, _)| key == name)));
    encoded.extend_pairs(pairs);
    let query = encoded.finish();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

/// Puts `pairs` into the fragment of a target, in place of one that is there.
pub(crate) fn with_fragment(target: &str, pairs: &[(&str, &str)]) -> String {
    let target = target.split('#').next().unwrap_or_default();
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{target}#{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirects() -> Redirects {
        let patterns = [
            "http://localhost:8080/**",
            "https://app.example.com/auth/callback",
            "https://app.example.com/deep/**",
            "https://*.preview.example.com/cb",
            "com.example.app://login",
            "http://10.0.0.5/**",
        ];
        Redirects::new("http://localhost:8080", &patterns.map(str::to_owned)).unwrap()
    }

    /// Contract, section 4.4, and S-76.
    #[test]
    fn allowed_targets_are_kept_as_they_are() {
        for target in [
            "http://localhost:8080",
            "http://localhost:8080/a/b?x=1",
            "http://localhost:8080?x=1",
            "http://localhost:9999/x",
            "http://127.0.0.1:1234/x",
            "http://[::1]:1234/x",
            "https://app.example.com/auth/callback",
            "https://app.example.com/auth/callback#x",
            "https://app.example.com/deep/a/b?q=1",
            "https://a.preview.example.com/cb",
            "com.example.app://login",
        ] {
            assert_eq!(redirects().choose(Some(target)), target);
        }
    }

    /// S-76: everything else becomes the site.
    #[test]
    fn other_targets_become_the_site() {
        for target in [
            "",
            "https://evil.example.net/",
            "https://localhost:8080/x",
            "http://localhost:8080@evil.example.net/",
            "http://user:pw@localhost:8080/",
            "http://localhost:8080.evil.example.net/",
            "//evil.example.net",
            "javascript:alert(1)",
            "/relative",
            "http://10.0.0.5/x",
            "http://2130706433/",
            "https://app.example.com/auth/callback?next=/x",
            "com.example.app://login/x",
            "https://a.b.preview.example.com/cb",
            "https://evil.example.net/.preview.example.com/cb",
            "https://app.example.com/deep/../auth/other",
            "https://app.example.com\\@evil.example.net/deep/x",
            "https://app.example.com/deep/a b",
            "https://app.example.com/deep/\u{e9}",
        ] {
            assert_eq!(redirects().choose(Some(target)), "http://localhost:8080", "{target}");
        }
    }

    #[test]
    fn parameters_replace_their_namesakes_and_keep_the_rest() {
        assert_eq!(with_query("http://localhost:8080", &[("code", "a b")]), "http://localhost:8080?code=a+b");
        assert_eq!(with_query("http://h/x?code=old&n=1#f", &[("code", "c")]), "http://h/x?n=1&code=c");
        assert_eq!(with_fragment("http://h/x?n=1#f", &[("sb", "")]), "http://h/x?n=1#sb=");
    }

    #[test]
    fn wildcards_in_hosts_are_seen() {
        assert!(has_wildcard_host("https://*.example.com/cb") && has_wildcard_host("https://**"));
        assert!(!has_wildcard_host("https://example.com/**"));
    }
}
