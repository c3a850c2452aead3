//! `/auth/mfa`: the code of an authenticator app, to complete a sign-in or to prove oneself anew.

use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::problem;
use crate::event::Reason;
use crate::flow::{AppCode, Failure, Problem, ReturnTo};
use crate::session::{self, Current, Factor, Limited};
use crate::web::api::session::{App, signed_in};
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Params};
use crate::web::layers::bounce;
use crate::web::views::{AppChoice, FieldProblem, FormProblem, MfaPage};
use crate::web::visit::{Face, Visit, returning, see_other};

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct MfaForm {
    #[serde(default)]
    factor_id: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    return_to: Option<String>,
}

impl Fields for MfaForm {
    const PURPOSE: &'static str = "mfa";
}

/// `GET /auth/mfa`: which apps there are is asked of GoTrue each time. A sign-in that need not bring a code any more goes
/// on.
#[tracing::instrument(name = "mfa.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    if visit.may_lack_its_session() {
        return Ok(bounce(&visit));
    }
    let app = visit.app();
    let target = app.flows.targets().choose(params.return_to());
    let page_for_people = visit.face() == Face::Page;
    let mut current = match app.sessions.current(visit.slot()).await {
        Err(session::Error::Missing | session::Error::Ended(_)) if page_for_people => {
            return Ok(see_other(&login(&target)));
        }
        found => found?,
    };
    code_may_follow(&current)?;
    let apps = app.flows.apps(visit.slot(), &current).await?;
    if apps.is_empty() && current.session.limited.is_some() {
        app.sessions.refresh(visit.slot()).await?; // somebody removed the last app since
        current = app.sessions.current(visit.slot()).await?;
        if visit.limited().is_none_or(|limited| limited == Limited::Recovery) && page_for_people {
            return Ok(visit.onwards(&target));
        }
    }
    if !page_for_people {
        #[derive(Serialize)]
        struct Apps<'a> {
            status: &'static str,
            factors: Vec<App<'a>>,
        }
        let factors = apps.iter().map(App::of).collect();
        return Ok(visit.json(StatusCode::OK, &Apps { status: "mfa_required", factors }));
    }
    Ok(page(&visit, StatusCode::OK, &current, &apps, &Shown::plain(&target)))
}

/// `POST /auth/mfa`: trades the code for a session of the second level.
#[tracing::instrument(name = "mfa.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, input: Input<MfaForm>) -> Result<Response, Error> {
    let app = visit.app();
    let form = input.fields;
    let target = app.flows.targets().choose(form.return_to.as_deref());
    let current = match app.sessions.current(visit.slot()).await {
        // Sent twice: the first has taken its place already.
        Err(session::Error::Ended(Reason::Replaced)) if input.form => return Ok(visit.onwards(&target)),
        Err(session::Error::Missing | session::Error::Ended(_)) if input.form => {
            return Ok(see_other(&login(&target)));
        }
        found => found?,
    };
    code_may_follow(&current)?;
    let factor = match form.factor_id.as_str() {
        "" => None,
        text => Some(Uuid::parse_str(text).map_err(|_| Code::FactorUnknown)?),
    };
    let shown = Shown { chosen: factor, ..Shown::plain(&target) };
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        let shown = Shown { problem: Some(problem), ..shown };
        return again(&visit, StatusCode::FORBIDDEN, &current, &shown).await;
    }
    let typed = AppCode { factor, code: &form.code };
    let failure = match app.flows.prove(&typed, &current, visit.slot(), visit.client()).await {
        Ok(raised) if input.form => {
            drop(raised);
            return Ok(visit.onwards(&target));
        }
        Ok(raised) => return Ok(signed_in(&visit, &raised, target.as_str())),
        Err(Failure::Session(session::Error::Ended(Reason::Replaced))) if input.form => {
            return Ok(visit.onwards(&target));
        }
        Err(failure) => failure,
    };
    if !input.form {
        return Err(failure.into());
    }
    let shown = match code_problem(&failure) {
        Some(Told::AtTheField(problem)) => Shown { code_problem: Some(problem), ..shown },
        Some(Told::OnTop(problem)) => Shown { problem: Some(problem), ..shown },
        None if matches!(failure, Failure::Form(Problem::Required(_))) => {
            Shown { choice_problem: true, ..shown }
        }
        None => return Err(failure.into()),
    };
    let page = again(&visit, StatusCode::OK, &current, &shown).await?;
    Ok(problem::answer(&visit, failure, page))
}

/// How a page tells of a code that did not do.
pub(super) enum Told<'a> {
    /// At the code itself.
    AtTheField(FieldProblem),
    /// Above the form.
    OnTop(FormProblem<'a>),
}

/// What a page with a field for a code says of `failure`.
pub(super) fn code_problem(failure: &Failure) -> Option<Told<'static>> {
    Some(match failure {
        Failure::Form(Problem::CodeWrong) => Told::AtTheField(FieldProblem::AppCodeWrong),
        Failure::Form(Problem::Required("code")) => Told::AtTheField(FieldProblem::Required),
        other => match problem::of_failure(other)? {
            FormProblem::Limited { wait } => Told::OnTop(FormProblem::CodeLimited { wait }),
            problem => Told::OnTop(problem),
        },
    })
}

/// A session that waits for its new password alone has nothing to do here.
fn code_may_follow(current: &Current) -> Result<(), Error> {
    match current.session.limited {
        Some(Limited::Recovery) => Err(Code::SessionLimited.into()),
        _ if current.claims.is_anonymous => Err(Code::AnonymousNotAllowed.into()),
        _ => Ok(()),
    }
}

fn login(target: &ReturnTo) -> String {
    returning("/auth/login", target.as_str())
}

/// What varies on the page.
struct Shown<'a> {
    target: &'a ReturnTo,
    chosen: Option<Uuid>,
    problem: Option<FormProblem<'a>>,
    choice_problem: bool,
    code_problem: Option<FieldProblem>,
}

impl<'a> Shown<'a> {
    fn plain(target: &'a ReturnTo) -> Self {
        Self { target, chosen: None, problem: None, choice_problem: false, code_problem: None }
    }
}

async fn again(
    visit: &Visit,
    status: StatusCode,
    current: &Current,
    shown: &Shown<'_>,
) -> Result<Response, Error> {
    let apps = match visit.app().flows.apps(visit.slot(), current).await {
        Ok(apps) => apps,
        // The form stays usable through an outage: with the app that was chosen, or the only one.
        Err(session::Error::Unavailable { .. }) => Vec::from_iter(shown.chosen.map(nameless)),
        Err(error) => return Err(error.into()),
    };
    Ok(page(visit, status, current, &apps, shown))
}

fn nameless(id: Uuid) -> Factor {
    Factor { id, kind: "totp".to_owned(), name: String::new(), verified: true, created_at: None }
}

fn page(
    visit: &Visit,
    status: StatusCode,
    current: &Current,
    apps: &[Factor],
    shown: &Shown<'_>,
) -> Response {
    let limited = current.session.limited.is_some();
    let mut choices: Vec<_> = apps.iter().map(|app| AppChoice { id: app.id, name: &app.name }).collect();
    choices.sort_by_key(|choice| Some(choice.id) != shown.chosen); // the one that was chosen first
    let (token, logout) = (visit.form_token("mfa"), visit.form_token("logout"));
    let view = MfaPage {
        form_token: &token,
        sign_out: limited.then_some(&*logout),
        return_to: shown.target.as_str(),
        apps: &choices,
        none: apps.is_empty() && shown.problem.is_none() && !limited,
        problem: shown.problem,
        choice_problem: shown.choice_problem.then_some(FieldProblem::Required),
        code_problem: shown.code_problem,
    };
    visit.page(status, &view)
}
