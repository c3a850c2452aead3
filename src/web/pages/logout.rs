//! `/auth/logout`: GET asks, POST does (S-11, S-17).

use axum::response::{IntoResponse, Response};
use base::secret::Secret;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::security;
use crate::session::SignOut;
use crate::token::Claims;
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Input};
use crate::web::forms::Lock;
use crate::web::guard::{self, Caller};
use crate::web::layers::bounce;
use crate::web::proof;
use crate::web::views::LogoutPage;
use crate::web::visit::{Visit, see_other};

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct LogoutForm {
    #[serde(default)]
    scope: Option<String>,
}

impl Fields for LogoutForm {
    const PURPOSE: &'static str = "logout";
}

/// `GET /auth/logout`.
#[tracing::instrument(name = "logout.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Response {
    if visit.may_lack_its_session() {
        return bounce(&visit);
    }
    page(&visit, StatusCode::OK, false).await
}

/// `POST /auth/logout`: never fails towards the person, unless the session store cannot say who it is. To end the other
/// sessions and keep this one takes a fresh proof (S-46).
#[tracing::instrument(name = "logout.submit", skip_all)]
pub(crate) async fn submit(
    visit: Visit,
    headers: HeaderMap,
    input: Input<LogoutForm>,
) -> Result<Response, Error> {
    if input.lock != Lock::Fits {
        return Ok(page(&visit, StatusCode::FORBIDDEN, true).await);
    }
    let scope = match input.fields.scope.as_deref() {
        None | Some("" | "local") => SignOut::Local,
        Some("others") => SignOut::Others,
        Some("global") => SignOut::Global,
        Some(_) => return Err(Error::field(Code::BadRequest, "scope")),
    };
    if headers.contains_key(header::AUTHORIZATION)
        && let Caller::Bearer { token, claims } = guard::caller(&visit, &headers, true).await?
    {
        return program(&visit, token, &claims, scope).await;
    }
    let sessions = &visit.app().sessions;
    if scope == SignOut::Others && sessions.peek(visit.slot()).is_some() {
        let current = proof::complete(&visit).await?;
        match proof::fresh(&visit, &current).await {
            Err(error) if input.form && error.code == Code::StepUp => {
                return Ok(proof::ask(&visit, security::PATH));
            }
            judged => drop(judged?),
        }
    }
    let had = sessions.sign_out(visit.slot(), scope).await?;
    Ok(match (input.form, scope) {
        (false, SignOut::Others) => StatusCode::NO_CONTENT.into_response(),
        (true, SignOut::Others) if had && sessions.lists_devices() => {
            visit.redirect_with_notice(security::PATH, "device-others-ended", "")
        }
        (true, SignOut::Others) => see_other("/auth/account"),
        (true, _) => gone(&visit, see_other("/auth/login"), had),
        (false, _) => gone(&visit, StatusCode::NO_CONTENT.into_response(), had),
    })
}

/// Ends the sign-in of a program, which is its bearer token: the token is refused from now on. What else its person has
/// open, a program cannot end without its own.
async fn program(
    visit: &Visit,
    token: Secret<String>,
    claims: &Claims,
    scope: SignOut,
) -> Result<Response, Error> {
    if scope == SignOut::Others {
        return Err(Error::field(Code::BadRequest, "scope"));
    }
    visit.app().sessions.sign_out_program(token, claims, scope).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `response` as the answer to a sign-out: if it `had` a session, it clears what `session.clear_site_data` names.
pub(super) fn gone(visit: &Visit, mut response: Response, had: bool) -> Response {
    let kinds = &visit.app().sessions.settings().clear_site_data;
    let clear = kinds.iter().map(|kind| format!("\"{kind}\"")).collect::<Vec<_>>();
    if let (true, Ok(value)) = (had && !clear.is_empty(), HeaderValue::from_str(&clear.join(", "))) {
        response.headers_mut().insert("clear-site-data", value);
    }
    response
}

async fn page(visit: &Visit, status: StatusCode, form_expired: bool) -> Response {
    let app = visit.app();
    let token = visit.form_token("logout");
    let signed_in = app.sessions.peek(visit.slot()).is_some();
    // The address is nice to have; an outage must not keep anybody signed in.
    let email = app.sessions.current(visit.slot()).await.ok().map(|current| current.claims.email.clone());
    let home = app.flows.targets().default();
    let view = LogoutPage {
        form_token: &token,
        signed_in,
        email: email.as_deref().filter(|email| !email.is_empty()),
        stay: home.as_str(),
        form_expired: form_expired && signed_in,
    };
    visit.page(status, &view)
}
