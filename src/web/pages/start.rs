//! `/auth/start/{provider}`: off to the provider, to sign in or to link it.

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{identities, login, problem, security};
use crate::flow::{Failure, ReturnTo, Waiting};
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Params, Segment};
use crate::web::layers::bounce;
use crate::web::proof::{self, Proven};
use crate::web::views::{ContinuePage, Provider, Towards};
use crate::web::visit::{FetchSite, Visit, see_other, text};

/// `GET`: begins a PKCE flow and sends the browser away. A start that another site caused shows the login page instead
/// (S-16), and a prefetch begins nothing (S-17). With `intent=link` it shows the form that begins to link.
#[tracing::instrument(name = "start.off", skip_all)]
pub(crate) async fn off(
    visit: Visit,
    Segment(provider): Segment,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let app = visit.app();
    let target = app.flows.targets().choose(params.return_to());
    if let Some(ticket) = params.get("ticket") {
        return by_ticket(&visit, &provider, ticket, &target).await;
    }
    let linking = params.get("intent") == Some("link");
    if linking && visit.may_lack_its_session() {
        return Ok(bounce(&visit));
    }
    let prefetch = text(&headers, "sec-purpose").is_some_and(|purpose| purpose.contains("prefetch"));
    if !linking && (prefetch || matches!(visit.site(), FetchSite::CrossSite | FetchSite::SameSite)) {
        return Ok(login::elsewhere(&visit, &target).await);
    }
    if *visit.method() != http::Method::GET {
        return Err(Code::MethodNotAllowed.into()); // axum answers HEAD by GET
    }
    if linking {
        return match proof::proven(&visit, &back_to(&provider)).await {
            Ok(Proven::Yes(..)) => identities::connect(&visit, StatusCode::OK, &provider, None).await,
            Ok(Proven::Ask(answer)) => Ok(answer),
            // This address is no target: the page that leads here is.
            Err(error) if error.signs_out() => Ok(see_other(security::LOGIN)),
            Err(error) => Err(error),
        };
    }
    let remember = params.get("remember").is_some_and(|word| matches!(word, "1" | "on" | "true"));
    let begun =
        app.flows.begin(&provider, params.all(), &target, remember, visit.slot(), visit.public()).await?;
    begun.cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
    Ok(see_other(begun.url.as_str()))
}

/// Begins to link for a client below the mount: the ticket says that the session which is here asked for it just now.
async fn by_ticket(
    visit: &Visit,
    provider: &str,
    ticket: &str,
    otherwise: &ReturnTo,
) -> Result<Response, Error> {
    let app = visit.app();
    let Some(ticket) = app.flows.open_ticket(ticket).filter(|ticket| ticket.provider == provider) else {
        return Ok(login::elsewhere(visit, otherwise).await);
    };
    let current = proof::complete(visit).await?;
    if current.session.id != ticket.session || *visit.method() != http::Method::GET {
        return Ok(login::elsewhere(visit, otherwise).await);
    }
    let target = app.flows.targets().choose(Some(&ticket.return_to)).for_client(Waiting::Implicit);
    let begun = app.flows.begin_link(provider, &[], &target, visit.slot(), &current, visit.public()).await?;
    begun.cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
    Ok(see_other(begun.url.as_str()))
}

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct LinkForm {
    #[serde(default)]
    return_to: Option<String>,
}

impl Fields for LinkForm {
    const PURPOSE: &'static str = "link";
}

/// `POST`: begins to link the provider to the account of the person who is signed in. A page leads on, for a form must
/// not be answered with a redirect to another site: the policy of the page it stands on forbids that (S-65).
#[tracing::instrument(name = "start.link", skip_all)]
pub(crate) async fn link(
    visit: Visit,
    Segment(provider): Segment,
    input: Input<LinkForm>,
) -> Result<Response, Error> {
    let app = visit.app();
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        proof::complete(&visit).await?;
        return identities::connect(&visit, StatusCode::FORBIDDEN, &provider, Some(problem)).await;
    }
    let current = match proof::proven(&visit, &back_to(&provider)).await? {
        Proven::Yes(current, _) => current,
        Proven::Ask(answer) => return Ok(answer),
    };
    let asked = input.fields.return_to.as_deref().filter(|asked| !asked.is_empty());
    let target = app.flows.targets().choose(Some(asked.unwrap_or(security::PATH)));
    let (slot, public) = (visit.slot(), visit.public());
    let begun = match app.flows.begin_link(&provider, &[], &target, slot, &current, public).await {
        Ok(begun) => begun,
        Err(failure @ (Failure::Limited { .. } | Failure::Unavailable(_))) if input.form => {
            let problem = problem::of_failure(&failure);
            let page = identities::connect(&visit, StatusCode::OK, &provider, problem).await?;
            return Ok(problem::answer(&visit, failure, page));
        }
        Err(failure) => return Err(failure.into()),
    };
    begun.cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
    if !input.form {
        return Ok(visit.json(StatusCode::OK, &json!({ "status": "continue", "url": begun.url.as_str() })));
    }
    let towards = Towards::Provider { provider: Provider::named(&provider).name };
    Ok(visit.page(StatusCode::OK, &ContinuePage { url: begun.url.as_str(), towards }))
}

/// Where a new proof leads back to: the page that takes up the wish again.
fn back_to(provider: &str) -> String {
    let provider: String = url::form_urlencoded::byte_serialize(provider.as_bytes()).collect();
    format!("{}?connect={provider}", security::PATH)
}
