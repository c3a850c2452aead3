//! From cookies to a session and back.

use std::sync::Arc;

use base::seal::Unopened;
use http::HeaderValue;
use time::{Duration, OffsetDateTime};

use super::cookie::{Carried, Jar};
use super::record::{Session, seconds};
use super::sessions::{Inner, Sessions};
use super::slot::Presented;
use crate::event::Reason;
use crate::token::Claims;

impl Sessions {
    /// Why a token that verifies is refused all the same (S-40, S-45).
    pub fn denied(&self, claims: &Claims) -> Option<Reason> {
        let since = OffsetDateTime::from_unix_timestamp(claims.iat).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        self.0.denied.reason_for(&[claims.session_id], claims.sub, since, self.0.clock.now())
    }
}

impl Inner {
    pub(super) fn open(&self, jar: &Jar, now: OffsetDateTime) -> (Presented, bool) {
        let sealed = match self.names.read_session(jar) {
            Carried::Nothing => return (Presented::Nothing, false),
            Carried::Damaged => return (Presented::Ended(Reason::Damaged), false),
            Carried::Sealed(sealed) => sealed,
        };
        let (session, stale) = match self.unseal(&sealed) {
            Ok(opened) => opened,
            Err(reason) => return (Presented::Ended(reason), false),
        };
        let over = self.denied_reason(&session, now).or_else(|| self.limit_passed(&session, now));
        match over {
            Some(reason) => {
                self.opened.remove(&sealed);
                self.note_end(&session, now);
                (Presented::Ended(reason), false)
            }
            None => (Presented::Session(session), stale),
        }
    }

    /// The session in `sealed`, and whether an older key had sealed it.
    pub(super) fn unseal(&self, sealed: &str) -> Result<(Arc<Session>, bool), Reason> {
        if let Some(known) = self.opened.get(sealed) {
            return Ok(known);
        }
        let opened = match self.sealer.open(&[self.names.session(), &self.origin], sealed) {
            Ok(opened) => opened,
            Err(Unopened::KeyMissing) => return Err(Reason::KeyMissing),
            Err(Unopened::Malformed | Unopened::Forged) => return Err(Reason::Damaged),
        };
        let session = Arc::new(Session::from_bytes(&opened.plain, None).ok_or(Reason::Damaged)?);
        self.opened.insert(sealed, &session, opened.stale);
        Ok((session, opened.stale))
    }

    pub(super) fn limit_passed(&self, session: &Session, now: OffsetDateTime) -> Option<Reason> {
        let past = |from: OffsetDateTime, limit: Duration| seconds(from, now) > limit.whole_seconds();
        if past(session.created_at, self.settings.absolute) {
            Some(Reason::Absolute)
        } else if past(session.last_seen, self.settings.idle) {
            Some(Reason::Idle)
        } else {
            None
        }
    }

    pub(super) fn denied_reason(&self, session: &Session, now: OffsetDateTime) -> Option<Reason> {
        let (ids, user) = ([session.id, session.gotrue_id], session.user_id);
        self.denied.reason_for(&ids, user, session.created_at, now)
    }

    /// Without a list of a person's sessions, each that ended with all the others is told of when it is used again.
    fn note_end(&self, session: &Session, now: OffsetDateTime) {
        if self.denied.reason(&[session.id, session.gotrue_id], now).is_none()
            && let Some(reason) = self.denied_reason(session, now)
        {
            self.end(session, reason);
        }
    }

    pub(super) fn seal(&self, session: &Session) -> String {
        let context = [self.names.session(), self.origin.as_str()];
        self.sealer.seal(&context, &session.to_bytes(), &*self.entropy)
    }

    pub(super) fn cookies_for(
        &self,
        session: &Session,
        jar: &Jar,
        now: OffsetDateTime,
    ) -> Option<Vec<HeaderValue>> {
        let left = session.created_at + self.settings.absolute - now;
        let value = match &session.rest {
            Some(rest) => rest.ticket.to_text(),
            None => self.seal(session),
        };
        self.names.set_session(&value, session.remember.then_some(left), jar)
    }
}
