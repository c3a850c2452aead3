//! `/auth/account/identities`: the ways to sign in, and the end of one; the page that asks before another is linked.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{problem, security};
use crate::flow::{Failure, Identity, Problem};
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Segment};
use crate::web::forms::Lock;
use crate::web::proof::{self, Proven};
use crate::web::views::{FormProblem, IdentityAct, IdentityPage, Provider, Way};
use crate::web::visit::{Face, Visit, see_other};

/// The form that takes a way away has no field but its token.
#[derive(Deserialize)]
pub(crate) struct RemoveForm {}

impl Fields for RemoveForm {
    const PURPOSE: &'static str = "identities";
}

#[derive(Serialize)]
struct List<'a> {
    status: &'static str,
    identities: Vec<Described<'a>>,
}

/// One way to sign in as JSON shows it.
#[derive(Serialize)]
struct Described<'a> {
    id: Uuid,
    provider: &'a str,
    email: Option<&'a str>,
    removable: bool,
}

/// `GET /auth/account/identities`: the list as JSON; people go on to the page.
#[tracing::instrument(name = "identities.show", skip_all)]
pub(crate) async fn list(visit: Visit) -> Result<Response, Error> {
    if visit.face() == Face::Page {
        return Ok(see_other(security::PATH));
    }
    let app = visit.app();
    let current = proof::complete(&visit).await?;
    let person = app.sessions.person(visit.slot(), &current).await?;
    let all = &person.identities;
    let listed = all.iter().map(|identity| Described {
        id: identity.id,
        provider: &identity.provider,
        email: Some(identity.email.as_str()).filter(|email| !email.is_empty()),
        removable: app.flows.may_unlink(identity, all),
    });
    let identities = listed.collect();
    Ok(visit.json(StatusCode::OK, &List { status: "ok", identities }))
}

/// `DELETE /auth/account/identities/{id}`: 204.
#[tracing::instrument(name = "identities.delete", skip_all)]
pub(crate) async fn delete(visit: Visit, Segment(id): Segment) -> Result<Response, Error> {
    let current = proof::complete(&visit).await?;
    let person = proof::fresh(&visit, &current).await?;
    let id = Uuid::parse_str(&id).map_err(|_| Code::NotFound)?;
    let gone = visit.app().flows.unlink(id, &person.identities, visit.slot(), &current).await?;
    gone.map(|_| StatusCode::NO_CONTENT.into_response()).ok_or_else(|| Code::NotFound.into())
}

/// `GET /auth/account/identities/{id}/delete`: asks first.
#[tracing::instrument(name = "identities.ask", skip_all)]
pub(crate) async fn ask(visit: Visit, Segment(id): Segment) -> Result<Response, Error> {
    page(&visit, StatusCode::OK, &id, None).await
}

async fn page(
    visit: &Visit,
    status: StatusCode,
    id: &str,
    problem: Option<FormProblem<'_>>,
) -> Result<Response, Error> {
    let person = match proof::proven(visit, &path_of(id)?).await? {
        Proven::Yes(_, person) => person,
        Proven::Ask(answer) => return Ok(answer),
    };
    let all = &person.identities;
    let named = all.iter().find(|identity| identity.id.to_string() == id);
    let Some(identity) = named.filter(|identity| visit.app().flows.may_unlink(identity, all)) else {
        return Ok(see_other(security::PATH)); // it is gone, or the page says why it must stay
    };
    let token = visit.form_token(RemoveForm::PURPOSE);
    let view = IdentityPage {
        form_token: &token,
        act: IdentityAct::Remove { id: identity.id },
        provider: Provider::named(&identity.provider),
        problem,
    };
    Ok(visit.page(status, &view))
}

/// `POST /auth/account/identities/{id}/delete`.
#[tracing::instrument(name = "identities.submit", skip_all)]
pub(crate) async fn submit(
    visit: Visit,
    Segment(id): Segment,
    input: Input<RemoveForm>,
) -> Result<Response, Error> {
    if !input.form {
        return delete(visit, Segment(id)).await;
    }
    if input.lock != Lock::Fits {
        return page(&visit, StatusCode::FORBIDDEN, &id, problem::of_lock(input.lock, &visit)).await;
    }
    let (current, person) = match proof::proven(&visit, &path_of(&id)?).await? {
        Proven::Yes(current, person) => (current, person),
        Proven::Ask(answer) => return Ok(answer),
    };
    let id = Uuid::parse_str(&id).map_err(|_| Code::NotFound)?;
    Ok(match visit.app().flows.unlink(id, &person.identities, visit.slot(), &current).await {
        Ok(Some(provider)) => visit.redirect_with_notice(security::PATH, "identity-removed", &provider),
        Ok(None) => see_other(security::PATH), // pressed twice: the list tells that it is gone
        Err(Failure::Form(Problem::LastIdentity)) => see_other(security::PATH),
        Err(failure) => match problem::of_failure(&failure) {
            Some(problem) => {
                let page = page(&visit, StatusCode::OK, &id.to_string(), Some(problem)).await?;
                problem::answer(&visit, failure, page)
            }
            None => return Err(failure.into()),
        },
    })
}

/// Where the page of one way is. Anything but an id makes no path.
fn path_of(id: &str) -> Result<String, Error> {
    let id = Uuid::parse_str(id).map_err(|_| Code::NotFound)?;
    Ok(format!("/auth/account/identities/{id}/delete"))
}

/// The page that asks before `provider` is linked.
pub(super) async fn connect(
    visit: &Visit,
    status: StatusCode,
    provider: &str,
    problem: Option<FormProblem<'_>>,
) -> Result<Response, Error> {
    let flows = &visit.app().flows;
    if !flows.offer().await.providers.iter().any(|offered| offered == provider) {
        return Err(Code::ProviderUnknown.into());
    }
    if !flows.links_identities() {
        return Err(Code::FeatureDisabled.into());
    }
    let token = visit.form_token("link");
    let provider = Provider::named(provider);
    let view = IdentityPage { form_token: &token, act: IdentityAct::Connect, provider, problem };
    Ok(visit.page(status, &view))
}

/// A provider was linked to the account of `user`: on to `next`, with a word for that person.
pub(super) fn linked(visit: &Visit, next: &str, provider: &str, user: Uuid) -> Response {
    visit.redirect_with_notice(next, "identity-connected", &format!("{provider} {user}"))
}

/// The rows of the security page: the ways there are, then the providers that could be linked.
pub(super) fn ways<'a>(visit: &Visit, all: &'a [Identity], offered: &'a [String]) -> Vec<Way<'a>> {
    let flows = &visit.app().flows;
    let linked = all.iter().map(|identity| Way {
        id: flows.may_unlink(identity, all).then_some(identity.id),
        provider: Provider::named(&identity.provider),
        email: Some(identity.email.as_str()).filter(|email| !email.is_empty()),
        linked: true,
    });
    let more = offered.iter().filter(|name| !all.iter().any(|identity| identity.provider == **name));
    let more = more.filter(|_| flows.links_identities()).map(|name| Way {
        id: None,
        provider: Provider::named(name),
        email: None,
        linked: false,
    });
    linked.chain(more).collect()
}
