//! Leases beside the record that they protect.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Sqlite, live, signed};
use crate::session::store::{Failure, Fence, Key, Leased, Leases};

fn later(now: i64, time: Duration) -> i64 {
    now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

#[async_trait]
impl Leases for Sqlite {
    async fn lease(&self, key: &Key, time: Duration) -> Result<Leased, Failure> {
        let (key, now) = (*key, self.now());
        let work = move |db: &Transaction<'_>| {
            if live(db, &key, now)?.is_none() {
                return Ok(Leased::Gone);
            }
            let sql = "UPDATE sessions SET fence = fence + 1, leased_until = ?2
                WHERE key = ?1 AND (leased_until IS NULL OR leased_until <= ?3) RETURNING fence";
            let given: Option<i64> = db
                .prepare_cached(sql)?
                .query_row(params![key.0, later(now, time), now], |row| row.get(0))
                .optional()?;
            Ok(given
                .and_then(|fence| u64::try_from(fence).ok())
                .map_or(Leased::Held, |fence| Leased::Ours(Fence(fence))))
        };
        self.file.write("lease", work).await
    }

    async fn renew(&self, key: &Key, fence: Fence, time: Duration) -> Result<bool, Failure> {
        let (key, now) = (*key, self.now());
        let work = move |db: &Transaction<'_>| {
            let sql = "UPDATE sessions SET leased_until = ?3
                WHERE key = ?1 AND fence = ?2 AND ended IS NULL AND ?4 < until AND ?4 < leased_until";
            Ok(db.prepare_cached(sql)?.execute(params![key.0, signed(fence.0), later(now, time), now])? == 1)
        };
        self.file.write("renew", work).await
    }

    async fn release(&self, key: &Key, fence: Fence) -> Result<(), Failure> {
        let key = *key;
        let work = move |db: &Transaction<'_>| {
            let sql = "UPDATE sessions SET leased_until = NULL WHERE key = ?1 AND fence = ?2";
            db.prepare_cached(sql)?.execute(params![key.0, signed(fence.0)])?;
            Ok(())
        };
        self.file.write("release", work).await
    }
}
