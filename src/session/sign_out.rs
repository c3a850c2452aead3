//! Ends that somebody asks for: a sign-out here, on other devices, everywhere; a hook's word that a session or a person
//! is no more (S-11, S-45).

use std::sync::Arc;
use std::time::Duration as StdDuration;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Error;
use super::cookie::Carried;
use super::label::Label;
use super::news::News;
use super::record::Session;
use super::sessions::{Inner, Sessions};
use super::slot::{Presented, Slot};
use super::store::Key;
use super::ticket::Ticket;
use crate::event::Reason;
use crate::gotrue::Scope;

/// How long a sign-out waits for GoTrue before it answers; the call itself goes on.
const PATIENCE: StdDuration = StdDuration::from_secs(3);
/// No project may issue tokens that live longer.
const LONGEST_TOKEN: Duration = Duration::days(7);

/// Whose end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// One session of a person, by GoTrue's id.
    Session {
        /// The `sub` of its tokens.
        user: Uuid,
        /// The `session_id` of its tokens.
        id: Uuid,
    },
    /// Everything that a person began until a moment, its very second included.
    User {
        /// The `sub` of their tokens.
        id: Uuid,
        /// When it was said. What begins later counts, however late the word comes, or comes again.
        at: OffsetDateTime,
    },
}

impl Sessions {
    /// Ends the session of this request here and on all nodes, then at GoTrue. What GoTrue did not hear is an event, what
    /// the store did not take is tried again; neither is a failure towards the person (S-11). Returns whether there was
    /// a session.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`] if nobody can tell whether there is a session, or which others there are: nothing
    /// has ended then.
    pub async fn sign_out(&self, slot: &Slot, scope: Scope) -> Result<bool, Error> {
        self.load(slot).await;
        let session = match self.presented(slot) {
            Presented::Session(session) => session,
            Presented::Unknown => return Err(Error::STORE_UNAVAILABLE),
            Presented::Ended(Reason::Replaced) if scope != Scope::Others => {
                return self.sign_out_successor(slot, scope).await;
            }
            Presented::Nothing | Presented::Ended(_) => {
                slot.clear(None);
                return Ok(false);
            }
        };
        if scope == Scope::Others {
            self.sign_out_others(session, Reason::OtherDevice).await?;
            return Ok(true);
        }
        let (everywhere, reason) = asked(scope);
        self.0.end(&session, reason);
        slot.clear(Some(reason));
        if let (Some(vault), Some(rest)) = (&self.0.vault, &session.rest) {
            vault.end_surely(rest.ticket.key(), reason).await;
        }
        let now = self.0.clock.now();
        let until = if everywhere { now + LONGEST_TOKEN } else { session.tokens_end(now) };
        let mut news = News::new(reason, until);
        news.sessions.push(session.gotrue_id);
        self.0.spread(news).await;
        if everywhere {
            self.0.end_everything_of(session.user_id, reason, now).await;
        }
        self.0.tell_gotrue(session, scope).await;
        Ok(true)
    }

    /// A sign-out that comes with the cookie from before a further step: the sign-in ends under the name that it has by
    /// now, on all nodes and at GoTrue. One that a new sign-in had replaced is over already, and the new one goes on.
    async fn sign_out_successor(&self, slot: &Slot, scope: Scope) -> Result<bool, Error> {
        let left = self.0.left_behind(slot).await?;
        slot.clear(None);
        let now = self.0.clock.now();
        let Some(left) = left.filter(|left| self.0.denied.reason(&[left.gotrue_id], now).is_none()) else {
            return Ok(false);
        };
        let ((everywhere, reason), (user, id)) = (asked(scope), (left.user_id, left.gotrue_id));
        self.0.verifier.forget(left.access_token.expose());
        self.0.spread_sessions(vec![id], reason).await;
        if self.0.vault.is_none() {
            self.0.record_end(user, id, reason);
        }
        // If the list cannot be had, the word that was spread still refuses it.
        let _ = self.0.end_listed(user, reason, |_, label| label.gotrue_id() == id).await;
        if everywhere {
            self.0.end_everything_of(user, reason, now).await;
        }
        self.0.tell_gotrue(left, scope).await;
        Ok(true)
    }

    /// Ends every other session of `session`'s person here, on all nodes and at GoTrue, for `reason`.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`] if nobody can tell which there are; GoTrue has not heard of it then.
    pub async fn sign_out_others(&self, session: Arc<Session>, reason: Reason) -> Result<(), Error> {
        self.end_others(&session, reason).await?;
        self.0.tell_gotrue(session, Scope::Others).await;
        Ok(())
    }

    /// Ends every other session of `session`'s person that a store knows. In cookie mode none is known.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`] if there is no list to be had.
    pub async fn end_others(&self, session: &Session, reason: Reason) -> Result<usize, Error> {
        let own = session.rest.as_ref().map(|rest| rest.ticket.key());
        let other = |key: &Key, _: &Label| Some(*key) != own;
        let mut ended = self.0.end_listed(session.user_id, reason, other).await?;
        let count = ended.len();
        // What was replaced within this sign-in may still be listed; the sign-in itself goes on.
        ended.retain(|id| *id != session.gotrue_id);
        self.0.spread_sessions(ended, reason).await;
        Ok(count)
    }

    /// Ends what `subject` names, on all nodes. GoTrue has heard of it before us.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`] if the records could not be found. Tokens are refused from now on all the same; call
    /// again for the records.
    pub async fn revoke(&self, subject: Subject, reason: Reason) -> Result<(), Error> {
        let now = self.0.clock.now();
        match subject {
            Subject::Session { user, id } => {
                let known = self.0.denied.reason(&[id], now).is_some(); // most often our own sign-out, echoed
                self.0.spread_sessions(vec![id], reason).await;
                self.0.end_listed(user, reason, |_, label| label.gotrue_id() == id).await?;
                if self.0.vault.is_none() && !known {
                    self.0.record_end(user, id, reason);
                }
            }
            Subject::User { id: user, at } => {
                // Nothing new can have begun in that second: it counts as before.
                let before = at.replace_nanosecond(0).unwrap_or(at) + Duration::SECOND;
                self.0.spread_person(user, before, Vec::new(), reason).await;
                let old = |_: &Key, label: &Label| label.created_at() < before;
                let ended = self.0.end_listed(user, reason, old).await?;
                self.0.spread_sessions(ended, reason).await;
            }
        }
        Ok(())
    }
}

/// Whether that is a sign-out everywhere, and the reason of what it ends.
fn asked(scope: Scope) -> (bool, Reason) {
    match scope {
        Scope::Global => (true, Reason::UserEverywhere),
        Scope::Local | Scope::Others => (false, Reason::User),
    }
}

impl Inner {
    pub(super) async fn tell_gotrue(self: &Arc<Self>, session: Arc<Session>, scope: Scope) {
        let _ = tokio::time::timeout(PATIENCE, self.end_at_gotrue_later(session, scope)).await;
    }

    /// Ends the listed sessions of `user` that `which` picks; GoTrue's ids of them.
    pub(super) async fn end_listed(
        &self,
        user: Uuid,
        reason: Reason,
        which: impl Fn(&Key, &Label) -> bool,
    ) -> Result<Vec<Uuid>, Error> {
        let Some(vault) = &self.vault else { return Ok(Vec::new()) };
        let all = vault.list(user).await.map_err(|_| Error::STORE_UNAVAILABLE)?;
        let mut ended = Vec::new();
        for (listed, label) in all.into_iter().filter(|(listed, label)| which(&listed.key, label)) {
            vault.end_surely(listed.key, reason).await;
            self.record_end(user, label.gotrue_id(), reason);
            ended.push(label.gotrue_id());
        }
        Ok(ended)
    }

    pub(super) async fn spread_sessions(&self, ids: Vec<Uuid>, reason: Reason) {
        if !ids.is_empty() {
            let until = self.clock.now() + LONGEST_TOKEN;
            self.spread(News { sessions: ids, ..News::new(reason, until) }).await;
        }
    }

    /// Refuses the tokens of the session at GoTrue in this process.
    pub(super) fn deny_sign_in(&self, session: &Session, reason: Reason) {
        let now = self.clock.now();
        self.denied.add(session.gotrue_id, session.tokens_end(now), reason, now);
    }

    /// Ends every session that `user` began before `now`. If the list cannot be had, the time still refuses them, and
    /// their records end at their next use.
    async fn end_everything_of(&self, user: Uuid, reason: Reason, now: OffsetDateTime) {
        let others = self.end_listed(user, reason, |_, _| true).await.unwrap_or_default();
        self.spread_person(user, now, others, reason).await;
    }

    /// The session from before the step whose cookie the request carries, if its sign-in may go on under another name.
    async fn left_behind(&self, slot: &Slot) -> Result<Option<Arc<Session>>, Error> {
        let Carried::Sealed(text) = self.names.read_session(slot.jar()) else { return Ok(None) };
        match &self.vault {
            None => Ok(self.unseal(&text).ok().map(|(session, _)| session)),
            Some(vault) => match Ticket::parse(&text).map(Arc::new) {
                Some(ticket) => vault.left_behind(&ticket).await.map_err(|_| Error::STORE_UNAVAILABLE),
                None => Ok(None),
            },
        }
    }

    /// Nothing that `user` began before `before` counts any more, and none of `sessions`.
    pub(super) async fn spread_person(
        &self,
        user: Uuid,
        before: OffsetDateTime,
        sessions: Vec<Uuid>,
        reason: Reason,
    ) {
        let life: Duration = self.settings.absolute.max(LONGEST_TOKEN);
        let until: OffsetDateTime = self.clock.now() + life;
        self.spread(News { sessions, ..News::of_person(user, before, reason, until) }).await;
    }
}
