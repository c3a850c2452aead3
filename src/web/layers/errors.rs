//! Dresses a refusal for its caller: a page, a redirect to the login page, JSON in one of two shapes.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use super::origin;
use crate::session::Limited;
use crate::web::api::verify;
use crate::web::error::{Code, Error};
use crate::web::proof;
use crate::web::state::AppState;
use crate::web::supabase::auth::refusal;
use crate::web::views::{ContinuePage, ErrorPage, LinkKind, Towards, Wait};
use crate::web::visit::{Face, FetchSite, Visit, see_other};

/// Clients below the mount obey `Retry-After` to the second; longer waits would look like a hang.
const MOUNT_WAIT: Duration = Duration::from_secs(5);

/// Titles and details of problems are for programs and those who write them: the same words in every language.
const PROBLEM: [(HeaderName, &str); 2] =
    [(header::CONTENT_TYPE, "application/problem+json"), (header::CONTENT_LANGUAGE, "en")];

/// Gives an answer that carries an [`Error`] its body and headers; any other passes as it is.
pub(crate) fn dress(visit: &Visit, mut response: Response) -> Response {
    let Some(error) = response.extensions_mut().remove::<Arc<Error>>() else {
        if visit.face() != Face::Verdict {
            origin::allow(visit.app(), visit.origin(), response.headers_mut());
        }
        return response;
    };
    visit.count_refusal(error.code);
    if error.code.status().is_server_error() {
        let cause = error.cause.as_deref().map(chain);
        tracing::warn!(error.code = error.code.as_str(), cause, "the request failed");
    }
    if visit.face() == Face::Verdict {
        return verify::refusal(&error, None);
    }
    let kept: HeaderMap = response.headers().clone();
    let mut dressed = match visit.face() {
        Face::Page => page(visit, &error),
        Face::Json | Face::Verdict => {
            let body = error.problem(visit.request_id(), &login_url(visit, &error));
            (error.code.status(), PROBLEM, body.to_string()).into_response()
        }
        Face::Supabase if visit.speaks_with_gotrue() => refusal::answer(visit, &error),
        Face::Supabase => {
            let body = error.supabase(visit.request_id(), "/auth/login");
            visit.json(error.code.status(), &body)
        }
    };
    if dressed.status() == error.code.status() || visit.face() == Face::Supabase {
        let most = (visit.face() == Face::Supabase).then_some(MOUNT_WAIT);
        error.headers(dressed.headers_mut(), most);
    }
    if dressed.status().is_client_error() && dressed.status() != StatusCode::TOO_MANY_REQUESTS {
        dressed.headers_mut().remove(header::RETRY_AFTER); // GoTrue's own no, which a second try does not change
    }
    if let Some(allow) = kept.get(header::ALLOW).filter(|_| error.code == Code::MethodNotAllowed) {
        dressed.headers_mut().entry(header::ALLOW).or_insert(allow.clone()); // the router knows the methods
    }
    for cookie in kept.get_all(header::SET_COOKIE) {
        dressed.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    origin::allow(visit.app(), visit.origin(), dressed.headers_mut());
    dressed
}

/// The answer to a request that was refused before anything of it was read, counted.
pub(super) fn turn_away(app: &AppState, error: &Error, request_id: &str) -> Response {
    app.trail.metrics().refused(error.code as usize);
    bare(error, request_id)
}

/// The same answer.
pub(super) fn bare(error: &Error, request_id: &str) -> Response {
    let body = error.problem(request_id, "/auth/login").to_string();
    let mut response = (error.code.status(), PROBLEM, body).into_response();
    error.headers(response.headers_mut(), None);
    response
}

fn page(visit: &Visit, error: &Error) -> Response {
    let get = matches!(*visit.method(), Method::GET | Method::HEAD);
    if get && error.code == Code::SessionMissing && visit.site() == FetchSite::CrossSite {
        return bounce(visit);
    }
    if get && error.signs_out() {
        return see_other(&visit.login_url());
    }
    if get && let Some(url) = next_step(visit, error) {
        return see_other(&url);
    }
    let status = error.code.status();
    let session = visit.app().sessions.peek(visit.slot()).filter(|_| status == StatusCode::FORBIDDEN);
    let switch = session.as_ref().map(|_| visit.form_token("logout"));
    let limited = session.and_then(|session| session.limited).filter(|_| error.code == Code::SessionLimited);
    let again = error.link.filter(|link| link.is_sent_on_request()).map(|_| visit.form_token("otp"));
    let wait = error.retry_after.and_then(|wait| wait.try_into().ok()).map(Wait::new);
    let login = login_url(visit, error);
    let step_url = limited.and_then(|limited| visit.step_url(limited, None));
    let view = ErrorPage {
        status: status.as_u16(),
        code: error.code.as_str(),
        request_id: visit.request_id(),
        wait,
        retry: get.then(|| visit.target()).filter(|_| status.is_server_error() || wait.is_some()),
        login: &login,
        switch: switch.as_deref(),
        step: limited.map(Limited::as_str),
        step_url: step_url.as_deref(),
        again: again.as_deref(),
        link: error.link.map(LinkKind::as_str),
        provider: None,
    };
    visit.page(status, &view)
}

/// Where to sign in; for whoever needs a new proof, where to bring it.
fn login_url(visit: &Visit, error: &Error) -> String {
    match error.code {
        Code::StepUp => proof::url(visit, error.second_factor, visit.way_back().as_deref()),
        _ => visit.login_url(),
    }
}

/// Where somebody who is signed in does what is missing, and comes back to this address (S-32, S-100).
fn next_step(visit: &Visit, error: &Error) -> Option<String> {
    let session = visit.app().sessions.peek(visit.slot())?;
    match error.code {
        Code::StepUp => Some(login_url(visit, error)),
        Code::SessionLimited => visit.step_url(session.limited?, visit.way_back().as_deref()),
        _ => None,
    }
}

/// A page that goes on to the same address, now from our own site: a Strict cookie goes along then (S-02).
pub(crate) fn bounce(visit: &Visit) -> Response {
    let view = ContinuePage { url: visit.target(), towards: Towards::Page };
    visit.page(StatusCode::OK, &view)
}

/// An error and what is behind it, in one line.
fn chain(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
