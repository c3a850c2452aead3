//! Ends by event: somebody outside says that a session, or every session of a person so far, is over (S-45).
//!
//! What is known here holds in this process.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::record::Session;
use super::sessions::{Inner, Sessions};
use crate::event::{self, Event, Reason, Record};
use crate::token::Claims;

/// People whose sessions were ended that are remembered; the first is forgotten first.
const CAPACITY: usize = 50_000;

/// No access token lives longer than a project can be told to make it.
const LONGEST_TOKEN: Duration = Duration::days(7);

/// Whose sessions are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The one that GoTrue knows by this id.
    Session(Uuid),
    /// All that this person has begun before now.
    User(Uuid),
}

impl Sessions {
    /// Refuses what `subject` names from now on: cookies, and access tokens until the last of them has run out. A
    /// session that has ended already keeps its reason.
    pub fn revoke(&self, subject: Subject, reason: Reason) {
        let inner = &self.0;
        let now = inner.clock.now();
        let until = now + inner.settings.absolute.max(LONGEST_TOKEN);
        match subject {
            Subject::Session(id) => {
                if inner.denied.reason(id, now).is_some() {
                    return; // most often our own sign-out, whose echo this is
                }
                inner.denied.add(id, until, reason, now);
                let session = inner.log.session(id);
                inner.trail.emit(&Record {
                    reason: Some(reason),
                    session: Some(&session),
                    ..Record::of(Event::SessionEnded, event::Outcome::Ok)
                });
            }
            // How many sessions these are shows when they are used: each is told of then.
            Subject::User(id) => {
                inner.barred.add(id, Bar { before: now, until, reason });
                tracing::info!(
                    user.hash = inner.log.user(id),
                    event.reason = reason.as_str(),
                    "every session of a person is over"
                );
            }
        }
    }

    /// Why a token that verifies is refused all the same: its session has ended here, or its person's sessions of that
    /// time have (S-40, S-45).
    pub fn refused(&self, claims: &Claims) -> Option<Reason> {
        let inner = &self.0;
        let now = inner.clock.now();
        let issued = OffsetDateTime::from_unix_timestamp(claims.iat).unwrap_or(now);
        inner.denied.reason(claims.session_id, now).or_else(|| inner.barred.reason(claims.sub, issued, now))
    }
}

impl Inner {
    /// Ends `session` if its person's sessions of that time are over.
    pub(super) fn end_if_barred(&self, session: &Session, now: OffsetDateTime) -> Option<Reason> {
        let reason = self.barred.reason(session.user_id, session.created_at, now)?;
        self.end(session, reason);
        Some(reason)
    }
}

/// Until when whose sessions do not count.
#[derive(Debug, Clone, Copy)]
struct Bar {
    before: OffsetDateTime,
    until: OffsetDateTime,
    reason: Reason,
}

/// People by their id, with the moment before which nothing of theirs counts.
#[derive(Debug, Default)]
pub(super) struct Barred {
    people: Mutex<People>,
    /// Nobody ever was: every request asks, and needs no lock to hear that.
    some: AtomicBool,
}

#[derive(Debug, Default)]
struct People {
    bars: HashMap<Uuid, Bar>,
    order: VecDeque<Uuid>,
}

impl Barred {
    fn add(&self, user: Uuid, bar: Bar) {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        self.some.store(true, Ordering::Release);
        while let Some(oldest) = people.order.front().copied() {
            let over = people.bars.get(&oldest).is_none_or(|known| known.until <= bar.before);
            if !over && people.order.len() < CAPACITY {
                break;
            }
            people.order.pop_front();
            people.bars.remove(&oldest);
        }
        if people.bars.insert(user, bar).is_none() {
            people.order.push_back(user);
        }
    }

    /// Why something of `user` that began at `begun` is refused at `now`.
    fn reason(&self, user: Uuid, begun: OffsetDateTime, now: OffsetDateTime) -> Option<Reason> {
        if !self.some.load(Ordering::Acquire) {
            return None;
        }
        let people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = people.bars.get(&user)?;
        (begun <= bar.before && now < bar.until).then_some(bar.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);

    fn bar(before: OffsetDateTime) -> Bar {
        Bar { before, until: before + Duration::days(7), reason: Reason::UserBanned }
    }

    /// S-45: what began before is refused until the last token has run out, what begins later is not.
    #[test]
    fn only_what_began_before_is_refused() {
        let barred = Barred::default();
        let user = Uuid::from_u128(1);
        let noon = START + Duration::hours(12);
        barred.add(user, bar(noon));
        let reason = |begun, now| barred.reason(user, begun, now);
        assert_eq!(reason(START, noon), Some(Reason::UserBanned));
        assert_eq!(reason(noon, noon), Some(Reason::UserBanned));
        assert_eq!(reason(noon + Duration::SECOND, noon + Duration::HOUR), None);
        assert_eq!(reason(START, noon + Duration::days(7)), None);
        assert_eq!(barred.reason(Uuid::from_u128(2), START, noon), None);
        barred.add(user, bar(noon + Duration::HOUR));
        assert_eq!(reason(noon + Duration::SECOND, noon + Duration::HOUR), Some(Reason::UserBanned));
    }

    /// S-97: the list is bounded, and those whose time is over leave first.
    #[test]
    fn the_list_is_bounded() {
        let barred = Barred::default();
        for n in 0..(CAPACITY as u128 + 10) {
            barred.add(Uuid::from_u128(n), bar(START));
        }
        assert_eq!(barred.people.lock().unwrap().bars.len(), CAPACITY);
        assert_eq!(barred.reason(Uuid::from_u128(9), START, START), None);
        assert!(barred.reason(Uuid::from_u128(10), START, START).is_some());
        barred.add(Uuid::from_u128(0), bar(START + Duration::days(8)));
        let people = barred.people.lock().unwrap();
        assert_eq!((people.bars.len(), people.order.len()), (1, 1));
    }
}
