//! What others cannot see: that nothing grows.

use base::clock::ManualClock;
use time::macros::datetime;

use super::*;

fn store(capacity: usize) -> (Memory, ManualClock) {
    let clock = ManualClock::at(datetime!(2026-01-01 12:00 UTC));
    (Memory::with_capacity(Arc::new(clock.clone()), capacity), clock)
}

fn draft(memory: &Memory, owner: u8) -> Draft {
    let (now, owner) = (memory.now(), Owner([owner; 32]));
    Draft { owner, sealed: vec![1], label: vec![2], seen: now, until: now + time::Duration::HOUR }
}

/// S-97: at its capacity it refuses, and what is over makes room.
#[tokio::test]
async fn it_is_bounded() {
    let (memory, clock) = store(3);
    for number in 0..3 {
        assert!(memory.create(&Key([number; 32]), &draft(&memory, 1)).await.unwrap());
        memory.publish(b"x", memory.now() + time::Duration::HOUR).await.unwrap();
    }
    assert_eq!(memory.create(&Key([9; 32]), &draft(&memory, 1)).await.unwrap_err().operation, "create");
    assert_eq!(
        memory.publish(b"y", memory.now() + time::Duration::HOUR).await.unwrap_err().operation,
        "publish"
    );
    clock.advance(time::Duration::HOUR);
    assert!(memory.create(&Key([9; 32]), &draft(&memory, 1)).await.unwrap());
    memory.publish(b"y", memory.now() + time::Duration::HOUR).await.unwrap();
}

/// Nothing stays behind in any of its tables: neither of what ended nor of what ran out.
#[tokio::test]
async fn what_is_over_leaves_no_trace() {
    let (memory, clock) = store(100);
    for number in 0..10 {
        let key = Key([number; 32]);
        memory.create(&key, &draft(&memory, number)).await.unwrap();
        memory
            .touch(&key, memory.now() + time::Duration::MINUTE, memory.now() + time::Duration::HOUR * 2)
            .await
            .unwrap();
        if number % 2 == 0 {
            memory.end(&key, Reason::User).await.unwrap();
        }
    }
    clock.advance(time::Duration::HOUR * 2);
    memory.rows().sweep(memory.now());
    let rows = memory.rows();
    assert_eq!((rows.by_key.len(), rows.by_owner.len(), rows.by_end.len()), (0, 0, 0));
}
