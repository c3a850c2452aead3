//! `GET /auth/start/{provider}`: off to the provider.

use axum::response::Response;
use http::HeaderMap;

use super::login;
use crate::web::error::{Code, Error};
use crate::web::extract::{Params, Segment};
use crate::web::visit::{FetchSite, Visit, see_other, text};

/// Begins a PKCE flow and sends the browser away. A start that another site caused shows the login page instead (S-16),
/// and a prefetch begins nothing (S-17).
#[tracing::instrument(name = "start.off", skip_all)]
pub(crate) async fn off(
    visit: Visit,
    Segment(provider): Segment,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let app = visit.app();
    let target = app.flows.targets().choose(params.return_to());
    let prefetch = text(&headers, "sec-purpose").is_some_and(|purpose| purpose.contains("prefetch"));
    if prefetch || matches!(visit.site(), FetchSite::CrossSite | FetchSite::SameSite) {
        return Ok(login::elsewhere(&visit, &target).await);
    }
    if *visit.method() != http::Method::GET {
        return Err(Code::MethodNotAllowed.into()); // axum answers HEAD by GET
    }
    let remember = params.get("remember").is_some_and(|word| matches!(word, "1" | "on" | "true"));
    let begun =
        app.flows.begin(&provider, params.all(), &target, remember, visit.slot(), visit.public()).await?;
    begun.cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
    Ok(see_other(begun.url.as_str()))
}
