//! Who is asking: the session cookie or a bearer token, never both (S-39).

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use time::OffsetDateTime;

use super::error::{Code, Error};
use super::supabase::phantom::Intent;
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
            Self::Bearer { claims, .. } => program(claims),
        }
    }

    /// What their token says.
    pub(crate) fn claims(&self) -> Option<&Arc<Claims>> {
        match self {
            Self::Nobody => None,
            Self::Session(current) => Some(&current.claims),
            Self::Bearer { claims, .. } => Some(claims),
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

/// A program whose token says `claims`, as the policy sees it.
pub(super) fn program(claims: &Claims) -> Who<'_> {
    Who::User { claims, via: Via::Bearer, auth_time: None, limited: false }
}

/// The caller of a request. Where bearers do not count, one is ignored, good or not (S-39).
///
/// # Errors
///
/// 400 for two identities at once, 401 for a token or session that is not good, 503 where nobody can tell.
pub(crate) async fn caller(visit: &Visit, headers: &HeaderMap, bearers_count: bool) -> Result<Caller, Error> {
    let app = visit.app();
    let carries_session = visit.slot().carries_session(app.sessions.names());
    if visit.face() == Face::Supabase {
        return below_the_mount(visit, headers, bearers_count && app.bearer).await;
    }
    if !app.bearer || !bearers_count {
        return by_cookie(visit, carries_session).await;
    }
    if token_in_query(visit.query()) {
        return Err(Code::AmbiguousCredentials.into());
    }
    match bearer(headers)? {
        Some(_) if carries_session => Err(Code::AmbiguousCredentials.into()),
        Some(token) => by_token(visit, token).await,
        None => by_cookie(visit, carries_session).await,
    }
}

/// GoTrue's word, of the last ten seconds for a session and of this moment for a bearer, that the session of `caller` still lives, for rules with `live`.
///
/// # Errors
///
/// 401 if it is over, 503 if nobody can tell.
pub(crate) async fn vouched(visit: &Visit, caller: &Caller) -> Result<(), Error> {
    let sessions = &visit.app().sessions;
    match caller {
        Caller::Nobody => Ok(()),
        Caller::Session(current) => Ok(sessions.person_lately(visit.slot(), current).await.map(drop)?),
        Caller::Bearer { token, claims } => match sessions.token_lives(token, claims, visit.client()).await {
            Err(session::Error::Ended(reason)) => {
                Err(Error { reason: Some(reason), ..Code::InvalidToken.into() })
            }
            told => Ok(told?),
        },
    }
}

/// Below the mount the cookie wins, and the bearer that a client there always sends says no more than whom it means: its
/// key, whoever is here; a phantom or a user's token, that person.
async fn below_the_mount(visit: &Visit, headers: &HeaderMap, bearers_count: bool) -> Result<Caller, Error> {
    let app = visit.app();
    if visit.slot().carries_session(app.sessions.names()) {
        let current = app.sessions.current(visit.slot()).await?; // a dead cookie is 401 always
        let token = bearer(headers).ok().flatten();
        let intent = Intent::of(token.as_ref().map(|token| token.expose().as_str()));
        if intent.is_about_another(current.session.user_id) {
            return Err(Code::SessionChanged.into()); // never one person's page over another's cookie
        }
        return Ok(Caller::Session(current));
    }
    let Some(token) = bearer(headers)? else { return Ok(Caller::Nobody) };
    match Intent::of(Some(token.expose())) {
        Intent::Whoever => Ok(Caller::Nobody),
        Intent::User(_) if bearers_count => by_token(visit, token).await,
        Intent::User(_) | Intent::Phantom(_) => Err(missing(visit)),
    }
}

/// The refusal of a call that wants a session and has none: with the reason, if one has ended.
pub(crate) fn missing(visit: &Visit) -> Error {
    let ended = visit.app().sessions.ended(visit.slot());
    ended.map_or(session::Error::Missing, session::Error::Ended).into()
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
fn token_in_query(query: &str) -> bool {
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
