//! `GET /auth/continue`: a page of ours that goes on by itself, so that the next request carries the Strict cookie.

use axum::response::Response;
use http::StatusCode;

use crate::session::Limited;
use crate::web::extract::Params;
use crate::web::views::{ContinuePage, Towards};
use crate::web::visit::Visit;

/// The bounce. Its target is judged again (S-21).
#[tracing::instrument(name = "bounce.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Response {
    if let Some(address) = params.get("to").and_then(|sealed| visit.app().flows.open_address(sealed)) {
        return visit.page(StatusCode::OK, &ContinuePage { url: &address, towards: Towards::Page });
    }
    let target = visit.app().flows.targets().choose(params.get("return_to"));
    // The cookie did not come along, so the address tells what the session lacks. Told without need, it leads to a page
    // that says so.
    let lacks = params.get("step").and_then(Limited::parse);
    let step = lacks.and_then(|limited| visit.step_url(limited, Some(target.as_str())));
    let view = ContinuePage { url: step.as_deref().unwrap_or(target.as_str()), towards: Towards::Page };
    visit.page(StatusCode::OK, &view)
}
