//! The SQLite file: its mode, its owners, and what becomes of one that is not as it should be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use base::clock::{SharedClock, SystemClock};
use rusqlite::Connection;
use supabase_bff::session::store::{Failure, Found, SessionStore};
use supabase_bff::store::sqlite::{BadFile, Sqlite};

use crate::outage::{everything_fails, everything_works};
use crate::stand::{Stand, key, owner};

async fn open(path: &Path) -> Result<Sqlite, Failure> {
    let clock: SharedClock = Arc::new(SystemClock);
    Sqlite::open(path, clock).await
}

async fn refused(path: &Path) -> String {
    open(path).await.unwrap_err().source.downcast::<BadFile>().unwrap().to_string()
}

/// S-80: nobody but its owner may read the file, nor what SQLite puts beside it.
#[tokio::test]
async fn the_file_belongs_to_its_owner_alone() {
    let stand = Stand::sqlite().await;
    stand.session().await;
    let modes: Vec<_> = fs::read_dir(stand.folder.path())
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| {
            (file.file_name().into_string().unwrap(), file.metadata().unwrap().permissions().mode() & 0o777)
        })
        .collect();
    assert_eq!(modes.len(), 3, "{modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

#[tokio::test]
async fn a_wider_mode_is_narrowed_and_a_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/sessions.db");
    open(&path).await.unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    open(&path).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn sessions_outlive_the_process() {
    let stand = Stand::sqlite().await;
    let (kept, draft) = (key(), stand.draft(owner()));
    let path = stand.folder.path().join("other.db");
    let draft = supabase_bff::session::store::Draft {
        until: base::clock::Clock::now(&SystemClock) + time::Duration::HOUR,
        ..draft
    };
    let first = open(&path).await.unwrap();
    assert!(first.create(&kept, &draft).await.unwrap());
    drop(first);
    let found = open(&path).await.unwrap().read(&kept).await.unwrap();
    assert!(matches!(found, Found::Live(entry) if entry.sealed == draft.sealed));
}

/// Two nodes may start for the first time in the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn many_may_make_the_file_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let path = path.clone();
            opening.spawn(async move { open(&path).await.map(drop) });
        }
        for opened in opening.join_all().await {
            opened.unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)")
        .unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(refused(&path).await, "the file belongs to another program");
    assert_eq!(fs::read(&path).unwrap(), before);

    let text = folder.path().join("text");
    fs::write(&text, "no database at all, but long enough to be looked at by SQLite".repeat(20)).unwrap();
    assert!(refused(&text).await.contains("not a database"));
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    drop(open(&path).await.unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 77).unwrap();
    assert_eq!(refused(&path).await, "the file is of version 77, which this program does not know");
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refused(folder.path()).await, "the file cannot be made or opened");
}

/// S-44: a store that is broken is a failure, and never "not there".
#[tokio::test]
async fn a_damaged_file_is_a_failure_and_not_an_absence() {
    let stand = Stand::sqlite().await;
    let kept = stand.session().await;
    let intruder = Connection::open(stand.folder.path().join("sessions.db")).unwrap();
    intruder.execute_batch("ALTER TABLE sessions RENAME TO s; ALTER TABLE revocations RENAME TO r").unwrap();
    everything_fails(&stand, &kept).await;
    intruder.execute_batch("ALTER TABLE s RENAME TO sessions; ALTER TABLE r RENAME TO revocations").unwrap();
    everything_works(&stand, &kept).await;
}

/// What is over goes, a few rows at each new session, so that no pause and no growth comes of it.
#[tokio::test]
async fn what_is_over_is_swept_in_small_steps() {
    let stand = Stand::sqlite().await;
    for _ in 0..40 {
        stand.session().await;
    }
    for _ in 0..100 {
        stand.a.revocations.publish(b"x", stand.now() + time::Duration::MINUTE).await.unwrap();
    }
    let db = Connection::open(stand.folder.path().join("sessions.db")).unwrap();
    let count = |table: &str| {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((count("sessions"), count("revocations")), (40, 100));
    stand.skip(time::Duration::hours(2));
    stand.session().await;
    assert_eq!(count("sessions"), 40 - 16 + 1);
    stand.a.revocations.publish(b"x", stand.now() + time::Duration::MINUTE).await.unwrap();
    assert_eq!(count("revocations"), 100 - 64 + 1);
}
