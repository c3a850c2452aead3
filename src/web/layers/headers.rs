//! What every answer carries (S-09, S-65 to S-67).

use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::web::ids::RequestId;
use crate::web::visit::Visit;

/// The policy of every page (S-65).
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                               form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What depends on the request: HSTS where it came over https, and no trace of a code that is still in the address (S-27).
pub(super) fn correct(visit: &Visit, answer: &mut Response) {
    let headers = answer.headers_mut();
    if visit.public().scheme() == "https" {
        let value = if visit.app().hsts_subdomains {
            "max-age=31536000; includeSubDomains"
        } else {
            "max-age=31536000"
        };
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(value));
    }
    if visit.target().starts_with("/auth/callback/") {
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}

/// Adds what is missing, to every answer whatever it is: those to requests that were refused unread, and to panics.
/// `dressed` is an answer of an upstream.
pub(super) fn finish(request_id: &RequestId, dressed: bool, mut response: Response) -> Response {
    if dressed {
        response.headers_mut().insert(REQUEST_ID, request_id.value().clone());
        return response; // the gateway has added the others
    }
    let html = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/html"));
    let headers = response.headers_mut();
    headers.reserve(8); // once, not step by step
    headers.insert(REQUEST_ID, request_id.value().clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let add = |headers: &mut HeaderMap, name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    add(headers, CACHE_CONTROL, "no-store");
    add(headers, CORP, "same-origin");
    if html {
        add(headers, CONTENT_SECURITY_POLICY, PAGE_POLICY);
        add(headers, X_FRAME_OPTIONS, "DENY");
        add(headers, COOP, "same-origin");
        add(headers, PERMISSIONS, "camera=(), microphone=(), geolocation=(), payment=(), usb=()");
        add(headers, REFERRER_POLICY, "same-origin");
    } else {
        add(headers, REFERRER_POLICY, "no-referrer");
    }
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::web::error::Code;
    use crate::web::ids::RequestIds;

    /// S-66, S-89: the answer to a panic is one of ours like any other, and says nothing of what went wrong.
    #[test]
    fn the_answer_to_a_panic_is_dressed() {
        let id = RequestIds::new(Arc::new(base::entropy::SeededEntropy::new(1))).next();
        let answer = finish(&id, false, super::super::errors::bare(&Code::Internal.into(), id.as_str()));
        assert_eq!(answer.status(), 500);
        for (name, value) in [
            ("x-request-id", id.as_str()),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
            ("content-type", "application/problem+json"),
        ] {
            assert_eq!(answer.headers()[name], value, "{name}");
        }
    }
}
