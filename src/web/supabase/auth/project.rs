//! What everybody may know of the project.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::web::error::{Code, Error};
use crate::web::visit::Visit;

/// `GET /settings`, kept for a minute as our own pages keep it.
pub(in crate::web::supabase) async fn settings(visit: Visit) -> Result<Response, Error> {
    let told = visit.app().flows.settings_as_told().await;
    let told = told.ok_or(Error::later(Code::AuthUnavailable, std::time::Duration::from_secs(5)))?;
    Ok(visit.json(StatusCode::OK, &*told))
}

/// `POST /sso`: what GoTrue says where SAML is off. Its answer would lead around our flows, so it is off here.
pub(in crate::web::supabase) async fn sso(_: Visit) -> Error {
    Error::from(Code::FeatureDisabled).told(404, "saml_provider_disabled")
}

/// `GET /health`: of this program. GoTrue's own state shows in what is asked of it.
pub(in crate::web::supabase) async fn health(visit: Visit) -> Response {
    let body = json!({ "version": "", "name": "GoTrue", "description": "a user registration and authentication API" });
    visit.json(StatusCode::OK, &body)
}

/// `GET /.well-known/jwks.json`: no key verifies a phantom.
pub(in crate::web::supabase) async fn keys(visit: Visit) -> Response {
    visit.json(StatusCode::OK, &json!({ "keys": Value::Array(Vec::new()) }))
}
