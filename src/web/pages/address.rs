//! `/auth/account/email`: another address, confirmed by mails; for an anonymous account the first one, by which it
//! becomes a full one and keeps its id.

use axum::extract::Request;
use axum::response::Response;
use base::secret::Secret;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::mail_form::{self, Opened};
use super::{account, problem};
use crate::flow::{AddressChange, EmailChange, Failure, NewAddress};
use crate::session::Current;
use crate::web::error::Error;
use crate::web::extract::Fields;
use crate::web::proof::{self, Proven};
use crate::web::views::{AccountForm, AccountFormKind};
use crate::web::visit::Visit;

/// Where the form is.
pub(super) const PATH: &str = "/auth/account/email";

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct AddressForm {
    #[serde(default)]
    email: String,
    /// With which an anonymous account becomes a full one; of no effect for any other.
    #[serde(default)]
    password: Option<Secret<String>>,
}

impl Fields for AddressForm {
    const PURPOSE: &'static str = AccountFormKind::Email.purpose();
}

/// `GET /auth/account/email`.
#[tracing::instrument(name = "address.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Result<Response, Error> {
    match proof::proven(&visit, PATH).await? {
        Proven::Yes(current, _) => {
            Ok(account::form(&visit, StatusCode::OK, &current, AccountForm::of(kind(&current))))
        }
        Proven::Ask(answer) => Ok(answer),
    }
}

fn kind(current: &Current) -> AccountFormKind {
    if current.claims.is_anonymous { AccountFormKind::Upgrade } else { AccountFormKind::Email }
}

/// `POST /auth/account/email`: a taken address is answered like a free one (S-71).
#[tracing::instrument(name = "address.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    let (input, mail) = match mail_form::open::<AddressForm>(&visit, request).await? {
        Opened::Read(input, mail) => (input, mail),
        Opened::Over(failure) => {
            let current = proof::complete(&visit).await?;
            let shown =
                AccountForm { problem: problem::of_failure(&failure), ..AccountForm::of(kind(&current)) };
            let page = account::form(&visit, StatusCode::OK, &current, shown);
            return Ok(problem::answer(&visit, failure, page));
        }
    };
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        mail.give_back();
        let current = proof::complete(&visit).await?;
        let shown = AccountForm {
            new_email: &input.fields.email,
            problem: Some(problem),
            ..AccountForm::of(kind(&current))
        };
        return Ok(account::form(&visit, StatusCode::FORBIDDEN, &current, shown));
    }
    let current = match proof::proven(&visit, PATH).await {
        Ok(Proven::Yes(current, _)) => current,
        Ok(Proven::Ask(answer)) => {
            mail.give_back();
            return Ok(answer);
        }
        Err(error) => {
            mail.give_back();
            return Err(error);
        }
    };
    let shown = AccountForm { new_email: &input.fields.email, ..AccountForm::of(kind(&current)) };
    // A form that makes a full account shows a field for its password.
    let nothing = Secret::new(String::new());
    let password = input.fields.password.as_ref().or(input.form.then_some(&nothing));
    let change = NewAddress { email: &input.fields.email, password, public: visit.public() };
    let failure = match app.flows.change_address(&change, mail, visit.slot(), &current).await {
        Ok(AddressChange::Sent { email, cookies }) => {
            cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
            if input.form {
                return Ok(visit.redirect_with_notice(account::PATH, "account-email-sent", &email));
            }
            return Ok(visit.json(StatusCode::OK, &json!({ "status": "sent" })));
        }
        Ok(AddressChange::Done { email }) if input.form => {
            let key = if current.claims.is_anonymous { "upgrade-done" } else { "confirm-changed" };
            return Ok(visit.redirect_with_notice(account::PATH, key, &email));
        }
        Ok(AddressChange::Done { .. }) => {
            return Ok(visit.json(StatusCode::OK, &json!({ "status": "done" })));
        }
        Err(failure) => failure,
    };
    if !input.form {
        return Err(failure.into());
    }
    let rules = app.flows.passwords();
    let shown = match &failure {
        Failure::StepUp => return Ok(proof::ask(&visit, PATH)),
        other if problem::of_email(other).is_some() => {
            AccountForm { email_problem: problem::of_email(other), ..shown }
        }
        Failure::Form(problem) if problem::of_password(problem, rules).is_some() => {
            AccountForm { password_problem: problem::of_password(problem, rules), ..shown }
        }
        other => match problem::of_failure(other) {
            Some(problem) => AccountForm { problem: Some(problem), ..shown },
            None => return Err(failure.into()),
        },
    };
    let page = account::form(&visit, StatusCode::OK, &current, shown);
    Ok(problem::answer(&visit, failure, page))
}

/// A link of a mail led back by way of GoTrue: on to `next`, with a word about it.
pub(super) fn opened(visit: &Visit, next: &str, change: &EmailChange) -> Response {
    match change {
        EmailChange::Half => visit.redirect_with_notice(next, "confirm-half", ""),
        EmailChange::Done { email, user } => {
            visit.redirect_with_notice(next, "email-changed", &format!("{email} {user}"))
        }
        EmailChange::Expired => visit.redirect_with_notice(next, "account-email-expired", ""),
    }
}
