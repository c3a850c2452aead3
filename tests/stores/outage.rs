//! What a store says when it cannot do its work (S-44): a failure, and never that there is nothing.

use std::time::Duration;

use base::clock::{SharedClock, SystemClock};
use base::secret::Secret;
use supabase_bff::event::Reason;
use supabase_bff::session::store::{Changed, Cursor, Found, Key, Leased};
use supabase_bff::store::redis::{PATIENCE, Redis};

use crate::redis_server::Setup;
use crate::revocations::{LONG, drain};
use crate::stand::{PREFIX, Stand, key, owner};

/// Every operation, each of which must fail.
pub async fn everything_fails(stand: &Stand, known: &Key) {
    let (sessions, leases, news) = (&stand.a.sessions, &stand.a.leases, &stand.a.revocations);
    let (now, second) = (stand.now(), Duration::from_secs(1));
    let later = now + time::Duration::DAY;
    let fence = supabase_bff::session::store::Fence(1);
    macro_rules! fail {
        ($($name:literal: $call:expr,)+) => {
            // At once: a store that does not answer is waited for by all of them.
            tokio::join!($(async { assert_eq!($call.await.expect_err($name).operation, $name) },)+)
        };
    }
    fail! {
        "create": sessions.create(&key(), &stand.draft(owner())),
        "read": sessions.read(known),
        "change": sessions.change(known, &stand.change(1, None)),
        "touch": sessions.touch(known, later, later),
        "end": sessions.end(known, Reason::User),
        "replace": sessions.replace(known),
        "list": sessions.list(&owner()),
        "probe": sessions.probe(),
        "lease": leases.lease(known, second),
        "renew": leases.renew(known, fence, second),
        "release": leases.release(known, fence),
        "publish": news.publish(b"x", later),
        "after": news.after(&Cursor::default(), Duration::ZERO),
    };
}

/// After an outage, with the same handles: `known` is as it was.
pub async fn everything_works(stand: &Stand, known: &Key) {
    assert_eq!(stand.entry(known).await.sealed, b"sealed 1");
    assert!(matches!(stand.a.leases.lease(known, LONG).await.unwrap(), Leased::Ours(_)));
    stand.a.revocations.publish(b"after the outage", stand.now() + time::Duration::HOUR).await.unwrap();
    assert!(drain(&stand.b, Cursor::default()).await.0.contains(&b"after the outage".to_vec()));
    stand.session().await;
}

/// Both nodes have their connections back.
async fn recovered(stand: &Stand) {
    for node in [&stand.a, &stand.b] {
        let mut tries = 0;
        while node.sessions.probe().await.is_err()
            || node.revocations.after(&Cursor::default(), Duration::ZERO).await.is_err()
        {
            tries += 1;
            assert!(tries < 60, "no connection after sixty tries");
        }
    }
}

/// The server is gone, and comes back with all it knew.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_redis_is_a_failure_and_a_restarted_one_is_used_again() {
    let mut stand = Stand::redis_as(Setup::Durable).await;
    let kept = stand.session().await;
    for _ in 0..2 {
        stand.server.as_mut().unwrap().stop();
        everything_fails(&stand, &kept).await;
        stand.server.as_mut().unwrap().start_again();
        recovered(&stand).await;
        assert_eq!(stand.entry(&kept).await.sealed, b"sealed 1");
    }
    everything_works(&stand, &kept).await;
}

/// A server that lost all it knew says so truly; its scripts are loaded anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_redis_holds_nothing() {
    let mut stand = Stand::redis().await;
    let lost = stand.session().await;
    let () = stand.server().run(&["FLUSHALL"]).await;
    let () = stand.server().run(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(stand.a.sessions.read(&lost).await.unwrap(), Found::Nothing);
    assert_eq!(stand.a.sessions.change(&lost, &stand.change(1, None)).await.unwrap(), Changed::Gone);
    assert_eq!(stand.b.leases.lease(&lost, LONG).await.unwrap(), Leased::Gone);
    let next = stand.session().await;
    everything_works(&stand, &next).await;

    stand.server.as_mut().unwrap().stop();
    stand.server.as_mut().unwrap().start_again();
    recovered(&stand).await;
    assert_eq!(stand.b.sessions.read(&next).await.unwrap(), Found::Nothing);
    let last = stand.session().await;
    everything_works(&stand, &last).await;
}

/// A server that stands still: a failure in bounded time, and afterwards no answer reaches the wrong asker.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stands_still_is_a_failure_in_bounded_time() {
    let stand = Stand::redis().await;
    let (kept, other) = (stand.session().await, key());
    stand.server().signal("STOP");
    let asked = async {
        let mut reads = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let sessions = stand.a.sessions.clone();
            reads.spawn(async move { sessions.read(&kept).await.is_err() });
        }
        reads.join_all().await
    };
    let failed = tokio::time::timeout(PATIENCE * 10, asked).await.expect("an end in bounded time");
    stand.server().signal("CONT");
    assert!(failed.into_iter().all(|failed| failed));
    recovered(&stand).await;
    assert_eq!(stand.a.sessions.read(&other).await.unwrap(), Found::Nothing);
    everything_works(&stand, &kept).await;
}

/// A full server takes no new session; those that it has go on, are refreshed, and end.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_refuses_new_sessions_and_keeps_the_old() {
    let stand = Stand::redis().await;
    let kept = stand.session().await;
    let () = stand.server().run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let fresh = key();
    let failure = stand.a.sessions.create(&fresh, &stand.draft(owner())).await.unwrap_err();
    assert_eq!(failure.operation, "create");
    assert_eq!(stand.a.sessions.read(&fresh).await.unwrap(), Found::Nothing);

    let Leased::Ours(fence) = stand.a.leases.lease(&kept, LONG).await.unwrap() else { panic!("no lease") };
    let changed = stand.a.sessions.change(&kept, &stand.change(1, Some(fence))).await.unwrap();
    assert!(matches!(changed, Changed::To(_)));
    assert_eq!(stand.entry(&kept).await.sealed, b"sealed 2");
    stand.a.revocations.publish(b"x", stand.now() + time::Duration::HOUR).await.unwrap();
    assert!(stand.a.sessions.end(&kept, Reason::User).await.unwrap());
    assert_eq!(stand.b.sessions.read(&kept).await.unwrap(), Found::Ended(Reason::User));

    let () = stand.server().run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(stand.a.sessions.create(&fresh, &stand.draft(owner())).await.unwrap());
}

/// S-45: a reader whose connection broke goes on where he stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_misses_no_revocation() {
    let stand = Stand::redis().await;
    let hour = stand.now() + time::Duration::HOUR;
    stand.a.revocations.publish(b"0", hour).await.unwrap();
    let (_, mut cursor) = drain(&stand.b, Cursor::default()).await;
    let mut heard = Vec::new();
    for number in 1..=20_u8 {
        let waiting = stand.b.revocations.after(&cursor, LONG);
        let cutting = async {
            let _: i64 = stand.server().run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
            while stand.a.revocations.publish(&[number], hour).await.is_err() {}
        };
        let (answer, ()) = tokio::join!(waiting, cutting);
        if let Ok((found, next)) = answer {
            heard.extend(found);
            cursor = next;
        }
    }
    recovered(&stand).await;
    heard.extend(drain(&stand.b, cursor).await.0);
    heard.dedup(); // a publisher whose answer was cut off has published twice
    assert_eq!(heard, (1..=20).map(|number| vec![number]).collect::<Vec<_>>());
}

/// A connection that was closed while nothing happened, as a server or a balancer does, costs no reader an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_fails_no_reading() {
    let stand = Stand::redis().await;
    let known = stand.session().await;
    for _ in 0..20 {
        let _: i64 = stand.server().run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        assert_eq!(stand.entry(&known).await.sealed, b"sealed 1");
    }
}

/// A server whose clock went back after it lost everything numbers from before the cursor on.
#[tokio::test]
async fn a_cursor_from_the_future_begins_anew() {
    let stand = Stand::redis().await;
    stand.a.revocations.publish(b"x", stand.now() + time::Duration::HOUR).await.unwrap();
    let future = Cursor("99999999999999-0".to_owned());
    let (found, next) = stand.a.revocations.after(&future, Duration::from_millis(1)).await.unwrap();
    assert!(found.is_empty());
    assert_eq!(stand.a.revocations.after(&next, LONG).await.unwrap().0, [b"x"]);
}

/// S-87: what went wrong is told without the password.
#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    let stand = Stand::redis().await;
    let clock: SharedClock = std::sync::Arc::new(SystemClock);
    let url = Secret::new(stand.server().url().replace("p%2Fa", "hunter2"));
    let failure = Redis::connect(&url, PREFIX, clock.clone()).await.unwrap_err();
    let told = format!("{failure} {failure:?} {}", failure.source);
    assert!(told.contains("WRONGPASS"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let nobody = Secret::new("redis://bff:hunter2@127.0.0.1:1".to_owned());
    let failure = Redis::connect(&nobody, PREFIX, clock).await.unwrap_err();
    let told = format!("{failure} {failure:?}");
    assert!(told.contains("refused") && !told.contains("hunter2"), "{told}");
}
