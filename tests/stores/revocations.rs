//! Promises of `Revocations` (S-45).

use std::time::Duration;

use supabase_bff::session::store::Cursor;
use supabase_bff::store::Store;

use crate::stand::Stand;

/// Longer than any test: who waits so long waits for a message.
pub const LONG: Duration = Duration::from_secs(60);

/// All that is there now, and the cursor behind it.
pub async fn drain(node: &Store, mut cursor: Cursor) -> (Vec<Vec<u8>>, Cursor) {
    let mut all = Vec::new();
    loop {
        let (found, next) = node.revocations.after(&cursor, Duration::ZERO).await.unwrap();
        cursor = next;
        if found.is_empty() {
            return (all, cursor);
        }
        all.extend(found);
    }
}

pub async fn every_node_hears_of_it_once(stand: &Stand) {
    let (_, cursor) = drain(&stand.a, Cursor::default()).await;
    let hour = stand.now() + time::Duration::HOUR;
    stand.a.revocations.publish(b"one", hour).await.unwrap();
    stand.b.revocations.publish(b"two \0\xff", hour).await.unwrap();
    for node in [&stand.a, &stand.b] {
        let (first, next) = node.revocations.after(&cursor, LONG).await.unwrap();
        let (rest, next) = drain(node, next).await;
        assert_eq!([first, rest].concat(), [b"one".to_vec(), b"two \0\xff".to_vec()]);
        assert_eq!(drain(node, next).await.0, Vec::<Vec<u8>>::new());
    }
}

/// S-45: no node sleeps over it.
pub async fn a_reader_who_waits_is_woken(stand: &Stand) {
    let (_, mut cursor) = drain(&stand.b, Cursor::default()).await;
    for publisher in [&stand.a, &stand.b] {
        let waiting = stand.b.revocations.after(&cursor, LONG);
        let publishing = async {
            tokio::task::yield_now().await; // the reader is polled first
            publisher.revocations.publish(b"wake up", stand.now() + time::Duration::HOUR).await.unwrap();
        };
        let (heard, ()) = tokio::join!(waiting, publishing);
        let (found, next) = heard.unwrap();
        assert_eq!(found, [b"wake up"]);
        cursor = next;
    }
}

pub async fn nothing_comes_back_as_an_empty_answer(stand: &Stand) {
    let (_, cursor) = drain(&stand.a, Cursor::default()).await;
    let (found, next) = stand.a.revocations.after(&cursor, Duration::from_millis(5)).await.unwrap();
    assert!(found.is_empty());
    assert_eq!(next, cursor);
    stand.b.revocations.publish(b"after the pause", stand.now() + time::Duration::HOUR).await.unwrap();
    assert_eq!(stand.a.revocations.after(&next, LONG).await.unwrap().0, [b"after the pause"]);
}

pub async fn who_comes_later_hears_of_what_still_counts(stand: &Stand) {
    let in_minutes = |minutes| stand.now() + time::Duration::minutes(minutes);
    stand.a.revocations.publish(b"short 1", in_minutes(1)).await.unwrap();
    stand.a.revocations.publish(b"long 1", in_minutes(90)).await.unwrap();
    stand.a.revocations.publish(b"short 2", in_minutes(2)).await.unwrap();
    stand.skip(time::Duration::minutes(61)); // past what earlier promises published
    assert_eq!(drain(&stand.b, Cursor::default()).await.0, [b"long 1"]);
    stand.a.revocations.publish(b"long 2", in_minutes(90)).await.unwrap(); // clears away what is over
    assert_eq!(drain(&stand.b, Cursor::default()).await.0, [b"long 1", b"long 2"]);
    stand.skip(time::Duration::minutes(91));
    assert!(drain(&stand.b, Cursor::default()).await.0.is_empty());
}

pub async fn a_flood_arrives_whole_and_in_order(stand: &Stand) {
    let (_, cursor) = drain(&stand.b, Cursor::default()).await;
    let hour = stand.now() + time::Duration::HOUR;
    let all: Vec<Vec<u8>> = (0..1_500_u32).map(|number| number.to_be_bytes().to_vec()).collect();
    for sealed in &all {
        stand.a.revocations.publish(sealed, hour).await.unwrap();
    }
    let (first, next) = stand.b.revocations.after(&cursor, LONG).await.unwrap();
    assert_eq!(first, all[..1_000]);
    assert_eq!(drain(&stand.b, next).await.0, all[1_000..]);
}
