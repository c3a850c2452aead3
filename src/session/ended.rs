//! Sessions that have ended and people whose tokens count no more, for as long as a copy of their cookie or token could
//! still be used (S-11, S-40, S-45).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::event::Reason;

/// More ended sessions than this are not remembered: the oldest is forgotten first.
const SESSIONS: usize = 200_000;
/// The same for people.
const PEOPLE: usize = 50_000;

/// The deny-list of this process: sessions by the id that GoTrue gave them and by the one we gave them, people by the
/// time from which on their tokens count again.
#[derive(Debug)]
pub struct DenyList(Mutex<Lists>);

#[derive(Debug)]
struct Lists {
    sessions: Bounded<Reason>,
    people: Bounded<(OffsetDateTime, Reason)>,
}

/// A map that forgets what is over, and the oldest when it is full.
#[derive(Debug)]
struct Bounded<V> {
    capacity: usize,
    until: HashMap<Uuid, (OffsetDateTime, V)>,
    order: VecDeque<Uuid>,
}

impl Default for DenyList {
    fn default() -> Self {
        Self(Mutex::new(Lists { sessions: Bounded::new(SESSIONS), people: Bounded::new(PEOPLE) }))
    }
}

impl DenyList {
    /// Refuses the session `id` up to `until`. The first reason stays.
    pub fn add(&self, id: Uuid, until: OffsetDateTime, reason: Reason, now: OffsetDateTime) {
        self.lists().sessions.add(id, until, reason, now, |_, _| {});
    }

    /// Refuses up to `until` what `user` began before `before`. The latest `before` counts.
    pub fn add_person(
        &self,
        user: Uuid,
        before: OffsetDateTime,
        until: OffsetDateTime,
        reason: Reason,
        now: OffsetDateTime,
    ) {
        self.lists().people.add(user, until, (before, reason), now, |known, new| {
            if known.0 < new.0 {
                *known = new;
            }
        });
    }

    /// Why any of `sessions` is refused at `now`; `None` if none is.
    pub fn reason(&self, sessions: &[Uuid], now: OffsetDateTime) -> Option<Reason> {
        let lists = self.lists();
        sessions.iter().find_map(|id| lists.sessions.get(*id, now)).copied()
    }

    /// As [`reason`](Self::reason), or why what `user` began at `since` is refused.
    pub fn reason_for(
        &self,
        sessions: &[Uuid],
        user: Uuid,
        since: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Option<Reason> {
        let lists = self.lists();
        let session = sessions.iter().find_map(|id| lists.sessions.get(*id, now)).copied();
        let person = || lists.people.get(user, now).filter(|(before, _)| since < *before);
        session.or_else(|| person().map(|(_, reason)| *reason))
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Bounded<V> {
    fn new(capacity: usize) -> Self {
        Self { capacity, until: HashMap::new(), order: VecDeque::new() }
    }

    fn add(
        &mut self,
        id: Uuid,
        until: OffsetDateTime,
        value: V,
        now: OffsetDateTime,
        join: impl FnOnce(&mut V, V),
    ) {
        while let Some(oldest) = self.order.front().copied() {
            let over = self.until.get(&oldest).is_none_or(|(until, _)| *until <= now);
            if !over && self.order.len() < self.capacity {
                break;
            }
            self.order.pop_front();
            self.until.remove(&oldest);
        }
        match self.until.get_mut(&id) {
            Some((known, held)) => {
                *known = until.max(*known);
                join(held, value);
            }
            None => {
                self.until.insert(id, (until, value));
                self.order.push_back(id);
            }
        }
    }

    fn get(&self, id: Uuid, now: OffsetDateTime) -> Option<&V> {
        if self.until.is_empty() {
            return None;
        }
        self.until.get(&id).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    const START: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);

    #[test]
    fn an_entry_holds_until_its_time() {
        let list = DenyList::default();
        let id = Uuid::from_u128(1);
        list.add(id, START + Duration::hours(1), Reason::User, START);
        list.add(id, START + Duration::minutes(1), Reason::Idle, START);
        assert_eq!(list.reason(&[id], START + Duration::minutes(59)), Some(Reason::User));
        assert_eq!(list.reason(&[id], START + Duration::hours(1)), None);
        assert_eq!(list.reason(&[Uuid::from_u128(2)], START), None);
    }

    /// S-45: what a person began before is refused, what he begins afterwards is not.
    #[test]
    fn a_person_is_refused_by_time() {
        let (list, user, no) = (DenyList::default(), Uuid::from_u128(1), &[Uuid::nil()]);
        let until = START + Duration::hours(1);
        list.add_person(user, START, until, Reason::UserEverywhere, START);
        let (before, after) = (START - Duration::SECOND, START);
        assert_eq!(list.reason_for(no, user, before, START), Some(Reason::UserEverywhere));
        assert_eq!(list.reason_for(no, user, after, START), None);
        assert_eq!(list.reason_for(no, Uuid::nil(), before, START), None);
        list.add_person(user, START + Duration::SECOND, until, Reason::UserBanned, START);
        list.add_person(user, START, until, Reason::UserEverywhere, START);
        assert_eq!(list.reason_for(no, user, after, START), Some(Reason::UserBanned));
        assert_eq!(list.reason_for(no, user, after, until), None);
    }

    /// S-97: strangers cannot grow the lists without bound.
    #[test]
    fn the_lists_are_bounded() {
        let list = DenyList::default();
        for n in 0..(SESSIONS as u128 + 10) {
            let id = Uuid::from_u128(n);
            list.add(id, START + Duration::hours(1), Reason::User, START);
            list.add_person(id, START, START + Duration::hours(1), Reason::User, START);
        }
        let lists = list.lists();
        assert_eq!((lists.sessions.until.len(), lists.sessions.order.len()), (SESSIONS, SESSIONS));
        assert_eq!((lists.people.until.len(), lists.people.order.len()), (PEOPLE, PEOPLE));
    }
}
