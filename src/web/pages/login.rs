//! `/auth/login`: address and password, or the way to a provider.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use base::secret::Secret;
use http::StatusCode;
use serde::Deserialize;

use super::again::{self, Known};
use super::fields::tick;
use super::problem;
use crate::flow::{Credentials, Failure, Problem, ReturnTo};
use crate::web::api::session::signed_in;
use crate::web::error::Error;
use crate::web::extract::{Fields, Input, Params};
use crate::web::forms::Notice;
use crate::web::layers::bounce;
use crate::web::views::{
    Again, FieldProblem, LoginAlready, LoginNotice, LoginPage, LoginProblem, Provider, Remember,
};
use crate::web::visit::{Visit, is_form};

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct LoginForm {
    #[serde(default)]
    email: String,
    password: Secret<String>,
    #[serde(default, deserialize_with = "tick")]
    remember: bool,
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    captcha_token: Option<String>,
    /// `login`: the form of a new proof.
    #[serde(default)]
    prompt: Option<String>,
}

impl Fields for LoginForm {
    const PURPOSE: &'static str = "login";
}

/// `GET /auth/login`.
#[tracing::instrument(name = "login.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    let app = visit.app();
    let asked = params.return_to();
    let target = app.flows.targets().choose(asked);
    if visit.may_lack_its_session() {
        return Ok(bounce(&visit));
    }
    let session = app.sessions.peek(visit.slot());
    if let (Some(_), None) = (&session, params.get("prompt")) {
        if asked.is_some() || visit.limited().is_some_and(|step| visit.step_url(step, None).is_some()) {
            return Ok(visit.onwards(&target));
        }
        return already(&visit, &target).await;
    }
    let known = again::known(&visit, params.get("prompt")).await;
    // The callback wrote a cookie just now. Whoever comes from there by our own page without it keeps none.
    let blocked = params.get("cookies").is_some() && !visit.brings_cookies();
    let notice = visit.take_notice();
    let reason = app.sessions.ended(visit.slot()).map(|reason| reason.as_str());
    let shown = match (&notice, reason, asked) {
        _ if blocked => Some(LoginNotice::CookiesBlocked { host: visit.host() }),
        (Some(notice), ..) => notice_of(notice, visit.host()),
        (None, Some(reason), _) => Some(LoginNotice::Reason { reason }),
        (None, None, Some(_)) if known.is_none() => Some(LoginNotice::Needed),
        (None, None, _) => None,
    };
    let shown = Shown { notice: shown, ..Shown::plain(&target) };
    Ok(page(&visit, StatusCode::OK, &shown.to(known.as_ref())).await)
}

/// `POST /auth/login`: trades an address and a password for a session.
#[tracing::instrument(name = "login.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    let counted = match app.flows.count_try(visit.client()).await {
        Ok(counted) => counted,
        Err(failure) if is_form(request.headers()) => {
            let target = app.flows.targets().default();
            let problem = problem::of_failure(&failure).map(LoginProblem::Form);
            let known = again::known(&visit, Some("login")).await; // what the form says was not read
            let shown = Shown { problem, ..Shown::plain(&target) }.to(known.as_ref());
            return Ok(problem::answer(&visit, failure, page(&visit, StatusCode::OK, &shown).await));
        }
        Err(failure) => return Err(failure.into()),
    };
    let input = match Input::<LoginForm>::from_request(request, &()).await {
        Ok(input) => input,
        Err(error) => {
            counted.give_back();
            return Err(error);
        }
    };
    let form = input.fields;
    let target = app.flows.targets().choose(form.return_to.as_deref());
    let known = again::known(&visit, form.prompt.as_deref().filter(|_| input.form)).await;
    let shown = Shown { email: &form.email, ticked: form.remember, ..Shown::plain(&target) };
    let shown = shown.to(known.as_ref());
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        counted.give_back();
        let shown = Shown { problem: Some(LoginProblem::Form(problem)), ..shown };
        return Ok(page(&visit, StatusCode::FORBIDDEN, &shown).await);
    }
    let credentials = Credentials {
        email: shown.email,
        password: &form.password,
        remember: shown.ticked,
        captcha: form.captcha_token.as_deref(),
    };
    let failure = match app.flows.sign_in(&credentials, counted, visit.slot(), visit.client()).await {
        Ok(current) if input.form => {
            drop(current);
            return Ok(visit.onwards(&target));
        }
        Ok(current) => return Ok(signed_in(&visit, &current, target.as_str())),
        Err(failure) => failure,
    };
    if !input.form {
        return Err(failure.into());
    }
    let shown = match &failure {
        Failure::Form(Problem::InvalidCredentials) => {
            Shown { problem: Some(LoginProblem::InvalidCredentials), ..shown }
        }
        Failure::Form(Problem::EmailNotConfirmed) => Shown { unconfirmed: true, ..shown },
        Failure::Form(Problem::Required("email")) => {
            let password = form.password.expose().is_empty().then_some(FieldProblem::Required);
            Shown { email_problem: Some(FieldProblem::Required), password_problem: password, ..shown }
        }
        Failure::Form(Problem::Required(_)) => {
            Shown { password_problem: Some(FieldProblem::Required), ..shown }
        }
        other => match problem::of_failure(other) {
            Some(problem) => Shown { problem: Some(LoginProblem::Form(problem)), ..shown },
            None => return Err(failure.into()),
        },
    };
    Ok(problem::answer(&visit, failure, page(&visit, StatusCode::OK, &shown).await))
}

/// What varies on the page.
struct Shown<'a> {
    email: &'a str,
    ticked: bool,
    target: &'a ReturnTo,
    notice: Option<LoginNotice<'a>>,
    problem: Option<LoginProblem<'a>>,
    unconfirmed: bool,
    email_problem: Option<FieldProblem>,
    password_problem: Option<FieldProblem>,
    known: Option<&'a Known>,
}

impl<'a> Shown<'a> {
    fn plain(target: &'a ReturnTo) -> Self {
        Self {
            email: "",
            ticked: false,
            target,
            notice: None,
            problem: None,
            unconfirmed: false,
            email_problem: None,
            password_problem: None,
            known: None,
        }
    }

    /// The page for whoever is `known` to be signed in, if anybody is.
    fn to(self, known: Option<&'a Known>) -> Self {
        match known {
            Some(person) => Self { email: &person.email, ticked: person.remember, known, ..self },
            None => self,
        }
    }
}

async fn page(visit: &Visit, status: StatusCode, shown: &Shown<'_>) -> Response {
    let app = visit.app();
    let offer = app.flows.offer().await;
    let linked = |name: &&String| shown.known.is_none_or(|known| known.providers.contains(*name));
    let providers: Vec<_> = offer.providers.iter().filter(linked).map(|name| Provider::named(name)).collect();
    let again = shown.known.map(|known| Again { password: known.password || providers.is_empty() });
    let (token, resend) = (visit.form_token("login"), visit.form_token("otp"));
    let guest = (offer.anonymous && again.is_none()).then(|| visit.form_token("signup"));
    let unconfirmed = LoginProblem::EmailNotConfirmed { again: Some(&resend) };
    let view = LoginPage {
        form_token: &token,
        email: shown.email,
        return_to: Some(shown.target.as_str()),
        remember: app.ask_remember.then_some(if shown.ticked {
            Remember::Ticked
        } else {
            Remember::Unticked
        }),
        providers: &providers,
        sign_up: offer.signup && again.is_none(),
        guest: guest.as_deref(),
        otp: offer.password,
        recover: offer.password && again.is_none(),
        notice: shown.notice,
        problem: if shown.unconfirmed { Some(unconfirmed) } else { shown.problem },
        email_problem: shown.email_problem,
        password_problem: shown.password_problem,
        again,
    };
    visit.page(status, &view)
}

async fn already(visit: &Visit, target: &ReturnTo) -> Result<Response, Error> {
    let current = visit.app().sessions.current(visit.slot()).await?;
    let token = visit.form_token("logout");
    let notice = visit.take_notice();
    let view = LoginAlready {
        form_token: &token,
        email: Some(current.claims.email.as_str()).filter(|email| !email.is_empty()),
        return_to: target.as_str(),
        notice: notice.as_ref().and_then(|notice| notice_of(notice, visit.host())),
    };
    Ok(visit.page(StatusCode::OK, &view))
}

fn notice_of<'a>(notice: &'a Notice, host: &'a str) -> Option<LoginNotice<'a>> {
    let provider = Provider::named(&notice.value).name;
    Some(match notice.key.as_str() {
        "provider-denied" => LoginNotice::ProviderDenied { provider },
        "provider-failed" => LoginNotice::ProviderFailed { provider },
        "flow_invalid" => LoginNotice::FlowInvalid,
        "elsewhere" => LoginNotice::Elsewhere,
        "confirm-done" => LoginNotice::ConfirmDone,
        "confirm-by_mail" => LoginNotice::ConfirmByMail,
        "confirm-half" => LoginNotice::EmailHalf,
        "cookies-blocked" => LoginNotice::CookiesBlocked { host },
        _ => return None,
    })
}

/// The login page as the answer to a start that another site caused (S-16).
pub(super) async fn elsewhere(visit: &Visit, target: &ReturnTo) -> Response {
    let shown = Shown { notice: Some(LoginNotice::Elsewhere), ..Shown::plain(target) };
    page(visit, StatusCode::OK, &shown).await
}
