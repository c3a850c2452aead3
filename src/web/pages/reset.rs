//! `/auth/reset`: a new password after a recovery link, or the first one after another mail (S-32, S-46).

use axum::response::Response;
use base::secret::Secret;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::problem;
use crate::event::Reason;
use crate::flow::{Failure, May, Problem};
use crate::session::{self, Current};
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Params};
use crate::web::layers::bounce;
use crate::web::proof;
use crate::web::views::{FieldProblem, FormProblem, LinkKind, ResetPage};
use crate::web::visit::{Visit, see_other};

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct ResetForm {
    #[serde(default = "nothing")]
    password: Secret<String>,
    #[serde(default)]
    return_to: Option<String>,
}

fn nothing() -> Secret<String> {
    Secret::new(String::new())
}

impl Fields for ResetForm {
    const PURPOSE: &'static str = "reset";
}

/// `GET /auth/reset`.
#[tracing::instrument(name = "reset.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    if visit.may_lack_its_session() {
        return Ok(bounce(&visit)); // from the callback of GoTrue's own link
    }
    let target = params.return_to();
    match admit(&visit, true).await? {
        Admitted::In { current, first } => {
            Ok(page(&visit, StatusCode::OK, &Shown { target, ..Shown::plain(&current, first) }))
        }
        Admitted::Away(answer) => Ok(answer),
    }
}

/// `POST /auth/reset`.
#[tracing::instrument(name = "reset.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, input: Input<ResetForm>) -> Result<Response, Error> {
    let app = visit.app();
    let form = input.fields;
    let (current, first) = match admit(&visit, input.form).await? {
        Admitted::In { current, first } => (current, first),
        Admitted::Away(answer) => return Ok(answer),
    };
    let target = form.return_to.as_deref();
    let shown = Shown { target, ..Shown::plain(&current, first) };
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        return Ok(page(&visit, StatusCode::FORBIDDEN, &Shown { problem: Some(problem), ..shown }));
    }
    // A factor that was added since the link must be shown first, and a session that GoTrue has ended sets nothing.
    if app.sessions.ask_live(visit.slot(), &current).await? > current.claims.aal {
        return Err(proof::step_up(true, None));
    }
    let token = input.token.as_deref();
    let failure = match app.flows.reset(&form.password, &current, token, visit.slot()).await {
        Ok(_) if !input.form => return Ok(visit.json(StatusCode::OK, &json!({ "status": "done" }))),
        Ok(_) if first => return Ok(visit.onwards(&app.flows.targets().choose(target))),
        Ok(_) => return Ok(visit.redirect_with_notice("/auth/account", "reset-done", "")),
        Err(failure) => failure,
    };
    if !input.form {
        return Err(failure.into());
    }
    let rules = app.flows.passwords();
    let field = match &failure {
        Failure::Form(Problem::Required(_)) => Some(FieldProblem::Required),
        Failure::Form(Problem::SamePassword) => Some(FieldProblem::SamePassword),
        Failure::Form(Problem::WeakPassword) => {
            Some(FieldProblem::WeakPassword { min: u32::try_from(rules.min_length).unwrap_or(u32::MAX) })
        }
        Failure::Form(Problem::PasswordTooLong) => {
            Some(FieldProblem::PasswordTooLong { max: u32::try_from(rules.max_bytes).unwrap_or(u32::MAX) })
        }
        _ => None,
    };
    let shown = match (field, problem::of_failure(&failure)) {
        (Some(field), _) => Shown { password_problem: Some(field), ..shown },
        (None, Some(problem)) => Shown { problem: Some(problem), ..shown },
        (None, None) => return Err(failure.into()),
    };
    Ok(problem::answer(&visit, failure, page(&visit, StatusCode::OK, &shown)))
}

/// Who may choose a password here.
enum Admitted {
    In { current: Current, first: bool },
    Away(Response),
}

/// The session of this request, if it may set a password without naming the old one. As a `page`, whoever may not is led
/// on.
async fn admit(visit: &Visit, page: bool) -> Result<Admitted, Error> {
    let app = visit.app();
    let gone = || Error { link: Some(LinkKind::Recovery), ..Code::LinkExpired.into() };
    let current = match app.sessions.current(visit.slot()).await {
        Ok(current) => current,
        // The first of two clicks made a new session.
        Err(session::Error::Ended(Reason::Replaced)) if page => {
            return Ok(Admitted::Away(see_other("/auth/account")));
        }
        Err(session::Error::Missing | session::Error::Ended(_)) if page => return Err(gone()),
        Err(error) => return Err(error.into()),
    };
    let first = match app.flows.may_reset(&current) {
        May::Recover => false,
        May::Set => true,
        May::AfterCode if page => {
            return Ok(Admitted::Away(visit.onwards(&app.flows.targets().default())));
        }
        May::AfterCode => return Err(Code::SessionLimited.into()),
        May::Nothing if page => return Ok(Admitted::Away(see_other("/auth/account"))),
        May::Nothing | May::TooLate => return Err(gone()),
    };
    Ok(Admitted::In { current, first })
}

/// What varies on the page.
struct Shown<'a> {
    current: &'a Current,
    first: bool,
    target: Option<&'a str>,
    problem: Option<FormProblem<'a>>,
    password_problem: Option<FieldProblem>,
}

impl<'a> Shown<'a> {
    fn plain(current: &'a Current, first: bool) -> Self {
        Self { current, first, target: None, problem: None, password_problem: None }
    }
}

fn page(visit: &Visit, status: StatusCode, shown: &Shown<'_>) -> Response {
    let app = visit.app();
    let (token, sign_out) = (visit.form_token("reset"), visit.form_token("logout"));
    let target = shown.target.map(|text| app.flows.targets().choose(Some(text)));
    let view = ResetPage {
        form_token: &token,
        sign_out: (!shown.first).then_some(sign_out.as_str()),
        email: &shown.current.claims.email,
        first: shown.first,
        return_to: target.as_ref().map(|target| target.as_str()),
        min_length: u32::try_from(app.flows.passwords().min_length).unwrap_or(u32::MAX),
        problem: shown.problem,
        password_problem: shown.password_problem,
    };
    visit.page(status, &view)
}
