//! `/auth/account/profile`: the name.

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{account, problem};
use crate::flow::{Failure, Problem};
use crate::web::error::Error;
use crate::web::extract::{Fields, Input};
use crate::web::proof;
use crate::web::views::{AccountForm, AccountFormKind, FieldProblem};
use crate::web::visit::Visit;

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct ProfileForm {
    #[serde(default)]
    name: String,
}

impl Fields for ProfileForm {
    const PURPOSE: &'static str = AccountFormKind::Name.purpose();
}

/// `GET /auth/account/profile`.
#[tracing::instrument(name = "profile.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Result<Response, Error> {
    let current = proof::complete(&visit).await?;
    let set = current.claims.set();
    let name = account::name_of(&set).unwrap_or_default();
    let shown = AccountForm { name, ..AccountForm::of(AccountFormKind::Name) };
    Ok(account::form(&visit, StatusCode::OK, &current, shown))
}

/// `POST /auth/account/profile`.
#[tracing::instrument(name = "profile.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, input: Input<ProfileForm>) -> Result<Response, Error> {
    let current = proof::complete(&visit).await?;
    let shown = AccountForm { name: &input.fields.name, ..AccountForm::of(AccountFormKind::Name) };
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        let shown = AccountForm { problem: Some(problem), ..shown };
        return Ok(account::form(&visit, StatusCode::FORBIDDEN, &current, shown));
    }
    let failure = match visit.app().flows.rename(&input.fields.name, visit.slot(), &current).await {
        Ok(()) if input.form => {
            return Ok(visit.redirect_with_notice(account::PATH, "account-name-done", ""));
        }
        Ok(()) => return Ok(visit.json(StatusCode::OK, &json!({ "status": "done" }))),
        Err(failure) => failure,
    };
    if !input.form {
        return Err(failure.into());
    }
    let shown = match &failure {
        Failure::Form(Problem::NameTooLong) => {
            AccountForm { name_problem: Some(FieldProblem::NameTooLong), ..shown }
        }
        other => match problem::of_failure(other) {
            Some(problem) => AccountForm { problem: Some(problem), ..shown },
            None => return Err(failure.into()),
        },
    };
    let page = account::form(&visit, StatusCode::OK, &current, shown);
    Ok(problem::answer(&visit, failure, page))
}
