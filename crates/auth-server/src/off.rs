//! Features that the server does not have, answered as GoTrue answers while they are off (contract, sections 2.15 to
//! 2.17).

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, delete, get, patch, post};

use crate::App;
use crate::error::ApiError;
use crate::http::Caller;

/// Their routes.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/sso", post(saml))
        .route("/sso/saml/metadata", get(saml))
        .route("/sso/saml/acs", post(saml))
        .route("/passkeys", get(passkeys))
        .route("/passkeys/{id}", delete(passkeys).merge(patch(passkeys)))
        .route("/passkeys/authentication/{step}", post(passkeys))
        .route("/passkeys/registration/{step}", post(passkeys))
        .route("/oauth/{*rest}", any(oauth_server))
        .route("/admin/oauth/{*rest}", any(oauth_server))
        .route("/user/oauth/grants", get(grants).delete(grants))
        .route("/.well-known/oauth-authorization-server", get(oauth_server))
        .route("/scim/v2/{*rest}", get(scim))
}

async fn saml() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "saml_provider_disabled", "SAML 2.0 is disabled")
}

async fn passkeys() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "passkey_disabled", "Passkeys are disabled")
}

async fn oauth_server() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "feature_disabled", "OAuth server is disabled")
}

async fn grants(_: Caller) -> ApiError {
    oauth_server().await
}

async fn scim() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "feature_disabled", "SCIM server is disabled")
}
