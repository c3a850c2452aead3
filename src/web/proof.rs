//! What a session must bring to its own account: every step of the sign-in (S-32); for what is sensitive also GoTrue's
//! word of this moment and a fresh proof (S-46).

use axum::response::Response;
use http::HeaderValue;
use time::Duration;

use super::error::{Code, Error};
use super::visit::{Visit, returning, see_other};
use crate::event::{self, Event, Outcome, Record};
use crate::session::Current;

/// How old the last proof may be. Judged here by the session's own time, whatever a page or a way back says.
pub(super) const FRESH: Duration = Duration::minutes(5);

/// The session of this request, with no step of its sign-in missing.
///
/// # Errors
///
/// 401 without one, 403 `session_limited`, 503 where nobody can tell.
pub(super) async fn complete(visit: &Visit) -> Result<Current, Error> {
    let current = visit.app().sessions.current(visit.slot()).await?;
    if current.session.limited.is_some() {
        return Err(Code::SessionLimited.into());
    }
    Ok(current)
}

/// Whether `current`, which is [`complete`], may do what is sensitive. Asks GoTrue each time.
///
/// # Errors
///
/// [`Code::StepUp`] if the last proof is too old, or the second factor is missing that the person has by now; 401
/// `session_ended` for a session that GoTrue has ended; 503 if it does not answer.
pub(super) async fn fresh(visit: &Visit, current: &Current) -> Result<(), Error> {
    let app = visit.app();
    let level = app.sessions.ask_live(visit.slot(), current).await?;
    let second = level > current.claims.aal;
    if !second && app.clock.now() - current.session.auth_time <= FRESH {
        return Ok(());
    }
    let code = Some(Code::StepUp.as_str());
    event::emit(&Record { code, ..Record::of(Event::StepUp, Outcome::Refused) });
    Err(step_up(second, Some(FRESH)))
}

/// Off to a new proof, and then back to `page` of ours.
pub(super) fn ask(visit: &Visit, page: &str) -> Response {
    visit.count_refusal(Code::StepUp);
    see_other(&url(visit, false, Some(page)))
}

/// Where whoever is signed in proves it anew, on the way to `target`: by the code of an app if there is one, or if a
/// second factor is asked for; else on the login page.
pub(super) fn url(visit: &Visit, second_factor: bool, target: Option<&str>) -> String {
    let session = visit.app().sessions.peek(visit.slot());
    let code = session.is_some_and(|session| second_factor || session.next_aal > 1);
    let page = if code { "/auth/mfa" } else { "/auth/login?prompt=login" };
    target.map_or_else(|| page.to_owned(), |target| returning(page, target))
}

/// The refusal of whoever is signed in, but not well enough or not lately.
pub(super) fn step_up(second_factor: bool, max_age: Option<Duration>) -> Error {
    Error { challenge: challenge(second_factor, max_age), second_factor, ..Code::StepUp.into() }
}

/// `WWW-Authenticate` of [`Code::StepUp`] (RFC 9470).
fn challenge(aal2: bool, max_age: Option<Duration>) -> Option<HeaderValue> {
    let mut text = r#"Bearer realm="supabase-bff", error="insufficient_user_authentication""#.to_owned();
    if aal2 {
        text.push_str(r#", acr_values="aal2""#);
    }
    if let Some(age) = max_age {
        text.push_str(&format!(", max_age={}", age.whole_seconds()));
    }
    HeaderValue::from_str(&text).ok()
}
