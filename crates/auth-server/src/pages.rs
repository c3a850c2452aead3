//! The pages of this server: the pretend providers, and the outbox.

mod chooser;
mod outbox;
mod templates;

use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};

pub(crate) use chooser::{choose, chooser, read_pretend_code};
pub(crate) use outbox::{outbox, outbox_list};
pub(crate) use templates::{MailPage, Templates};

use crate::App;
use crate::error::{Answer, ApiError};
use templates::View;

/// S-65.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The style sheet with its name, which changes with its content.
#[derive(Debug)]
pub(crate) struct Style {
    pub(crate) name: String,
    text: &'static str,
}

impl Style {
    fn new() -> Self {
        let text = include_str!("../assets/auth.css");
        Self { name: format!("auth.{}.css", &crate::token::digest_of(text)[..12]), text }
    }
}

/// `GET /assets/{name}`
pub(crate) async fn asset(app: axum::extract::State<App>, Path(name): Path<String>) -> Answer<Response> {
    let style = app.templates.style();
    if name != style.name {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "validation_failed", "There is no such file"));
    }
    let headers =
        [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, style.text).into_response())
}

/// A page with the headers that every page has (S-65 to S-67).
fn page<V: View>(app: &App, status: StatusCode, view: &V) -> Answer<Response> {
    let html = app.templates.render(view).map_err(ApiError::internal)?;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "same-origin"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        ),
    ];
    Ok((status, headers, html).into_response())
}
