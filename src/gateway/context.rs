//! Fetch context: answers of an upstream are data for scripts, never a page, script or worker of ours (S-56).

use http::{HeaderMap, Method};

use super::settings::Kind;
use super::upstream::{Service, Upstream};

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
        if headers.contains_key("service-worker") {
            return Err(WrongContext);
        }
        let service = self.service(rule);
        let all = |name: &str, fits: &dyn Fn(&[u8]) -> bool| {
            headers.get_all(name).iter().all(|value| fits(value.as_bytes()))
        };
        let fits = |destination: &[u8]| match destination {
            b"empty" | b"websocket" => true,
            b"image" | b"audio" | b"video" | b"track" | b"font" => service != Some(Service::Data),
            b"document" => service.is_some_and(Service::is_storage),
            _ => false,
        };
        if !all("sec-fetch-dest", &fits) {
            return Err(WrongContext);
        }
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if is_read && !public && !cors_ok && !all("sec-fetch-site", &|site| matches!(site, b"same-origin" | b"none")) {
            return Err(WrongContext);
        }
        Ok(())
    }
}

/// Whether a browser would show the answer as a page: files are then handed over as downloads.
pub(super) fn is_document(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_some_and(|value| value.as_bytes() == b"document")
}
