//! What a form that comes back says of itself; its fields speak on each page.

use std::time::Duration;

use axum::response::Response;
use http::header;

use crate::flow::{Failure, PasswordRules, Problem};
use crate::session;
use crate::web::error::Error;
use crate::web::forms::Lock;
use crate::web::views::{FieldProblem, FormProblem, Wait};
use crate::web::visit::Visit;

/// A wait for the words of a page.
pub(super) fn wait(duration: Duration) -> Wait {
    Wait::new(duration.try_into().unwrap_or(time::Duration::MAX))
}

/// Why the token of a form does not open it; `None` if it does.
pub(super) fn of_lock(lock: Lock, visit: &Visit) -> Option<FormProblem<'_>> {
    match lock {
        Lock::Fits => None,
        Lock::Broken => Some(FormProblem::FormExpired),
        Lock::NoCookie => Some(FormProblem::CookiesBlocked { host: visit.host() }),
    }
}

/// What any form may say of `failure`; `None` where a page knows better, or no form can mend it.
pub(super) fn of_failure(failure: &Failure) -> Option<FormProblem<'static>> {
    match failure {
        Failure::Limited { retry_after } => Some(FormProblem::Limited { wait: wait(*retry_after) }),
        Failure::Form(Problem::CaptchaFailed) => Some(FormProblem::CaptchaFailed),
        Failure::Unavailable(_) | Failure::Refused(_) => {
            Some(FormProblem::Unavailable { wait: wait(Duration::from_secs(10)) })
        }
        Failure::Session(
            session::Error::Unavailable { retry_after }
            | session::Error::StoreUnavailable { retry_after }
            | session::Error::KeysUnavailable { retry_after },
        ) => Some(FormProblem::Unavailable { wait: wait(*retry_after) }),
        _ => None,
    }
}

/// What stands beside the field of an address.
pub(super) fn of_email(failure: &Failure) -> Option<FieldProblem> {
    Some(match failure {
        Failure::Form(Problem::Required("email")) => FieldProblem::Required,
        Failure::Form(Problem::EmailInvalid) => FieldProblem::EmailInvalid,
        Failure::Form(Problem::SameEmail) => FieldProblem::SameEmail,
        _ => return None,
    })
}

/// What stands beside the field of a new password.
pub(super) fn of_password(problem: &Problem, rules: &PasswordRules) -> Option<FieldProblem> {
    let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
    Some(match problem {
        Problem::Required("password") => FieldProblem::Required,
        Problem::WeakPassword => FieldProblem::WeakPassword { min: number(rules.min_length) },
        Problem::PasswordTooLong => FieldProblem::PasswordTooLong { max: number(rules.max_bytes) },
        Problem::SamePassword => FieldProblem::SamePassword,
        _ => return None,
    })
}

/// `page` with the status and headers of `failure`, which is counted.
pub(super) fn answer(visit: &Visit, failure: Failure, mut page: Response) -> Response {
    let error = Error::from(failure);
    visit.count_refusal(error.code);
    *page.status_mut() = error.code.status();
    error.headers(page.headers_mut(), None);
    page.headers_mut().remove(header::WWW_AUTHENTICATE); // a browser would not show the page
    page
}
