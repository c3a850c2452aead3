//! `Location` in answers: it stays on the site, or names an origin of the configuration (S-51).

use url::{Position, Url};

use super::upstream::Upstream;

/// A `Location` that would lead the browser, or a token in its address, somewhere nobody named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream sends the browser to a place that is not listed")]
pub struct Astray;

/// Where the browser is as it reads the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here<'a> {
    pub(super) proto: &'a str,
    /// The site's host, with its port unless it is the scheme's own.
    pub(super) host: &'a str,
    /// The path it asked for.
    pub(super) path: &'a str,
    /// The first part of it that the upstream does not see.
    pub(super) prefix: &'a str,
}

/// The path, query and fragment to put in place of `location`; `None` where it names a listed origin and stays.
///
/// A place on the site is reduced to its path. The upstream's own address becomes the path under which it is known
/// here, and so does an absolute path of the Supabase project, which does not know the mount.
///
/// # Errors
///
/// [`Astray`] for every other origin, and for what is no URL.
pub(super) fn judge(location: &str, upstream: &Upstream, here: Here<'_>) -> Result<Option<String>, Astray> {
    // Resolved as a browser would; the reserved name stands for the site and resolves nowhere (RFC 6761).
    let site = Url::parse(&format!("{}://bff.invalid{}", here.proto, here.path)).map_err(|_| Astray)?;
    let url = site.join(location).map_err(|_| Astray)?;
    let origin = url.origin();
    let path = &url[Position::BeforePath..];
    if origin == site.origin() {
        let misses_mount = upstream.api_key.is_some() && !is_below(path, here.prefix);
        return on_site(if misses_mount { here.prefix } else { "" }, path).map(Some);
    }
    if let Some(target) = &upstream.target
        && (origin == target.origin || Some(&origin) == upstream.alias.as_ref())
    {
        if !is_below(path, &target.base) {
            return Err(Astray);
        }
        return on_site(here.prefix, &path[target.base.len()..]).map(Some);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Astray);
    }
    if url[Position::BeforeHost..Position::AfterPort].eq_ignore_ascii_case(here.host) {
        return on_site("", path).map(Some); // perhaps with http, where we know better
    }
    if upstream.locations.contains(&origin) { Ok(None) } else { Err(Astray) }
}

/// `//host` would be another site again.
fn on_site(prefix: &str, rest: &str) -> Result<String, Astray> {
    let slash = if prefix.is_empty() && !rest.starts_with('/') { "/" } else { "" };
    let path = format!("{prefix}{slash}{rest}");
    if path.starts_with("//") { Err(Astray) } else { Ok(path) }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

#[cfg(test)]
mod tests {
    use base::secret::Secret;
    use base::vars::Problems;
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::upstream::Surroundings;

    fn own(toml: &str) -> Upstream {
        let settings = toml::from_str(toml).unwrap();
        Upstream::build("orders", settings, &Surroundings::default(), &mut Problems::default()).unwrap()
    }

    fn here(prefix: &str) -> Here<'_> {
        Here { proto: "https", host: "app.example.test", path: "/api/orders/1", prefix }
    }

    /// S-51: a `Location` that leaves the site is refused, in every spelling a browser would follow.
    #[test]
    fn other_sites_are_refused() {
        let upstream = own("url = 'https://orders.internal'");
        for location in [
            "https://evil.test/",
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "\t//evil.test",
            "http:evil.test",
            "http:///evil.test",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://app.example.test.evil.test/",
            "https://app.example.test@evil.test/",
            "https://app.example.test:444/",
            "https://orders.internal:444/",
            "http://orders.internal/",
            "/x/..//evil.test",
            "https://app.example.test//evil.test",
            "https://bff.invalid//evil.test",
            "https://",
        ] {
            assert_eq!(judge(location, &upstream, here("/api")), Err(Astray), "{location:?}");
        }
        assert_eq!(judge("https://orders.internal//evil.test", &upstream, here("")), Err(Astray));
    }

    #[test]
    fn places_on_the_site_become_paths() {
        let upstream = own("url = 'https://orders.internal/v2'\nlocations = ['https://cdn.example.test']");
        for (location, expected) in [
            ("/api/orders/2?a=b#c", "/api/orders/2?a=b#c"),
            ("2", "/api/orders/2"),
            ("?page=2", "/api/orders/1?page=2"),
            ("https://app.example.test/x", "/x"),
            ("http://APP.example.test/x", "/x"),
            ("https://orders.internal/v2/orders/2?a", "/api/orders/2?a"),
            ("https://orders.internal/v2", "/api"),
            ("https://orders.internal/v2?a", "/api?a"),
        ] {
            assert_eq!(judge(location, &upstream, here("/api")), Ok(Some(expected.to_owned())), "{location}");
        }
        assert_eq!(judge("https://orders.internal/v2x", &upstream, here("/api")), Err(Astray));
        assert_eq!(judge("https://orders.internal/v2", &upstream, here("")), Ok(Some("/".to_owned())));
        assert_eq!(judge("https://orders.internal/v2?a", &upstream, here("")), Ok(Some("/?a".to_owned())));
        assert_eq!(judge("https://cdn.example.test/x", &upstream, here("/api")), Ok(None));
        assert_eq!(judge("http://cdn.example.test/x", &upstream, here("/api")), Err(Astray));
    }

    /// A resumable upload goes on through the mount, whichever address Storage knows itself by.
    #[test]
    fn the_project_stays_below_its_mount() {
        let (url, public) = ("http://127.0.0.1:54321", "https://ref.example.test");
        let (url, public) = (Url::parse(url).unwrap(), Url::parse(public).unwrap());
        let key = Secret::new("sb_publishable_x".to_owned());
        let around = Surroundings::default();
        let project = Upstream::supabase(&url, &public, key, &around, &mut Problems::default()).unwrap();
        let here = Here { path: "/supabase/storage/v1/upload/resumable", ..here("/supabase") };
        let expected = Ok(Some("/supabase/storage/v1/upload/resumable/YWJj".to_owned()));
        for location in [
            "http://127.0.0.1:54321/storage/v1/upload/resumable/YWJj",
            "https://ref.example.test/storage/v1/upload/resumable/YWJj",
            "/storage/v1/upload/resumable/YWJj",
            "/supabase/storage/v1/upload/resumable/YWJj",
            "resumable/YWJj",
        ] {
            assert_eq!(judge(location, &project, here), expected, "{location}");
        }
    }

    fn near_location() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "/",
            "\\",
            "//",
            "..",
            ".",
            ":",
            "@",
            "?",
            "#",
            "%2f",
            " ",
            "\t",
            "\n",
            "http:",
            "HTTPS:",
            "javascript:",
            "evil.test",
            "app.example.test",
            "orders.internal",
            "v2",
            "bff.invalid",
            "x",
            "\u{3002}",
            "[::1]",
            ":443",
        ]);
        prop_oneof![prop::collection::vec(pieces, 0..10).prop_map(|p| p.concat()), ".{0,24}"]
    }

    proptest! {
        /// S-51: whatever an upstream writes, a browser that follows the answer stays on the site.
        #[test]
        fn no_location_leaves_the_site(location in near_location(), prefix in prop::sample::select(vec!["", "/api"])) {
            let upstream = own("url = 'https://orders.internal/v2'");
            let Ok(place) = judge(&location, &upstream, here(prefix)) else { return Ok(()) };
            let site = Url::parse("https://app.example.test/api/orders/1").unwrap();
            let place = place.expect("no other origin is listed");
            prop_assert_eq!(site.join(&place).unwrap().origin(), site.origin());
        }
    }
}
