//! Refusals as GoTrue's clients read them: its codes, its statuses, its header.

use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::flow::Failure;
use crate::web::error::{Code, Error};
use crate::web::visit::Visit;

/// The format of errors that every answer is in.
const VERSION: &str = "2024-01-01";

/// The answer to a call below `auth/v1`.
pub(in crate::web) fn answer(visit: &Visit, error: &Error) -> Response {
    let (status, code) = of(visit, error);
    let mut body = error.supabase(visit.request_id(), "/auth/login");
    body["code"] = json!(code);
    body["error_code"] = json!(code);
    body["statusCode"] = json!(status.as_u16().to_string());
    body["error"] = json!(status.canonical_reason().unwrap_or_default());
    if code == "weak_password" {
        body["weak_password"] =
            json!({ "reasons": error.refused_by_gotrue().map_or(&[][..], |(_, _, why)| why) });
    }
    let mut response = visit.json(status, &body);
    let headers = response.headers_mut();
    headers.insert("x-supabase-api-version", HeaderValue::from_static(VERSION));
    if let Ok(code) = HeaderValue::from_str(&code) {
        headers.insert("x-sb-error-code", code);
    }
    response
}

/// Status and code: what the handler chose, what GoTrue itself said, or its nearest word for our own code. Where it has
/// none ours stays.
fn of(visit: &Visit, error: &Error) -> (StatusCode, String) {
    if let Some((status, code)) = error.told {
        return (StatusCode::from_u16(status).unwrap_or(error.code.status()), code.to_owned());
    }
    if let Some((status, code, _)) = error.refused_by_gotrue() {
        return (status, code.to_owned());
    }
    let path = visit.target().split('?').next().unwrap_or_default();
    let (status, code) = match error.code {
        // auth-js drops its session at this answer to `getUser`, and at this alone.
        Code::SessionMissing | Code::SessionExpired | Code::SessionEnded | Code::SessionChanged
            if path.ends_with("/auth/v1/user") =>
        {
            (403, "session_not_found")
        }
        Code::SessionMissing | Code::SessionExpired | Code::SessionEnded => (401, "session_not_found"),
        Code::BadRequest | Code::DuplicateParameter | Code::PasswordTooLong | Code::EmailInvalid => {
            (400, "validation_failed")
        }
        Code::UnsupportedMediaType => (415, "bad_json"),
        Code::InvalidToken => (403, "bad_jwt"),
        Code::InvalidCredentials => (400, "invalid_credentials"),
        Code::EmailNotConfirmed => (400, "email_not_confirmed"),
        Code::StepUp => (401, "insufficient_aal"),
        Code::AnonymousNotAllowed => (403, "no_authorization"),
        Code::FactorUnknown => (404, "mfa_factor_not_found"),
        Code::FactorNameTaken => (422, "mfa_factor_name_conflict"),
        Code::FactorsFull => (422, "too_many_enrolled_mfa_factors"),
        Code::ProviderUnknown => (400, "validation_failed"),
        Code::LinkExpired | Code::CodeWrong => (403, "otp_expired"),
        Code::BodyTooLarge => (413, "request_entity_too_large"),
        Code::LastIdentity => (422, "single_identity_not_deletable"),
        Code::SignupClosed => (422, "signup_disabled"),
        Code::RateLimited => (429, "over_request_rate_limit"),
        own => (own.status().as_u16(), own.as_str()),
    };
    (StatusCode::from_u16(status).unwrap_or(error.code.status()), code.to_owned())
}

impl Error {
    /// Below `auth/v1` it is said with GoTrue's `status` and `code`.
    pub(in crate::web::supabase) fn told(self, status: u16, code: &'static str) -> Self {
        Self { told: Some((status, code)), ..self }
    }

    /// What GoTrue said, where it refused in a way that no form of ours knows.
    fn refused_by_gotrue(&self) -> Option<(StatusCode, &str, &[String])> {
        self.cause.as_deref()?.downcast_ref::<Failure>()?.refusal()
    }
}
