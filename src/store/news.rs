//! Revocations: bounds and cursors of every store, and the list of the one in memory.

use std::collections::VecDeque;

use time::OffsetDateTime;

use crate::session::store::Cursor;

/// Revocations that one answer holds.
pub(super) const AT_ONCE: usize = 1_000;

/// Revocations that still count, at most. More are refused, loudly: to forget one would let somebody in again.
pub(super) const CAPACITY: usize = 100_000;

/// Why one more is refused.
pub(super) const FULL: &str = "the list of revocations is full";

/// A bounded list; what is no longer needed leaves it at the old end.
#[derive(Debug)]
pub(super) struct News {
    capacity: usize,
    last: u64,
    items: VecDeque<Item>,
}

#[derive(Debug)]
struct Item {
    number: u64,
    sealed: Vec<u8>,
    until: OffsetDateTime,
}

impl News {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, last: 0, items: VecDeque::new() }
    }

    /// `false`: it is full of what must still be kept.
    pub(super) fn add(&mut self, sealed: &[u8], until: OffsetDateTime, now: OffsetDateTime) -> bool {
        while self.items.front().is_some_and(|item| item.until <= now) {
            self.items.pop_front();
        }
        if self.items.len() >= self.capacity {
            self.items.retain(|item| now < item.until);
        }
        if self.items.len() >= self.capacity {
            return false;
        }
        self.last += 1;
        self.items.push_back(Item { number: self.last, sealed: sealed.to_vec(), until });
        true
    }

    /// What still counts, from the one after `cursor` on.
    pub(super) fn after(&self, cursor: &Cursor, now: OffsetDateTime) -> (Vec<Vec<u8>>, Cursor) {
        let known = number(cursor);
        let fresh = self.items.iter().filter(|item| known < item.number && now < item.until).take(AT_ONCE);
        let mut last = known;
        let found = fresh.map(|item| {
            last = item.number;
            item.sealed.clone()
        });
        (found.collect(), Cursor(last.to_string()))
    }
}

/// The number in `cursor`; what is no number stands at the beginning, where nothing is missed.
pub(super) fn number(cursor: &Cursor) -> u64 {
    cursor.0.parse().unwrap_or(0)
}
