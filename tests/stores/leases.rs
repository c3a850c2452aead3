//! Promises of `Leases` (S-41).

use std::time::Duration;

use supabase_bff::event::Reason;
use supabase_bff::session::store::{Changed, Fence, Key, Leased, Version};

use crate::stand::{Stand, crowd, key};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);
/// Over as soon as the clock has moved.
const SHORT: Duration = Duration::from_millis(1);

async fn take(store: &supabase_bff::store::Store, key: &Key) -> Fence {
    match store.leases.lease(key, LONG).await.unwrap() {
        Leased::Ours(fence) => fence,
        other => panic!("no lease but {other:?}"),
    }
}

/// The holder hears no more of his lease.
async fn let_expire(stand: &Stand, key: &Key, fence: Fence) {
    assert!(stand.a.leases.renew(key, fence, SHORT).await.unwrap());
    stand.pass(SHORT * 2).await;
}

pub async fn one_node_at_a_time_holds_the_lease(stand: &Stand) {
    let (key, other) = (stand.session().await, stand.session().await);
    let fence = take(&stand.a, &key).await;
    for node in [&stand.a, &stand.b] {
        assert_eq!(node.leases.lease(&key, LONG).await.unwrap(), Leased::Held);
    }
    take(&stand.b, &other).await; // each record has its own
    assert!(stand.a.leases.renew(&key, fence, LONG).await.unwrap());
    stand.a.leases.release(&key, fence).await.unwrap();
    assert!(take(&stand.b, &key).await > fence);
}

pub async fn of_many_wishes_for_a_lease_one_comes_true(stand: &Stand) {
    let key = stand.session().await;
    let wish =
        |_, node: supabase_bff::store::Store| async move { node.leases.lease(&key, LONG).await.unwrap() };
    assert_eq!(crowd(stand, wish, |leased| matches!(leased, Leased::Ours(_))).await, 1);
}

pub async fn a_lease_ends_by_itself_and_the_next_has_a_greater_number(stand: &Stand) {
    let key = stand.session().await;
    let mut last = take(&stand.a, &key).await;
    for _ in 0..5 {
        let_expire(stand, &key, last).await;
        let next = take(&stand.b, &key).await;
        assert!(next > last);
        last = next;
    }
}

/// S-41: who held the lease before somebody else got it writes nothing any more.
pub async fn a_stalled_holder_is_refused(stand: &Stand) {
    let key = stand.session().await;
    let stalled = take(&stand.a, &key).await;
    let_expire(stand, &key, stalled).await;
    let holder = take(&stand.b, &key).await;

    let late = stand.a.sessions.change(&key, &stand.change(1, Some(stalled))).await.unwrap();
    assert_eq!(late, Changed::Conflict);
    assert_eq!(stand.entry(&key).await.sealed, b"sealed 1");
    let done = stand.b.sessions.change(&key, &stand.change(1, Some(holder))).await.unwrap();
    assert_eq!(done, Changed::To(Version(2)));

    // Nobody took the lease after it ran out: what its holder brings is still the newest.
    let slow = take(&stand.a, &key).await;
    let_expire(stand, &key, slow).await;
    let done = stand.a.sessions.change(&key, &stand.change(2, Some(slow))).await.unwrap();
    assert_eq!(done, Changed::To(Version(3)));
}

pub async fn a_change_gives_its_lease_back(stand: &Stand) {
    let key = stand.session().await;
    let fence = take(&stand.a, &key).await;
    let beside = stand.b.sessions.change(&key, &stand.change(1, None)).await.unwrap();
    assert_eq!(beside, Changed::To(Version(2)));
    assert_eq!(
        stand.b.leases.lease(&key, LONG).await.unwrap(),
        Leased::Held,
        "a change without it leaves it"
    );
    let refused = stand.a.sessions.change(&key, &stand.change(1, Some(fence))).await.unwrap();
    assert_eq!(refused, Changed::Conflict);
    assert_eq!(stand.b.leases.lease(&key, LONG).await.unwrap(), Leased::Held, "a refused change keeps it");
    stand.a.sessions.change(&key, &stand.change(2, Some(fence))).await.unwrap();
    assert!(!stand.a.leases.renew(&key, fence, LONG).await.unwrap());
    assert!(take(&stand.b, &key).await > fence);
}

pub async fn a_lost_lease_is_neither_renewed_nor_released(stand: &Stand) {
    let key = stand.session().await;
    let lost = take(&stand.a, &key).await;
    let_expire(stand, &key, lost).await;
    assert!(!stand.a.leases.renew(&key, lost, LONG).await.unwrap());
    let holder = take(&stand.b, &key).await;
    assert!(!stand.a.leases.renew(&key, lost, LONG).await.unwrap());
    stand.a.leases.release(&key, lost).await.unwrap();
    assert_eq!(stand.a.leases.lease(&key, LONG).await.unwrap(), Leased::Held);
    assert!(stand.b.leases.renew(&key, holder, LONG).await.unwrap());
}

pub async fn there_is_no_lease_without_a_record(stand: &Stand) {
    assert_eq!(stand.a.leases.lease(&key(), LONG).await.unwrap(), Leased::Gone);
    assert!(!stand.a.leases.renew(&key(), Fence(1), LONG).await.unwrap());
    stand.a.leases.release(&key(), Fence(1)).await.unwrap();

    let ended = stand.session().await;
    let fence = take(&stand.a, &ended).await;
    stand.b.sessions.end(&ended, Reason::User).await.unwrap();
    assert_eq!(stand.b.leases.lease(&ended, LONG).await.unwrap(), Leased::Gone);
    assert!(!stand.a.leases.renew(&ended, fence, LONG).await.unwrap());
    let late = stand.a.sessions.change(&ended, &stand.change(1, Some(fence))).await.unwrap();
    assert_eq!(late, Changed::Gone);
}
