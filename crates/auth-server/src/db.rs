//! SQLite: one connection behind one lock, used from blocking threads. The queries stand beside each other below.

pub(crate) mod factors;
pub(crate) mod flows;
pub(crate) mod one_time;
pub(crate) mod refresh_tokens;
pub(crate) mod sessions;
pub(crate) mod users;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde_json::{Map, Value};
use time::OffsetDateTime;

const MIGRATIONS: &[&str] = &[include_str!("db/1.sql"), include_str!("db/2.sql"), include_str!("db/3.sql")];

/// Where people and sessions rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// Gone with the process; for tests.
    Memory,
    /// A file that only its owner may read (S-80).
    File(PathBuf),
}

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file or its folder could not be made.
    #[error("the database file cannot be made or opened")]
    File(#[source] std::io::Error),
    /// SQLite refused.
    #[error("database: {0}")]
    Sql(#[from] rusqlite::Error),
    /// A newer version of the program wrote it.
    #[error("the database is of version {0}, which this program does not know")]
    Newer(i64),
    /// The thread that held the connection panicked.
    #[error("the database task ended early")]
    Lost,
}

/// The database. Clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Db(Arc<Mutex<Connection>>);

impl Db {
    /// Opens or makes the database and brings it to the newest version. Blocks.
    pub(crate) fn open(place: &Database) -> Result<Self, DbError> {
        let mut db = match place {
            Database::Memory => Connection::open_in_memory()?,
            Database::File(path) => {
                make_private(path).map_err(DbError::File)?;
                Connection::open(path)?
            }
        };
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", "ON")?;
        db.pragma_update(None, "trusted_schema", "OFF")?;
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done: i64 = step.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if done > newest {
            return Err(DbError::Newer(done));
        }
        for (version, sql) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > done) {
            step.execute_batch(sql)?;
            step.pragma_update(None, "user_version", version)?;
        }
        step.commit()?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(Self(Arc::new(Mutex::new(db))))
    }

    /// Runs `work` in one transaction that excludes every other writer; an error rolls it back.
    pub(crate) fn write<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let db = self.clone();
        let done = tokio::task::spawn_blocking(move || db.write_now(work));
        async { done.await.unwrap_or_else(|_| Err(DbError::Lost.into())) }
    }

    /// As [`write`](Self::write), on the caller's thread.
    pub(crate) fn write_now<T, E: From<DbError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // A panic inside a transaction rolled it back: the connection itself is sound.
        let mut db = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(DbError::from)?;
        let done = work(&step)?;
        step.commit().map_err(DbError::from)?;
        Ok(done)
    }

    /// Runs `work`, which only reads.
    pub(crate) fn read<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let db = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let db = db.0.lock().unwrap_or_else(PoisonError::into_inner);
            work(&db)
        });
        async { done.await.unwrap_or_else(|_| Err(DbError::Lost.into())) }
    }
}

/// Makes the file with mode 0600 before SQLite does with a wider one; its journals inherit the mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

/// A moment as it stands in a column: microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub(crate) OffsetDateTime);

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let micros = self.0.unix_timestamp_nanos() / 1000;
        Ok(i64::try_from(micros).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let micros = i128::from(value.as_i64()?);
        let moment = OffsetDateTime::from_unix_timestamp_nanos(micros * 1000);
        moment.map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// `time` to the microsecond, so that what is answered now equals what is read back later.
pub(crate) fn micros(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_microsecond(time.microsecond()).unwrap_or(time)
}

/// A JSON object as it stands in a column.
#[derive(Debug, Clone)]
pub(crate) struct Document(pub(crate) Map<String, Value>);

impl ToSql for Document {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0);
        text.map(Into::into).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }
}

impl FromSql for Document {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let map = serde_json::from_str(value.as_str()?);
        map.map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A UUID as it stands in a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(pub(crate) uuid::Uuid);

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let id = uuid::Uuid::parse_str(value.as_str()?);
        id.map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    /// An install of the first version keeps its people, and a newer one is left alone.
    #[test]
    fn an_older_database_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let id = uuid::Uuid::from_u128(7);
        let sql = "insert into users (id, email, role, app_metadata, user_metadata, created_at, updated_at)
            values (?1, 'ada@example.test', 'authenticated', '{}', '{}', 1, 1)";
        old.execute(sql, [Id(id)]).unwrap();
        drop(old);
        let place = Database::File(path.clone());
        let db = Db::open(&place).unwrap();
        let read = |db: &Transaction<'_>| Ok::<_, DbError>(users::find(db, id)?.unwrap());
        let mut user = db.write_now(read).unwrap();
        assert!(user.factors.is_empty() && !user.email_change_half && user.deleted_at.is_none());
        user.new_email = Some("new@example.test".to_owned());
        user.deleted_at = Some(datetime!(2026-01-01 12:00 UTC));
        let kept = user.clone();
        db.write_now(move |db| Ok::<_, DbError>(users::save(db, &kept)?)).unwrap();
        let again = db.write_now(read).unwrap();
        assert_eq!((again.new_email, again.deleted_at), (user.new_email, user.deleted_at));
        drop(db);
        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Db::open(&place), Err(DbError::Newer(99))));
    }
}
