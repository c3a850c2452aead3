//! The SQLite file: its mode, its owners, and what becomes of one that is not as it should be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base::clock::{SharedClock, SystemClock};
use rusqlite::Connection;
use supabase_bff::session::store::{
    Change, Changed, Cursor, Draft, Failure, Found, Key, Revocations, SessionStore,
};
use supabase_bff::store::sqlite::{BadFile, Sqlite};

use crate::outage::{everything_fails, everything_works};
use crate::revocations::LONG;
use crate::stand::{Stand, key, owner};

async fn open(path: &Path) -> Result<Sqlite, Failure> {
    let clock: SharedClock = Arc::new(SystemClock);
    Sqlite::open(path, clock).await
}

async fn refused(path: &Path) -> String {
    open(path).await.unwrap_err().source.downcast::<BadFile>().unwrap().to_string()
}

/// S-80: nobody but its owner may read the file, nor what SQLite puts beside it, which is there from the start on.
#[tokio::test]
async fn the_file_belongs_to_its_owner_alone() {
    let stand = Stand::sqlite().await;
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
    let draft = Draft { until: in_an_hour(), ..draft };
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

/// Names the file to the process that shares it.
const SHARED: &str = "STORES_TEST_SQLITE";

/// Changes that each of two processes makes.
const CHANGES: u64 = 100;

const BOTH_KNOW: Key = Key([7; 32]);

/// Two processes change one record as often as they can: every change counts once, and what one publishes the other
/// hears (S-45).
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_file() {
    if let Some(path) = std::env::var_os(SHARED) {
        let store = open(Path::new(&path)).await.unwrap();
        change_many_times(&store).await;
        return store.publish(b"from the other process", in_an_hour()).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    let store = open(&path).await.unwrap();
    let now = base::clock::Clock::now(&SystemClock);
    let draft = Draft { owner: owner(), sealed: vec![0], label: vec![0], seen: now, until: in_an_hour() };
    assert!(store.create(&BOTH_KNOW, &draft).await.unwrap());
    let name = "sqlite_file::two_processes_share_the_file";
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(SHARED, &path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let beginning = Cursor::default();
    let listening = store.after(&beginning, LONG);
    let (heard, ()) = tokio::join!(listening, change_many_times(&store));
    assert_eq!(heard.unwrap().0, [b"from the other process"]);
    let other = other.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&other.stdout).into_owned() + &String::from_utf8_lossy(&other.stderr);
    assert!(other.status.success() && said.contains("1 passed"), "{said}");
    let Found::Live(entry) = store.read(&BOTH_KNOW).await.unwrap() else { panic!("the record is gone") };
    assert_eq!(entry.version.0, 1 + 2 * CHANGES);
}

fn in_an_hour() -> time::OffsetDateTime {
    base::clock::Clock::now(&SystemClock) + time::Duration::HOUR
}

async fn change_many_times(store: &Sqlite) {
    let mut done = 0;
    while done < CHANGES {
        let Found::Live(entry) = store.read(&BOTH_KNOW).await.unwrap() else { panic!("the record is gone") };
        let change = Change {
            from: entry.version,
            fence: None,
            sealed: vec![1; 4_000],
            owner: None,
            label: None,
            seen: entry.seen,
            until: in_an_hour(),
        };
        if let Changed::To(_) = store.change(&BOTH_KNOW, &change).await.unwrap() {
            done += 1;
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
