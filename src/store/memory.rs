//! Sessions in the memory of this process: for tests, and for applications of one process that may forget.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base::clock::SharedClock;
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::moment::{of_seconds, seconds};
use super::news::{self, FULL, News};
use crate::event::Reason;
use crate::session::store::{
    Change, Changed, Cursor, Draft, Entry, Failure, Fence, Found, Key, Leased, Leases, Listed, Owner,
    Revocations, SessionStore, Version,
};

/// Records that it holds, marks of ended ones among them. Beyond, a new one is refused with a [`Failure`].
pub const CAPACITY: usize = 100_000;

/// Expired records that one writing call clears away.
const SWEEP: usize = 16;

/// All of a store's promises but the one to outlive the process. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: SharedClock,
    capacity: usize,
    rows: Mutex<Rows>,
    news: Mutex<News>,
    published: Notify,
}

#[derive(Debug, Default)]
struct Rows {
    by_key: HashMap<Key, Row>,
    by_owner: HashMap<Owner, HashSet<Key>>,
    by_end: BTreeSet<(OffsetDateTime, Key)>,
}

#[derive(Debug)]
struct Row {
    until: OffsetDateTime,
    state: State,
}

#[derive(Debug)]
enum State {
    Live(Live),
    Ended(Reason),
    Replaced(Vec<u8>),
}

#[derive(Debug)]
struct Live {
    owner: Owner,
    entry: Entry,
    label: Vec<u8>,
    /// The greatest that was given; 0 before the first.
    fence: Fence,
    leased_until: Option<OffsetDateTime>,
}

impl Memory {
    /// An empty store of [`CAPACITY`] records. Leases and expiry go by `clock`.
    pub fn new(clock: SharedClock) -> Self {
        Self::with_capacity(clock, CAPACITY)
    }

    /// As [`new`](Self::new), for `capacity` records and as many revocations.
    pub fn with_capacity(clock: SharedClock, capacity: usize) -> Self {
        Self(Arc::new(Inner {
            clock,
            capacity,
            rows: Mutex::default(),
            news: Mutex::new(News::new(capacity.min(news::CAPACITY))),
            published: Notify::new(),
        }))
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.0.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> OffsetDateTime {
        self.0.clock.now()
    }
}

impl Rows {
    /// The live record under `key`.
    fn live(&mut self, key: &Key, now: OffsetDateTime) -> Option<&mut Live> {
        match self.by_key.get_mut(key).filter(|row| now < row.until) {
            Some(Row { state: State::Live(live), .. }) => Some(live),
            _ => None,
        }
    }

    /// Keeps the row until then, if that is later than so far.
    fn keep(&mut self, key: &Key, until: OffsetDateTime) {
        if let Some(row) = self.by_key.get_mut(key)
            && row.until < until
        {
            self.by_end.remove(&(row.until, *key));
            row.until = until;
            self.by_end.insert((until, *key));
        }
    }

    fn sweep(&mut self, now: OffsetDateTime) {
        for _ in 0..SWEEP {
            match self.by_end.first().copied() {
                Some((until, key)) if until <= now => {
                    self.by_end.pop_first();
                    if let Some(Row { state: State::Live(live), .. }) = self.by_key.remove(&key) {
                        self.disown(&live.owner, &key);
                    }
                }
                _ => return,
            }
        }
    }

    /// Puts what `state` makes in the place of a live record. `false` if there is none.
    fn mark(&mut self, key: &Key, now: OffsetDateTime, state: impl FnOnce(&mut Live) -> State) -> bool {
        let Some(live) = self.live(key, now) else { return false };
        let (owner, state) = (live.owner, state(live));
        if let Some(row) = self.by_key.get_mut(key) {
            row.state = state;
        }
        self.disown(&owner, key);
        true
    }

    fn disown(&mut self, owner: &Owner, key: &Key) {
        if let Some(keys) = self.by_owner.get_mut(owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_owner.remove(owner);
            }
        }
    }
}

/// `moment` as [`Entry::seen`] has it.
fn whole(moment: OffsetDateTime) -> OffsetDateTime {
    of_seconds(seconds(moment))
}

#[async_trait]
impl SessionStore for Memory {
    async fn create(&self, key: &Key, draft: &Draft) -> Result<bool, Failure> {
        let now = self.now();
        let mut rows = self.rows();
        rows.sweep(now);
        if rows.by_key.contains_key(key) {
            return Ok(false);
        }
        if rows.by_key.len() >= self.0.capacity {
            return Err(Failure { operation: "create", source: "the store is full".into() });
        }
        let entry = Entry { version: Version(1), sealed: draft.sealed.clone(), seen: whole(draft.seen) };
        let (owner, label) = (draft.owner, draft.label.clone());
        let live = Live { owner, entry, label, fence: Fence(0), leased_until: None };
        rows.by_key.insert(*key, Row { until: draft.until, state: State::Live(live) });
        rows.by_owner.entry(owner).or_default().insert(*key);
        rows.by_end.insert((draft.until, *key));
        Ok(true)
    }

    async fn read(&self, key: &Key) -> Result<Found, Failure> {
        let now = self.now();
        let rows = self.rows();
        Ok(match rows.by_key.get(key).filter(|row| now < row.until).map(|row| &row.state) {
            Some(State::Live(live)) => Found::Live(live.entry.clone()),
            Some(State::Ended(reason)) => Found::Ended(*reason),
            Some(State::Replaced(sealed)) => Found::Replaced(sealed.clone()),
            None => Found::Nothing,
        })
    }

    async fn change(&self, key: &Key, change: &Change) -> Result<Changed, Failure> {
        let now = self.now();
        let mut rows = self.rows();
        let Some(live) = rows.live(key, now) else { return Ok(Changed::Gone) };
        if live.entry.version != change.from || change.fence.is_some_and(|fence| fence < live.fence) {
            return Ok(Changed::Conflict);
        }
        let version = Version(change.from.0 + 1);
        let seen = whole(change.seen).max(live.entry.seen);
        live.entry = Entry { version, sealed: change.sealed.clone(), seen };
        if let Some(label) = &change.label {
            live.label.clone_from(label);
        }
        if change.fence.is_some() {
            live.leased_until = None;
        }
        if let Some(owner) = change.owner.filter(|owner| *owner != live.owner) {
            let before = std::mem::replace(&mut live.owner, owner);
            rows.disown(&before, key);
            rows.by_owner.entry(owner).or_default().insert(*key);
        }
        rows.keep(key, change.until);
        Ok(Changed::To(version))
    }

    async fn touch(&self, key: &Key, seen: OffsetDateTime, until: OffsetDateTime) -> Result<(), Failure> {
        let now = self.now();
        let mut rows = self.rows();
        if let Some(live) = rows.live(key, now)
            && live.entry.seen < whole(seen)
        {
            live.entry.seen = whole(seen);
            rows.keep(key, until);
        }
        Ok(())
    }

    async fn end(&self, key: &Key, reason: Reason) -> Result<bool, Failure> {
        Ok(self.rows().mark(key, self.now(), |_| State::Ended(reason)))
    }

    async fn replace(&self, key: &Key) -> Result<bool, Failure> {
        Ok(self.rows().mark(key, self.now(), |live| State::Replaced(std::mem::take(&mut live.entry.sealed))))
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<Listed>, Failure> {
        let now = self.now();
        let mut rows = self.rows();
        let keys: Vec<Key> = rows.by_owner.get(owner).into_iter().flatten().copied().collect();
        let listed = keys.into_iter().filter_map(|key| {
            let live = rows.live(&key, now)?;
            Some(Listed { key, label: live.label.clone(), seen: live.entry.seen })
        });
        Ok(listed.collect())
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

#[async_trait]
impl Leases for Memory {
    async fn lease(&self, key: &Key, time: Duration) -> Result<Leased, Failure> {
        let now = self.now();
        let mut rows = self.rows();
        let Some(live) = rows.live(key, now) else { return Ok(Leased::Gone) };
        if live.leased_until.is_some_and(|until| now < until) {
            return Ok(Leased::Held);
        }
        live.fence = Fence(live.fence.0 + 1);
        live.leased_until = Some(now + time);
        Ok(Leased::Ours(live.fence))
    }

    async fn renew(&self, key: &Key, fence: Fence, time: Duration) -> Result<bool, Failure> {
        let now = self.now();
        let mut rows = self.rows();
        let ours = rows.live(key, now).filter(|live| live.fence == fence);
        let Some(until) = ours.and_then(|live| live.leased_until.as_mut()).filter(|until| now < **until)
        else {
            return Ok(false);
        };
        *until = now + time;
        Ok(true)
    }

    async fn release(&self, key: &Key, fence: Fence) -> Result<(), Failure> {
        let now = self.now();
        if let Some(live) = self.rows().live(key, now).filter(|live| live.fence == fence) {
            live.leased_until = None;
        }
        Ok(())
    }
}

#[async_trait]
impl Revocations for Memory {
    async fn publish(&self, sealed: &[u8], until: OffsetDateTime) -> Result<(), Failure> {
        let now = self.now();
        if !self.news().add(sealed, until, now) {
            return Err(Failure { operation: "publish", source: FULL.into() });
        }
        self.0.published.notify_waiters();
        Ok(())
    }

    async fn after(&self, cursor: &Cursor, patience: Duration) -> Result<(Vec<Vec<u8>>, Cursor), Failure> {
        let look = async {
            loop {
                let published = self.0.published.notified(); // before the look, so that nothing falls in between
                let (found, next) = self.news().after(cursor, self.now());
                if !found.is_empty() {
                    return (found, next);
                }
                published.await;
            }
        };
        Ok(tokio::time::timeout(patience, look).await.unwrap_or_else(|_| (Vec::new(), cursor.clone())))
    }
}

#[cfg(test)]
mod tests;
