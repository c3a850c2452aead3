//! The public documents: `/settings`, `/health`, the key set.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header::CACHE_CONTROL};
use serde_json::{Map, Value, json};

use crate::App;

/// The members of `external` in GoTrue's answer; what is not offered is `false` (contract, section 2.15).
const EXTERNAL: &[&str] = &[
    "anonymous_users",
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "snapchat",
    "figma",
    "fly",
    "github",
    "gitlab",
    "google",
    "keycloak",
    "kakao",
    "linkedin",
    "linkedin_oidc",
    "notion",
    "spotify",
    "slack",
    "slack_oidc",
    "workos",
    "twitch",
    "twitter",
    "email",
    "phone",
    "zoom",
];

/// `GET /settings`
pub(crate) async fn settings(State(app): State<App>) -> Json<Value> {
    let offered = |name: &str| match name {
        "anonymous_users" => app.settings.anonymous,
        "email" => true,
        name => app.providers.get(name).is_some(),
    };
    let external: Map<_, _> =
        EXTERNAL.iter().map(|name| ((*name).to_owned(), offered(name).into())).collect();
    Json(json!({
        "external": external,
        "disable_signup": !app.settings.sign_up,
        "mailer_autoconfirm": !app.settings.confirm_email,
        "phone_autoconfirm": false,
        "sms_provider": "",
        "saml_enabled": false,
        "passkeys_enabled": false,
    }))
}

/// `GET /health`: does not touch the database.
pub(crate) async fn health() -> Json<Value> {
    let description = "An auth server that speaks as GoTrue does";
    Json(json!({"version": "embedded", "name": "GoTrue", "description": description}))
}

/// `GET /.well-known/jwks.json`
pub(crate) async fn key_set(State(app): State<App>) -> ([(HeaderName, &'static str); 1], Json<Value>) {
    ([(CACHE_CONTROL, "public, max-age=600")], Json(app.signer.public().clone()))
}
