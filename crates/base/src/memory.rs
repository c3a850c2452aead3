//! What is remembered to save work, bounded in weight and in time.

use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};

use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, OptionsBuilder, Weighter};

/// How often what is over is looked for, in seconds.
const SWEEP: i64 = 60;
/// Parts of a memory that are locked on their own, at most.
const PARTS: u64 = 64;
/// What is heavier than a part is not remembered: none is smaller than this, in units of weight, unless all of it is.
const SMALLEST_PART: u64 = 256 << 10;

/// Values by key. Any of them may be forgotten at any time, and none is needed: it is a cache, never a state.
///
/// What was not asked for lately goes first when there is too much of it, and what is over goes when new things come in.
/// Looking something up writes nothing but a mark: it takes one lock for reading.
pub struct Memory<K, V> {
    known: Cache<K, Kept<V>, ByWeight, RandomState>,
    swept: AtomicI64,
}

#[derive(Clone)]
struct Kept<V> {
    value: V,
    weight: u32,
    /// Seconds since 1970.
    until: i64,
}

#[derive(Clone)]
struct ByWeight;

impl<K, V> Weighter<K, Kept<V>> for ByWeight {
    fn weight(&self, _: &K, kept: &Kept<V>) -> u64 {
        kept.weight.into()
    }
}

impl<K: Hash + Eq, V: Clone> Memory<K, V> {
    /// Holds at most `capacity` in whatever unit the weights have, which usually are about `usual`.
    pub fn new(capacity: u64, usual: u32) -> Self {
        let items = usize::try_from(capacity / u64::from(usual.max(1))).unwrap_or(usize::MAX);
        let parts = (capacity / SMALLEST_PART).clamp(1, PARTS);
        let options = OptionsBuilder::new()
            .weight_capacity(capacity)
            .estimated_items_capacity(items)
            .shards(usize::try_from(parts).unwrap_or(1))
            .build()
            .expect("capacity and items are set");
        let known =
            Cache::with_options(options, ByWeight, RandomState::default(), DefaultLifecycle::default());
        Self { known, swept: AtomicI64::new(0) }
    }

    /// What was remembered under `key`. It may be over since.
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        self.known.get(key).map(|kept| kept.value)
    }

    /// Remembers `value`, which takes `weight`, up to the second `until`. `now` is the present one; both since 1970.
    pub fn insert(&self, key: K, value: V, weight: u32, until: i64, now: i64) {
        let last = self.swept.load(Ordering::Relaxed);
        let due = !(0..SWEEP).contains(&now.saturating_sub(last));
        if due && self.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.known.retain(|_, kept| kept.until > now);
        }
        self.known.insert(key, Kept { value, weight, until });
    }

    /// Forgets what stands under `key`.
    pub fn remove<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) {
        self.known.remove(key);
    }

    /// The weight of everything that is remembered now.
    pub fn weight(&self) -> u64 {
        self.known.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_no_more_than_it_may() {
        let memory = Memory::new(1_000_000, 100);
        for key in 0..100_000 {
            memory.insert(key, key, 100, 10, 1);
        }
        assert!((500_000..=1_000_000).contains(&memory.weight()), "{}", memory.weight());
        assert_eq!(memory.get(&99_999), Some(99_999), "the newest is there");
        memory.remove(&99_999);
        assert_eq!(memory.get(&99_999), None);
    }

    #[test]
    fn what_is_over_goes_when_something_comes() {
        let memory = Memory::new(1000, 1);
        for key in 0..100 {
            memory.insert(key, (), 1, if key < 90 { 50 } else { 500 }, 1);
        }
        memory.insert(100, (), 1, 500, 40);
        assert_eq!(memory.weight(), 101, "nothing is over");
        memory.insert(101, (), 1, 500, 62);
        assert_eq!(memory.weight(), 12);
        assert!(memory.get(&89).is_none() && memory.get(&90).is_some());
    }

    /// A clock that was set back does not stop the sweeping.
    #[test]
    fn time_may_go_backwards() {
        let memory = Memory::new(1000, 1);
        memory.insert(1, (), 1, 5000, 4000);
        memory.insert(2, (), 1, 50, 40);
        memory.insert(3, (), 1, 500, 101);
        assert!(memory.get(&2).is_none() && memory.get(&1).is_some());
    }

    #[test]
    fn a_small_one_keeps_what_fits_into_it() {
        let memory = Memory::new(20_000, 2000);
        memory.insert("large", (), 15_000, 10, 1);
        assert!(memory.get("large").is_some());
        memory.insert("larger", (), 25_000, 10, 1);
        assert!(memory.get("larger").is_none());
    }
}
