//! `/auth/account/password`: another password, after which every other session is over (S-45, S-46).

use axum::response::Response;
use base::secret::Secret;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{account, address, problem};
use crate::flow::{Failure, NewPassword, PasswordChange, Problem};
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input};
use crate::web::proof::{self, Proven};
use crate::web::views::{AccountForm, AccountFormKind, FieldProblem};
use crate::web::visit::{Visit, see_other};

const PATH: &str = "/auth/account/password";

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    password: Secret<String>,
    #[serde(default)]
    current_password: Option<Secret<String>>,
    /// The digits of a mail that GoTrue wanted first.
    #[serde(default)]
    code: Option<String>,
}

impl Fields for PasswordForm {
    const PURPOSE: &'static str = AccountFormKind::Password.purpose();
}

/// `GET /auth/account/password`. The proof is asked for before the form, so that nothing is typed in vain.
#[tracing::instrument(name = "password.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Result<Response, Error> {
    let current = match proof::proven(&visit, PATH).await? {
        Proven::Yes(current, _) => current,
        Proven::Ask(answer) => return Ok(answer),
    };
    if current.claims.email.is_empty() {
        return Ok(see_other(address::PATH)); // a password belongs to an address
    }
    let shown = form_of(&visit);
    Ok(account::form(&visit, StatusCode::OK, &current, shown))
}

fn form_of(visit: &Visit) -> AccountForm<'static> {
    let current_field = visit.app().flows.asks_current_password();
    AccountForm { current_field, ..AccountForm::of(AccountFormKind::Password) }
}

/// `POST /auth/account/password`.
#[tracing::instrument(name = "password.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, input: Input<PasswordForm>) -> Result<Response, Error> {
    let form = input.fields;
    let shown = AccountForm { code_field: form.code.is_some(), ..form_of(&visit) };
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        let current = proof::complete(&visit).await?;
        let shown = AccountForm { problem: Some(problem), ..shown };
        return Ok(account::form(&visit, StatusCode::FORBIDDEN, &current, shown));
    }
    let current = match proof::proven(&visit, PATH).await? {
        Proven::Yes(current, _) => current,
        Proven::Ask(answer) => return Ok(answer),
    };
    let change = NewPassword {
        password: &form.password,
        current: form.current_password.as_ref(),
        code: form.code.as_deref(),
    };
    let flows = &visit.app().flows;
    let failure = match flows.change_password(&change, visit.slot(), &current, visit.client()).await {
        Ok(PasswordChange::Done) if input.form => {
            return Ok(visit.redirect_with_notice(account::PATH, "account-password-done", ""));
        }
        Ok(PasswordChange::Done) => return Ok(visit.json(StatusCode::OK, &json!({ "status": "done" }))),
        Ok(PasswordChange::CodeSent) if input.form => {
            let shown = AccountForm { code_field: true, ..shown };
            return Ok(account::form(&visit, StatusCode::OK, &current, shown));
        }
        Ok(PasswordChange::CodeSent) => {
            return Ok(visit.json(StatusCode::OK, &json!({ "status": "code_sent" })));
        }
        Err(failure) => failure,
    };
    if !input.form {
        return Err(failure.into());
    }
    let rules = flows.passwords();
    let shown = match &failure {
        Failure::StepUp => {
            return Ok(proof::ask(&visit, PATH));
        }
        Failure::Form(Problem::Required("current_password")) => {
            AccountForm { current_field: true, current_problem: Some(FieldProblem::Required), ..shown }
        }
        Failure::Form(Problem::CurrentPassword) => {
            AccountForm { current_field: true, current_problem: Some(FieldProblem::CurrentPassword), ..shown }
        }
        Failure::Form(Problem::CodeWrong) => {
            AccountForm { code_field: true, code_problem: Some(FieldProblem::CodeWrong), ..shown }
        }
        Failure::Form(problem) if problem::of_password(problem, rules).is_some() => {
            AccountForm { password_problem: problem::of_password(problem, rules), ..shown }
        }
        Failure::Anonymous => return Err(Code::AnonymousNotAllowed.into()),
        other => match problem::of_failure(other) {
            Some(problem) => AccountForm { problem: Some(problem), ..shown },
            None => return Err(failure.into()),
        },
    };
    let page = account::form(&visit, StatusCode::OK, &current, shown);
    Ok(problem::answer(&visit, failure, page))
}
