//! `/auth/confirm`: where mail links land. GET shows a button, POST redeems: mail scanners cannot burn a link (S-30).

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use base::secret::Secret;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::fields::tick;
use super::problem;
use crate::flow::{By, Confirm, Confirmed, Failure, Problem, Purpose, ReturnTo, asked_nothing_in_vain};
use crate::session::Limited;
use crate::web::api::session::signed_in;
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Params};
use crate::web::layers::bounce;
use crate::web::views::{ConfirmPage, ConfirmStep, FieldProblem, FormProblem, LinkKind};
use crate::web::visit::{Visit, see_other};

/// What the form and the JSON body hold: a link's hash, or the digits beside it with the address they went to.
#[derive(Deserialize)]
pub(crate) struct ConfirmForm {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    token_hash: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    code: String,
    #[serde(default, deserialize_with = "tick")]
    switch: bool,
    #[serde(default)]
    return_to: Option<String>,
}

impl Fields for ConfirmForm {
    const PURPOSE: &'static str = "confirm";
}

impl ConfirmForm {
    /// What the page asks for as long as nothing is redeemed.
    fn step(&self) -> ConfirmStep<'_> {
        if self.token_hash.is_empty() {
            return ConfirmStep::Incomplete { email: &self.email, email_problem: None, code_problem: None };
        }
        ConfirmStep::Press { token_hash: &self.token_hash }
    }
}

/// `GET /auth/confirm?token_hash=…&type=…`. A link that lost its hash can be helped by the code from its mail.
#[tracing::instrument(name = "confirm.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    let named = params.get("type");
    let hash = params.get("token_hash");
    if named.is_none() && hash.is_none() {
        if visit.may_lack_its_session() {
            return Ok(bounce(&visit)); // from the callback of GoTrue's own link: its message waits in a Strict cookie
        }
        let gone = visit.take_notice().filter(|notice| notice.key == "link-expired");
        if let Some(kind) = gone.and_then(|notice| LinkKind::parse(&notice.value)) {
            return Err(expired(kind));
        }
    }
    let kind = LinkKind::parse(named.unwrap_or("signup")).ok_or(Code::LinkExpired)?;
    let flows = &visit.app().flows;
    let wanted = params.return_to().and_then(|text| flows.targets().parse(text));
    let began = || flows.awaited(purpose_of(kind), visit.slot()).map(|waiting| waiting.return_to);
    let target = wanted.or_else(began).unwrap_or_else(|| flows.targets().default());
    let nothing = ConfirmStep::Incomplete { email: "", email_problem: None, code_problem: None };
    let step = hash.map_or(nothing, |token_hash| ConfirmStep::Press { token_hash });
    Ok(page(&visit, StatusCode::OK, kind, step, target.as_str(), None))
}

/// `POST /auth/confirm`.
#[tracing::instrument(name = "confirm.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    let tried = app.flows.count_redemption(visit.client()).await.passed()?;
    let input = match Input::<ConfirmForm>::from_request(request, &()).await {
        Ok(input) => input,
        Err(error) => {
            tried.give_back();
            return Err(error);
        }
    };
    let form = &input.fields;
    let kind = LinkKind::parse(&form.kind).ok_or(Code::LinkExpired)?;
    let target = app.flows.targets().choose(form.return_to.as_deref());
    // A client that began it in this browser waits there.
    let waits = app.flows.awaited(purpose_of(kind), visit.slot()).map(|waiting| waiting.return_to);
    let target = waits.filter(|known| known.as_str() == target.as_str()).unwrap_or(target);
    let shown = |status, step, problem| page(&visit, status, kind, step, target.as_str(), problem);
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        tried.give_back();
        return Ok(shown(StatusCode::FORBIDDEN, form.step(), Some(problem)));
    }
    let hash = Secret::new(form.token_hash.clone());
    let digits = form.token_hash.is_empty() && (input.form || !form.code.is_empty());
    let mail = Confirm {
        kind: kind.as_str(),
        by: if digits { By::Digits { email: &form.email, code: &form.code } } else { By::Link(&hash) },
        switch: form.switch,
        form: input.token.as_deref(),
    };
    let done = app.flows.confirm(&mail, visit.slot(), visit.client()).await;
    if asked_nothing_in_vain(&done) {
        tried.give_back();
    }
    let failure = match done {
        Ok(Confirmed::AskFirst) if !input.form => return Err(Code::SessionOpen.into()),
        Ok(Confirmed::AskFirst) => {
            let current = app.sessions.current(visit.slot()).await?;
            let (token_hash, email) = (form.token_hash.as_str(), current.claims.email.as_str());
            let typed = if digits { [form.email.as_str(), form.code.as_str()] } else { ["", ""] };
            let step = ConfirmStep::Switch { token_hash, email, typed };
            return Ok(shown(StatusCode::OK, step, None));
        }
        Ok(Confirmed::SignedIn(current)) if !input.form => {
            let target = if current.session.limited.is_some_and(Limited::ends_with_password) {
                "/auth/reset"
            } else {
                target.as_str()
            };
            return Ok(signed_in(&visit, &current, target));
        }
        Ok(Confirmed::Half | Confirmed::Elsewhere(_)) if !input.form => {
            return Ok(visit.json(StatusCode::OK, &json!({ "status": "confirmed" })));
        }
        Ok(done) => return Ok(onwards(&visit, kind, done, &target)),
        Err(failure) => failure,
    };
    if !input.form {
        return Err(match failure {
            Failure::Form(Problem::LinkExpired) => expired(kind),
            failure => failure.into(),
        });
    }
    let step = match (&failure, form.step()) {
        (Failure::Form(Problem::LinkExpired), _) => return Err(expired(kind)),
        (failure, ConfirmStep::Incomplete { email, .. }) => {
            let (email_problem, code_problem) = fields(failure, form);
            ConfirmStep::Incomplete { email, email_problem, code_problem }
        }
        (_, press) => press,
    };
    let problem = match problem::of_failure(&failure) {
        Some(FormProblem::Limited { wait }) if digits => Some(FormProblem::CodeLimited { wait }),
        problem => problem,
    };
    let field =
        matches!(failure, Failure::Form(Problem::CodeWrong | Problem::EmailInvalid | Problem::Required(_)));
    if problem.is_none() && !field {
        return Err(failure.into());
    }
    Ok(problem::answer(&visit, failure, shown(StatusCode::OK, step, problem)))
}

/// Where a person goes whose mail was redeemed.
fn onwards(visit: &Visit, kind: LinkKind, done: Confirmed, target: &ReturnTo) -> Response {
    match done {
        Confirmed::SignedIn(_) if target.client().is_some() => visit.onwards(target),
        Confirmed::SignedIn(current) => match kind {
            LinkKind::EmailChange if current.session.limited.is_none() => {
                visit.redirect_with_notice("/auth/account", "confirm-changed", &current.claims.email)
            }
            LinkKind::Invite if current.session.limited.is_none() => first_password(target.as_str()),
            _ => visit.onwards(target),
        },
        Confirmed::Half if visit.app().sessions.peek(visit.slot()).is_none() => {
            visit.redirect_with_notice("/auth/login", "confirm-half", "")
        }
        Confirmed::Half => visit.redirect_with_notice("/auth/account", "confirm-half", ""),
        Confirmed::Elsewhere(email) => {
            visit.redirect_with_notice("/auth/account", "confirm-elsewhere", &email)
        }
        Confirmed::AskFirst => see_other("/auth/account"),
    }
}

/// Whoever accepts an invitation has no password yet.
fn first_password(target: &str) -> Response {
    let back: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
    see_other(&format!("/auth/reset?return_to={back}"))
}

/// What is wrong with the fields beside a link that lost its hash.
fn fields(failure: &Failure, form: &ConfirmForm) -> (Option<FieldProblem>, Option<FieldProblem>) {
    let empty = |text: &str| text.trim().is_empty().then_some(FieldProblem::Required);
    match failure {
        Failure::Form(Problem::EmailInvalid) => (Some(FieldProblem::EmailInvalid), empty(&form.code)),
        Failure::Form(Problem::Required(_)) => (empty(&form.email), empty(&form.code)),
        Failure::Form(Problem::CodeWrong) => (None, Some(FieldProblem::CodeWrong)),
        _ => (None, None),
    }
}

/// The end of a link.
fn expired(kind: LinkKind) -> Error {
    Error { link: Some(kind), ..Code::LinkExpired.into() }
}

/// The kind of link that belongs to a flow.
pub(super) fn link_of(purpose: Purpose) -> LinkKind {
    match purpose {
        Purpose::SignUp => LinkKind::Signup,
        Purpose::Recovery => LinkKind::Recovery,
        Purpose::EmailChange => LinkKind::EmailChange,
        Purpose::Email | Purpose::SignIn | Purpose::Link => LinkKind::Magiclink,
    }
}

/// The flow that a link of `kind` may belong to.
fn purpose_of(kind: LinkKind) -> Option<Purpose> {
    match kind {
        LinkKind::Signup => Some(Purpose::SignUp),
        LinkKind::Recovery => Some(Purpose::Recovery),
        LinkKind::Magiclink | LinkKind::Email => Some(Purpose::Email),
        LinkKind::Invite | LinkKind::EmailChange => None,
    }
}

fn page(
    visit: &Visit,
    status: StatusCode,
    kind: LinkKind,
    step: ConfirmStep<'_>,
    return_to: &str,
    problem: Option<FormProblem<'_>>,
) -> Response {
    let token = visit.form_token("confirm");
    let view = ConfirmPage { form_token: &token, kind, step, return_to: Some(return_to), problem };
    visit.page(status, &view)
}
