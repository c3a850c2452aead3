//! `GET /auth/continue`: a page of ours that goes on by itself, so that the next request carries the Strict cookie.

use axum::response::Response;
use http::StatusCode;

use crate::web::extract::Params;
use crate::web::views::{ContinuePage, Towards};
use crate::web::visit::Visit;

/// The bounce. Its target is judged again (S-21).
#[tracing::instrument(name = "bounce.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Response {
    let target = visit.app().flows.targets().choose(params.get("return_to"));
    let view = ContinuePage { url: target.as_str(), towards: Towards::Page };
    visit.page(StatusCode::OK, &view)
}
