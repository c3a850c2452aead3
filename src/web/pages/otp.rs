//! `/auth/otp`: check your mail, and type the code from it. In this version for new accounts.

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::fields::tick;
use super::login::wait;
use crate::flow::{Failure, Problem};
use crate::web::api::session::signed_in;
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input};
use crate::web::forms::Lock;
use crate::web::views::{CheckMailPage, CheckNotice, CodeProblem, FieldProblem, Purpose};
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
pub(crate) async fn submit(visit: Visit, input: Input<OtpForm>) -> Result<Response, Error> {
    let app = visit.app();
    let form = input.fields;
    let waiting = app.flows.awaited(visit.slot());
    let email = waiting.clone().unwrap_or_else(|| form.email.clone());
    let refused = match input.lock {
        Lock::Fits => None,
        Lock::Broken => Some(CodeProblem::FormExpired),
        Lock::NoCookie => Some(CodeProblem::CookiesBlocked { host: visit.host() }),
    };
    if refused.is_some() {
        let shown = Shown { problem: refused, ..Shown::plain(&email) };
        return Ok(page(&visit, StatusCode::FORBIDDEN, &shown));
    }
    let failure = if form.again {
        let target = app.flows.targets().default();
        let typed = if form.email.is_empty() { &email } else { &form.email };
        let (public, slot, from) = (visit.public(), visit.slot(), visit.client());
        match app.flows.send_confirmation_again(typed, &target, public, slot, from).await {
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
        Failure::Limited { retry_after } => {
            Shown { problem: Some(CodeProblem::Limited { wait: wait(*retry_after) }), ..Shown::plain(&email) }
        }
        Failure::Unavailable(_) | Failure::Refused(_) => {
            let wait = wait(std::time::Duration::from_secs(10));
            Shown { problem: Some(CodeProblem::Unavailable { wait }), ..Shown::plain(&email) }
        }
        _ => return Err(failure.into()),
    };
    let error = Error::from(failure);
    visit.count_refusal(error.code);
    let mut response = page(&visit, error.code.status(), &shown);
    error.headers(response.headers_mut(), None);
    Ok(response)
}

/// What varies on the page.
struct Shown<'a> {
    email: &'a str,
    notice: Option<CheckNotice>,
    problem: Option<CodeProblem<'a>>,
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
