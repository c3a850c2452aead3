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
    /// The factor that raised it to aal2.
    pub(crate) factor: Option<Uuid>,
}

impl Session {
    /// Whether a second factor was shown.
    pub(crate) fn is_aal2(&self) -> bool {
        self.aal == "aal2"
    }

    /// Raises it to aal2 by `factor`. The counter takes two steps, so that the token from before the proof is no
    /// predecessor of the new one (contract, section 5.6).
    pub(crate) fn raise(&mut self, factor: Uuid, method: &str, now: OffsetDateTime) {
        self.amr.retain(|proof| proof.method != method);
        self.amr.insert(0, Proof { method: method.to_owned(), timestamp: now.unix_timestamp() });
        self.aal = "aal2".to_owned();
        self.factor = Some(factor);
        self.counter += 2;
        self.refreshed_at = super::micros(now);
    }

    /// A new session of `user`, begun by `method`.
    pub(crate) fn new(id: Uuid, user: Uuid, method: &str, now: OffsetDateTime) -> Self {
        let amr = vec![Proof { method: method.to_owned(), timestamp: now.unix_timestamp() }];
        let now = super::micros(now);
        Self {
            id,
            user,
            counter: 0,
            aal: "aal1".to_owned(),
            amr,
            created_at: now,
            refreshed_at: now,
            factor: None,
        }
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
    let sql = "insert into sessions (id, user_id, counter, aal, amr, created_at, refreshed_at)
        values (:id, :user, :counter, :aal, :amr, :created, :refreshed)";
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": Id(session.id),
        ":user": Id(session.user),
        ":counter": i64::try_from(session.counter).unwrap_or(i64::MAX),
        ":aal": session.aal,
        ":amr": written(&session.amr)?,
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

/// Writes what a refresh or a second factor changes.
pub(crate) fn save(db: &Connection, session: &Session) -> rusqlite::Result<()> {
    let sql = "update sessions set counter = :counter, refreshed_at = :refreshed, aal = :aal, amr = :amr,
        factor_id = :factor where id = :id";
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": Id(session.id),
        ":counter": i64::try_from(session.counter).unwrap_or(i64::MAX),
        ":refreshed": At(session.refreshed_at),
        ":aal": session.aal,
        ":amr": written(&session.amr)?,
        ":factor": session.factor.map(Id),
    })?;
    Ok(())
}

/// Takes aal2 from every session that `factor` raised, with the proof named `method`.
pub(crate) fn lower(db: &Connection, factor: Uuid, method: &str) -> rusqlite::Result<()> {
    let mut query = db.prepare_cached("select * from sessions where factor_id = :factor")?;
    let raised =
        query.query_map(named_params! {":factor": Id(factor)}, read)?.collect::<Result<Vec<_>, _>>()?;
    for mut session in raised {
        session.amr.retain(|proof| proof.method != method);
        session.aal = "aal1".to_owned();
        session.factor = None;
        save(db, &session)?;
    }
    Ok(())
}

/// Ends the sessions of `user` that showed no second factor, but for `kept`.
pub(crate) fn end_aal1(db: &Connection, user: Uuid, kept: Uuid) -> rusqlite::Result<()> {
    let sql = "delete from sessions where user_id = :user and aal = 'aal1' and id <> :kept";
    db.prepare_cached(sql)?.execute(named_params! {":user": Id(user), ":kept": Id(kept)})?;
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

fn written(amr: &[Proof]) -> rusqlite::Result<String> {
    serde_json::to_string(amr).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
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
        factor: row.get::<_, Option<Id>>("factor_id")?.map(|id| id.0),
    })
}
