//! `POST /token`: by password, or once more for whoever is here. No token is read from a body to make a session (S-31).

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use base::secret::Secret;
use serde::Deserialize;
use time::Duration;

use super::answer;
use crate::flow::{BadCode, Credentials, IdToken};
use crate::session;
use crate::web::error::{Code, Error};
use crate::web::extract::{Json, Params};
use crate::web::layers::cross_site;
use crate::web::supabase::phantom;
use crate::web::visit::Visit;

/// A text that is no phantom refreshes only if so little is left of the access token.
const NEARLY_OVER: Duration = Duration::minutes(3);

/// What a captcha widget gave, where GoTrue's clients put it.
#[derive(Deserialize)]
pub(super) struct Security {
    #[serde(default)]
    pub(super) captcha_token: Option<String>,
}

/// One of the grants.
#[tracing::instrument(name = "supabase.token", skip_all)]
pub(in crate::web::supabase) async fn grant(
    visit: Visit,
    params: Params,
    request: Request,
) -> Result<Response, Error> {
    match params.get("grant_type") {
        Some("password") => password(&visit, request).await,
        Some("refresh_token") => refresh(&visit, request).await,
        Some("pkce") => code(&visit, request).await,
        Some("id_token") => id_token(&visit, request).await,
        Some("web3") => Err(Code::FeatureDisabled.into()),
        // As GoTrue says it (contract 2.4).
        _ => Err(Error::from(Code::BadRequest).told(400, "invalid_credentials")),
    }
}

#[derive(Deserialize)]
struct Password {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    password: Option<Secret<String>>,
    #[serde(default)]
    gotrue_meta_security: Option<Security>,
}

async fn password(visit: &Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    let counted = app.flows.count_try(visit.client()).await?;
    let form = match Json::<Password>::from_request(request, &()).await {
        Ok(Json(form)) if form.email.is_none() && form.phone.is_some() => {
            counted.give_back();
            return Err(Code::FeatureDisabled.into());
        }
        Ok(Json(form)) => form,
        Err(error) => {
            counted.give_back();
            return Err(error);
        }
    };
    let nothing = Secret::new(String::new());
    let credentials = Credentials {
        email: form.email.as_deref().unwrap_or_default(),
        password: form.password.as_ref().unwrap_or(&nothing),
        remember: true, // as supabase-js keeps its session until somebody signs out
        captcha: form.gotrue_meta_security.as_ref().and_then(|security| security.captcha_token.as_deref()),
    };
    let current = app.flows.sign_in(&credentials, counted, visit.slot(), visit.client()).await?;
    answer::session(visit, &current).await
}

#[derive(Deserialize)]
struct Refresh {
    #[serde(default)]
    refresh_token: Option<String>,
}

/// The cookie decides; what the body brings says only whom the client has in mind.
async fn refresh(visit: &Visit, request: Request) -> Result<Response, Error> {
    let (sessions, slot) = (&visit.app().sessions, visit.slot());
    let Json(form) = Json::<Refresh>::from_request(request, &()).await?;
    let current = sessions.current(slot).await.map_err(over)?;
    let left = current.session.expires_at - visit.app().clock.now();
    let anew = match phantom::owner(form.refresh_token.as_deref().unwrap_or_default()) {
        Some(tag) if tag != sessions.person_tag(current.session.user_id) => {
            return Err(Error::from(Code::SessionChanged).told(400, "refresh_token_not_found"));
        }
        Some(_) => true,
        None => left <= NEARLY_OVER,
    };
    if anew {
        sessions.refresh(slot).await.map_err(over)?;
    }
    answer::session(visit, &sessions.current(slot).await.map_err(over)?).await
}

/// GoTrue's word for a session that is over, by which auth-js signs out; an outage keeps its own.
fn over(error: session::Error) -> Error {
    let ended = matches!(error, session::Error::Missing | session::Error::Ended(_));
    let error = Error::from(error);
    if ended { error.told(400, "refresh_token_not_found") } else { error }
}

#[derive(Deserialize)]
struct Exchange {
    #[serde(default)]
    auth_code: String,
    #[serde(default)]
    code_verifier: String,
}

/// Only a code of ours, for the session that is here: GoTrue's own never come to a page.
async fn code(visit: &Visit, request: Request) -> Result<Response, Error> {
    let (app, slot) = (visit.app(), visit.slot());
    let Json(form) = Json::<Exchange>::from_request(request, &()).await?;
    let unknown = || Error::from(Code::BadRequest).told(404, "flow_state_not_found");
    let current = match app.sessions.current(slot).await {
        Err(session::Error::Missing | session::Error::Ended(_)) => return Err(unknown()),
        other => other?,
    };
    match app.flows.take_back(&form.auth_code, &form.code_verifier, &current.session).await {
        Ok(()) => answer::session(visit, &current).await,
        Err(BadCode::Unknown) => Err(unknown()),
        Err(BadCode::Verifier) => Err(Error::from(Code::BadRequest).told(400, "bad_code_verifier")),
    }
}

#[derive(Deserialize)]
struct Identity {
    #[serde(default)]
    provider: String,
    id_token: Secret<String>,
    #[serde(default)]
    access_token: Option<Secret<String>>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    gotrue_meta_security: Option<Security>,
}

/// An ID token is no token of a session: GoTrue judges it. A page of ours has to send it.
async fn id_token(visit: &Visit, request: Request) -> Result<Response, Error> {
    let own = visit.public().origin().ascii_serialization();
    if visit.origin().is_none_or(|origin| origin.as_bytes() != own.as_bytes()) {
        return Err(cross_site(Code::CrossOrigin, None));
    }
    let flows = &visit.app().flows;
    let counted = flows.count_try(visit.client()).await?;
    let form = match Json::<Identity>::from_request(request, &()).await {
        Ok(Json(form)) => form,
        Err(error) => {
            counted.give_back();
            return Err(error);
        }
    };
    let token = IdToken {
        provider: &form.provider,
        id_token: &form.id_token,
        access_token: form.access_token.as_ref(),
        nonce: form.nonce.as_deref(),
        captcha: form.gotrue_meta_security.as_ref().and_then(|security| security.captcha_token.as_deref()),
    };
    let current = flows.sign_in_by_id_token(&token, counted, visit.slot(), visit.client()).await?;
    answer::session(visit, &current).await
}
