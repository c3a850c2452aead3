//! Mails: codes and magic links, forgotten passwords, another mail; and what they hold, redeemed.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use base::secret::Secret;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::answer;
use super::challenge::target;
use super::token::Security;
use crate::flow::{Asked, By, Confirm, Confirmed, Purpose, Try, Update, asked_nothing_in_vain};
use crate::web::error::{Code, Error};
use crate::web::extract::{Json, Params};
use crate::web::guard::{self, Caller};
use crate::web::visit::Visit;

#[derive(Deserialize)]
struct Wish {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    create_user: Option<bool>,
    #[serde(default)]
    code_challenge: Option<String>,
    #[serde(default)]
    code_challenge_method: Option<String>,
    #[serde(default)]
    gotrue_meta_security: Option<Security>,
}

/// `POST /otp`: a code and a link to sign in with.
#[tracing::instrument(name = "supabase.otp", skip_all)]
pub(in crate::web::supabase) async fn otp(
    visit: Visit,
    params: Params,
    request: Request,
) -> Result<Response, Error> {
    send(&visit, &params, request, |_| Some(Purpose::Email)).await
}

/// `POST /recover`: a link to a new password.
#[tracing::instrument(name = "supabase.recover", skip_all)]
pub(in crate::web::supabase) async fn recover(
    visit: Visit,
    params: Params,
    request: Request,
) -> Result<Response, Error> {
    send(&visit, &params, request, |_| Some(Purpose::Recovery)).await
}

/// `POST /resend`: the mail of a new account, or those of a change of address, once more.
#[tracing::instrument(name = "supabase.resend", skip_all)]
pub(in crate::web::supabase) async fn resend(
    visit: Visit,
    params: Params,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Error> {
    let (mail, form) = counted::<Wish>(&visit, request).await?;
    if form.kind.as_deref() == Some("email_change") && form.phone.is_none() {
        mail.give_back(); // counted where one is sent
        return change_again(&visit, &params, &headers, &form).await;
    }
    let purpose = |kind: Option<&str>| match kind {
        Some("signup") => Some(Purpose::SignUp),
        _ => None,
    };
    send_for(&visit, &params, mail, &form, purpose).await
}

/// The change of address that the person who is here waits for is asked for once more, with a new challenge of ours. GoTrue
/// itself tells nobody whether an address waits for one, and neither is told here (S-71).
async fn change_again(
    visit: &Visit,
    params: &Params,
    headers: &HeaderMap,
    form: &Wish,
) -> Result<Response, Error> {
    let app = visit.app();
    let target =
        target(visit, params, form.code_challenge.as_deref(), form.code_challenge_method.as_deref())?;
    let typed = form.email.as_deref().map(str::trim).filter(|email| !email.is_empty());
    let typed = typed.ok_or(Error::field(Code::BadRequest, "email"))?;
    let told = || Ok(visit.json(StatusCode::OK, &json!({})));
    let Caller::Session(current) = guard::caller(visit, headers, false).await? else { return told() };
    if current.session.limited.is_some() {
        return told();
    }
    let person = app.sessions.person_lately(visit.slot(), &current).await?;
    let Some(awaited) = person.new_email.as_deref() else { return told() };
    if ![person.email.as_str(), awaited].iter().any(|known| known.eq_ignore_ascii_case(typed)) {
        return told();
    }
    let update = Update {
        email: Some(awaited),
        password: None,
        current_password: None,
        nonce: None,
        data: None,
        return_to: &target,
        public: visit.public(),
    };
    let updated = app.flows.update(&update, visit.slot(), &current).await?;
    updated.cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
    told()
}

async fn send(
    visit: &Visit,
    params: &Params,
    request: Request,
    purpose: impl FnOnce(Option<&str>) -> Option<Purpose>,
) -> Result<Response, Error> {
    let (mail, form) = counted::<Wish>(visit, request).await?;
    send_for(visit, params, mail, &form, purpose).await
}

/// Answered alike whoever is meant (S-71).
async fn send_for(
    visit: &Visit,
    params: &Params,
    mail: Try,
    form: &Wish,
    purpose: impl FnOnce(Option<&str>) -> Option<Purpose>,
) -> Result<Response, Error> {
    if form.email.is_none() && form.phone.is_some() {
        mail.give_back();
        return Err(Code::FeatureDisabled.into());
    }
    let purpose = match purpose(form.kind.as_deref()) {
        Some(purpose) => purpose,
        None => {
            mail.give_back();
            return Err(Code::BadRequest.into());
        }
    };
    let target =
        match target(visit, params, form.code_challenge.as_deref(), form.code_challenge_method.as_deref()) {
            Ok(target) => target,
            Err(error) => {
                mail.give_back();
                return Err(error);
            }
        };
    let wish = Asked {
        purpose,
        email: form.email.as_deref().unwrap_or_default(),
        return_to: &target,
        captcha: form.gotrue_meta_security.as_ref().and_then(|security| security.captcha_token.as_deref()),
        public: visit.public(),
        create: form.create_user.unwrap_or(true),
    };
    let cookies = visit.app().flows.ask_for_mail(&wish, mail, visit.slot(), visit.client()).await?;
    cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
    Ok(visit.json(StatusCode::OK, &json!({})))
}

async fn counted<T: DeserializeOwned>(visit: &Visit, request: Request) -> Result<(Try, T), Error> {
    let mail = visit.app().flows.count_mail(visit.client()).await.passed()?;
    match Json::<T>::from_request(request, &()).await {
        Ok(Json(form)) => Ok((mail, form)),
        Err(error) => {
            mail.give_back();
            Err(error)
        }
    }
}

#[derive(Deserialize)]
struct Verify {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    token_hash: Option<Secret<String>>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    email: Option<String>,
}

/// `POST /verify`: a link's hash, or the digits beside it with the address that they went to. The client asks in so many
/// words, so a session that is open here gives way (S-30).
#[tracing::instrument(name = "supabase.verify", skip_all)]
pub(in crate::web::supabase) async fn verify(visit: Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    let tried = app.flows.count_redemption(visit.client()).await.passed()?;
    let form = match Json::<Verify>::from_request(request, &()).await {
        Ok(Json(form)) => form,
        Err(error) => {
            tried.give_back();
            return Err(error);
        }
    };
    if matches!(form.kind.as_str(), "sms" | "phone_change") {
        tried.give_back();
        return Err(Code::FeatureDisabled.into());
    }
    let by = match (&form.token_hash, &form.token) {
        (Some(hash), None) => By::Link(hash),
        (None, Some(code)) => By::Digits { email: form.email.as_deref().unwrap_or_default(), code },
        _ => {
            tried.give_back();
            return Err(Code::BadRequest.into());
        }
    };
    app.sessions.load(visit.slot()).await;
    let mail = Confirm { kind: &form.kind, by, switch: true, form: None };
    let done = app.flows.confirm(&mail, visit.slot(), visit.client()).await;
    if asked_nothing_in_vain(&done) {
        tried.give_back();
    }
    match done? {
        Confirmed::SignedIn(current) => answer::session(&visit, &current).await,
        Confirmed::Half => {
            let body = json!({
                "msg": "Confirmation link accepted. Please proceed to confirm link sent to the other email",
                "code": "200",
            });
            Ok(visit.json(StatusCode::OK, &body))
        }
        Confirmed::Elsewhere(_) => Ok(visit.json(
            StatusCode::OK,
            &json!({ "msg": "The address of another account has changed", "code": "200" }),
        )),
        Confirmed::AskFirst => Err(Code::SessionOpen.into()), // it was told not to ask
    }
}
