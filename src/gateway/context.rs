//! Fetch context: answers of an upstream are data for scripts, never a page, script or worker of ours (S-56).

use http::{HeaderMap, HeaderName, Method};

use super::settings::Kind;
use super::upstream::{Service, Upstream};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// A request in a context that the upstream's answers are not for: 403 `fetch_context`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not for this context")]
pub struct WrongContext;

impl Upstream {
    /// Judges what the browser says the answer is for. Programs say nothing and pass.
    ///
    /// `public` tells that `rule` asks for nobody; `cors_ok` that `Origin` is on the list of the configuration.
    ///
    /// # Errors
    ///
    /// [`WrongContext`]. The site itself (`kind = "app"`) is never refused.
    pub fn check_fetch_context(
        &self,
        rule: &str,
        method: &Method,
        headers: &HeaderMap,
        public: bool,
        cors_ok: bool,
    ) -> Result<(), WrongContext> {
        if self.kind == Kind::App {
            return Ok(());
        }
        let service = self.service(rule);
        let fits = |destination: &[u8]| match destination {
            b"empty" | b"websocket" => true,
            b"image" | b"audio" | b"video" | b"track" | b"font" => service != Some(Service::Data),
            b"document" => service.is_some_and(Service::is_storage),
            _ => false,
        };
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        let reads_from =
            |site: &[u8]| !is_read || public || cors_ok || matches!(site, b"same-origin" | b"none");
        let sound = headers.iter().all(|(name, value)| match name.as_str() {
            "service-worker" => false,
            "sec-fetch-dest" => fits(value.as_bytes()),
            "sec-fetch-site" => reads_from(value.as_bytes()),
            _ => true,
        });
        if sound { Ok(()) } else { Err(WrongContext) }
    }
}

/// Whether a browser would show the answer as a page: files are then handed over as downloads.
pub(super) fn is_document(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_DEST).is_some_and(|value| value.as_bytes() == b"document")
}

#[cfg(test)]
mod tests {
    use base::secret::Secret;
    use base::vars::Problems;
    use url::Url;

    use super::*;
    use crate::gateway::upstream::Surroundings;

    fn own(kind: &str) -> Upstream {
        let settings = toml::from_str(&format!("url = 'http://127.0.0.1:1'\nkind = '{kind}'")).unwrap();
        Upstream::build("orders", settings, &Surroundings::default(), &mut Problems::default()).unwrap()
    }

    fn project() -> Upstream {
        let url = Url::parse("https://ref.example.test").unwrap();
        let key = Secret::new("sb_publishable_x".to_owned());
        Upstream::supabase(&url, &url, key, &Surroundings::default(), &mut Problems::default()).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    /// S-56: no answer becomes a page, frame, script, style or worker; media where files are served.
    #[test]
    fn answers_are_for_scripts() {
        let (api, project, app) = (own("api"), project(), own("app"));
        let passes = |upstream: &Upstream, rule: &str, destination: &str| {
            let headers = headers(&[("sec-fetch-dest", destination), ("sec-fetch-site", "same-origin")]);
            upstream.check_fetch_context(rule, &Method::GET, &headers, false, false).is_ok()
        };
        for active in [
            "iframe",
            "frame",
            "fencedframe",
            "object",
            "embed",
            "script",
            "style",
            "xslt",
            "worker",
            "sharedworker",
            "serviceworker",
            "audioworklet",
            "paintworklet",
            "manifest",
            "json",
            "report",
            "",
            "Empty",
            "unheard-of",
        ] {
            for rule in ["rest", "functions", "storage", "storage.public"] {
                assert!(!passes(&project, rule, active), "{rule} {active}");
            }
            assert!(!passes(&api, "orders", active) && passes(&app, "web", active), "{active}");
        }
        for rule in ["rest", "graphql", "functions", "storage", "storage.public"] {
            let (document, image) = (rule.starts_with("storage"), !matches!(rule, "rest" | "graphql"));
            assert!(passes(&project, rule, "empty"), "{rule}");
            assert_eq!(passes(&project, rule, "document"), document, "{rule}");
            for media in ["image", "audio", "video", "track", "font"] {
                assert_eq!(passes(&project, rule, media), image, "{rule} {media}");
            }
        }
        assert!(passes(&api, "orders", "empty") && passes(&api, "orders", "image"));
        // A rule of the owner's that is called like one of ours is still one about his own upstream.
        assert!(!passes(&api, "storage", "document") && passes(&app, "web", "document"));
    }

    /// S-56: other sites read nothing, unless they are listed or the rule is public. Programs say nothing and pass.
    #[test]
    fn other_sites_read_nothing() {
        let api = own("api");
        let judge = |method: &Method, pairs: &[(&'static str, &str)], public, cors_ok| {
            api.check_fetch_context("orders", method, &headers(pairs), public, cors_ok).is_ok()
        };
        for (site, ours) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false), ("x", false)]
        {
            for method in [Method::GET, Method::HEAD] {
                let pairs = [("sec-fetch-dest", "empty"), ("sec-fetch-site", site)];
                assert_eq!(judge(&method, &pairs, false, false), ours, "{site}");
                assert!(judge(&method, &pairs, true, false) && judge(&method, &pairs, false, true));
            }
            assert!(
                judge(&Method::POST, &[("sec-fetch-site", site)], false, false),
                "S-13 decides about writing"
            );
        }
        let doubled = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
        assert!(!judge(&Method::GET, &doubled, false, false));
        assert!(judge(&Method::GET, &[], false, false));
        assert!(!judge(&Method::GET, &[("service-worker", "script")], true, true));
    }
}
