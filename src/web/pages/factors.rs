//! `/auth/account/factors`: authenticator apps, one more or one less. Both take a fresh proof (S-46).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::mfa::{Told, code_problem};
use super::{problem, security};
use crate::event::Reason;
use crate::flow::{Failure, Problem, ReturnTo};
use crate::session::{self, Current, Factor};
use crate::web::api::session::signed_in;
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Params, Segment};
use crate::web::forms::Lock;
use crate::web::views::{EnrollPage, EnrollStep, FieldProblem, FormProblem, RemoveAppPage};
use crate::web::visit::{Face, Visit, returning, see_other};
use crate::web::{proof, qr};

/// The page with the first step.
const NEW: &str = "/auth/account/factors/new";

/// What the forms and the JSON bodies hold.
#[derive(Deserialize)]
pub(crate) struct FactorForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    return_to: Option<String>,
    /// The picture of the page, sealed, so that a wrong code shows the same again.
    #[serde(default)]
    enrolment: String,
}

impl Fields for FactorForm {
    const PURPOSE: &'static str = "factors";
}

/// An enrolment between its two steps.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: Uuid,
    user: Uuid,
    secret: String,
    uri: String,
}

/// `GET /auth/account/factors`: the apps as JSON; people go on to the page.
#[tracing::instrument(name = "factors.show", skip_all)]
pub(crate) async fn list(visit: Visit) -> Result<Response, Error> {
    if visit.face() == Face::Page {
        return Ok(see_other(security::PATH));
    }
    let current = proof::complete(&visit).await?;
    let apps = visit.app().flows.apps(visit.slot(), &current).await?;
    #[derive(Serialize)]
    struct List<'a> {
        status: &'static str,
        factors: Vec<Described<'a>>,
    }
    let factors = apps.iter().map(Described::of).collect();
    Ok(visit.json(StatusCode::OK, &List { status: "ok", factors }))
}

/// An app as the list shows it.
#[derive(Serialize)]
struct Described<'a> {
    id: Uuid,
    r#type: &'a str,
    name: &'a str,
    created_at: Option<String>,
}

impl<'a> Described<'a> {
    fn of(factor: &'a Factor) -> Self {
        let created_at = factor.created_at.and_then(|at| at.format(&Rfc3339).ok());
        Self { id: factor.id, r#type: &factor.kind, name: &factor.name, created_at }
    }
}

/// `GET /auth/account/factors/new`: the proof is asked for before the form, so that nothing typed is lost.
#[tracing::instrument(name = "factors.new", skip_all)]
pub(crate) async fn new(visit: Visit, params: Params) -> Result<Response, Error> {
    let back = visit.app().flows.targets().parse(params.return_to().unwrap_or_default());
    match member(&visit, true).await {
        Ok(_) => Ok(name_page(&visit, StatusCode::OK, back.as_ref(), "", None, None)),
        Err(error) if error.code == Code::StepUp => Ok(proof::ask(&visit, &new_url(back.as_ref()))),
        Err(error) => Err(error),
    }
}

/// `POST /auth/account/factors`: the one answer with the secret.
#[tracing::instrument(name = "factors.enroll", skip_all)]
pub(crate) async fn enroll(visit: Visit, input: Input<FactorForm>) -> Result<Response, Error> {
    let app = visit.app();
    let form = input.fields;
    let back = form.return_to.as_deref().and_then(|text| app.flows.targets().parse(text));
    let again =
        |status, problem, at_name| name_page(&visit, status, back.as_ref(), &form.name, problem, at_name);
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        member(&visit, false).await?;
        return Ok(again(StatusCode::FORBIDDEN, Some(problem), None));
    }
    let current = match member(&visit, true).await {
        Err(error) if input.form && error.code == Code::StepUp => {
            return Ok(proof::ask(&visit, &new_url(back.as_ref())));
        }
        judged => judged?,
    };
    let issuer = app.templates.site_name(visit.public().host_str().unwrap_or_default()).replace(':', " ");
    let (slot, from) = (visit.slot(), visit.client());
    let failure = match app.flows.enroll(&form.name, &issuer, &current, slot, from).await {
        Ok(made) => {
            let kept = Kept {
                id: made.id,
                user: current.session.user_id,
                secret: made.secret.expose().clone(),
                uri: made.uri.expose().clone(),
            };
            if input.form {
                return Ok(scan_page(&visit, StatusCode::OK, &kept, back.as_ref(), None));
            }
            return described(&visit, &kept);
        }
        Err(failure) => failure,
    };
    if !input.form {
        return Err(failure.into());
    }
    let (problem, at_name) = match &failure {
        Failure::Form(Problem::AppNameTaken) => (None, Some(FieldProblem::AppNameTaken)),
        Failure::Form(Problem::AppsFull) => (Some(FormProblem::AppsFull), None),
        other => match problem::of_failure(other) {
            Some(problem) => (Some(problem), None),
            None => return Err(failure.into()),
        },
    };
    Ok(problem::answer(&visit, failure, again(StatusCode::OK, problem, at_name)))
}

fn described(visit: &Visit, kept: &Kept) -> Result<Response, Error> {
    #[derive(Serialize)]
    struct Enrolled<'a> {
        status: &'static str,
        id: Uuid,
        secret: &'a str,
        uri: &'a str,
        qr: &'a str,
    }
    let picture = qr::image(&kept.uri).ok_or(Code::Internal)?;
    let body =
        Enrolled { status: "code_required", id: kept.id, secret: &kept.secret, uri: &kept.uri, qr: &picture };
    Ok(visit.json(StatusCode::OK, &body))
}

/// `POST /auth/account/factors/{id}/verify`: the first code turns the app on.
#[tracing::instrument(name = "factors.verify", skip_all)]
pub(crate) async fn verify(
    visit: Visit,
    Segment(id): Segment,
    input: Input<FactorForm>,
) -> Result<Response, Error> {
    let app = visit.app();
    let form = input.fields;
    let back = form.return_to.as_deref().and_then(|text| app.flows.targets().parse(text));
    let done = |visit: &Visit| match &back {
        Some(target) => visit.onwards(target),
        None => visit.redirect_with_notice(security::PATH, "enrol-done", ""),
    };
    let id = Uuid::parse_str(&id).map_err(|_| Code::FactorUnknown)?;
    let current = match member(&visit, false).await {
        // Sent twice: the first has taken its place already.
        Err(error) if input.form && error.reason == Some(Reason::Replaced) => return Ok(done(&visit)),
        judged => judged?,
    };
    let kept = visit.reveal::<Kept>("enrolment", &form.enrolment);
    let kept = kept.filter(|kept| kept.id == id && kept.user == current.session.user_id);
    let start_again = || see_other(&new_url(back.as_ref()));
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        let told = Some(Told::OnTop(problem));
        return Ok(match &kept {
            Some(kept) => scan_page(&visit, StatusCode::FORBIDDEN, kept, back.as_ref(), told),
            None => name_page(&visit, StatusCode::FORBIDDEN, back.as_ref(), "", Some(problem), None),
        });
    }
    if let Err(error) = fresh_or_begun_so(&visit, &current, id).await {
        if input.form && error.code == Code::StepUp {
            return Ok(proof::ask(&visit, &new_url(back.as_ref())));
        }
        return Err(error);
    }
    let failure = match app.flows.confirm_app(id, &form.code, &current, visit.slot(), visit.client()).await {
        Ok(raised) if input.form => {
            drop(raised);
            return Ok(done(&visit));
        }
        Ok(raised) => {
            let target = back.clone().unwrap_or_else(|| app.flows.targets().default());
            return Ok(signed_in(&visit, &raised, target.as_str()));
        }
        Err(failure) => failure,
    };
    match (&failure, kept, code_problem(&failure)) {
        _ if !input.form => Err(failure.into()),
        (Failure::Session(session::Error::Ended(Reason::Replaced)), ..) => Ok(done(&visit)),
        (Failure::Form(Problem::UnknownFactor), ..) | (_, None, Some(_)) => Ok(start_again()),
        (_, Some(kept), Some(told)) => {
            let page = scan_page(&visit, StatusCode::OK, &kept, back.as_ref(), Some(told));
            Ok(problem::answer(&visit, failure, page))
        }
        _ => Err(failure.into()),
    }
}

/// A fresh proof, or one that was fresh when the app was enrolled.
async fn fresh_or_begun_so(visit: &Visit, current: &Current, id: Uuid) -> Result<(), Error> {
    match proof::fresh(visit, current).await {
        Err(error) if error.code == Code::StepUp && !error.second_factor => {
            let flows = &visit.app().flows;
            let begun_so = flows.enrolled_while_fresh(id, proof::FRESH, current, visit.slot()).await?;
            if begun_so { Ok(()) } else { Err(error) }
        }
        judged => judged.map(drop),
    }
}

/// `GET /auth/account/factors/{id}/delete`: asks.
#[tracing::instrument(name = "factors.ask", skip_all)]
pub(crate) async fn ask(visit: Visit, Segment(id): Segment) -> Result<Response, Error> {
    let id = Uuid::parse_str(&id).map_err(|_| Code::FactorUnknown)?;
    match member(&visit, true).await {
        Ok(current) => remove_page(&visit, StatusCode::OK, &current, id, None).await,
        Err(error) if error.code == Code::StepUp => Ok(proof::ask(&visit, &delete_url(id))),
        Err(error) => Err(error),
    }
}

/// `DELETE /auth/account/factors/{id}`: 204.
#[tracing::instrument(name = "factors.delete", skip_all)]
pub(crate) async fn delete(visit: Visit, Segment(id): Segment) -> Result<Response, Error> {
    remove(&visit, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /auth/account/factors/{id}/delete`: the same by a form.
#[tracing::instrument(name = "factors.submit", skip_all)]
pub(crate) async fn submit(
    visit: Visit,
    Segment(id): Segment,
    input: Input<FactorForm>,
) -> Result<Response, Error> {
    if !input.form {
        return delete(visit, Segment(id)).await;
    }
    if input.lock != Lock::Fits {
        let uuid = Uuid::parse_str(&id).map_err(|_| Code::FactorUnknown)?;
        let current = member(&visit, false).await?;
        let problem = problem::of_lock(input.lock, &visit);
        return remove_page(&visit, StatusCode::FORBIDDEN, &current, uuid, problem).await;
    }
    match remove(&visit, &id).await {
        Ok(name) => Ok(visit.redirect_with_notice(security::PATH, "factor-removed", &name)),
        // Pressed twice: the list tells that it is gone.
        Err(error) if error.code == Code::FactorUnknown || error.reason == Some(Reason::Replaced) => {
            Ok(see_other(security::PATH))
        }
        Err(error) if error.code == Code::StepUp => {
            let id = Uuid::parse_str(&id).map_err(|_| Code::FactorUnknown)?;
            Ok(proof::ask(&visit, &delete_url(id)))
        }
        Err(error) => Err(error),
    }
}

async fn remove(visit: &Visit, id: &str) -> Result<String, Error> {
    let current = member(visit, true).await?;
    let id = Uuid::parse_str(id).map_err(|_| Code::FactorUnknown)?;
    Ok(visit.app().flows.remove_app(id, &current, visit.slot(), visit.client()).await?)
}

/// The session of somebody with an account of their own, every step done; where `fresh`, with a fresh proof.
async fn member(visit: &Visit, fresh: bool) -> Result<Current, Error> {
    let current = proof::complete(visit).await?;
    if current.claims.is_anonymous {
        return Err(Code::AnonymousNotAllowed.into());
    }
    if fresh {
        proof::fresh(visit, &current).await?;
    }
    Ok(current)
}

fn new_url(back: Option<&ReturnTo>) -> String {
    back.map_or_else(|| NEW.to_owned(), |target| returning(NEW, target.as_str()))
}

fn delete_url(id: Uuid) -> String {
    format!("/auth/account/factors/{id}/delete")
}

fn name_page(
    visit: &Visit,
    status: StatusCode,
    back: Option<&ReturnTo>,
    name: &str,
    problem: Option<FormProblem<'_>>,
    at_name: Option<FieldProblem>,
) -> Response {
    let token = visit.form_token("factors");
    let step = EnrollStep::Name { name, problem: at_name };
    let return_to = back.map(ReturnTo::as_str);
    visit.page(status, &EnrollPage { form_token: &token, return_to, step, problem })
}

fn scan_page(
    visit: &Visit,
    status: StatusCode,
    kept: &Kept,
    back: Option<&ReturnTo>,
    told: Option<Told<'_>>,
) -> Response {
    let Some(picture) = qr::image(&kept.uri) else { return Error::from(Code::Internal).into_response() };
    let (problem, at_code) = match told {
        Some(Told::AtTheField(problem)) => (None, Some(problem)),
        Some(Told::OnTop(problem)) => (Some(problem), None),
        None => (None, None),
    };
    let token = visit.form_token("factors");
    let sealed = visit.conceal("enrolment", kept);
    let key = grouped(&kept.secret);
    let id = kept.id.to_string();
    let step = EnrollStep::Scan {
        id: &id,
        enrolment: &sealed,
        picture: &picture,
        key: &key,
        uri: &kept.uri,
        problem: at_code,
    };
    let return_to = back.map(ReturnTo::as_str);
    visit.page(status, &EnrollPage { form_token: &token, return_to, step, problem })
}

/// In groups of four, as people read it out.
fn grouped(secret: &str) -> String {
    let letters: Vec<char> = secret.chars().collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

async fn remove_page(
    visit: &Visit,
    status: StatusCode,
    current: &Current,
    id: Uuid,
    problem: Option<FormProblem<'_>>,
) -> Result<Response, Error> {
    let app = visit.app().flows.app(id, current, visit.slot()).await?;
    let token = visit.form_token("factors");
    let view = RemoveAppPage { form_token: &token, id, name: &app.name, problem };
    Ok(visit.page(status, &view))
}
