//! `GET /authorize`: a navigation that begins a sign-in at a provider.

use axum::response::Response;
use http::{HeaderMap, Method};

use super::challenge::target;
use crate::web::error::{Code, Error};
use crate::web::extract::Params;
use crate::web::visit::{FetchSite, Visit, returning, see_other, text};

/// Names that are ours to read, or GoTrue's; every other one has to be in `allow_params`, `scopes` too.
const KNOWN: [&str; 5] =
    ["provider", "redirect_to", "code_challenge", "code_challenge_method", "skip_http_redirect"];

/// Begins our flow; the client's challenge waits for the way back. A start that another site caused shows the login page
/// (S-16), a prefetch begins nothing (S-17).
#[tracing::instrument(name = "supabase.authorize", skip_all)]
pub(in crate::web::supabase) async fn off(
    visit: Visit,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Error> {
    if *visit.method() != Method::GET {
        return Err(Code::NotFound.into()); // axum answers HEAD by GET
    }
    let app = visit.app();
    let provider = params.get("provider").ok_or(Code::ProviderUnknown)?;
    let target = target(&visit, &params, params.get("code_challenge"), params.get("code_challenge_method"))?;
    let prefetch = text(&headers, "sec-purpose").is_some_and(|purpose| purpose.contains("prefetch"));
    if prefetch || matches!(visit.site(), FetchSite::CrossSite | FetchSite::SameSite) {
        return Ok(see_other(&returning("/auth/login", target.as_str())));
    }
    let dropped = params.all().iter().map(|(name, _)| name.as_str());
    let dropped: Vec<_> = dropped.filter(|name| !app.flows.passes_on(provider, name)).collect();
    let dropped: Vec<_> = dropped.into_iter().filter(|name| !KNOWN.contains(name)).collect();
    if !dropped.is_empty() {
        tracing::info!(
            count = dropped.len(),
            "hint: parameters of a sign-in were dropped: name them in allow_params"
        );
    }
    let begun = app.flows.begin(provider, params.all(), &target, true, visit.slot(), visit.public()).await?;
    begun.cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
    Ok(see_other(begun.url.as_str()))
}
