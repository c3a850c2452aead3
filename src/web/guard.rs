//! Who is asking: the session cookie or a bearer token, never both (S-39).

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use time::OffsetDateTime;

use super::error::{Code, Error};
use super::visit::{Face, Visit};
use crate::event::{self, Event, Outcome, Record};
use crate::policy::{Via, Who};
use crate::session::{self, Current};
use crate::token::{Claims, Refusal};
use base::secret::Secret;

/// Whoever was found behind a request, verified.
pub(crate) enum Caller {
    /// No credentials at all.
    Nobody,
    /// The session of the cookie; its access token goes to upstreams.
    Session(Current),
    /// A program with a token of its own.
    Bearer {
        /// The token as it came.
        token: Secret<String>,
        /// What it says.
        claims: Arc<Claims>,
    },
}

impl Caller {
    /// As the policy sees them.
    pub(crate) fn who(&self) -> Who<'_> {
        match self {
            Self::Nobody => Who::Nobody,
            Self::Session(current) => Who::User {
                claims: &current.claims,
                via: Via::Cookie,
                auth_time: Some(current.session.auth_time),
                limited: current.session.limited.is_some(),
            },
            Self::Bearer { claims, .. } => {
                Who::User { claims, via: Via::Bearer, auth_time: None::<OffsetDateTime>, limited: false }
            }
        }
    }

    /// When they were found good: now, unless that was not looked at.
    pub(crate) fn at(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Session(current) => Some(current.at),
            Self::Nobody | Self::Bearer { .. } => None,
        }
    }

    /// What an upstream that takes the user's token gets as `Authorization`.
    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        match self {
            Self::Nobody => None,
            Self::Session(current) => current.session.bearer().cloned(),
            Self::Bearer { token, .. } => base::http::bearer(token),
        }
    }
}

/// The caller of a request. Where bearers do not count, one is ignored, good or not (S-39).
///
/// # Errors
///
/// 400 for two identities at once, 401 for a token or session that is not good, 503 where nobody can tell.
pub(crate) async fn caller(visit: &Visit, headers: &HeaderMap, bearers_count: bool) -> Result<Caller, Error> {
    let app = visit.app();
    let carries_session = visit.slot().carries_session(app.sessions.names());
    // Below the mount the cookie wins: a client there sends its key as a bearer, always.
    if !app.bearer || !bearers_count || (carries_session && visit.face() == Face::Supabase) {
        return by_cookie(visit, carries_session).await;
    }
    if visit.face() != Face::Supabase && token_in_query(visit.target()) {
        return Err(Code::AmbiguousCredentials.into());
    }
    match bearer(headers)? {
        Some(_) if carries_session => Err(Code::AmbiguousCredentials.into()),
        Some(token) => by_token(visit, token).await,
        None => by_cookie(visit, carries_session).await,
    }
}

/// GoTrue's word of this moment that the session of `caller` still lives, for rules with `live`.
///
/// # Errors
///
/// 401 if it is over, 503 if nobody can tell.
pub(crate) async fn vouched(visit: &Visit, caller: &Caller) -> Result<(), Error> {
    let sessions = &visit.app().sessions;
    match caller {
        Caller::Nobody => Ok(()),
        Caller::Session(current) => Ok(sessions.ask_live(visit.slot(), current).await.map(drop)?),
        Caller::Bearer { token, claims } => match sessions.token_lives(token, claims, visit.client()).await {
            Err(session::Error::Ended(reason)) => {
                Err(Error { reason: Some(reason), ..Code::InvalidToken.into() })
            }
            told => Ok(told?),
        },
    }
}

async fn by_cookie(visit: &Visit, carries_session: bool) -> Result<Caller, Error> {
    match visit.app().sessions.current(visit.slot()).await {
        Ok(current) => Ok(Caller::Session(current)),
        Err(session::Error::Missing) => Ok(Caller::Nobody),
        Err(session::Error::Ended(_)) if !carries_session => Ok(Caller::Nobody),
        Err(error) => Err(error.into()),
    }
}

/// Whether the query brings a token, as RFC 6750 section 2.3 would have it. Addresses are kept in too many places.
fn token_in_query(target: &str) -> bool {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token")
}

/// Records that a caller was turned away before `rule` was asked about him (S-88). An outage is no refusal.
pub(crate) fn refused(error: Error, rule: Option<&str>) -> Error {
    if error.code.status().is_client_error() {
        let code = Some(error.code.as_str());
        event::emit(&Record { code, rule, ..Record::of(Event::PolicyRefused, Outcome::Refused) });
    }
    error
}

async fn by_token(visit: &Visit, token: Secret<String>) -> Result<Caller, Error> {
    let app = visit.app();
    // A key of the project below the mount is no person: it asks as whoever is here, and nobody is.
    if visit.face() == Face::Supabase && !looks_like_a_user(token.expose()) {
        return Ok(Caller::Nobody);
    }
    let claims = match app.verifier.verify(token.expose()).await {
        Ok(claims) => claims,
        Err(refusal @ (Refusal::Invalid(_) | Refusal::KeysUnavailable { .. })) => return Err(refusal.into()),
    };
    if let Some(reason) = app.sessions.denied(&claims) {
        return Err(Error { reason: Some(reason), ..Code::InvalidToken.into() });
    }
    if !app.verifier.forwardable(&claims) {
        return Err(Code::InvalidToken.into());
    }
    Ok(Caller::Bearer { token, claims })
}

/// The one bearer token of `Authorization`; another scheme is none of ours.
fn bearer(headers: &HeaderMap) -> Result<Option<Secret<String>>, Error> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(Code::AmbiguousCredentials.into());
    }
    let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Err(Code::InvalidToken.into());
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    Ok(Some(Secret::new(token.to_owned())))
}

/// Whether a bearer below the mount has a subject: the project's legacy keys are JWTs without one.
fn looks_like_a_user(token: &str) -> bool {
    use base64::Engine;
    let Some(payload) = token.split('.').nth(1) else { return false };
    let Ok(bytes) = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload) else { return false };
    serde_json::from_slice::<serde_json::Value>(&bytes).is_ok_and(|claims| claims.get("sub").is_some())
}
