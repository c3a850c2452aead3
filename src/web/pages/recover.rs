//! `/auth/recover`: a forgotten password. The answer is the same whoever is meant (S-71).

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::problem;
use crate::flow::{Asked, Failure, Problem, Purpose, ReturnTo};
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Params};
use crate::web::views::{FieldProblem, FormProblem, RecoverPage};
use crate::web::visit::{Visit, is_form, see_other};

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct RecoverForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    captcha_token: Option<String>,
}

impl Fields for RecoverForm {
    const PURPOSE: &'static str = "recover";
}

/// `GET /auth/recover`.
#[tracing::instrument(name = "recover.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    if !visit.app().flows.offer().await.password {
        return Err(Code::FeatureDisabled.into());
    }
    let target = visit.app().flows.targets().choose(params.return_to());
    Ok(page(&visit, StatusCode::OK, &Shown::plain(&target)))
}

/// `POST /auth/recover`: says that a mail may be on its way.
#[tracing::instrument(name = "recover.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    let mail = match app.flows.count_mail(visit.client()).await.passed() {
        Ok(mail) => mail,
        Err(failure) if is_form(request.headers()) => {
            let target = app.flows.targets().default();
            let shown = Shown { problem: problem::of_failure(&failure), ..Shown::plain(&target) };
            return Ok(problem::answer(&visit, failure, page(&visit, StatusCode::OK, &shown)));
        }
        Err(failure) => return Err(failure.into()),
    };
    let input = match Input::<RecoverForm>::from_request(request, &()).await {
        Ok(input) => input,
        Err(error) => {
            mail.give_back();
            return Err(error);
        }
    };
    let form = input.fields;
    let target = app.flows.targets().choose(form.return_to.as_deref());
    let shown = Shown { email: &form.email, ..Shown::plain(&target) };
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        mail.give_back();
        return Ok(page(&visit, StatusCode::FORBIDDEN, &Shown { problem: Some(problem), ..shown }));
    }
    let wish = Asked {
        purpose: Purpose::Recovery,
        email: &form.email,
        return_to: &target,
        captcha: form.captcha_token.as_deref(),
        public: visit.public(),
    };
    let failure = match app.flows.ask_for_mail(&wish, mail, visit.slot(), visit.client()).await {
        Ok(cookies) => {
            cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
            if input.form {
                return Ok(see_other("/auth/otp"));
            }
            return Ok(visit.json(StatusCode::OK, &json!({ "status": "sent" })));
        }
        Err(failure) => failure,
    };
    if !input.form {
        return Err(failure.into());
    }
    let shown = match &failure {
        Failure::Form(Problem::EmailInvalid) => {
            Shown { email_problem: Some(FieldProblem::EmailInvalid), ..shown }
        }
        Failure::Form(Problem::Required(_)) => Shown { email_problem: Some(FieldProblem::Required), ..shown },
        other => match problem::of_failure(other) {
            Some(problem) => Shown { problem: Some(problem), ..shown },
            None => return Err(failure.into()),
        },
    };
    Ok(problem::answer(&visit, failure, page(&visit, StatusCode::OK, &shown)))
}

/// What varies on the page.
struct Shown<'a> {
    email: &'a str,
    target: &'a ReturnTo,
    problem: Option<FormProblem<'a>>,
    email_problem: Option<FieldProblem>,
}

impl<'a> Shown<'a> {
    fn plain(target: &'a ReturnTo) -> Self {
        Self { email: "", target, problem: None, email_problem: None }
    }
}

fn page(visit: &Visit, status: StatusCode, shown: &Shown<'_>) -> Response {
    let token = visit.form_token("recover");
    let view = RecoverPage {
        form_token: &token,
        email: shown.email,
        return_to: Some(shown.target.as_str()),
        problem: shown.problem,
        email_problem: shown.email_problem,
    };
    visit.page(status, &view)
}
