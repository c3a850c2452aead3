//! What each trouble of a real store means for the sessions in it, at each point of a token's life (S-44).

use std::collections::BTreeSet;

use futures_util::future::join_all;
use rusqlite::Connection;
use serde_json::json;
use supabase_bff::session::store::Store;
use supabase_bff::store::sqlite::Sqlite;
use tempfile::TempDir;

use crate::harness::{PASSWORD, Plan, TestApp};
use crate::redis_server::{self, Server, Setup};
use crate::tap::bounded;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It is not there: no server, or a file without what it should hold.
    Stopped,
    /// It was not there for a moment, and kept all it knew.
    Restarted,
    /// It does not answer in time: a server that stands still, a file that another process writes to without end.
    Slow,
    /// It takes nothing more.
    Full,
    /// It has lost all it knew.
    Flushed,
}

/// A store of its own for one cell, and the hand that troubles it.
enum Ground {
    Sqlite(TempDir, Connection),
    Redis(Server, #[expect(dead_code, reason = "held for the server")] TempDir),
}

impl Ground {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hand = Connection::open(folder.path().join("sessions.db")).unwrap();
        Self::Sqlite(folder, hand)
    }

    fn redis() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::Redis(Server::start(Setup::Durable, folder.path()), folder)
    }

    fn plan(&self) -> Plan {
        match self {
            Self::Sqlite(folder, _) => {
                let path = folder.path().join("sessions.db");
                Plan::default().resting_in(move |clock| {
                    let path = path.clone();
                    async move { Store::of(Sqlite::open(&path, clock).await.unwrap()) }
                })
            }
            Self::Redis(server, _) => {
                let url = server.url();
                Plan::default().resting_in(move |clock| {
                    let url = url.clone();
                    async move { Store::of(redis_server::store(url, "app.example.test", clock).await) }
                })
            }
        }
    }

    async fn strike(&mut self, trouble: Trouble) {
        match self {
            Self::Sqlite(_, hand) => hand
                .execute_batch(match trouble {
                    Trouble::Stopped => "ALTER TABLE sessions RENAME TO s",
                    Trouble::Restarted => unreachable!("a file does not start"),
                    Trouble::Slow => "BEGIN IMMEDIATE",
                    // As SQLite says it where a disk is full: reading goes on, no row can be written.
                    Trouble::Full => {
                        "CREATE TRIGGER no_change BEFORE UPDATE ON sessions
                             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END;
                         CREATE TRIGGER no_more BEFORE INSERT ON sessions
                             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
                    }
                    Trouble::Flushed => "DELETE FROM sessions",
                })
                .unwrap(),
            Self::Redis(server, _) => match trouble {
                Trouble::Stopped => server.stop(),
                Trouble::Restarted => {
                    server.stop();
                    server.start_again();
                }
                Trouble::Slow => server.signal("STOP"),
                Trouble::Full => server.run(&["CONFIG", "SET", "maxmemory", "1"]).await,
                Trouble::Flushed => server.run(&["FLUSHALL"]).await,
            },
        }
    }

    async fn mend(&mut self, trouble: Trouble) {
        match self {
            Self::Sqlite(_, hand) => hand
                .execute_batch(match trouble {
                    Trouble::Stopped => "ALTER TABLE s RENAME TO sessions",
                    Trouble::Slow => "COMMIT",
                    Trouble::Full => "DROP TRIGGER no_change; DROP TRIGGER no_more",
                    Trouble::Restarted | Trouble::Flushed => "",
                })
                .unwrap(),
            Self::Redis(server, _) => match trouble {
                Trouble::Stopped => server.start_again(),
                Trouble::Slow => server.signal("CONT"),
                Trouble::Full => server.run(&["CONFIG", "SET", "maxmemory", "0"]).await,
                Trouble::Restarted | Trouble::Flushed => {}
            },
        }
    }
}

/// What ten requests at once, and those that follow once the store is well, tell about one cell.
async fn cell(mut ground: Ground, trouble: Trouble, life: &str) -> String {
    let app = TestApp::with(ground.plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    if life == "expired" {
        app.past_expiry();
    }
    ground.strike(trouble).await;
    let answers = join_all((0..10).map(|_| browser.get("/api/notes"))).await;
    for answer in answers.iter().filter(|answer| answer.status == 503) {
        assert_eq!(answer.code(), "store_unavailable", "{trouble:?} {life}");
        assert!(!answer.header("retry-after").is_empty(), "{trouble:?} {life}: 503 says when to come back");
    }
    let mut statuses: BTreeSet<_> = answers.iter().map(|answer| answer.status).collect();
    if trouble == Trouble::Restarted {
        // Whether its connections were back in time nobody can say.
        assert!(statuses.is_subset(&BTreeSet::from([200, 503])), "{life}: {statuses:?}");
        statuses = BTreeSet::from([200, 503]);
    }
    let reasons: BTreeSet<_> =
        answers.iter().filter(|a| a.status == 401).map(|a| a.header("x-session-ended")).collect();
    let session = if browser.cookie("sb_session_").is_some() { "kept" } else { "ended" };

    ground.mend(trouble).await;
    let after = bounded("the store's return", async {
        loop {
            // Asked first: the clock moves with the tries, and a fast machine makes many before a connection is back.
            while app.store().unwrap().sessions.probe().await.is_err() {
                tokio::task::yield_now().await;
            }
            app.clock.advance(time::Duration::seconds(2)); // as `Retry-After` says
            let answer = browser.get("/api/notes").await;
            if answer.status != 503 {
                return answer.status;
            }
        }
    });
    let after = after.await;
    assert_eq!(after, if session == "kept" { 200 } else { 401 }, "{trouble:?} {life}: afterwards");
    let calls = app.refreshes();
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(browser.post("/auth/login", &login).await.status, 200, "{trouble:?} {life}: and again");
    format!("{statuses:?} calls={calls} session={session} {reasons:?}")
}

/// One row: a trouble, then what it means for a fresh and for an expired token.
type Row = (Trouble, &'static str, &'static str);

async fn troubles(ground: fn() -> Ground, table: &[Row]) {
    for (trouble, fresh, expired) in table {
        for (life, expected) in [("fresh", fresh), ("expired", expired)] {
            assert_eq!(cell(ground(), *trouble, life).await, **expected, "{trouble:?} {life}");
        }
    }
}

/// S-44, S-89: a file that cannot be read or written; while the token lives, one that can be read is enough. A file is
/// not restarted: what its process does then stands in the suite of the stores.
#[tokio::test(flavor = "multi_thread")]
async fn store_matrix_of_sqlite() {
    let lost = r#"{401} calls=0 session=ended {"store_lost"}"#;
    let (away, served) = ("{503} calls=0 session=kept {}", "{200} calls=0 session=kept {}");
    let away_then_refreshed = "{503} calls=1 session=kept {}";
    let table = [
        (Trouble::Stopped, away, away_then_refreshed),
        (Trouble::Slow, served, away_then_refreshed),
        (Trouble::Full, served, away_then_refreshed),
        (Trouble::Flushed, lost, lost),
    ];
    troubles(Ground::sqlite, &table).await;
}

/// S-44, S-89: the same for a real server. A full one keeps the sessions that it has, and their new tokens.
#[tokio::test(flavor = "multi_thread")]
async fn store_matrix_of_redis() {
    let lost = r#"{401} calls=0 session=ended {"store_lost"}"#;
    let (away, served) = ("{503} calls=0 session=kept {}", "{200} calls=0 session=kept {}");
    let away_then_refreshed = "{503} calls=1 session=kept {}";
    let table = [
        (Trouble::Stopped, away, away_then_refreshed),
        (Trouble::Restarted, "{200, 503} calls=0 session=kept {}", "{200, 503} calls=1 session=kept {}"),
        (Trouble::Slow, away, away_then_refreshed),
        (Trouble::Full, served, "{200} calls=1 session=kept {}"),
        (Trouble::Flushed, lost, lost),
    ];
    troubles(Ground::redis, &table).await;
}
