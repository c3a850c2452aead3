//! `/auth/signup`: a new account.

use axum::extract::Request;
use axum::response::Response;
use base::secret::Secret;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::tick;
use super::mail_form::{self, Opened};
use super::problem;
use crate::flow::{Account, Failure, Problem, ReturnTo, SignedUp};
use crate::web::api::session::signed_in;
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Params};
use crate::web::views::{FieldProblem, FormProblem, Provider, SignupPage};
use crate::web::visit::{Visit, see_other};

/// Largest `data`, as JSON in bytes: it rides in every token, and tokens must fit into the session's cookies.
const DATA: usize = 4 << 10;

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct SignupForm {
    #[serde(default)]
    email: String,
    #[serde(default = "nothing")]
    password: Secret<String>,
    #[serde(default)]
    data: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "tick")]
    anonymous: bool,
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    captcha_token: Option<String>,
    /// Names the form that was sent.
    #[serde(default)]
    form_token: Option<String>,
}

fn nothing() -> Secret<String> {
    Secret::new(String::new())
}

impl Fields for SignupForm {
    const PURPOSE: &'static str = "signup";
}

/// `GET /auth/signup`.
#[tracing::instrument(name = "signup.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    let target = visit.app().flows.targets().choose(params.return_to());
    Ok(page(&visit, StatusCode::OK, &Shown::plain(&target)).await)
}

/// `POST /auth/signup`: makes an account, or says that a mail may be on its way.
#[tracing::instrument(name = "signup.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    let (input, mail) = match mail_form::open::<SignupForm>(&visit, request).await? {
        Opened::Read(input, mail) => (input, mail),
        Opened::Over(failure) => {
            let target = app.flows.targets().default();
            let shown = Shown { problem: problem::of_failure(&failure), ..Shown::plain(&target) };
            return Ok(problem::answer(&visit, failure, page(&visit, StatusCode::OK, &shown).await));
        }
    };
    let form = input.fields;
    let target = app.flows.targets().choose(form.return_to.as_deref());
    let shown = Shown { email: &form.email, ..Shown::plain(&target) };
    if let Some(problem) = problem::of_lock(input.lock, &visit) {
        mail.give_back();
        return Ok(page(&visit, StatusCode::FORBIDDEN, &Shown { problem: Some(problem), ..shown }).await);
    }
    if form.data.as_ref().is_some_and(|data| json!(data).to_string().len() > DATA) {
        mail.give_back();
        return Err(Error::field(Code::BadRequest, "data"));
    }
    if form.anonymous {
        mail.give_back(); // it needs none
        return without_account(&visit, &form, input.form, &target).await;
    }
    let account = Account {
        email: &form.email,
        password: &form.password,
        data: form.data.as_ref(),
        return_to: &target,
        captcha: form.captcha_token.as_deref(),
        public: visit.public(),
        form: form.form_token.as_deref().filter(|_| input.form),
    };
    let failure = match app.flows.sign_up(&account, mail, visit.slot(), visit.client()).await {
        Ok(SignedUp::Session(_)) if input.form => return Ok(visit.onwards(&target)),
        Ok(SignedUp::Session(current)) => return Ok(signed_in(&visit, &current, target.as_str())),
        Ok(SignedUp::Confirm(cookies)) => {
            cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
            if input.form {
                return Ok(see_other("/auth/otp"));
            }
            return Ok(visit.json(StatusCode::OK, &json!({ "status": "confirmation_sent" })));
        }
        Err(failure) => failure,
    };
    if !input.form {
        return Err(failure.into());
    }
    let rules = app.flows.passwords();
    let password = |problem: &Problem| problem::of_password(problem, rules);
    // The address was judged first; whoever corrects it shall not meet the next fault only then.
    let beside = || rules.judge(form.password.expose(), &[]).as_ref().and_then(password);
    let shown = match &failure {
        Failure::Form(Problem::SignupClosed) => Shown { closed: true, ..shown },
        other if problem::of_email(other).is_some() => {
            Shown { email_problem: problem::of_email(other), password_problem: beside(), ..shown }
        }
        Failure::Form(problem) if password(problem).is_some() => {
            Shown { password_problem: password(problem), ..shown }
        }
        other => match problem::of_failure(other) {
            Some(problem) => Shown { problem: Some(problem), ..shown },
            None => return Err(failure.into()),
        },
    };
    Ok(problem::answer(&visit, failure, page(&visit, StatusCode::OK, &shown).await))
}

/// Begins a session without an account; whoever has one, or is signed in, goes on with that.
async fn without_account(
    visit: &Visit,
    form: &SignupForm,
    by_form: bool,
    target: &ReturnTo,
) -> Result<Response, Error> {
    let app = visit.app();
    if app.sessions.peek(visit.slot()).is_some() {
        let current = app.sessions.current(visit.slot()).await?;
        return match by_form {
            true => Ok(visit.onwards(target)),
            false if current.claims.is_anonymous => Ok(signed_in(visit, &current, target.as_str())),
            false => Err(Code::SessionOpen.into()),
        };
    }
    let token = form.form_token.as_deref().filter(|_| by_form);
    let begun = match app.flows.count_anonymous(visit.client()).await.passed() {
        Ok(counted) => {
            let captcha = form.captcha_token.as_deref();
            app.flows.begin_anonymous(form.data.as_ref(), captcha, token, counted, visit.slot()).await
        }
        Err(failure) => Err(failure),
    };
    let failure = match begun {
        Ok(_) if by_form => return Ok(visit.onwards(target)),
        Ok(current) => return Ok(signed_in(visit, &current, target.as_str())),
        Err(failure) => failure,
    };
    match problem::of_failure(&failure).filter(|_| by_form) {
        Some(problem) => {
            let shown = Shown { problem: Some(problem), ..Shown::plain(target) };
            Ok(problem::answer(visit, failure, page(visit, StatusCode::OK, &shown).await))
        }
        None => Err(failure.into()),
    }
}

/// What varies on the page.
struct Shown<'a> {
    email: &'a str,
    closed: bool,
    target: &'a ReturnTo,
    problem: Option<FormProblem<'a>>,
    email_problem: Option<FieldProblem>,
    password_problem: Option<FieldProblem>,
}

impl<'a> Shown<'a> {
    fn plain(target: &'a ReturnTo) -> Self {
        Self { email: "", closed: false, target, problem: None, email_problem: None, password_problem: None }
    }
}

async fn page(visit: &Visit, status: StatusCode, shown: &Shown<'_>) -> Response {
    let app = visit.app();
    let offer = app.flows.offer().await;
    let providers: Vec<_> = offer.providers.iter().map(|name| Provider::named(name)).collect();
    let token = visit.form_token("signup");
    let view = SignupPage {
        form_token: &token,
        closed: shown.closed || !offer.signup,
        email: shown.email,
        return_to: Some(shown.target.as_str()),
        min_length: u32::try_from(app.flows.passwords().min_length).unwrap_or(u32::MAX),
        providers: &providers,
        guest: offer.anonymous && app.sessions.peek(visit.slot()).is_none(),
        problem: shown.problem,
        email_problem: shown.email_problem,
        password_problem: shown.password_problem,
    };
    visit.page(status, &view)
}
