//! Features that this version keeps off, answered as GoTrue answers for a feature that is off.

use axum::http::StatusCode;

use crate::error::ApiError;

/// `POST /sso`
pub(crate) async fn saml() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "saml_provider_disabled", "SAML 2.0 is disabled")
}
