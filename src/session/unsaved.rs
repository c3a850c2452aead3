//! Tokens that a refresh brought and the store did not take. They are written at the next request of their session;
//! until then this process goes on with them, the others with the old ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::record::Session;
use super::store::{Key, Version};

/// Beyond this the old tokens go on: GoTrue still takes the one refresh token that is behind.
const CAPACITY: usize = 10_000;

/// A session that is newer than its record.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// The version of the record that it should replace.
    pub(super) from: Version,
    /// The session.
    pub(super) session: Arc<Session>,
    /// As its token says, if that is known.
    pub(super) aal: Option<u8>,
}

/// A bounded list of them.
#[derive(Debug, Default)]
pub(super) struct Unsaved(Mutex<HashMap<Key, Kept>>);

impl Unsaved {
    pub(super) fn keep(&self, key: Key, kept: Kept, now: OffsetDateTime) {
        let mut all = self.all();
        if all.len() >= CAPACITY {
            all.retain(|_, kept| now < kept.session.expires_at);
        }
        if all.len() < CAPACITY || all.contains_key(&key) {
            all.insert(key, kept);
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Kept> {
        self.all().get(key).cloned()
    }

    /// Forgets what is kept under `key`, unless newer tokens took its place meanwhile.
    pub(super) fn drop_old(&self, key: &Key, kept: &Kept) {
        let mut all = self.all();
        if all.get(key).is_some_and(|known| known.session.same_tokens(&kept.session)) {
            all.remove(key);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
