//! What a session must bring to its own account: every step of the sign-in (S-32); for what is sensitive also GoTrue's
//! word of this moment and a fresh proof (S-46).

use axum::response::Response;
use http::HeaderValue;
use time::Duration;

use super::error::{Code, Error};
use super::visit::{Face, Visit, returning, see_other};
use crate::event::{self, Event, Outcome, Record};
use crate::session::{Current, User};

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

/// Whether `current`, which is [`complete`], may do what is sensitive: the person as GoTrue knows him at this moment. An
/// anonymous account has no other proof than its session, so none is asked for.
///
/// # Errors
///
/// [`Code::StepUp`] if the last proof is too old, or the second factor is missing that the person has by now; 401
/// `session_ended` for a session that GoTrue has ended; 503 if it does not answer.
pub(super) async fn fresh(visit: &Visit, current: &Current) -> Result<User, Error> {
    let app = visit.app();
    let person = app.sessions.person(visit.slot(), current).await?;
    let second = person.has_verified_factor() && current.claims.aal < 2;
    let in_time = current.claims.is_anonymous || app.clock.now() - current.session.auth_time <= FRESH;
    if !second && in_time {
        return Ok(person);
    }
    let code = Some(Code::StepUp.as_str());
    event::emit(&Record { code, ..Record::of(Event::StepUp, Outcome::Refused) });
    Err(step_up(second, Some(FRESH)))
}

/// What came of the question for a proof.
pub(super) enum Proven {
    /// The session, and its person at this moment.
    Yes(Current, User),
    /// The answer that asks for one.
    Ask(Response),
}

/// The session of a request for what is sensitive. People are asked for a new proof where theirs is too old, and come
/// back to `page`.
///
/// # Errors
///
/// As [`complete`] and [`fresh`]; scripts are told to step up.
pub(super) async fn proven(visit: &Visit, page: &str) -> Result<Proven, Error> {
    let current = complete(visit).await?;
    match fresh(visit, &current).await {
        Ok(person) => Ok(Proven::Yes(current, person)),
        Err(error) if error.code == Code::StepUp && visit.face() == Face::Page => {
            Ok(Proven::Ask(ask(visit, page)))
        }
        Err(error) => Err(error),
    }
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
