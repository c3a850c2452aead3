//! Refresh tokens in the form of older projects: 12 characters, a row each (contract, sections 5.4 and 5.5).
//!
//! Each is derived from its session and counter as well, so that the current one can be told again, while the row
//! holds a digest.

use rusqlite::Connection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{RefreshTokens, Step, digest_of};
use crate::db::refresh_tokens::{self, Kept};
use crate::db::sessions::Session;
use crate::settings::RefreshTokenForm;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LENGTH: usize = 12;

/// Whether `text` is of this form.
pub(super) fn is_legacy(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

impl RefreshTokens {
    /// The `counter`-th token of a session: 60 bits of a MAC.
    pub(super) fn legacy(&self, session: Uuid, counter: u64) -> String {
        let mac = self.sealer.mac(&[b"legacy", session.as_bytes(), &counter.to_be_bytes()]);
        mac[..LENGTH].iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
    }

    /// Revokes the token `used`, else the newest one, and writes down the current token of `session` as its child.
    /// Does nothing for tokens that need no row.
    pub(crate) fn replace(
        &self,
        db: &Connection,
        used: Option<u64>,
        session: &Session,
        now: OffsetDateTime,
    ) -> rusqlite::Result<()> {
        if self.form != RefreshTokenForm::Legacy {
            return Ok(());
        }
        let newest = || refresh_tokens::newest(db, session.id).map(|row| row.map(|row| row.counter));
        let parent = if used.is_some() { used } else { newest()? };
        if parent.is_some() {
            refresh_tokens::revoke(db, session.id, parent, now)?;
        }
        let digest = digest_of(&self.current(session));
        refresh_tokens::insert(db, &digest, (session.id, session.counter, parent), now)
    }
}

/// What the token does: a live one is used up; the parent of the newest live one gets that again, at any age; any
/// other works within `interval` of its last change.
pub(super) fn judge(
    db: &Connection,
    given: &Kept,
    interval: Duration,
    now: OffsetDateTime,
) -> rusqlite::Result<Step> {
    if !given.revoked {
        return Ok(Step::Next);
    }
    let newest = refresh_tokens::newest(db, given.session)?;
    Ok(match newest {
        Some(newest) if newest.parent == Some(given.counter) => Step::Same,
        _ if given.changed_at + interval < now => Step::End,
        _ => Step::Next,
    })
}
