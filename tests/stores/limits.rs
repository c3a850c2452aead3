//! Limits that all nodes count together (S-84), and each by itself while the store is away.

use std::sync::Arc;

use base::clock::{ManualClock, SharedClock};
use base::vars::Rate;
use supabase_bff::limit::{Bucket, LimitStore, Limiter};
use supabase_bff::store::redis::Redis;
use time::Duration;
use time::macros::datetime;

use crate::redis_server;
use crate::stand::{PREFIX, Stand};

/// Slow enough that no try comes back while a test runs.
const QUOTA: Rate = Rate { count: 30, per: Duration::days(10) };
const SECRET: [u8; 32] = [7; 32];

async fn connect(stand: &Stand) -> Redis {
    let clock: SharedClock = Arc::new(base::clock::SystemClock);
    redis_server::store(stand.server().url(), PREFIX, clock).await
}

/// Two nodes whose own clocks stand still, an hour apart.
async fn nodes(stand: &Stand) -> [Limiter; 2] {
    let at = |hour| datetime!(2026-03-01 0:00 UTC) + Duration::hours(hour);
    let mut nodes = Vec::new();
    for hour in [0, 1] {
        let clock: SharedClock = Arc::new(ManualClock::at(at(hour)));
        nodes.push(Limiter::sharing(clock, Arc::new(connect(stand).await), &SECRET));
    }
    nodes.try_into().unwrap()
}

async fn passes(limiter: &Limiter, bucket: Bucket, key: &str) -> bool {
    limiter.take(bucket, key, QUOTA).await.is_ok()
}

/// S-84: check and count are one step, for two hundred tries at once over two nodes.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_count_together() {
    let stand = Stand::redis().await;
    let nodes = nodes(&stand).await;
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..200 {
        let node = nodes[number % 2].clone();
        tries.spawn(async move { passes(&node, Bucket::PasswordNetwork, "192.0.2.1").await });
    }
    let passed = tries.join_all().await.into_iter().filter(|passed| *passed).count();
    assert_eq!(passed, 30);
    for node in &nodes {
        let wait = node.take(Bucket::PasswordNetwork, "192.0.2.1", QUOTA).await.unwrap_err();
        assert!(wait.retry_after > Duration::ZERO && wait.retry_after <= QUOTA.per / 30, "{wait:?}");
        assert!(passes(node, Bucket::PasswordNetwork, "192.0.2.2").await, "another key");
        assert!(passes(node, Bucket::PasswordAccount, "192.0.2.1").await, "another bucket");
    }
}

/// S-85: GoTrue counts by the node's own address, so these tries are each node's own.
#[tokio::test]
async fn the_budget_at_gotrue_is_each_nodes_own() {
    let stand = Stand::redis().await;
    for node in nodes(&stand).await {
        for _ in 0..30 {
            assert!(passes(&node, Bucket::GoTrue, "sign-in").await);
        }
        assert!(!passes(&node, Bucket::GoTrue, "sign-in").await);
    }
    assert_eq!(stand.server().run::<Vec<String>>(&["KEYS", "*"]).await, Vec::<String>::new());
}

/// S-81: what is given back can be used again, on any node.
#[tokio::test]
async fn what_is_given_back_counts_nowhere() {
    let stand = Stand::redis().await;
    let redis = connect(&stand).await;
    for round in 0..3 {
        for _ in 0..30 {
            redis.take(Bucket::Code, 1, QUOTA).await.unwrap().unwrap();
        }
        assert!(redis.take(Bucket::Code, 1, QUOTA).await.unwrap().is_err(), "round {round}");
        for _ in 0..30 {
            redis.give_back(Bucket::Code, 1, QUOTA).await.unwrap();
        }
    }
    redis.give_back(Bucket::Code, 2, QUOTA).await.unwrap(); // nothing was taken
    assert!(redis.take(Bucket::Code, 2, QUOTA).await.unwrap().is_ok());

    let [a, b] = nodes(&stand).await;
    let taken = a.take(Bucket::Anonymous, "x", Rate { count: 1, ..QUOTA }).await.unwrap();
    assert!(b.take(Bucket::Anonymous, "x", Rate { count: 1, ..QUOTA }).await.is_err());
    taken.give_back();
    while b.take(Bucket::Anonymous, "x", Rate { count: 1, ..QUOTA }).await.is_err() {
        tokio::task::yield_now().await; // the store hears of it a moment later
    }
}

/// A quota comes back by the server's clock, and its counter goes when it is whole again.
#[tokio::test]
async fn a_quota_comes_back_and_its_counter_goes() {
    let stand = Stand::redis().await;
    let redis = connect(&stand).await;
    let quick = Rate { count: 1, per: Duration::milliseconds(20) };
    for _ in 0..3 {
        redis.take(Bucket::Code, 1, quick).await.unwrap().unwrap();
        stand.server().wait_for(std::time::Duration::from_millis(20)).await;
    }
    stand.server().wait_for(std::time::Duration::from_millis(20)).await;
    assert_eq!(stand.server().run::<Vec<String>>(&["KEYS", "*"]).await, Vec::<String>::new());
}

/// S-84: a store that fails is stood in for by what the node itself has counted, never by no limit.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_each_node_has_its_own_limit() {
    let mut stand = Stand::redis().await;
    let [node, other] = nodes(&stand).await;
    for _ in 0..10 {
        assert!(passes(&node, Bucket::PasswordNetwork, "192.0.2.1").await);
    }
    stand.server.as_mut().unwrap().stop();
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let node = node.clone();
        tries.spawn(async move { passes(&node, Bucket::PasswordNetwork, "192.0.2.1").await });
    }
    let passed = tries.join_all().await.into_iter().filter(|passed| *passed).count();
    assert_eq!(passed, 20, "what was counted before counts on");
    assert!(passes(&other, Bucket::PasswordNetwork, "192.0.2.1").await);
}

/// S-07, S-86: no address, and nothing else that the caller gave, lies in the store.
#[tokio::test]
async fn counters_are_named_by_a_keyed_hash() {
    let stand = Stand::redis().await;
    let [node, _] = nodes(&stand).await;
    assert!(passes(&node, Bucket::PasswordNetwork, "192.0.2.77").await);
    let names: Vec<String> = stand.server().run(&["KEYS", "*"]).await;
    assert_eq!(names.len(), 1);
    assert!(names[0].starts_with("{app.example.test}:limit:password_network:"), "{}", names[0]);
    assert!(!names[0].contains("192"), "{}", names[0]);
    let lives: i64 = stand.server().run(&["PTTL", &names[0]]).await;
    assert!(lives > 0);
}
