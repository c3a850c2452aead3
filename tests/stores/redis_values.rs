//! What lies in Redis, and what it costs to ask for it.

use std::sync::Arc;
use std::time::Duration;

use base::clock::{SharedClock, SystemClock};
use supabase_bff::event::Reason;
use supabase_bff::session::store::{Cursor, Found, Key, SessionStore};

use crate::redis_server::{self, Setup};
use crate::revocations::drain;
use crate::stand::{PREFIX, Stand, key, owner};

fn record(key: &Key) -> String {
    let hex: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{{PREFIX}}}:session:{hex}")
}

/// The server forgets by itself: every name has a time to live, as long as the longest-lived thing in it.
#[tokio::test]
async fn whatever_lies_in_redis_has_a_time_to_live() {
    let stand = Stand::redis().await;
    let (short, long, owner) = (key(), key(), owner());
    stand.a.sessions.create(&short, &stand.draft(owner)).await.unwrap();
    stand.a.sessions.create(&long, &stand.draft(owner)).await.unwrap();
    let day = stand.now() + time::Duration::DAY;
    stand.a.sessions.touch(&long, stand.now() + time::Duration::MINUTE, day).await.unwrap();
    stand.a.sessions.end(&short, Reason::User).await.unwrap();
    stand.a.revocations.publish(b"x", stand.now() + time::Duration::HOUR).await.unwrap();
    let mut lives = Vec::new();
    for name in stand.server().run::<Vec<String>>(&["KEYS", "*"]).await {
        let seconds: i64 = stand.server().run(&["TTL", &name]).await;
        lives.push(if seconds > 3_600 {
            "a day"
        } else if seconds > 0 {
            "an hour"
        } else {
            "for ever"
        });
    }
    lives.sort_unstable();
    // The long record and the list of its owner; the mark of the short one and the revocations.
    assert_eq!(lives, ["a day", "a day", "an hour", "an hour"]);
}

/// What is over leaves the list of its owner and the stream, though both go on.
#[tokio::test]
async fn lists_and_streams_do_not_grow_with_what_is_over() {
    let stand = Stand::redis().await;
    let (ada, other) = (owner(), owner());
    for minutes in 1..=100 {
        let until = stand.now() + time::Duration::minutes(minutes);
        let draft = supabase_bff::session::store::Draft { until, ..stand.draft(ada) };
        stand.a.sessions.create(&key(), &draft).await.unwrap();
        stand.a.revocations.publish(b"x", until).await.unwrap();
    }
    let ended = key();
    stand.a.sessions.create(&ended, &stand.draft(other)).await.unwrap();
    stand.a.sessions.end(&ended, Reason::User).await.unwrap();
    let lists: Vec<String> = stand.server().run(&["KEYS", "*:owner:*"]).await;
    assert_eq!(lists.len(), 1, "the list of a person without sessions is gone");
    let sizes = async || {
        let list: usize = stand.server().run(&["ZCARD", &lists[0]]).await;
        let stream: usize = stand.server().run(&["XLEN", &format!("{{{PREFIX}}}:revocations")]).await;
        (list, stream)
    };
    assert_eq!(sizes().await, (100, 100));
    stand.skip(time::Duration::minutes(90));
    stand.a.sessions.create(&key(), &stand.draft(ada)).await.unwrap();
    stand.a.revocations.publish(b"y", stand.now() + time::Duration::HOUR).await.unwrap();
    assert_eq!(sizes().await, (10 + 1, 10 + 1));
    assert_eq!(drain(&stand.b, Cursor::default()).await.0.len(), 11);
}

/// One question a request, and nothing written while nothing changes; a change is one question too.
#[tokio::test]
async fn each_operation_is_one_round_trip() {
    let stand = Stand::redis().await;
    let kept = stand.session().await;
    let operations = async || {
        stand.a.sessions.read(&kept).await.unwrap();
        let later = stand.now() + time::Duration::MINUTE;
        stand.a.sessions.touch(&kept, later, later + time::Duration::HOUR).await.unwrap();
        let fence = stand.a.leases.lease(&kept, Duration::from_secs(60)).await.unwrap();
        let supabase_bff::session::store::Leased::Ours(fence) = fence else { panic!("no lease") };
        assert!(stand.a.leases.renew(&kept, fence, Duration::from_secs(60)).await.unwrap());
        stand.a.leases.release(&kept, fence).await.unwrap();
        let Found::Live(entry) = stand.a.sessions.read(&kept).await.unwrap() else { panic!("no record") };
        stand.a.sessions.change(&kept, &stand.change(entry.version.0, None)).await.unwrap();
    };
    operations().await; // loads the scripts
    let () = stand.server().run(&["CONFIG", "RESETSTAT"]).await;
    for _ in 0..10 {
        operations().await;
    }
    let asked = count(&stand, &["hmget", "evalsha", "eval", "script|load"]).await;
    // Scripts ask for fields as well: one HMGET each.
    assert_eq!(asked, [("hmget", 20 + 50), ("evalsha", 50), ("eval", 0), ("script|load", 0)]);

    let () = stand.server().run(&["CONFIG", "RESETSTAT"]).await;
    for _ in 0..100 {
        stand.a.sessions.read(&kept).await.unwrap();
    }
    let asked = count(&stand, &["hmget", "evalsha", "hset", "pexpire"]).await;
    assert_eq!(asked, [("hmget", 100), ("evalsha", 0), ("hset", 0), ("pexpire", 0)]);
}

async fn count(stand: &Stand, commands: &[&'static str]) -> Vec<(&'static str, u64)> {
    let told: String = stand.server().run(&["INFO", "commandstats"]).await;
    let calls = |command: &&'static str| {
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        (*command, line.and_then(|rest| rest.split(',').next()).map_or(0, |calls| calls.parse().unwrap()))
    };
    commands.iter().map(calls).collect()
}

/// S-90: deployments on one server do not meet.
#[tokio::test]
async fn another_prefix_is_another_store() {
    let stand = Stand::redis_as(Setup::Password).await;
    let kept = stand.session().await;
    let clock: SharedClock = Arc::new(SystemClock);
    let other = redis_server::store(stand.server().url(), "other.example.test", clock).await;
    assert_eq!(other.read(&kept).await.unwrap(), Found::Nothing);
    assert!(!other.end(&kept, Reason::User).await.unwrap());
    stand.entry(&kept).await;
}

/// A damaged record is a failure (503), not an absence (a sign-out). A reason that only a newer version knows is an end.
#[tokio::test]
async fn what_cannot_be_read_is_a_failure_and_an_unknown_end_is_an_end() {
    let stand = Stand::redis().await;
    let (damaged, strange, newer) = (stand.session().await, key(), stand.session().await);
    let _: i64 = stand.server().run(&["HDEL", &record(&damaged), "sealed"]).await;
    let () = stand.server().run(&["SET", &record(&strange), "text"]).await;
    for key in [&damaged, &strange] {
        assert_eq!(stand.a.sessions.read(key).await.unwrap_err().operation, "read");
    }
    assert!(stand.a.sessions.change(&strange, &stand.change(1, None)).await.is_err());
    assert!(stand.a.sessions.end(&strange, Reason::User).await.is_err());
    stand.a.sessions.end(&newer, Reason::User).await.unwrap();
    let _: i64 = stand.server().run(&["HSET", &record(&newer), "ended", "moved_to_mars"]).await;
    assert_eq!(stand.b.sessions.read(&newer).await.unwrap(), Found::Ended(Reason::StoreLost));
}
