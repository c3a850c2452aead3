//! `GET /auth/callback/{flow}`: back with a code. Always 303 to a clean address (S-27).

use axum::response::Response;
use http::HeaderMap;

use super::confirm;
use crate::flow::{Arrival, Return};
use crate::web::error::{Code, Error};
use crate::web::extract::{Params, Segment};
use crate::web::layers::cross_site;
use crate::web::visit::{Visit, returning, see_other, text};

/// Ends the flow that this browser began.
#[tracing::instrument(name = "callback.back", skip_all)]
pub(crate) async fn back(
    visit: Visit,
    Segment(flow): Segment,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Error> {
    if text(&headers, "sec-fetch-dest").is_some_and(|dest| dest != "document") {
        return Err(cross_site(Code::FetchContext, None));
    }
    if *visit.method() != http::Method::GET {
        return Err(Code::MethodNotAllowed.into());
    }
    let app = visit.app();
    let back = Return {
        flow: &flow,
        code: params.get("code"),
        refused: params.all().iter().any(|(name, _)| name == "error" || name == "error_code"),
        error_code: params.get("error_code"),
    };
    if let Some(deletion) = app.flows.forget(&flow) {
        visit.set_cookie(deletion);
    }
    Ok(match app.flows.finish(&back, visit.slot(), visit.client()).await {
        Ok(Arrival::SignedIn(target) | Arrival::Already(target)) => {
            // The bounce, even within /auth: this navigation began on another site (S-02).
            let step = visit.limited().map(|step| format!("?step={}", step.as_str())).unwrap_or_default();
            see_other(&returning(&format!("/auth/continue{step}"), target.as_str()))
        }
        Ok(Arrival::Denied(provider)) => {
            visit.redirect_with_notice("/auth/login", "provider-denied", &provider)
        }
        Ok(Arrival::Failed(provider)) if provider.is_empty() => {
            visit.redirect_with_notice("/auth/login", "flow_invalid", "") // the link of a mail
        }
        Ok(Arrival::Failed(provider)) => {
            visit.redirect_with_notice("/auth/login", "provider-failed", &provider)
        }
        Ok(Arrival::ConfirmedOnly) => visit.redirect_with_notice("/auth/login", "confirm-done", ""),
        Ok(Arrival::Recovering) => see_other("/auth/reset"),
        Ok(Arrival::LinkExpired(purpose)) => {
            visit.redirect_with_notice("/auth/confirm", "link-expired", confirm::link_of(purpose).as_str())
        }
        Ok(Arrival::Invalid) => visit.redirect_with_notice("/auth/login", "flow_invalid", ""),
        Err(failure) => {
            tracing::warn!(error = %failure, "a flow did not end in a session");
            visit.redirect_with_notice("/auth/login", "provider-failed", "")
        }
    })
}
