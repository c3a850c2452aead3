//! A bounded table of moments. When it is full, the key that is nearest to its full quota gives way, so that those who
//! have used theirs up stay known (S-84).

use std::collections::{BTreeSet, HashMap};

use super::gcra::Quota;

/// Whose moment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    /// Of one key, by its hash.
    Key(u128),
    /// Of all newcomers together, while everybody in a full table has used up his quota.
    Crowd,
}

#[derive(Debug)]
pub(super) struct Table {
    capacity: usize,
    moments: HashMap<u128, i64>,
    /// The same pairs in order of time. A moment that has passed is as good as none.
    order: BTreeSet<(i64, u128)>,
    crowd: i64,
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, moments: HashMap::new(), order: BTreeSet::new(), crowd: i64::MIN }
    }

    /// Takes one try. Answers for which entry it was counted, or how long to wait.
    pub(super) fn take(&mut self, key: u128, now: i64, quota: Quota) -> Result<Id, i64> {
        self.forget_recovered(now);
        let known = self.moments.get(&key).copied();
        if known.is_none() && !self.make_room(now, quota) {
            self.crowd = quota.take(self.crowd, now)?;
            return Ok(Id::Crowd);
        }
        let next = quota.take(known.unwrap_or(now), now)?;
        self.set(key, next);
        Ok(Id::Key(key))
    }

    pub(super) fn give_back(&mut self, id: Id, quota: Quota) {
        match id {
            Id::Crowd => self.crowd = quota.give_back(self.crowd),
            Id::Key(key) => {
                if let Some(moment) = self.moments.get(&key).copied() {
                    self.set(key, quota.give_back(moment));
                }
            }
        }
    }

    fn set(&mut self, key: u128, moment: i64) {
        if let Some(old) = self.moments.insert(key, moment) {
            self.order.remove(&(old, key));
        }
        self.order.insert((moment, key));
    }

    fn forget_recovered(&mut self, now: i64) {
        while let Some((moment, key)) = self.order.first().copied()
            && moment <= now
        {
            self.order.pop_first();
            self.moments.remove(&key);
        }
    }

    /// Whether a newcomer finds a place; it may be that of the key with the smallest debt, if that is not spent.
    fn make_room(&mut self, now: i64, quota: Quota) -> bool {
        if self.moments.len() < self.capacity {
            return true;
        }
        let Some((moment, key)) = self.order.first().copied() else { return false };
        if quota.is_spent(moment, now) {
            return false;
        }
        self.order.pop_first();
        self.moments.remove(&key);
        true
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.moments.len(), self.order.len());
        self.moments.len()
    }
}
