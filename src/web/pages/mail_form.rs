//! A form that asks for a mail.
//!
//! `/auth/recover` and `/auth/otp` differ in their words and in what the mail is for; `/auth/signup` and
//! `/auth/account/email` ask for more, and share how such a form is opened.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::problem;
use crate::flow::{Asked, Failure, Purpose, ReturnTo, Try};
use crate::web::error::Error;
use crate::web::extract::{Fields, Input};
use crate::web::forms::Lock;
use crate::web::views::{FieldProblem, FormProblem, MailForm, OtpPage, RecoverPage};
use crate::web::visit::{Visit, is_form, see_other};

/// A request for a mail, after its mail was counted.
pub(super) enum Opened<T> {
    /// What it says, and the mail.
    Read(Input<T>, Try),
    /// Nothing of it was read, since its network has no mail left: its form comes back.
    Over(Failure),
}

/// Counts the mail, then reads the form or JSON body (S-84). What cannot be read costs no mail.
pub(super) async fn open<T: Fields>(visit: &Visit, request: Request) -> Result<Opened<T>, Error> {
    let form = is_form(request.headers());
    let mail = match visit.app().flows.count_mail(visit.client()).await.passed() {
        Ok(mail) => mail,
        Err(failure) if form => return Ok(Opened::Over(failure)),
        Err(failure) => return Err(failure.into()),
    };
    match Input::<T>::from_request(request, &()).await {
        Ok(input) => Ok(Opened::Read(input, mail)),
        Err(error) => {
            mail.give_back();
            Err(error)
        }
    }
}

/// What somebody asks for at `/auth/recover` or `/auth/otp`.
pub(super) struct Wish<'a> {
    /// [`Purpose::Recovery`] or [`Purpose::Email`].
    pub(super) purpose: Purpose,
    pub(super) email: &'a str,
    pub(super) target: &'a ReturnTo,
    pub(super) captcha: Option<&'a str>,
    pub(super) lock: Lock,
    /// Whether it came as a form.
    pub(super) form: bool,
}

impl<'a> Wish<'a> {
    /// The form as nobody has filled it in yet.
    pub(super) fn none(purpose: Purpose, email: &'a str, target: &'a ReturnTo) -> Self {
        Self { purpose, email, target, captcha: None, lock: Lock::Fits, form: true }
    }
}

/// Has the mail sent and leads to the page that waits for it; the answer is the same whoever is meant (S-71).
pub(super) async fn ask(
    visit: &Visit,
    wish: &Wish<'_>,
    mail: Result<Try, Failure>,
) -> Result<Response, Error> {
    if let Some(problem) = problem::of_lock(wish.lock, visit) {
        if let Ok(mail) = mail {
            mail.give_back();
        }
        return Ok(page(visit, StatusCode::FORBIDDEN, wish, Some(problem), None));
    }
    let asked = Asked {
        purpose: wish.purpose,
        email: wish.email,
        return_to: wish.target,
        captcha: wish.captcha,
        public: visit.public(),
        create: true,
    };
    let sent = match mail {
        Ok(mail) => visit.app().flows.ask_for_mail(&asked, mail, visit.slot(), visit.client()).await,
        Err(failure) => Err(failure),
    };
    match sent {
        Ok(cookies) => {
            cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
            if wish.form {
                return Ok(see_other("/auth/otp"));
            }
            Ok(visit.json(StatusCode::OK, &json!({ "status": "sent" })))
        }
        Err(failure) if !wish.form => Err(failure.into()),
        Err(failure) => {
            let (beside, problem) = (problem::of_email(&failure), problem::of_failure(&failure));
            if beside.is_none() && problem.is_none() {
                return Err(failure.into());
            }
            Ok(problem::answer(visit, failure, page(visit, StatusCode::OK, wish, problem, beside)))
        }
    }
}

/// The form, as `wish` filled it in.
pub(super) fn page(
    visit: &Visit,
    status: StatusCode,
    wish: &Wish<'_>,
    problem: Option<FormProblem<'_>>,
    email_problem: Option<FieldProblem>,
) -> Response {
    let recovery = wish.purpose == Purpose::Recovery;
    let token = visit.form_token(if recovery { "recover" } else { "otp" });
    let form = MailForm {
        form_token: &token,
        email: wish.email,
        return_to: Some(wish.target.as_str()),
        problem,
        email_problem,
    };
    if recovery { visit.page(status, &RecoverPage(form)) } else { visit.page(status, &OtpPage(form)) }
}
