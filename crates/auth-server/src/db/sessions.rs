//! Sessions: one for each sign-in. Deleting the row ends it for refresh and for `/user` alike.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{At, Id};

/// One way in which a person proved who they are (contract, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    pub(crate) method: String,
    /// Seconds since 1970.
    pub(crate) timestamp: i64,
}

/// A sign-in that lasts.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) user: Uuid,
    /// Which refresh token is current: 0 at sign-in, one more at each rotation.
    pub(crate) counter: u64,
    pub(crate) aal: String,
    /// Newest first.
    pub(crate) amr: Vec<Proof>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) refreshed_at: OffsetDateTime,
}

impl Session {
    /// A new session of `user`, begun by `method`.
    pub(crate) fn new(id: Uuid, user: Uuid, method: &str, now: OffsetDateTime) -> Self {
        let amr = vec![Proof { method: method.to_owned(), timestamp: now.unix_timestamp() }];
        let now = super::micros(now);
        Self { id, user, counter: 0, aal: "aal1".to_owned(), amr, created_at: now, refreshed_at: now }
    }
}

/// Which sessions of a person end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of them.
    Global,
    /// This one.
    Local(Uuid),
    /// All but this one.
    Others(Uuid),
}

/// Adds a session.
pub(crate) fn insert(db: &Connection, session: &Session) -> rusqlite::Result<()> {
    let sql = "insert into sessions values (:id, :user, :counter, :aal, :amr, :created, :refreshed)";
    let amr = serde_json::to_string(&session.amr)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": Id(session.id),
        ":user": Id(session.user),
        ":counter": i64::try_from(session.counter).unwrap_or(i64::MAX),
        ":aal": session.aal,
        ":amr": amr,
        ":created": At(session.created_at),
        ":refreshed": At(session.refreshed_at),
    })?;
    Ok(())
}

/// The session with this id.
pub(crate) fn find(db: &Connection, id: Uuid) -> rusqlite::Result<Option<Session>> {
    let sql = "select * from sessions where id = :id";
    db.prepare_cached(sql)?.query_row(named_params! {":id": Id(id)}, read).optional()
}

/// Writes what a refresh changes.
pub(crate) fn save(db: &Connection, session: &Session) -> rusqlite::Result<()> {
    let sql = "update sessions set counter = :counter, refreshed_at = :refreshed where id = :id";
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": Id(session.id),
        ":counter": i64::try_from(session.counter).unwrap_or(i64::MAX),
        ":refreshed": At(session.refreshed_at),
    })?;
    Ok(())
}

/// Ends sessions of `user`; says how many.
pub(crate) fn end(db: &Connection, user: Uuid, scope: Scope) -> rusqlite::Result<usize> {
    let (sql, id) = match scope {
        Scope::Global => ("delete from sessions where user_id = :user and :id is not null", user),
        Scope::Local(id) => ("delete from sessions where user_id = :user and id = :id", id),
        Scope::Others(id) => ("delete from sessions where user_id = :user and id <> :id", id),
    };
    db.prepare_cached(sql)?.execute(named_params! {":user": Id(user), ":id": Id(id)})
}

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    let amr: String = row.get("amr")?;
    let wrong =
        |error| rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, Box::new(error));
    Ok(Session {
        id: row.get::<_, Id>("id")?.0,
        user: row.get::<_, Id>("user_id")?.0,
        counter: row.get::<_, i64>("counter")?.unsigned_abs(),
        aal: row.get("aal")?,
        amr: serde_json::from_str(&amr).map_err(wrong)?,
        created_at: row.get::<_, At>("created_at")?.0,
        refreshed_at: row.get::<_, At>("refreshed_at")?.0,
    })
}
