//! `/auth/otp`: sign in by a mail. Asks for the address, then is the "check your mail" of every kind of mail.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::fields::tick;
use super::mail_form::{self, Wish};
use super::problem;
use crate::flow::{Again, Awaited, Counted, Failure, Problem, Purpose, Typed};
use crate::session::Limited;
use crate::web::api::session::signed_in;
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input, Params};
use crate::web::views::{self, CheckMailPage, CheckNotice, FieldProblem, FormProblem, Wait};
use crate::web::visit::Visit;

/// What the form and the JSON body hold: an address, a code, or the wish for another mail.
#[derive(Deserialize)]
pub(crate) struct OtpForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default, deserialize_with = "tick")]
    again: bool,
    #[serde(default)]
    purpose: Option<String>,
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    captcha_token: Option<String>,
}

impl Fields for OtpForm {
    const PURPOSE: &'static str = "otp";
}

/// `GET /auth/otp`: what this browser waits for is in its flow cookie. With nothing to wait for, or a way back that
/// somebody names, it asks for an address.
#[tracing::instrument(name = "otp.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    let flows = &visit.app().flows;
    let asked = params.return_to();
    let waiting = if asked.is_none() { flows.awaited(None, visit.slot()) } else { None };
    if let Some(waiting) = waiting {
        let notice = visit.take_notice().filter(|notice| notice.key == "check-again-done");
        let notice = notice.map(|_| CheckNotice::AgainDone);
        return Ok(check(&visit, StatusCode::OK, &Checked { notice, ..Checked::plain(&waiting) }).await);
    }
    if !flows.offer().await.password {
        return Err(Code::FeatureDisabled.into());
    }
    let target = flows.targets().choose(asked);
    let known = match visit.app().sessions.peek(visit.slot()) {
        Some(_) => visit.app().sessions.current(visit.slot()).await.ok(),
        None => None,
    };
    let email = known.as_ref().map_or("", |current| current.claims.email.as_str());
    let wish = Wish::none(Purpose::Email, email, &target);
    Ok(mail_form::page(&visit, StatusCode::OK, &wish, None, None))
}

/// `POST /auth/otp`.
#[tracing::instrument(name = "otp.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, request: Request) -> Result<Response, Error> {
    // Counted before it is known whether a mail is asked for; a network that has none left may still type codes.
    let mail = visit.app().flows.count_mail(visit.client()).await;
    let input = match Input::<OtpForm>::from_request(request, &()).await {
        Ok(input) => input,
        Err(error) => {
            mail.give_back();
            return Err(error);
        }
    };
    let entering = input.fields.code.is_some() && !input.fields.again;
    match (entering, input.fields.again) {
        (true, _) => {
            mail.give_back();
            enter(&visit, &input).await
        }
        (_, true) => again(&visit, &input, mail).await,
        _ => ask(&visit, &input, mail).await,
    }
}

/// The first mail.
async fn ask(visit: &Visit, input: &Input<OtpForm>, mail: Counted) -> Result<Response, Error> {
    let form = &input.fields;
    let wish = Wish {
        purpose: Purpose::Email,
        email: &form.email,
        target: &visit.app().flows.targets().choose(form.return_to.as_deref()),
        captcha: form.captcha_token.as_deref(),
        lock: input.lock,
        form: input.form,
    };
    mail_form::ask(visit, &wish, mail.passed()).await
}

/// Another mail.
async fn again(visit: &Visit, input: &Input<OtpForm>, mail: Counted) -> Result<Response, Error> {
    let (flows, form) = (&visit.app().flows, &input.fields);
    let waiting = waiting_of(visit, form);
    let shown = Checked::plain(&waiting);
    if let Some(problem) = problem::of_lock(input.lock, visit) {
        mail.give_back();
        let shown = Checked { problem: Some(problem), ..shown };
        return Ok(check(visit, StatusCode::FORBIDDEN, &shown).await);
    }
    let wish = Again { purpose: purpose_of(form), email: &form.email, public: visit.public() };
    let sent = match mail.passed() {
        Ok(mail) => flows.send_again(&wish, mail, visit.slot(), visit.client()).await,
        Err(failure) => Err(failure),
    };
    match sent {
        Ok(cookies) => {
            cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
            if input.form {
                return Ok(visit.redirect_with_notice("/auth/otp", "check-again-done", ""));
            }
            Ok(visit.json(StatusCode::OK, &json!({ "status": "sent" })))
        }
        Err(failure) => come_back(visit, input, failure, shown).await,
    }
}

/// The digits of a mail.
async fn enter(visit: &Visit, input: &Input<OtpForm>) -> Result<Response, Error> {
    let (flows, form) = (&visit.app().flows, &input.fields);
    let waiting = waiting_of(visit, form);
    let shown = Checked::plain(&waiting);
    if let Some(problem) = problem::of_lock(input.lock, visit) {
        return Ok(check(visit, StatusCode::FORBIDDEN, &Checked { problem: Some(problem), ..shown }).await);
    }
    let typed = Typed {
        purpose: purpose_of(form),
        email: &form.email,
        code: form.code.as_deref().unwrap_or_default(),
        form: input.token.as_deref(),
    };
    let tried = match flows.count_redemption(visit.client()).await.passed() {
        Ok(tried) => tried,
        Err(failure) => return come_back(visit, input, failure, shown).await,
    };
    match flows.enter(&typed, visit.slot(), visit.client()).await {
        Ok(entered) => {
            tried.give_back();
            entered.cookie.into_iter().for_each(|cookie| visit.set_cookie(cookie));
            if input.form {
                return Ok(visit.onwards(&entered.return_to));
            }
            let target = if entered.current.session.limited.is_some_and(Limited::ends_with_password) {
                "/auth/reset"
            } else {
                entered.return_to.as_str()
            };
            Ok(signed_in(visit, &entered.current, target))
        }
        Err(failure) => come_back(visit, input, failure, shown).await,
    }
}

/// The page of a mail again, with what stood in the way.
async fn come_back(
    visit: &Visit,
    input: &Input<OtpForm>,
    failure: Failure,
    shown: Checked<'_>,
) -> Result<Response, Error> {
    if !input.form {
        return Err(failure.into());
    }
    let shown = match &failure {
        Failure::Form(Problem::CodeWrong) => Checked { code_problem: Some(FieldProblem::CodeWrong), ..shown },
        Failure::Form(Problem::Required("code")) => {
            Checked { code_problem: Some(FieldProblem::Required), ..shown }
        }
        other => match problem::of_failure(other) {
            Some(FormProblem::Limited { wait }) if !input.fields.again => {
                Checked { problem: Some(FormProblem::CodeLimited { wait }), ..shown }
            }
            Some(problem) => Checked { problem: Some(problem), ..shown },
            None => return Err(failure.into()),
        },
    };
    Ok(problem::answer(visit, failure, check(visit, StatusCode::OK, &shown).await))
}

fn purpose_of(form: &OtpForm) -> Option<Purpose> {
    form.purpose.as_deref().and_then(Purpose::of_mail)
}

/// The mail that the form is about: what this browser waits for, else what the form says.
fn waiting_of(visit: &Visit, form: &OtpForm) -> Awaited {
    let flows = &visit.app().flows;
    let purpose = purpose_of(form);
    let otherwise = if form.again { Purpose::SignUp } else { Purpose::Email };
    flows.awaited(purpose, visit.slot()).unwrap_or_else(|| Awaited {
        purpose: purpose.unwrap_or(otherwise),
        email: form.email.clone(),
        return_to: flows.targets().default(),
        again_in: time::Duration::ZERO,
    })
}

/// What varies on the page that waits.
struct Checked<'a> {
    waiting: &'a Awaited,
    notice: Option<CheckNotice>,
    problem: Option<FormProblem<'a>>,
    code_problem: Option<FieldProblem>,
}

impl<'a> Checked<'a> {
    fn plain(waiting: &'a Awaited) -> Self {
        Self { waiting, notice: None, problem: None, code_problem: None }
    }
}

async fn check(visit: &Visit, status: StatusCode, shown: &Checked<'_>) -> Response {
    let (token, waiting) = (visit.form_token("otp"), shown.waiting);
    let back: String = url::form_urlencoded::byte_serialize(waiting.return_to.as_str().as_bytes()).collect();
    let (path, purpose) = match waiting.purpose {
        Purpose::SignUp => ("/auth/signup", views::Purpose::Signup),
        Purpose::Recovery => ("/auth/recover", views::Purpose::Recovery),
        _ => ("/auth/otp", views::Purpose::Email),
    };
    let view = CheckMailPage {
        form_token: &token,
        purpose,
        email: &waiting.email,
        other_url: &format!("{path}?return_to={back}"),
        recover: visit.app().flows.offer().await.password,
        again_in: waiting.again_in.is_positive().then(|| Wait::new(waiting.again_in)),
        notice: shown.notice,
        problem: shown.problem,
        code_problem: shown.code_problem,
    };
    visit.page(status, &view)
}
