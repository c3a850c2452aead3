//! Further ways to sign in: linked by our own flow, never by GoTrue's, which would bring real tokens back in a fragment.

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::challenge::target;
use super::complete;
use crate::flow::Ticket;
use crate::web::error::{Code, Error};
use crate::web::extract::{Params, Segment};
use crate::web::layers::{cross_site, is_marked};
use crate::web::visit::Visit;

/// `GET /user/identities/authorize`: an address of ours that begins to link, for whoever asked for it and within a minute.
#[tracing::instrument(name = "supabase.identities.authorize", skip_all)]
pub(in crate::web::supabase) async fn authorize(
    visit: Visit,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Error> {
    if *visit.method() != http::Method::GET || !is_marked(&visit, &headers) {
        return Err(cross_site(Code::CsrfHeader, None));
    }
    let current = complete(&visit, &headers).await?;
    let provider = params.get("provider").ok_or(Code::ProviderUnknown)?;
    let flows = &visit.app().flows;
    if !flows.offer().await.providers.iter().any(|offered| offered == provider) {
        return Err(Code::ProviderUnknown.into());
    }
    let target = target(&visit, &params, params.get("code_challenge"), params.get("code_challenge_method"))?;
    let ticket = Ticket {
        session: current.session.id,
        provider: provider.to_owned(),
        return_to: target.as_str().to_owned(),
    };
    let origin = visit.public().origin().ascii_serialization();
    let url = format!("{origin}/auth/start/{provider}?ticket={}", flows.seal_ticket(&ticket));
    Ok(visit.json(StatusCode::OK, &json!({ "url": url })))
}

/// `DELETE /user/identities/{id}`
#[tracing::instrument(name = "supabase.identities.delete", skip_all)]
pub(in crate::web::supabase) async fn delete(
    visit: Visit,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let app = visit.app();
    let current = complete(&visit, &headers).await?;
    let unknown = || Error::from(Code::NotFound).told(422, "identity_not_found");
    let id = Uuid::try_parse(&id).map_err(|_| unknown())?;
    let person = app.sessions.person(visit.slot(), &current).await?;
    let gone = app.flows.unlink(id, &person.identities, visit.slot(), &current).await?;
    gone.ok_or_else(unknown)?;
    app.sessions.person_changed(&current.session, None);
    Ok(visit.json(StatusCode::OK, &json!({})))
}
