//! Refusals and failures, in the two shapes that GoTrue's clients know (contract, section 3.1).

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The header by which a client chooses the shape of errors.
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("x-supabase-api-version");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-sb-error-code");
const NEWEST_VERSION: &str = "2024-01-01";

/// Why a request was not served. Written into the body by [`dress`], which knows the shape that was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.text)]
pub(crate) struct ApiError(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    text: Cow<'static, str>,
    detail: Detail,
    retry_after: Option<u32>,
    cause: Option<String>,
}

#[derive(Debug)]
enum Detail {
    None,
    /// Which password rules are broken: `length`, `characters`, `pwned`.
    Weak(Vec<&'static str>),
    /// The body of RFC 6749, section 5.2; always status 400.
    OAuth(&'static str),
}

/// The result of everything that answers a request.
pub(crate) type Answer<T> = Result<T, ApiError>;

impl ApiError {
    /// A refusal with its status, its code of the contract's section 3.2 and a text for people.
    pub(crate) fn new(status: StatusCode, code: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self::build(status, code, text.into(), Detail::None)
    }

    fn build(status: StatusCode, code: &'static str, text: Cow<'static, str>, detail: Detail) -> Self {
        Self(Arc::new(Inner { status, code, text, detail, retry_after: None, cause: None }))
    }

    /// 400 `validation_failed`.
    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "validation_failed", text)
    }

    /// 400 `bad_json`.
    pub(crate) fn bad_json(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_json", text)
    }

    /// The one answer to every sign-in with a password that fails.
    pub(crate) fn invalid_credentials() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_credentials", "Invalid login credentials")
    }

    /// The one answer to every link or code that does not work, for whatever reason.
    pub(crate) fn otp_expired() -> Self {
        Self::new(StatusCode::FORBIDDEN, "otp_expired", "Token has expired or is invalid")
    }

    /// 422 `weak_password`; `reasons` names the broken rules.
    pub(crate) fn weak_password(text: String, reasons: Vec<&'static str>) -> Self {
        Self::build(StatusCode::UNPROCESSABLE_ENTITY, "weak_password", text.into(), Detail::Weak(reasons))
    }

    /// 400 in the shape of RFC 6749, section 5.2.
    pub(crate) fn oauth(error: &'static str, text: &'static str) -> Self {
        Self::build(StatusCode::BAD_REQUEST, "", text.into(), Detail::OAuth(error))
    }

    /// More work is waiting than can be done soon: 503 with `Retry-After`.
    pub(crate) fn busy() -> Self {
        let text = "Too many requests are waiting. Please try again shortly.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "over_request_rate_limit", text);
        error.retry_after(1)
    }

    /// 500 with nothing of `cause` in the answer; one line of it goes to the log.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        let text = "Unexpected failure, please check server logs for more information";
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unexpected_failure", text);
        if let Some(inner) = Arc::get_mut(&mut error.0) {
            inner.cause = Some(cause.to_string());
        }
        error
    }

    /// Adds `Retry-After`, in seconds.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.retry_after = Some(seconds);
        }
        self
    }

    /// Writes the cause of a failure to the log; a refusal has none.
    pub(crate) fn log(&self, request_id: &str) {
        if let Some(cause) = &self.0.cause {
            tracing::error!(request_id, cause, "a request failed");
        }
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code, such as `otp_expired`.
    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    /// The text for people.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// The `error` of a redirect that carries this refusal; `None` for a status that has no word there.
    pub(crate) fn redirect_word(&self) -> Option<&'static str> {
        match self.0.status.as_u16() {
            400 => Some("invalid_request"),
            401 => Some("unauthorized_client"),
            403 => Some("access_denied"),
            500 => Some("server_error"),
            503 => Some("temporarily_unavailable"),
            _ => None,
        }
    }

    fn body(&self, newest: bool, request_id: &str) -> Value {
        let inner = &*self.0;
        let reasons = match &inner.detail {
            Detail::OAuth(error) => return json!({"error": error, "error_description": inner.text}),
            Detail::Weak(reasons) => Some(json!({"reasons": reasons})),
            Detail::None => None,
        };
        let mut body = if newest {
            json!({"code": inner.code, "message": inner.text})
        } else {
            json!({"code": inner.status.as_u16(), "error_code": inner.code, "msg": inner.text})
        };
        if let Some(reasons) = reasons {
            body["weak_password"] = reasons;
        }
        if inner.status.is_server_error() && !newest {
            body["error_id"] = request_id.into();
        }
        body
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(format_args!("database: {error}"))
    }
}

impl From<crate::db::DbError> for ApiError {
    fn from(error: crate::db::DbError) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Whether the request asked for the newest shape; an unreadable version is no error.
pub(crate) fn asks_newest(headers: &HeaderMap) -> bool {
    let asked = headers.get(&API_VERSION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let date = time::macros::format_description!("[year]-[month]-[day]");
    let parse = |text| time::Date::parse(text, date).ok();
    parse(asked).is_some_and(|asked| Some(asked) >= parse(NEWEST_VERSION))
}

/// Gives a response that carries an [`ApiError`] its body and headers, and logs what the caller must not see.
pub(crate) fn dress(mut response: Response, newest: bool, request_id: &str) -> Response {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    error.log(request_id);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let weak = matches!(error.0.detail, Detail::Weak(_));
    let unnamed = error.0.code.is_empty() || (weak && newest);
    if !unnamed {
        headers.insert(ERROR_CODE, HeaderValue::from_static(error.0.code));
    }
    if newest && !matches!(error.0.detail, Detail::OAuth(_)) {
        headers.insert(API_VERSION, HeaderValue::from_static(NEWEST_VERSION));
    }
    if let Some(seconds) = error.0.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = Body::from(error.body(newest, request_id).to_string());
    response
}
