//! `GET /auth/callback/{flow}`: back with a code. Always 303 to a clean address (S-27).

use axum::response::Response;
use http::HeaderMap;

use super::{account, address, confirm, identities, security};
use crate::flow::{Arrival, NotLinked, Return};
use crate::web::error::{Code, Error};
use crate::web::extract::{Params, Segment};
use crate::web::layers::cross_site;
use crate::web::supabase::back;
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
    let there = |wanted: &str| params.all().iter().any(|(name, _)| name == wanted);
    let returned = Return {
        place: &flow,
        code: params.get("code"),
        refused: there("error") || there("error_code"),
        half: there("message"),
        error_code: params.get("error_code"),
    };
    if let Some(deletion) = app.flows.forget(&returned) {
        visit.set_cookie(deletion);
    }
    let login = |key: &str, provider: &str| visit.redirect_with_notice("/auth/login", key, provider);
    // The bounce, even within /auth: this navigation began on another site (S-02).
    let bounce = |target: &str| returning("/auth/continue", target);
    Ok(match app.flows.finish(&returned, visit.slot(), visit.client()).await {
        Ok(Arrival::SignedIn(target) | Arrival::Already(target)) if target.client().is_some() => {
            visit.onwards(&target)
        }
        Ok(Arrival::Refused(target, code)) => {
            back::with_refusal(&visit, &target, code).unwrap_or_else(|| see_other(&bounce(target.as_str())))
        }
        Ok(Arrival::Half(target)) => {
            back::with_half(&visit, &target).unwrap_or_else(|| see_other(&bounce(target.as_str())))
        }
        Ok(Arrival::Changed(target)) => see_other(&bounce(target.as_str())),
        Ok(Arrival::SignedIn(target) | Arrival::Already(target)) => {
            let step = visit.limited().map(|step| format!("?step={}", step.as_str())).unwrap_or_default();
            see_other(&returning(&format!("/auth/continue{step}"), target.as_str()))
        }
        Ok(Arrival::Denied(provider)) => login("provider-denied", &provider),
        Ok(Arrival::Failed(provider)) if provider.is_empty() => login("flow_invalid", ""), // the link of a mail
        Ok(Arrival::Failed(provider)) => login("provider-failed", &provider),
        Ok(Arrival::ConfirmedOnly) => login("confirm-done", ""),
        Ok(Arrival::ConfirmedByMail) => login("confirm-by_mail", ""),
        Ok(Arrival::Recovering) => see_other("/auth/reset"),
        Ok(Arrival::LinkExpired(purpose)) => {
            visit.redirect_with_notice("/auth/confirm", "link-expired", confirm::link_of(purpose).as_str())
        }
        Ok(Arrival::Linked { provider, user, target }) => {
            identities::linked(&visit, &bounce(target.as_str()), &provider, user)
        }
        Ok(Arrival::NotLinked(provider, why)) => {
            let key = match why {
                NotLinked::Denied => "identity-denied",
                NotLinked::Taken => "error-identity_taken",
                NotLinked::Failed => "identity-failed",
            };
            visit.redirect_with_notice(&bounce(security::PATH), key, &provider)
        }
        Ok(Arrival::EmailChange(change)) => address::opened(&visit, &bounce(account::PATH), &change),
        // A browser that brought no cookie at all may keep none: the page will see.
        Ok(Arrival::Invalid) if !visit.brings_cookies() => {
            visit.redirect_with_notice("/auth/login?cookies=check", "flow_invalid", "")
        }
        Ok(Arrival::Invalid) => login("flow_invalid", ""),
        Err(failure) => {
            tracing::warn!(error = %failure, "a flow did not end in a session");
            login("provider-failed", "")
        }
    })
}
