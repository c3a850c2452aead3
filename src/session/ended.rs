//! Sessions that have ended, for as long as a copy of their cookie or token could still be used (S-11, S-40, S-45).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::event::Reason;

/// More ended sessions than this are not remembered: the oldest is forgotten first.
const CAPACITY: usize = 200_000;

/// The deny-list of this process, by the id that GoTrue gave the session and by the one we gave it.
#[derive(Debug, Default)]
pub struct DenyList(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    until: HashMap<Uuid, (OffsetDateTime, Reason)>,
    order: VecDeque<Uuid>,
}

impl DenyList {
    /// Refuses `id` up to `until`. The first reason stays.
    pub fn add(&self, id: Uuid, until: OffsetDateTime, reason: Reason, now: OffsetDateTime) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = entries.order.front().copied() {
            let over = entries.until.get(&oldest).is_none_or(|(until, _)| *until <= now);
            if !over && entries.order.len() < CAPACITY {
                break;
            }
            entries.order.pop_front();
            entries.until.remove(&oldest);
        }
        match entries.until.get_mut(&id) {
            Some((known, _)) => *known = until.max(*known),
            None => {
                entries.until.insert(id, (until, reason));
                entries.order.push_back(id);
            }
        }
    }

    /// Why `id` is refused at `now`; `None` if it is not.
    pub fn reason(&self, id: Uuid, now: OffsetDateTime) -> Option<Reason> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.until.get(&id).filter(|(until, _)| *until > now).map(|(_, reason)| *reason)
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
        assert_eq!(list.reason(id, START + Duration::minutes(59)), Some(Reason::User));
        assert_eq!(list.reason(id, START + Duration::hours(1)), None);
        assert_eq!(list.reason(Uuid::from_u128(2), START), None);
    }

    /// S-97: strangers cannot grow the list without bound.
    #[test]
    fn the_list_is_bounded() {
        let list = DenyList::default();
        for n in 0..(CAPACITY as u128 + 10) {
            list.add(Uuid::from_u128(n), START + Duration::hours(1), Reason::User, START);
        }
        let entries = list.0.lock().unwrap();
        assert_eq!((entries.until.len(), entries.order.len()), (CAPACITY, CAPACITY));
    }
}
