//! `GET /auth/session` and `POST /auth/refresh`: who is signed in, never a token (S-10).

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base::decimal;
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::session::{self, Current};
use crate::token::{Claims, ClaimsSet};
use crate::web::error::{Code, Error};
use crate::web::guard::{self, Caller};
use crate::web::visit::Visit;

/// `GET /auth/session`: 200 signed in or not; a bad bearer is 401, an outage that hides the answer 503. A poll: it never
/// slides the idle limit.
#[tracing::instrument(name = "session.show", level = "debug", skip_all)]
pub(crate) async fn show(visit: Visit, request: Request) -> Result<Response, Error> {
    visit.slot().mark_as_poll();
    let found = match guard::caller(&visit, request.headers(), true).await {
        Ok(Caller::Bearer { claims, .. }) => {
            return Ok(visit.json(StatusCode::OK, &describe(&visit, &claims, &claims.set(), None)));
        }
        Ok(Caller::Session(current)) => Ok(current),
        Err(error) if matches!(error.code, Code::InvalidToken | Code::AmbiguousCredentials) => {
            return Err(guard::refused(error, None));
        }
        _ => visit.app().sessions.current(visit.slot()).await, // what the cookie says
    };
    match found {
        Ok(current) => Ok(known(&visit, &current)),
        Err(error @ (session::Error::Missing | session::Error::Ended(_))) => {
            let reason = match error {
                session::Error::Ended(reason) => Some(reason.as_str()),
                _ => None,
            };
            let mut body = json!({ "authenticated": false, "login_url": "/auth/login" });
            if let Some(reason) = reason {
                body["reason"] = reason.into();
            }
            let mut response = visit.json(StatusCode::OK, &body);
            if let Some(reason) = reason {
                response.headers_mut().insert("x-session-ended", http::HeaderValue::from_static(reason));
            }
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /auth/refresh`: 204.
#[tracing::instrument(name = "session.refresh", skip_all)]
pub(crate) async fn refresh(visit: Visit) -> Result<Response, Error> {
    visit.app().sessions.refresh(visit.slot()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The fixed list of fields, in the order in which people look for them.
#[derive(Serialize)]
pub(crate) struct Description<'a> {
    authenticated: bool,
    user: Person<'a>,
    roles: Vec<String>,
    scopes: Vec<String>,
    aal: u8,
    next_aal: u8,
    amr: Vec<&'a str>,
    claims: serde_json::Map<String, Value>,
    limited: Option<&'static str>,
    csrf: Csrf,
    logout_url: &'static str,
    account_url: &'static str,
    /// The last member, so that its own last ones can be put behind a text that is made once.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<About<'a>>,
}

#[derive(Serialize)]
struct Person<'a> {
    id: Uuid,
    email: &'a str,
    phone: &'a str,
    name: Option<&'a str>,
    avatar_url: Option<&'a str>,
    provider: Option<&'a Value>,
    providers: &'a Value,
    is_anonymous: bool,
}

#[derive(Serialize)]
struct Csrf {
    header: &'static str,
    value: &'static str,
}

#[derive(Serialize)]
struct About<'a> {
    id: &'a str,
    created_at: String,
    auth_time: String,
    #[serde(flatten)]
    left: Option<Left>,
}

/// What changes from second to second.
#[derive(Serialize)]
struct Left {
    idle_expires_in: i64,
    expires_in: i64,
}

/// A list without entries.
static NONE: Value = Value::Array(Vec::new());

/// Describes who is signed in; `current` only where a cookie says so.
pub(crate) fn describe<'a>(
    visit: &Visit,
    claims: &'a Claims,
    set: &'a ClaimsSet,
    current: Option<&'a Current>,
) -> Description<'a> {
    let app = visit.app();
    let access = visit.policy().access(claims);
    let own = set.user_metadata();
    let own_text = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| own?.get(*name)?.as_str());
        found.filter(|text| !text.is_empty())
    };
    let exposed = app.expose_claims.iter().filter_map(|path| Some((path.clone(), set.at(path)?.clone())));
    Description {
        authenticated: true,
        user: Person {
            id: claims.sub,
            email: &claims.email,
            phone: &claims.phone,
            name: own_text(["full_name", "name"]),
            avatar_url: own_text(["avatar_url", "picture"]).filter(|url| url.starts_with("https://")),
            provider: set.at("app_metadata.provider"),
            providers: set.at("app_metadata.providers").unwrap_or(&NONE),
            is_anonymous: claims.is_anonymous,
        },
        roles: access.roles,
        scopes: access.scopes,
        aal: claims.aal,
        next_aal: current.map_or(claims.aal, |current| current.session.next_aal.max(claims.aal)),
        amr: claims.amr.iter().map(|proof| proof.method.as_str()).collect(),
        claims: exposed.collect(),
        limited: current.and_then(|current| current.session.limited).map(session::Limited::as_str),
        csrf: Csrf { header: "X-CSRF", value: "1" },
        logout_url: "/auth/logout",
        account_url: "/auth/account",
        session: current.map(|current| about(visit, current)),
    }
}

fn about<'a>(visit: &Visit, current: &'a Current) -> About<'a> {
    let session = &current.session;
    let stamp = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    About {
        id: visit.app().sessions.public_id(session),
        created_at: stamp(session.created_at),
        auth_time: stamp(session.auth_time),
        left: Some(left(visit, current)),
    }
}

fn left(visit: &Visit, current: &Current) -> Left {
    let (settings, session, now) = (visit.app().sessions.settings(), &current.session, current.at);
    let gone = |from: OffsetDateTime| now.unix_timestamp().saturating_sub(from.unix_timestamp());
    let left = |limit: Duration, from| limit.whole_seconds().saturating_sub(gone(from)).max(0);
    let absolute = left(settings.absolute, session.created_at);
    Left { idle_expires_in: left(settings.idle, session.last_seen).min(absolute), expires_in: absolute }
}

/// The description of a session. All of it but the seconds left is made once for a session and its claims: pages ask
/// for it again and again.
fn known(visit: &Visit, current: &Current) -> Response {
    let session = &current.session;
    let head = session.described(visit.policy().serial(), || {
        let set = current.claims.set();
        let mut whole = describe(visit, &current.claims, &set, Some(current));
        if let Some(about) = &mut whole.session {
            about.left = None;
        }
        let text = serde_json::to_string(&whole).unwrap_or_default(); // texts, numbers and maps with text keys
        text.strip_suffix("}}").unwrap_or_default().to_owned()
    });
    let Left { idle_expires_in, expires_in } = left(visit, current);
    let mut text = String::with_capacity(head.len() + 80);
    text.push_str(&head);
    text.push_str(r#","idle_expires_in":"#);
    decimal::push(&mut text, idle_expires_in);
    text.push_str(r#","expires_in":"#);
    decimal::push(&mut text, expires_in);
    text.push_str("}}");
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The JSON of a sign-in that succeeded, or got as far as the code of a second factor.
pub(crate) fn signed_in(visit: &Visit, current: &Current, return_to: &str) -> Response {
    #[derive(Serialize)]
    struct SignedIn<'a> {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        factors: Option<Vec<App<'a>>>,
        session: Description<'a>,
        return_to: &'a str,
    }
    let limited = current.session.limited;
    let needs_code = limited.is_some_and(|limited| limited.as_str() == session::Limited::Mfa.as_str());
    let apps = || current.factors.iter().filter(|factor| factor.verified).map(App::of).collect();
    let set = current.claims.set();
    let answer = SignedIn {
        status: if needs_code { "mfa_required" } else { "signed_in" },
        factors: needs_code.then(apps),
        session: describe(visit, &current.claims, &set, Some(current)),
        return_to,
    };
    visit.json(StatusCode::OK, &answer)
}

/// A second factor as JSON names it.
#[derive(Serialize)]
pub(crate) struct App<'a> {
    id: Uuid,
    r#type: &'a str,
    name: &'a str,
}

impl<'a> App<'a> {
    pub(crate) fn of(factor: &'a session::Factor) -> Self {
        Self { id: factor.id, r#type: &factor.kind, name: &factor.name }
    }
}
