//! What the log is told of sessions.

use uuid::Uuid;

use super::record::Session;
use super::sessions::Inner;
use crate::event::{self, Event, Reason, Record};

impl Inner {
    /// Records what happened to `session`.
    pub(super) fn record(
        &self,
        session: &Session,
        event: Event,
        outcome: event::Outcome,
        reason: Option<Reason>,
        method: Option<&str>,
    ) {
        self.record_of((session.user_id, session.gotrue_id), event, outcome, reason, method);
    }

    /// Records the end of a session of which its label alone is known.
    pub(super) fn record_end(&self, user: Uuid, gotrue_id: Uuid, reason: Reason) {
        self.record_of((user, gotrue_id), Event::SessionEnded, event::Outcome::Ok, Some(reason), None);
    }

    /// Records what happened to the session that `of` names: a person, and GoTrue's id.
    pub(super) fn record_of(
        &self,
        of: (Uuid, Uuid),
        event: Event,
        outcome: event::Outcome,
        reason: Option<Reason>,
        method: Option<&str>,
    ) {
        let (user, session) = (self.log.user(of.0), self.log.session(of.1));
        let (user, session) = (Some(&*user), Some(&*session));
        self.trail.emit(&Record { reason, method, user, session, ..Record::of(event, outcome) });
    }
}
