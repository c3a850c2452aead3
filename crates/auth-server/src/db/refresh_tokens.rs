//! The rows of refresh tokens in their older form. Those of version 2 need none.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{At, Id};

/// A refresh token that was given out.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) session: Uuid,
    pub(crate) counter: u64,
    /// The counter of the token in whose place it was given out.
    pub(crate) parent: Option<u64>,
    pub(crate) revoked: bool,
    pub(crate) changed_at: OffsetDateTime,
}

/// Writes down the `counter`-th token of a session.
pub(crate) fn insert(
    db: &Connection,
    digest: &str,
    (session, counter, parent): (Uuid, u64, Option<u64>),
    now: OffsetDateTime,
) -> rusqlite::Result<()> {
    let sql = "insert into refresh_tokens (digest, session_id, counter, parent, changed_at)
        values (:digest, :session, :counter, :parent, :now)";
    db.prepare_cached(sql)?.execute(named_params! {
        ":digest": digest,
        ":session": Id(session),
        ":counter": number(counter),
        ":parent": parent.map(number),
        ":now": At(now),
    })?;
    Ok(())
}

/// The token with this digest.
pub(crate) fn find(db: &Connection, digest: &str) -> rusqlite::Result<Option<Kept>> {
    let sql = "select * from refresh_tokens where digest = :digest";
    db.prepare_cached(sql)?.query_row(named_params! {":digest": digest}, read).optional()
}

/// The newest token of a session that is not revoked.
pub(crate) fn newest(db: &Connection, session: Uuid) -> rusqlite::Result<Option<Kept>> {
    let sql = "select * from refresh_tokens where session_id = :session and revoked = 0
        order by counter desc limit 1";
    db.prepare_cached(sql)?.query_row(named_params! {":session": Id(session)}, read).optional()
}

/// Revokes the `counter`-th token of a session, or all that are not revoked yet.
pub(crate) fn revoke(
    db: &Connection,
    session: Uuid,
    counter: Option<u64>,
    now: OffsetDateTime,
) -> rusqlite::Result<()> {
    let sql = "update refresh_tokens set revoked = 1, changed_at = :now where session_id = :session
        and (counter = :counter or :counter is null and revoked = 0)";
    let counter = counter.map(number);
    let values = named_params! {":session": Id(session), ":counter": counter, ":now": At(now)};
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn number(counter: u64) -> i64 {
    i64::try_from(counter).unwrap_or(i64::MAX)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        session: row.get::<_, Id>("session_id")?.0,
        counter: row.get::<_, i64>("counter")?.unsigned_abs(),
        parent: row.get::<_, Option<i64>>("parent")?.map(i64::unsigned_abs),
        revoked: row.get("revoked")?,
        changed_at: row.get::<_, At>("changed_at")?.0,
    })
}
