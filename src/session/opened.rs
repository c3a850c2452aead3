//! Sessions that were opened before: the same sealed text need not be unsealed and read again at every request.
//!
//! Only what the seal holds is remembered. Whether the session may still be used, the clock and the deny-list say
//! anew each time.

use std::sync::Arc;
use std::time::Duration;

use base::uniform::BuildUniform;
use memchr::memchr_iter;
use moka::sync::Cache;

use super::record::Session;

/// Roughly what all of them together may weigh, in bytes.
const CAPACITY: u64 = 16 << 20;
/// Tokens of people who went away do not stay in memory for longer.
const LIFE: Duration = Duration::from_secs(600);
/// The characters of a sealed text that stand for its 192 random bits (`base::seal`).
const RANDOM: usize = 32;

/// A bounded memory of opened sessions. It may forget any of them at any time.
pub(super) struct OpenedSessions(Cache<[u8; RANDOM], Arc<Entry>, BuildUniform>);

struct Entry {
    sealed: String,
    session: Arc<Session>,
    stale: bool,
}

impl Default for OpenedSessions {
    fn default() -> Self {
        let weigh = |_: &[u8; RANDOM], entry: &Arc<Entry>| {
            u32::try_from(entry.sealed.len() * 2 + 512).unwrap_or(u32::MAX) // the tokens fill most of the text
        };
        let builder = Cache::builder().max_capacity(CAPACITY).weigher(weigh).time_to_live(LIFE);
        Self(builder.build_with_hasher(BuildUniform::default()))
    }
}

impl OpenedSessions {
    /// What `sealed` opened to, and whether an older key had sealed it. The whole text is compared: one that differs in
    /// a single character is not the one that was opened. Nobody learns from the time this takes: whoever gets as far
    /// as the comparison knows the 192 random bits already.
    pub(super) fn get(&self, sealed: &str) -> Option<(Arc<Session>, bool)> {
        let entry = self.0.get(&random_part(sealed)?)?;
        (entry.sealed == sealed).then(|| (Arc::clone(&entry.session), entry.stale))
    }

    /// Remembers what `sealed` opened to.
    pub(super) fn insert(&self, sealed: &str, session: &Arc<Session>, stale: bool) {
        if let Some(key) = random_part(sealed) {
            let entry = Entry { sealed: sealed.to_owned(), session: Arc::clone(session), stale };
            self.0.insert(key, Arc::new(entry));
        }
    }

    /// Forgets `sealed`.
    pub(super) fn remove(&self, sealed: &str) {
        if let Some(key) = random_part(sealed) {
            self.0.invalidate(&key);
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
        let opened = OpenedSessions::default();
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
