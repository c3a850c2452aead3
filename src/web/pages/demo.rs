//! The demo page at `/`, complete without script: a form names a call, the answer is on the next page.
use crate::web::visit::Visit;
use axum::response::Response;
/// stub
pub(crate) async fn show(_v: Visit) -> Response {
    todo!()
}
/// stub
pub(crate) async fn submit(_v: Visit) -> Response {
    todo!()
}
