//! `/auth/otp`: check your mail, and type the code from it. In this version for new accounts.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::fields::tick;
use super::problem;
use crate::flow::{Failure, Problem};
use crate::web::api::session::signed_in;
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input};
use crate::web::views::{CheckMailPage, CheckNotice, FieldProblem, FormProblem, Purpose};
use crate::web::visit::{Visit, see_other};

/// What the form and the JSON body hold: a code, or the wish for another mail.
#[derive(Deserialize)]
pub(crate) struct OtpForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default, deserialize_with = "tick")]
    again: bool,
}

impl Fields for OtpForm {
    const PURPOSE: &'static str = "otp";
}

/// `GET /auth/otp`: which address waits is in the flow cookie; without one there is nothing to wait for.
#[tracing::instrument(name = "otp.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Response {
    let Some(email) = visit.app().flows.awaited(visit.slot()) else { return see_other("/auth/signup") };
    let notice = visit.take_notice().filter(|notice| notice.key == "check-again-done");
    let shown = Shown { notice: notice.map(|_| CheckNotice::AgainDone), ..Shown::plain(&email) };
    page(&visit, StatusCode::OK, &shown)
}

/// `POST /auth/otp`.
#[tracing::instrument(name = "otp.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    // Counted before it is known whether a mail is asked for; a network that has none left may still type codes.
    let mail = app.flows.count_mail(visit.client()).await;
    let input = match Input::<OtpForm>::from_request(request, &()).await {
        Ok(input) => input,
        Err(error) => {
            mail.give_back();
            return Err(error);
        }
    };
    let form = input.fields;
    let waiting = app.flows.awaited(visit.slot());
    let email = waiting.clone().unwrap_or_else(|| form.email.clone());
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        mail.give_back();
        let shown = Shown { problem: Some(problem), ..Shown::plain(&email) };
        return Ok(page(&visit, StatusCode::FORBIDDEN, &shown));
    }
    let mail = if form.again {
        Some(mail)
    } else {
        mail.give_back();
        None
    };
    let failure = if let Some(mail) = mail {
        let target = app.flows.targets().default();
        let typed = if form.email.is_empty() { &email } else { &form.email };
        let (public, slot, from) = (visit.public(), visit.slot(), visit.client());
        let sent = match mail.passed() {
            Ok(mail) => app.flows.send_confirmation_again(typed, mail, &target, public, slot, from).await,
            Err(failure) => Err(failure),
        };
        match sent {
            Ok(cookies) => {
                cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
                if input.form {
                    return Ok(visit.redirect_with_notice("/auth/otp", "check-again-done", ""));
                }
                return Ok(visit.json(StatusCode::OK, &json!({ "status": "sent" })));
            }
            Err(failure) => failure,
        }
    } else if let Some(code) = form.code.as_deref().filter(|code| !code.trim().is_empty()) {
        match app.flows.confirm_with_code(code, visit.slot(), visit.client()).await {
            Ok((current, target, cookie)) => {
                visit.set_cookie(cookie);
                if input.form {
                    return Ok(visit.onwards(&target));
                }
                return Ok(signed_in(&visit, &current, target.as_str()));
            }
            Err(failure) => failure,
        }
    } else if input.form {
        Failure::Form(Problem::Required("code"))
    } else {
        return Err(Code::FeatureDisabled.into()); // signing in by a mailed code is not part of this version
    };
    if !input.form {
        return Err(failure.into());
    }
    let shown = match &failure {
        Failure::Form(Problem::CodeWrong) => {
            Shown { code_problem: Some(FieldProblem::CodeWrong), ..Shown::plain(&email) }
        }
        Failure::Form(Problem::Required(_)) => {
            Shown { code_problem: Some(FieldProblem::Required), ..Shown::plain(&email) }
        }
        other => match problem::of_failure(other) {
            Some(FormProblem::Limited { wait }) => {
                Shown { problem: Some(FormProblem::CodeLimited { wait }), ..Shown::plain(&email) }
            }
            Some(problem) => Shown { problem: Some(problem), ..Shown::plain(&email) },
            None => return Err(failure.into()),
        },
    };
    Ok(problem::answer(&visit, failure, page(&visit, StatusCode::OK, &shown)))
}

/// What varies on the page.
struct Shown<'a> {
    email: &'a str,
    notice: Option<CheckNotice>,
    problem: Option<FormProblem<'a>>,
    code_problem: Option<FieldProblem>,
}

impl<'a> Shown<'a> {
    fn plain(email: &'a str) -> Self {
        Self { email, notice: None, problem: None, code_problem: None }
    }
}

fn page(visit: &Visit, status: StatusCode, shown: &Shown<'_>) -> Response {
    let token = visit.form_token("otp");
    let view = CheckMailPage {
        form_token: &token,
        purpose: Purpose::Signup,
        email: shown.email,
        other_url: "/auth/signup",
        recover: false,
        notice: shown.notice,
        problem: shown.problem,
        code_problem: shown.code_problem,
    };
    visit.page(status, &view)
}
