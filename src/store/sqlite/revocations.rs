//! Revocations by number. What another process publishes is seen by looking again and again.

use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};
use time::OffsetDateTime;

use super::Sqlite;
use crate::session::store::{Cursor, Failure, Revocations};
use crate::store::moment::millis;
use crate::store::news::{AT_ONCE, CAPACITY, number};

/// Between two looks; an ended session is refused everywhere within one second (S-45).
const LOOK: Duration = Duration::from_millis(200);

/// Expired rows that one call clears away.
const SWEEP: i64 = 64;

impl Sqlite {
    async fn look(&self, cursor: &Cursor) -> Result<Option<(Vec<Vec<u8>>, Cursor)>, Failure> {
        let (known, now) = (i64::try_from(number(cursor)).unwrap_or(0), self.now());
        let work = move |db: &Connection| {
            let sql = "SELECT id, sealed FROM revocations WHERE ?1 < id AND ?2 < until ORDER BY id LIMIT ?3";
            let mut query = db.prepare_cached(sql)?;
            let mut rows = query.query(params![known, now, i64::try_from(AT_ONCE).unwrap_or(i64::MAX)])?;
            let (mut found, mut last) = (Vec::new(), known);
            while let Some(row) = rows.next()? {
                last = row.get(0)?;
                found.push(row.get(1)?);
            }
            Ok((!found.is_empty()).then(|| (found, Cursor(last.to_string()))))
        };
        self.file.read("after", work).await
    }
}

#[async_trait]
impl Revocations for Sqlite {
    async fn publish(&self, sealed: &[u8], until: OffsetDateTime) -> Result<(), Failure> {
        let (sealed, until, now) = (sealed.to_vec(), millis(until), self.now());
        let work = move |db: &Transaction<'_>| {
            let sql = "DELETE FROM revocations WHERE id IN
                (SELECT id FROM revocations WHERE until <= ?1 ORDER BY until LIMIT ?2)";
            db.prepare_cached(sql)?.execute(params![now, SWEEP])?;
            let kept: i64 =
                db.prepare_cached("SELECT count(*) FROM revocations")?.query_row([], |row| row.get(0))?;
            if usize::try_from(kept).is_ok_and(|kept| kept >= CAPACITY) {
                return Ok(false);
            }
            db.prepare_cached("INSERT INTO revocations (until, sealed) VALUES (?1, ?2)")?
                .execute(params![until, sealed])?;
            Ok(true)
        };
        if !self.file.write("publish", work).await? {
            return Err(Failure { operation: "publish", source: crate::store::news::FULL.into() });
        }
        self.published.notify_waiters();
        Ok(())
    }

    async fn after(&self, cursor: &Cursor, patience: Duration) -> Result<(Vec<Vec<u8>>, Cursor), Failure> {
        let mut patience = pin!(tokio::time::sleep(patience));
        loop {
            let published = self.published.notified(); // before the look, so that nothing falls in between
            if let Some(found) = self.look(cursor).await? {
                return Ok(found);
            }
            tokio::select! {
                () = &mut patience => return Ok((Vec::new(), cursor.clone())),
                _ = tokio::time::timeout(LOOK, published) => {} // woken or not: look again
            }
        }
    }
}
