//! Sessions that were opened before: the same sealed text need not be unsealed and read again at every request.
//!
//! Only what the seal holds is remembered. Whether the session may still be used, the clock and the deny-list say
//! anew each time.

use std::hash::BuildHasher;
use std::sync::Arc;

use base::clock::SharedClock;
use base::memory::Memory;
use foldhash::quality::RandomState;
use memchr::memchr_iter;
use time::Duration;

use super::record::Session;

/// Tokens of people who went away do not stay in memory for much longer.
const LIFE: Duration = Duration::minutes(10);
/// What a session takes beside its token and that again as a header, in bytes: its description and what rules see in it
/// included, as measured.
const REST: usize = 1400;
/// The characters of a sealed text that stand for its 192 random bits (`base::seal`).
const RANDOM: usize = 32;

/// A bounded memory of opened sessions. It may forget any of them at any time.
pub(super) struct OpenedSessions {
    known: Memory<[u8; RANDOM], Entry>,
    /// Keyed anew in every process.
    hash: RandomState,
    clock: SharedClock,
}

#[derive(Clone)]
struct Entry {
    /// Of the whole sealed text: it would take as much room as all the rest.
    hash: u64,
    session: Arc<Session>,
    stale: bool,
}

impl OpenedSessions {
    /// All of them together weigh at most `capacity`, in bytes.
    pub(super) fn new(capacity: u64, clock: SharedClock) -> Self {
        Self { known: Memory::new(capacity, 3200), hash: RandomState::default(), clock }
    }

    /// What `sealed` opened to, and whether an older key had sealed it. The whole text counts: one that differs in a
    /// single character is not the one that was opened. Nobody gains by two texts of one hash: whoever gets as far as the
    /// comparison knows the 192 random bits, and with them holds the very text.
    pub(super) fn get(&self, sealed: &str) -> Option<(Arc<Session>, bool)> {
        let entry = self.known.get(&random_part(sealed)?)?;
        (entry.hash == self.hash.hash_one(sealed)).then_some((entry.session, entry.stale))
    }

    /// Remembers what `sealed` opened to.
    pub(super) fn insert(&self, sealed: &str, session: &Arc<Session>, stale: bool) {
        if let Some(key) = random_part(sealed) {
            let entry = Entry { hash: self.hash.hash_one(sealed), session: Arc::clone(session), stale };
            let weight = session.access_token.expose().len() * 2 + REST;
            let now = self.clock.now();
            let until = (now + LIFE).unix_timestamp();
            self.known.insert(key, entry, weight.try_into().unwrap_or(u32::MAX), until, now.unix_timestamp());
        }
    }

    /// Forgets `sealed`.
    pub(super) fn remove(&self, sealed: &str) {
        if let Some(key) = random_part(sealed) {
            self.known.remove(&key);
        }
    }
}

/// What follows version and key id.
fn random_part(sealed: &str) -> Option<[u8; RANDOM]> {
    let mut points = memchr_iter(b'.', sealed.as_bytes());
    let body = points.nth(1)? + 1;
    sealed.as_bytes()[body..].first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use base::clock::SystemClock;
    use base::secret::Secret;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::session::record::Memo;

    fn session() -> Arc<Session> {
        let then = datetime!(2026-01-01 00:00 UTC);
        let (id, token) = (Uuid::nil(), Secret::new("token".to_owned()));
        Arc::new(Session {
            id,
            user_id: id,
            gotrue_id: id,
            access_token: token.clone(),
            refresh_token: token,
            issued_at: then,
            expires_at: then,
            created_at: then,
            auth_time: then,
            last_seen: then,
            remember: false,
            limited: None,
            next_aal: 1,
            rest: None,
            memo: Memo::default(),
        })
    }

    /// S-03: what was changed after the random part is not what was opened, whatever its beginning says.
    #[test]
    fn only_the_very_text_is_found() {
        let opened = OpenedSessions::new(1 << 20, Arc::new(SystemClock));
        let sealed = format!("1.k1.{}{}", "r".repeat(RANDOM), "sealed");
        opened.insert(&sealed, &session(), true);
        assert!(opened.get(&sealed).is_some_and(|(_, stale)| stale));
        let longer = format!("{sealed}A");
        let (shorter, other_key) = (&sealed[..sealed.len() - 1], sealed.replace("k1", "k2"));
        for other in [longer.as_str(), shorter, &other_key, &sealed[..5 + RANDOM], "1.k1.", "1", ""] {
            assert!(opened.get(other).is_none(), "{other}");
        }
        opened.remove(&sealed);
        assert!(opened.get(&sealed).is_none());
    }
}
