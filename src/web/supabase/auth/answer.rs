//! Answers in GoTrue's shape: a session with phantoms in place of its tokens, a person.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::session::Current;
use crate::web::error::Error;
use crate::web::supabase::phantom;
use crate::web::visit::Visit;

/// No `expires_at`: auth-js works it out by the client's own clock.
#[derive(Serialize)]
struct Session<'a> {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    refresh_token: String,
    user: &'a Map<String, Value>,
}

/// The session `current` with its whole person, whose `factors` auth-js reads.
///
/// # Errors
///
/// 401 if GoTrue says that it is over, 503 if nobody can tell who it is.
pub(super) async fn session(visit: &Visit, current: &Current) -> Result<Response, Error> {
    let app = visit.app();
    let person = app.sessions.person_lately(visit.slot(), current).await?;
    let session = &current.session;
    let body = Session {
        access_token: phantom::access(session),
        token_type: "bearer",
        expires_in: seconds_left(visit, current),
        refresh_token: phantom::refresh(&app.sessions, session, &*app.entropy),
        user: &person.told,
    };
    Ok(visit.json(StatusCode::OK, &body))
}

/// Until the access token ends; at least 1, since auth-js takes 0 for no session.
pub(super) fn seconds_left(visit: &Visit, current: &Current) -> i64 {
    let left = current.session.expires_at.unix_timestamp() - visit.app().clock.now().unix_timestamp();
    left.max(1)
}

/// A person.
pub(super) fn person(visit: &Visit, told: &Map<String, Value>) -> Response {
    visit.json(StatusCode::OK, told)
}
