//! Whether GoTrue still vouches for a session. Asked before what is sensitive (S-46): a token that verifies may be that
//! of somebody who was signed out or banned a minute ago.

use std::net::IpAddr;
use std::sync::Arc;

use base::secret::Secret;
use http::StatusCode;
use time::{Duration, OffsetDateTime};

use super::Error;
use super::flights::{Flights, Key};
use super::record::Session;
use super::sessions::{Current, Inner, Sessions};
use super::slot::Slot;
use crate::event::Reason;
use crate::gotrue::{self, User};
use crate::token::Claims;

/// How long an answer about a person is taken for current where that will do.
const KEPT: Duration = Duration::seconds(10);

/// What GoTrue said about the person of a session a moment ago, or is being asked.
pub(super) type Persons = Flights<Result<Arc<User>, Arc<gotrue::Error>>>;

impl Sessions {
    /// Asks GoTrue for the person of `current`, which `slot`'s request carries: the level that the factors of this moment
    /// make possible, 1 or 2. A session that GoTrue no longer knows ends here and on all nodes.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] if it is over, [`Error::Unavailable`] if nobody can tell: the session is kept then.
    pub async fn ask_live(&self, slot: &Slot, current: &Current) -> Result<u8, Error> {
        let person = self.person(slot, current).await?;
        Ok(if person.has_verified_factor() { 2 } else { 1 })
    }

    /// The person of `current` as GoTrue knows him at this moment.
    ///
    /// # Errors
    ///
    /// As [`ask_live`](Self::ask_live).
    pub async fn person(&self, slot: &Slot, current: &Current) -> Result<User, Error> {
        match self.0.gotrue.user(&current.session.access_token, slot.client()).await {
            Ok(user) if user.id == current.session.user_id => Ok(user),
            Ok(_) => Err(self.end_by_word_of_gotrue(slot, current, Reason::OwnerMismatch).await),
            Err(error) => Err(self.not_told(slot, current, &error).await),
        }
    }

    /// The same as of a moment ago: GoTrue is asked once for everybody who wants to know of this session within ten
    /// seconds, and not at all after an answer of its own that said so. What is changed through us is seen at once.
    ///
    /// # Errors
    ///
    /// As [`ask_live`](Self::ask_live).
    pub async fn person_lately(&self, slot: &Slot, current: &Current) -> Result<Arc<User>, Error> {
        let (inner, session, from) = (self.0.clone(), current.session.clone(), slot.client());
        let work = async move {
            let told = inner.gotrue.user(&session.access_token, from).await.map(Arc::new).map_err(Arc::new);
            let now = inner.clock.now();
            let until = if told.is_ok() { now + KEPT } else { now };
            (told, until)
        };
        let told = self.0.persons.share(key(&current.session), &self.0.clock, work).await;
        match told {
            Some(Ok(user)) if user.id == current.session.user_id => Ok(user),
            Some(Ok(_)) => Err(self.end_by_word_of_gotrue(slot, current, Reason::OwnerMismatch).await),
            Some(Err(error)) => Err(self.not_told(slot, current, &error).await),
            None => Err(self.0.unavailable(self.0.clock.now() + self.0.settings.refresh_cooldown)),
        }
    }

    /// What was known of the person of `session` has changed; `user` is what GoTrue says now, if it said so.
    pub fn person_changed(&self, session: &Session, user: Option<&User>) {
        match user {
            Some(user) => self.0.keep_person(session, Arc::new(user.clone()), self.0.clock.now()),
            None => self.0.persons.forget(&key(session)),
        }
    }

    async fn not_told(&self, slot: &Slot, current: &Current, error: &gotrue::Error) -> Error {
        if let Some(ended) = self.heed(slot, current, error).await {
            return ended;
        }
        tracing::warn!(%error, "GoTrue could not be asked about a session");
        self.0.unavailable(self.0.clock.now() + self.0.settings.refresh_cooldown)
    }

    /// Whether GoTrue still knows the session of a program's own `token`, which says `claims`. One that is over is refused
    /// on all nodes from now on.
    ///
    /// # Errors
    ///
    /// As [`ask_live`](Self::ask_live).
    pub async fn token_lives(
        &self,
        token: &Secret<String>,
        claims: &Claims,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        let now = self.0.clock.now();
        let reason = match self.0.gotrue.user(token, from).await {
            Ok(user) if user.id == claims.sub => return Ok(()),
            Ok(_) => Reason::OwnerMismatch,
            Err(error) => match over(&error) {
                Some(reason) => reason,
                None => {
                    tracing::warn!(%error, "GoTrue could not be asked about a token");
                    return Err(self.0.unavailable(now + self.0.settings.refresh_cooldown));
                }
            },
        };
        let until =
            OffsetDateTime::from_unix_timestamp(claims.exp).unwrap_or(now).max(now) + Duration::MINUTE;
        self.0.denied.add(claims.session_id, until, reason, now);
        self.0.verifier.forget(token.expose());
        self.0.spread_sessions(vec![claims.session_id], reason).await;
        Err(Error::Ended(reason))
    }

    /// Ends the session if GoTrue's refusal of a call with its access token says that it is over; the error to answer
    /// with then.
    pub async fn heed(&self, slot: &Slot, current: &Current, refusal: &gotrue::Error) -> Option<Error> {
        match over(refusal) {
            Some(reason) => Some(self.end_by_word_of_gotrue(slot, current, reason).await),
            None => None,
        }
    }

    async fn end_by_word_of_gotrue(&self, slot: &Slot, current: &Current, reason: Reason) -> Error {
        let session = &current.session;
        self.0.end(session, reason);
        slot.clear(Some(reason));
        if let (Some(vault), Some(rest)) = (&self.0.vault, &session.rest) {
            vault.end_surely(rest.ticket.key(), reason).await;
        }
        self.0.spread_sessions(vec![session.gotrue_id], reason).await;
        Error::Ended(reason)
    }
}

impl Inner {
    /// GoTrue has just told who `user` is, whose session this is.
    pub(super) fn keep_person(&self, session: &Session, user: Arc<User>, now: OffsetDateTime) {
        if user.id == session.user_id {
            self.persons.keep(key(session), Ok(user), now, now + KEPT);
        }
    }
}

/// Names a sign-in of a person.
fn key(session: &Session) -> Key {
    let mut key: Key = [0; 32];
    key[..16].copy_from_slice(session.user_id.as_bytes());
    key[16..].copy_from_slice(session.gotrue_id.as_bytes());
    key
}

/// Why a session is over by this answer to a call with its token. A list as closed as that of refreshes (S-44): `bad_jwt`, a
/// gateway's refusal and every outage say nothing about the session.
fn over(error: &gotrue::Error) -> Option<Reason> {
    match error {
        gotrue::Error::Refused { status: StatusCode::FORBIDDEN, code, .. } => match code.as_str() {
            "session_not_found" | "user_not_found" => Some(Reason::SessionNotFound),
            "user_banned" => Some(Reason::UserBanned),
            _ => None,
        },
        _ => None,
    }
}
