//! `/user`: who is here, and what they change about themselves.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use base::secret::Secret;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::challenge::target;
use super::{answer, asking, complete, limited_to};
use crate::flow::{May, Update};
use crate::session::Current;
use crate::web::error::{Code, Error};
use crate::web::extract::{Json, Params};
use crate::web::layers::{cross_site, is_marked};
use crate::web::visit::Visit;

/// Largest `data`, as JSON in bytes: it rides in every token, and tokens must fit into the session's cookies.
const DATA: usize = 4 << 10;

/// `GET /user`: as GoTrue knows the person now, or knew him a few seconds ago.
#[tracing::instrument(name = "supabase.user", level = "debug", skip_all)]
pub(in crate::web::supabase) async fn show(visit: Visit, headers: HeaderMap) -> Result<Response, Error> {
    let current = asking(&visit, &headers).await?;
    let person = visit.app().sessions.person_lately(visit.slot(), &current).await?;
    Ok(answer::person(&visit, &person.told))
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    password: Option<Secret<String>>,
    #[serde(default)]
    current_password: Option<Secret<String>>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    data: Option<Map<String, Value>>,
    #[serde(default)]
    code_challenge: Option<String>,
    #[serde(default)]
    code_challenge_method: Option<String>,
}

/// `PUT /user`: passed on as GoTrue allows it, without a proof of our own (S-46), under our rules for passwords (S-73).
#[tracing::instrument(name = "supabase.user.change", skip_all)]
pub(in crate::web::supabase) async fn change(
    visit: Visit,
    params: Params,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Error> {
    let flows = &visit.app().flows;
    let current = asking(&visit, &headers).await?;
    let Json(form) = Json::<Change>::from_request(request, &()).await?;
    if form.phone.as_deref().is_some_and(|phone| !phone.is_empty()) {
        return Err(Code::FeatureDisabled.into());
    }
    small(form.data.as_ref())?;
    if current.session.limited.is_some() {
        return recovered(&visit, &current, &form).await;
    }
    let (challenge, method) = (form.code_challenge.as_deref(), form.code_challenge_method.as_deref());
    let target = target(&visit, &params, challenge, method)?;
    let update = Update {
        email: form.email.as_deref().filter(|email| !email.is_empty()),
        password: form.password.as_ref(),
        current_password: form.current_password.as_ref(),
        nonce: form.nonce.as_deref(),
        data: form.data.as_ref(),
        return_to: &target,
        public: visit.public(),
    };
    let updated = flows.update(&update, visit.slot(), &current).await?;
    updated.cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
    Ok(answer::person(&visit, &updated.person))
}

/// A session of a recovery link takes a new password and nothing else (S-32).
async fn recovered(visit: &Visit, current: &Current, form: &Change) -> Result<Response, Error> {
    let app = visit.app();
    let alone = form.email.is_none() && form.data.is_none();
    match (app.flows.may_reset(current), &form.password) {
        (May::Recover, Some(password)) if alone => {
            let renewed = app.flows.reset(password, current, None, visit.slot()).await?;
            let person = app.sessions.person_lately(visit.slot(), &renewed).await?;
            Ok(answer::person(visit, &person.told))
        }
        _ => Err(current.session.limited.map_or_else(|| Code::SessionLimited.into(), limited_to)),
    }
}

/// `GET /reauthenticate`: it mails, so Fetch Metadata alone will not do (S-14, S-17).
#[tracing::instrument(name = "supabase.reauthenticate", skip_all)]
pub(in crate::web::supabase) async fn reauthenticate(
    visit: Visit,
    headers: HeaderMap,
) -> Result<Response, Error> {
    if *visit.method() != http::Method::GET || !is_marked(&visit, &headers) {
        return Err(cross_site(Code::CsrfHeader, None));
    }
    let current = complete(&visit, &headers).await?;
    visit.app().flows.reauthenticate(visit.slot(), &current).await?;
    Ok(visit.json(StatusCode::OK, &json!({})))
}

/// Refuses `data` that would not fit.
pub(super) fn small(data: Option<&Map<String, Value>>) -> Result<(), Error> {
    match data.is_some_and(|data| json!(data).to_string().len() > DATA) {
        true => Err(Error::field(Code::BadRequest, "data")),
        false => Ok(()),
    }
}
