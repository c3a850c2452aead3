//! The page for every failure that is not a form's.

use serde::Serialize;

use super::{View, Wait};

/// What `error.html` shows: a headline by status, a sentence by code, a next step that works.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ErrorPage<'a> {
    /// As answered.
    pub status: u16,
    /// Of the closed list of error codes; an unknown one gets a general sentence.
    pub code: &'a str,
    /// As in `X-Request-Id`.
    pub request_id: &'a str,
    /// From `Retry-After`, for 429 and 5xx.
    pub wait: Option<Wait>,
    /// This address, for "try again" after 429 and 5xx; `None` where the request was no GET.
    pub retry: Option<&'a str>,
    /// The login page with the way back, for 401.
    pub login: &'a str,
    /// A form token for `POST /auth/logout`, so that 403 can offer another account.
    pub switch: Option<&'a str>,
    /// For `session_limited`: the step that is missing, as in `limited` of the session.
    pub step: Option<&'a str>,
    /// The page that does that step, where there is one.
    pub step_url: Option<&'a str>,
    /// A form token for `POST /auth/otp`, so that 410 can offer a new mail.
    pub again: Option<&'a str>,
    /// For 410: what the link was for, in the word of its `type`.
    pub link: Option<&'a str>,
    /// Whose account, for `identity_taken`.
    pub provider: Option<&'a str>,
}

/// The closed list of error codes with their statuses, and one that is not in it.
const CODES: [(u16, &str); 56] = [
    (400, "bad_request"),
    (400, "bad_path"),
    (400, "duplicate_parameter"),
    (400, "ambiguous_credentials"),
    (400, "captcha_failed"),
    (400, "password_too_long"),
    (401, "session_missing"),
    (401, "session_expired"),
    (401, "session_ended"),
    (401, "session_changed"),
    (401, "invalid_token"),
    (401, "invalid_credentials"),
    (401, "insufficient_user_authentication"),
    (403, "cross_origin"),
    (403, "csrf_header"),
    (403, "csrf_form"),
    (403, "fetch_context"),
    (403, "forbidden"),
    (403, "insufficient_scope"),
    (403, "session_limited"),
    (403, "anonymous_not_allowed"),
    (403, "email_not_confirmed"),
    (403, "proxy_not_trusted"),
    (403, "browser_client"),
    (403, "plain_http"),
    (404, "factor_unknown"),
    (404, "not_found"),
    (404, "provider_unknown"),
    (404, "feature_disabled"),
    (405, "method_not_allowed"),
    (409, "identity_taken"),
    (409, "session_open"),
    (410, "link_expired"),
    (413, "body_too_large"),
    (414, "uri_too_long"),
    (415, "unsupported_media_type"),
    (421, "unknown_host"),
    (422, "weak_password"),
    (422, "same_password"),
    (422, "last_identity"),
    (422, "email_invalid"),
    (422, "code_wrong"),
    (422, "factor_name_taken"),
    (422, "factors_full"),
    (422, "signup_closed"),
    (429, "rate_limited"),
    (431, "headers_too_large"),
    (500, "internal"),
    (500, "session_too_large"),
    (502, "upstream_failed"),
    (503, "auth_unavailable"),
    (503, "store_unavailable"),
    (503, "keys_unavailable"),
    (503, "overloaded"),
    (504, "upstream_timeout"),
    (599, "of_a_later_version"),
];

impl View for ErrorPage<'_> {
    const TEMPLATE: &'static str = "error.html";

    fn samples() -> Vec<Self> {
        let page = |(status, code)| Self {
            status,
            code,
            request_id: "01JD8Z4N7Q5T",
            wait: (status >= 429).then_some(Wait(10)),
            retry: (status >= 429).then_some("/notes?page=2"),
            login: "/auth/login?return_to=%2Fnotes",
            switch: (status == 403).then_some("form-token"),
            step: (code == "session_limited").then_some("mfa"),
            step_url: (code == "session_limited").then_some("/auth/mfa"),
            again: (status == 410).then_some("form-token"),
            link: (status == 410).then_some("signup"),
            provider: (code == "identity_taken").then_some("Google"),
        };
        let mut all: Vec<_> = CODES.into_iter().map(page).collect();
        for link in ["signup", "magiclink", "recovery", "invite", "email_change", "email"] {
            let again = (!matches!(link, "invite" | "email_change")).then_some("form-token");
            all.push(Self { link: Some(link), again, ..page((410, "link_expired")) });
        }
        let limited = page((403, "session_limited"));
        all.push(Self { step: Some("recovery"), step_url: Some("/auth/reset"), ..limited.clone() });
        all.push(Self { step_url: None, ..limited });
        all.extend([403, 409, 410, 503].map(|status| Self {
            status,
            code: "internal",
            login: "/auth/login",
            ..Self::default()
        }));
        all
    }
}
