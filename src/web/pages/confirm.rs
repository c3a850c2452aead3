//! `/auth/confirm`: where mail links land. GET shows a button, POST redeems: mail scanners cannot burn a link (S-30).

use axum::response::Response;
use base::secret::Secret;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::fields::tick;
use super::problem;
use crate::flow::{Confirm, Confirmed, Failure, Problem};
use crate::web::api::session::signed_in;
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Params};
use crate::web::views::{ConfirmPage, ConfirmStep, FormProblem, LinkKind};
use crate::web::visit::Visit;

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct ConfirmForm {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    token_hash: String,
    #[serde(default, deserialize_with = "tick")]
    switch: bool,
    #[serde(default)]
    return_to: Option<String>,
}

impl Fields for ConfirmForm {
    const PURPOSE: &'static str = "confirm";
}

/// `GET /auth/confirm?token_hash=…&type=…`.
#[tracing::instrument(name = "confirm.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    let kind = kind_of(params.get("type").unwrap_or("signup")).ok_or(Code::LinkExpired)?;
    let hash = params.get("token_hash").ok_or_else(|| expired(kind))?;
    let flows = &visit.app().flows;
    let named = params.return_to().and_then(|text| flows.targets().parse(text));
    let began = || if kind == LinkKind::Signup { flows.awaited_target(visit.slot()) } else { None };
    let target = named.or_else(began).unwrap_or_else(|| flows.targets().default());
    let step = ConfirmStep::Press { token_hash: hash };
    Ok(page(&visit, StatusCode::OK, kind, step, target.as_str(), None))
}

/// `POST /auth/confirm`.
#[tracing::instrument(name = "confirm.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, input: Input<ConfirmForm>) -> Result<Response, Error> {
    let app = visit.app();
    let form = input.fields;
    let kind = kind_of(&form.kind).ok_or(Code::LinkExpired)?;
    let target = app.flows.targets().choose(form.return_to.as_deref());
    let press = ConfirmStep::Press { token_hash: &form.token_hash };
    let refused = problem::of_lock(input.lock, &visit);
    if refused.is_some() {
        return Ok(page(&visit, StatusCode::FORBIDDEN, kind, press, target.as_str(), refused));
    }
    let link = Confirm {
        kind: kind.as_str(),
        token_hash: &Secret::new(form.token_hash.clone()),
        switch: form.switch,
    };
    match app.flows.confirm(&link, visit.slot(), visit.client()).await {
        Ok(Confirmed::SignedIn(current)) if input.form => {
            drop(current);
            Ok(visit.onwards(&target))
        }
        Ok(Confirmed::SignedIn(current)) => Ok(signed_in(&visit, &current, target.as_str())),
        Ok(Confirmed::Half) if input.form => {
            Ok(visit.redirect_with_notice("/auth/account", "confirm-half", ""))
        }
        Ok(Confirmed::Half) => Ok(visit.json(StatusCode::OK, &json!({ "status": "confirmed" }))),
        Ok(Confirmed::AskFirst) if !input.form => Err(Code::SessionOpen.into()),
        Ok(Confirmed::AskFirst) => {
            let current = app.sessions.current(visit.slot()).await?;
            let step = ConfirmStep::Switch { token_hash: &form.token_hash, email: &current.claims.email };
            Ok(page(&visit, StatusCode::OK, kind, step, target.as_str(), None))
        }
        Err(failure @ Failure::Unavailable(_)) if input.form => {
            let problem = problem::of_failure(&failure);
            let again = page(&visit, StatusCode::OK, kind, press, target.as_str(), problem);
            Ok(problem::answer(&visit, failure, again))
        }
        Err(Failure::Form(Problem::LinkExpired)) => Err(expired(kind)),
        Err(failure) => Err(failure.into()),
    }
}

/// The end of a link. Only the mail of a sign-up can be had again here.
fn expired(kind: LinkKind) -> Error {
    Error { again: kind == LinkKind::Signup, ..Code::LinkExpired.into() }
}

fn kind_of(word: &str) -> Option<LinkKind> {
    [LinkKind::Signup, LinkKind::Invite, LinkKind::Magiclink, LinkKind::Recovery, LinkKind::EmailChange]
        .into_iter()
        .find(|kind| kind.as_str() == word)
}

fn page(
    visit: &Visit,
    status: StatusCode,
    kind: LinkKind,
    step: ConfirmStep<'_>,
    return_to: &str,
    problem: Option<FormProblem<'_>>,
) -> Response {
    let token = visit.form_token("confirm");
    let view = ConfirmPage { form_token: &token, kind, step, return_to: Some(return_to), problem };
    visit.page(status, &view)
}
