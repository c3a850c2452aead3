//! What GoTrue is asked on a session's behalf: new tokens, and its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use base::secret::Secret;
use time::{Duration, OffsetDateTime};

use super::breaker::Place;
use super::cookie::{Carried, Jar};
use super::record::{Fresh, Session};
use super::sessions::Inner;
use super::slot::Slot;
use crate::event::{self, Event, Reason, Refreshed};
use crate::gotrue::{self, FinalRefresh, Scope};
use crate::token::Claims;

/// How long a finished refresh answers late requests with the old cookie.
const REMEMBERED: Duration = Duration::seconds(30);

/// How long a request waits for its turn, whatever is before it: the slowest call of GoTrue that others make, and a lease
/// that nobody gave back. A call of its own may follow.
pub(super) const TURN: StdDuration = StdDuration::from_secs(16);

/// What became of a refresh.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// The session with new tokens.
    Refreshed(Arc<Session>),
    /// One of the final codes of contract 5.5.
    Ended(Reason),
    /// Anything else: the session stays, nobody asks again before `until`.
    Kept {
        /// The end of the cool-down.
        until: OffsetDateTime,
    },
    /// The new tokens do not fit into the cookies: somebody's metadata grew. The session stays as it is while its token
    /// lives, and can go on once the metadata has shrunk: GoTrue takes a refresh token that is one behind.
    TooLarge {
        /// The end of the cool-down.
        until: OffsetDateTime,
    },
    /// The store does not answer: nobody can say whether another node refreshes. The session stays.
    StoreAway {
        /// When to ask it again.
        until: OffsetDateTime,
    },
}

/// Whether an error means that asking more would not help (for the breaker).
pub(super) fn is_outage(error: &gotrue::Error) -> bool {
    error.is_transient() && !matches!(error, gotrue::Error::Refused { .. })
}

pub(super) fn reason(last: FinalRefresh) -> Reason {
    match last {
        FinalRefresh::NotFound => Reason::RefreshNotFound,
        FinalRefresh::Reused => Reason::RefreshReused,
        FinalRefresh::SessionNotFound => Reason::SessionNotFound,
        FinalRefresh::Expired => Reason::UpstreamExpired,
        FinalRefresh::Banned => Reason::UserBanned,
    }
}

/// What GoTrue's answer to a refresh means for the session.
pub(super) enum Answer {
    /// The session with new tokens, and the level that they say, if that could be verified.
    New(Box<Session>, Option<u8>),
    /// It is over.
    Final(Reason),
    /// It is kept, and nobody asks again before then.
    Kept(OffsetDateTime),
}

impl Inner {
    /// The one refresh of a session in this process, what its answer means, and for how long that holds.
    pub(super) async fn ask_for_refresh(
        self: &Arc<Self>,
        session: &Arc<Session>,
        from: Option<IpAddr>,
    ) -> (Outcome, OffsetDateTime) {
        let outcome = match (&self.vault, &session.rest) {
            (Some(vault), Some(rest)) => self.refresh_among_nodes(vault, &rest.ticket, session, from).await,
            _ => self.refresh_here(session, from).await,
        };
        if let Outcome::Refreshed(fresh) = &outcome {
            self.held.renewed(fresh);
        }
        let remembered = self.clock.now() + REMEMBERED;
        let (until, counted) = match &outcome {
            Outcome::Refreshed(_) => (remembered, Refreshed::Ok),
            Outcome::Ended(_) => (remembered, Refreshed::Ended),
            Outcome::Kept { until } | Outcome::StoreAway { until } => (*until, Refreshed::Kept),
            Outcome::TooLarge { until } => (*until, Refreshed::TooLarge),
        };
        self.trail.metrics().refreshed(counted);
        (outcome, until)
    }

    /// Cookie mode: the answer becomes the cookie.
    async fn refresh_here(&self, session: &Arc<Session>, from: Option<IpAddr>) -> Outcome {
        let place = match self.breaker.place(self.clock.now(), TURN).await {
            Ok(place) => place,
            Err(until) => return Outcome::Kept { until },
        };
        let refreshed = match self.ask_gotrue(place, session, from).await {
            Answer::New(refreshed, _) => refreshed,
            Answer::Final(reason) => {
                self.give_up(session, reason);
                return Outcome::Ended(reason);
            }
            Answer::Kept(until) => return Outcome::Kept { until },
        };
        let now = self.clock.now();
        if let Some(reason) = self.denied_reason(session, now) {
            self.discard_late(refreshed.access_token.clone(), reason);
            return Outcome::Ended(reason);
        }
        if self.cookies_for(&refreshed, &Jar::empty(), now).is_none() {
            tracing::error!("a refreshed session does not fit into its cookies: its metadata is too large");
            return Outcome::TooLarge { until: now + self.settings.refresh_cooldown };
        }
        Outcome::Refreshed(Arc::from(refreshed))
    }

    /// The call itself, in the name of the client at `from`.
    pub(super) async fn ask_gotrue(
        &self,
        place: Place<'_>,
        session: &Session,
        from: Option<IpAddr>,
    ) -> Answer {
        let leave = match place.leave(self.clock.now()) {
            Ok(leave) => leave,
            Err(until) => return Answer::Kept(until),
        };
        let answer = self.gotrue.refresh(&session.refresh_token, from).await;
        let now = self.clock.now();
        leave.report(!answer.as_ref().is_err_and(is_outage), now);
        let tokens = match answer {
            Ok(tokens) => tokens,
            Err(error) => return self.refresh_failed(session, &error, now),
        };
        // GoTrue itself handed it over: a rotated token must not be lost because nobody can check it now. It is checked
        // again at its use.
        let claims = self.verifier.verify(tokens.access_token.expose()).await.ok();
        let owner = tokens.user.id == session.user_id
            && claims.as_ref().is_none_or(|c| c.sub == session.user_id && c.session_id == session.gotrue_id);
        if !owner {
            self.discard(tokens.access_token);
            return Answer::Final(Reason::OwnerMismatch);
        }
        let (issued_at, expires_at) = match &claims {
            Some(claims) => times(claims, now),
            None => (now, now + Duration::seconds(tokens.expires_in)),
        };
        self.keep_person(session, Arc::new(tokens.user.clone()), now);
        let (fresh, aal) = (Fresh::new(tokens, issued_at, expires_at), claims.map(|claims| claims.aal));
        let refreshed = session.refreshed(fresh, aal, self.settings.second_factor, now);
        Answer::New(Box::new(refreshed), aal)
    }

    /// Ends a session that GoTrue refreshes no more.
    pub(super) fn give_up(&self, session: &Session, reason: Reason) {
        if reason == Reason::RefreshReused {
            self.record(session, Event::TokenReuse, event::Outcome::Refused, Some(reason), None);
        }
        self.end(session, reason);
    }

    fn refresh_failed(&self, session: &Session, error: &gotrue::Error, now: OffsetDateTime) -> Answer {
        if let Some(reason) = error.final_refresh_reason().map(reason) {
            return Answer::Final(reason);
        }
        tracing::warn!(%error, "a session could not be refreshed and is kept");
        self.record(session, Event::Refresh, event::Outcome::Failed, None, None);
        Answer::Kept(now + self.pause_after(error))
    }

    /// How long nobody asks again after a refresh that brought nothing.
    pub(super) fn pause_after(&self, error: &gotrue::Error) -> Duration {
        let asked = match error {
            gotrue::Error::RateLimited { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        self.settings.refresh_cooldown.max(asked.min(Duration::minutes(1)))
    }

    /// An idle or too old session is revoked at GoTrue when somebody presents it (S-08).
    pub(super) fn end_at_gotrue_if_it_ran_out(self: &Arc<Self>, slot: &Slot, reason: Reason) {
        if !matches!(reason, Reason::Idle | Reason::Absolute) {
            return;
        }
        let Carried::Sealed(sealed) = self.names.read_session(slot.jar()) else { return };
        let Ok((session, _)) = self.unseal(&sealed) else { return };
        if self.denied.reason(&[session.id], self.clock.now()).is_none() {
            self.end(&session, reason);
            self.end_at_gotrue_later(session, Scope::Local);
        }
    }

    /// Signs out at GoTrue in a task of its own. An expired access token is refreshed first (contract, trap 2).
    pub(super) fn end_at_gotrue_later(
        self: &Arc<Self>,
        session: Arc<Session>,
        scope: Scope,
    ) -> tokio::task::JoinHandle<()> {
        let inner = self.clone();
        tokio::spawn(async move {
            let told = inner.end_at_gotrue(&session, scope).await;
            let outcome = if told.is_ok() { event::Outcome::Ok } else { event::Outcome::RemoteFailed };
            if let Err(error) = told {
                tracing::warn!(%error, "GoTrue did not hear of a sign-out");
            }
            inner.record(&session, Event::SignOut, outcome, None, None);
        })
    }

    pub(super) async fn end_at_gotrue(&self, session: &Session, scope: Scope) -> Result<(), gotrue::Error> {
        if self.clock.now() < session.expires_at {
            return self.gotrue.logout(&session.access_token, scope, None).await;
        }
        match self.gotrue.refresh(&session.refresh_token, None).await {
            Ok(tokens) => self.gotrue.logout(&tokens.access_token, scope, None).await,
            Err(error) if error.final_refresh_reason().is_some() => Ok(()), // it is over there as well
            Err(error) => Err(error),
        }
    }

    /// Revokes what a refresh brought for a session that had ended by then (S-43). One that was replaced lives on under
    /// its new id, perhaps within the same session at GoTrue: whoever replaced it has seen to that.
    pub(super) fn discard_late(&self, access_token: Secret<String>, ended: Reason) {
        if ended != Reason::Replaced {
            self.discard(access_token);
        }
    }

    /// Revokes tokens that nobody will use.
    pub(super) fn discard(&self, access_token: Secret<String>) {
        let gotrue = self.gotrue.clone();
        tokio::spawn(async move {
            if let Err(error) = gotrue.logout(&access_token, Scope::Local, None).await {
                tracing::warn!(%error, "tokens that are not used could not be revoked");
            }
        });
    }
}

/// When a token was issued and when it ends; claims out of range fall back to `now`.
pub(super) fn times(claims: &Claims, now: OffsetDateTime) -> (OffsetDateTime, OffsetDateTime) {
    let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(now);
    (time(claims.iat), time(claims.exp))
}
