//! Sessions in one file of this machine, which several processes may share.
//!
//! Every change is one transaction that excludes other writers, in this process and in others. Times go by the clock
//! that all of them have: the machine's.

mod file;
mod leases;
mod revocations;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base::clock::SharedClock;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use time::OffsetDateTime;

pub use file::BadFile;
use file::File;
use tokio::sync::Notify;

use super::moment::{millis, of_seconds, seconds};
use crate::event::Reason;
use crate::session::store::{
    Change, Changed, Draft, Entry, Failure, Found, Key, Listed, Owner, SessionStore, Version,
};

/// Expired rows that one writing call clears away.
const SWEEP: i64 = 16;

/// The store in a file. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Sqlite {
    file: File,
    clock: SharedClock,
    /// Wakes the readers of revocations in this process; those of others look again by themselves.
    published: Arc<Notify>,
}

impl Sqlite {
    /// Opens the file, or makes it with mode 0600, and brings its tables to the newest version.
    ///
    /// # Errors
    ///
    /// When the file cannot be made, opened or understood, is of a newer version, or belongs to another program.
    pub async fn open(path: &Path, clock: SharedClock) -> Result<Self, Failure> {
        let file = File::open(path.to_owned()).await?;
        Ok(Self { file, clock, published: Arc::default() })
    }

    fn now(&self) -> i64 {
        millis(self.clock.now())
    }

    /// Puts the mark of an end, beside the last record if that is to stay.
    async fn mark(
        &self,
        operation: &'static str,
        key: Key,
        reason: Reason,
        stays: bool,
    ) -> Result<bool, Failure> {
        let now = self.now();
        let work = move |db: &Transaction<'_>| {
            let sql =
                "UPDATE sessions SET ended = ?2, owner = NULL, sealed = iif(?4, sealed, NULL), label = NULL,
                leased_until = NULL WHERE key = ?1 AND ended IS NULL AND ?3 < until";
            Ok(db.prepare_cached(sql)?.execute(params![key.0, reason.as_str(), now, stays])? == 1)
        };
        self.file.write(operation, work).await
    }
}

/// A live record, as `sessions` has it.
struct Live {
    version: u64,
    seen: i64,
    until: i64,
    fence: u64,
}

fn live(db: &Transaction<'_>, key: &Key, now: i64) -> rusqlite::Result<Option<Live>> {
    let sql =
        "SELECT version, seen, until, fence FROM sessions WHERE key = ?1 AND ended IS NULL AND ?2 < until";
    let read = |row: &Row<'_>| {
        Ok(Live {
            version: unsigned(row, 0)?,
            seen: row.get(1)?,
            until: row.get(2)?,
            fence: unsigned(row, 3)?,
        })
    };
    db.prepare_cached(sql)?.query_row(params![key.0, now], read).optional()
}

/// A counter; the column holds no negative one.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A counter as a parameter. One that no column can hold equals none.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(-1)
}

fn sweep(db: &Transaction<'_>, now: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE until <= ?1 ORDER BY until LIMIT ?2)";
    db.prepare_cached(sql)?.execute(params![now, SWEEP])?;
    Ok(())
}

#[async_trait]
impl SessionStore for Sqlite {
    async fn create(&self, key: &Key, draft: &Draft) -> Result<bool, Failure> {
        let (key, draft, now) = (*key, draft.clone(), self.now());
        let work = move |db: &Transaction<'_>| {
            sweep(db, now)?;
            db.prepare_cached("DELETE FROM sessions WHERE key = ?1 AND until <= ?2")?
                .execute(params![key.0, now])?;
            let sql = "INSERT INTO sessions (key, owner, sealed, label, seen, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (key) DO NOTHING";
            let Draft { owner, sealed, label, seen, until } = &draft;
            let row = params![key.0, owner.0, sealed, label, seconds(*seen), millis(*until)];
            Ok(db.prepare_cached(sql)?.execute(row)? == 1)
        };
        self.file.write("create", work).await
    }

    async fn read(&self, key: &Key) -> Result<Found, Failure> {
        let (key, now) = (*key, self.now());
        let work = move |db: &rusqlite::Connection| {
            let sql = "SELECT ended, version, sealed, seen FROM sessions WHERE key = ?1 AND ?2 < until";
            let read = |row: &Row<'_>| match row.get::<_, Option<String>>(0)? {
                Some(word) => Ok(match row.get(2)? {
                    Some(sealed) => Found::Replaced(sealed),
                    None => Found::Ended(Reason::parse(&word).unwrap_or(Reason::StoreLost)),
                }),
                None => Ok(Found::Live(Entry {
                    version: Version(unsigned(row, 1)?),
                    sealed: row.get(2)?,
                    seen: of_seconds(row.get(3)?),
                })),
            };
            let found = db.prepare_cached(sql)?.query_row(params![key.0, now], read).optional()?;
            Ok(found.unwrap_or(Found::Nothing))
        };
        self.file.read("read", work).await
    }

    async fn change(&self, key: &Key, change: &Change) -> Result<Changed, Failure> {
        let (key, change, now) = (*key, change.clone(), self.now());
        let work = move |db: &Transaction<'_>| {
            let Some(live) = live(db, &key, now)? else { return Ok(Changed::Gone) };
            if live.version != change.from.0 || change.fence.is_some_and(|fence| fence.0 < live.fence) {
                return Ok(Changed::Conflict);
            }
            let version = live.version + 1;
            let (seen, until) = (seconds(change.seen).max(live.seen), millis(change.until).max(live.until));
            let sql = "UPDATE sessions SET version = ?2, sealed = ?3, label = coalesce(?4, label), seen = ?5, until = ?6,
                leased_until = iif(?7, NULL, leased_until), owner = coalesce(?8, owner) WHERE key = ?1";
            let (leased, owner) = (change.fence.is_some(), change.owner.map(|owner| owner.0));
            let row =
                params![key.0, signed(version), change.sealed, change.label, seen, until, leased, owner];
            db.prepare_cached(sql)?.execute(row)?;
            Ok(Changed::To(Version(version)))
        };
        self.file.write("change", work).await
    }

    async fn touch(&self, key: &Key, seen: OffsetDateTime, until: OffsetDateTime) -> Result<(), Failure> {
        let (key, now) = (*key, self.now());
        let (seen, until) = (seconds(seen), millis(until));
        let work = move |db: &Transaction<'_>| {
            let sql = "UPDATE sessions SET seen = ?2, until = max(until, ?3)
                WHERE key = ?1 AND ended IS NULL AND ?4 < until AND seen < ?2";
            db.prepare_cached(sql)?.execute(params![key.0, seen, until, now])?;
            Ok(())
        };
        self.file.write("touch", work).await
    }

    async fn end(&self, key: &Key, reason: Reason) -> Result<bool, Failure> {
        self.mark("end", *key, reason, false).await
    }

    async fn replace(&self, key: &Key) -> Result<bool, Failure> {
        self.mark("replace", *key, Reason::Replaced, true).await
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<Listed>, Failure> {
        let (owner, now) = (*owner, self.now());
        let work = move |db: &rusqlite::Connection| {
            let sql = "SELECT key, label, seen FROM sessions WHERE owner = ?1 AND ?2 < until";
            let read = |row: &Row<'_>| {
                Ok(Listed { key: Key(row.get(0)?), label: row.get(1)?, seen: of_seconds(row.get(2)?) })
            };
            db.prepare_cached(sql)?.query_map(params![owner.0, now], read)?.collect()
        };
        self.file.read("list", work).await
    }

    async fn probe(&self) -> Result<(), Failure> {
        let work = |db: &rusqlite::Connection| {
            db.prepare_cached("SELECT 1 FROM sessions LIMIT 1")?.query_row([], |_| Ok(())).optional()
        };
        self.file.read("probe", work).await.map(Option::unwrap_or_default)
    }
}
