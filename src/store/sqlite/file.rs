//! The file: how it is opened, and the one connection to it.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::session::store::Failure;

const MIGRATIONS: &[&str] = &[include_str!("1.sql")];

/// Stands in the head of the file: `bffs`.
const APPLICATION: i64 = 0x6266_6673;

/// How long a writer waits for another process.
const BUSY: Duration = Duration::from_secs(5);

/// Why a file is not used as a store.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// The file or its folder cannot be made or opened.
    #[error("the file cannot be made or opened")]
    Closed(#[source] std::io::Error),
    /// SQLite refused.
    #[error("SQLite: {0}")]
    Sql(#[from] rusqlite::Error),
    /// It holds tables, and they are not ours.
    #[error("the file belongs to another program")]
    Foreign,
    /// A newer version of this program wrote it.
    #[error("the file is of version {0}, which this program does not know")]
    Newer(i64),
    /// The thread that worked on it ended early.
    #[error("the task ended early")]
    Lost,
}

#[derive(Debug, Clone)]
pub(super) struct File(Arc<Mutex<Connection>>);

impl File {
    pub(super) async fn open(path: PathBuf) -> Result<Self, Failure> {
        let opened = tokio::task::spawn_blocking(move || connect(&path)).await;
        let db = opened.unwrap_or(Err(BadFile::Lost)).map_err(|error| failure("open", error))?;
        Ok(Self(Arc::new(Mutex::new(db))))
    }

    /// Runs `work` in one transaction that excludes every other writer; an error rolls it back. It runs to its end,
    /// also where the caller goes away.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        self.run(operation, move |db| {
            let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&step)?;
            step.commit()?;
            Ok(done)
        })
        .await
    }

    /// Runs `work`, which only reads.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        self.run(operation, |db| work(db)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let db = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            // A panic inside a transaction rolled it back: the connection itself is sound.
            work(&mut db.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let done = done.await.map_err(|_| BadFile::Lost).and_then(|done| done.map_err(BadFile::Sql));
        done.map_err(|error| failure(operation, error))
    }
}

fn failure(operation: &'static str, error: BadFile) -> Failure {
    Failure { operation, source: error.into() }
}

fn connect(path: &Path) -> Result<Connection, BadFile> {
    make_private(path).map_err(BadFile::Closed)?;
    // Without URIs, which could ask for anything: a path is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    migrate(&step)?;
    step.commit()?;
    write_ahead(&mut db)?; // after the look whether the file is ours
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "trusted_schema", "OFF")?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

/// Switches to WAL. SQLite waits for nobody here, so where somebody else is at the file we wait for his transaction.
fn write_ahead(db: &mut Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        match db.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries < 100 => {
                db.transaction_with_behavior(TransactionBehavior::Immediate)?.commit()?;
                tries += 1;
            }
            done => return done,
        }
    }
}

fn migrate(db: &Transaction<'_>) -> Result<(), BadFile> {
    let number = |pragma: &str| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let done = number("user_version")?;
    if number("application_id")? != APPLICATION {
        if tables != 0 || done != 0 {
            return Err(BadFile::Foreign);
        }
        db.pragma_update(None, "application_id", APPLICATION)?;
    }
    if done > i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX) {
        return Err(BadFile::Newer(done));
    }
    for (version, sql) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > done) {
        db.execute_batch(sql)?;
        db.pragma_update(None, "user_version", version)?;
    }
    Ok(())
}

/// Makes the file with mode 0600 before SQLite does with a wider one; its journals inherit the mode (S-80).
///
/// One that is there is not opened: to close it again would take the locks from every other connection of this process.
fn make_private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_file() => {
            std::fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        made => made.map(drop),
    }
}
