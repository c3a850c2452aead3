//! The limiter under a clock that is moved by hand.

use std::sync::Barrier;

use base::clock::ManualClock;
use time::macros::datetime;

use super::*;

const NETWORK: Rate = Rate { count: 30, per: Duration::minutes(5) };
const ACCOUNT: Rate = Rate { count: 10, per: Duration::minutes(15) };

fn limiter(capacity: usize) -> (Limiter, ManualClock) {
    let clock = ManualClock::at(datetime!(2026-01-01 12:00 UTC));
    (Limiter::with_capacity(Arc::new(clock.clone()), &[1; 32], capacity, None), clock)
}

fn passes(limiter: &Limiter, bucket: Bucket, key: &str, quota: Rate) -> bool {
    limiter.take_here(bucket, key, quota).is_ok()
}

/// S-81: 30 tries in five minutes from a network, 10 in fifteen at an account; then a wait that ends.
#[test]
fn both_limits_refuse_and_recover() {
    let (limiter, clock) = limiter(100);
    for (bucket, quota, wait) in [
        (Bucket::PasswordNetwork, NETWORK, Duration::seconds(10)),
        (Bucket::PasswordAccount, ACCOUNT, Duration::seconds(90)),
    ] {
        let tries = (0..1_000).filter(|_| passes(&limiter, bucket, "k", quota)).count();
        assert_eq!(tries, quota.count as usize);
        assert_eq!(limiter.take_here(bucket, "k", quota).unwrap_err(), Wait { retry_after: wait });
        assert!(passes(&limiter, bucket, "other", quota), "another key has a quota of its own");
        clock.advance(wait - Duration::nanoseconds(1));
        assert!(!passes(&limiter, bucket, "k", quota));
        clock.advance(Duration::nanoseconds(1));
        assert!(passes(&limiter, bucket, "k", quota));
    }
}

/// S-81: knocking on while refused never makes the wait longer: at most fifteen minutes shut nobody out.
#[test]
fn the_account_limit_is_a_delay_and_no_lock() {
    let (limiter, clock) = limiter(100);
    for _ in 0..10_000 {
        let _ = limiter.take_here(Bucket::PasswordAccount, "k", ACCOUNT);
    }
    clock.advance(Duration::minutes(15));
    let tries = (0..100).filter(|_| passes(&limiter, Bucket::PasswordAccount, "k", ACCOUNT)).count();
    assert_eq!(tries, 10);
}

/// S-81: an office behind one address signs in a hundred times in five minutes.
#[test]
fn good_sign_ins_are_given_back() {
    let (limiter, _) = limiter(100);
    for _ in 0..100 {
        limiter.take_here(Bucket::PasswordNetwork, "k", NETWORK).unwrap().give_back();
    }
    let bad = (0..100).filter(|_| passes(&limiter, Bucket::PasswordNetwork, "k", NETWORK)).count();
    assert_eq!(bad, 30, "and what was given back is not a gift");
}

/// S-81: a try is reserved until its answer: a correct password over the limit is refused as well.
#[test]
fn a_try_counts_while_it_is_under_way() {
    let (limiter, _) = limiter(100);
    let held: Vec<_> =
        (0..30).map(|_| limiter.take_here(Bucket::PasswordNetwork, "k", NETWORK).unwrap()).collect();
    assert!(!passes(&limiter, Bucket::PasswordNetwork, "k", NETWORK));
    held.into_iter().for_each(Taken::give_back);
    assert!(passes(&limiter, Bucket::PasswordNetwork, "k", NETWORK));
}

/// S-81, S-83: all addresses of one /64 share a bucket, IPv4 in IPv6 clothes is IPv4.
#[test]
fn a_network_is_an_ipv4_address_or_a_64() {
    let key = |text: &str| network(text.parse().unwrap());
    assert_eq!(key("2001:db8:1:2::1"), "2001:db8:1:2::/64");
    assert_eq!(key("2001:db8:1:2:ffff:ffff:ffff:ffff"), key("2001:db8:1:2::1"));
    assert_ne!(key("2001:db8:1:3::1"), key("2001:db8:1:2::1"));
    assert_eq!((key("::ffff:203.0.113.7"), key("203.0.113.7")), ("203.0.113.7".into(), "203.0.113.7".into()));
}

/// S-84: checking and counting are one step.
#[test]
fn a_thousand_at_once_and_exactly_the_quota_passes() {
    let (limiter, _) = limiter(100);
    let start = Barrier::new(20);
    let passed: usize = std::thread::scope(|scope| {
        let run = || {
            start.wait();
            (0..50).filter(|_| passes(&limiter, Bucket::PasswordNetwork, "k", NETWORK)).count()
        };
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 30);
}

/// S-84, S-97: a million keys leave the table at its size, and the offender they were to wash away stays refused.
#[test]
fn a_million_keys_neither_fill_the_memory_nor_free_an_offender() {
    let (limiter, clock) = limiter(1_000);
    while passes(&limiter, Bucket::PasswordAccount, "offender", ACCOUNT) {}
    for n in 0..1_000_000_u32 {
        let _ = limiter.take_here(Bucket::PasswordAccount, &n.to_string(), ACCOUNT);
    }
    assert_eq!(limiter.table(Bucket::PasswordAccount).len(), 1_000);
    assert!(!passes(&limiter, Bucket::PasswordAccount, "offender", ACCOUNT));
    clock.advance(Duration::minutes(15));
    assert!(passes(&limiter, Bucket::PasswordAccount, "offender", ACCOUNT));
    assert_eq!(limiter.table(Bucket::PasswordAccount).len(), 1, "those who recovered are forgotten");
}

/// S-84: with nobody left to forget, newcomers share one quota: never none, never without limit.
#[test]
fn a_table_full_of_offenders_counts_newcomers_together() {
    let (limiter, clock) = limiter(50);
    for n in 0..50 {
        while passes(&limiter, Bucket::PasswordAccount, &n.to_string(), ACCOUNT) {}
    }
    let strangers = |from: u32| {
        (from..from + 500)
            .filter(|n| passes(&limiter, Bucket::PasswordAccount, &n.to_string(), ACCOUNT))
            .count()
    };
    assert_eq!(strangers(1_000), 10);
    assert!((0..50).all(|n| !passes(&limiter, Bucket::PasswordAccount, &n.to_string(), ACCOUNT)));
    clock.advance(Duration::minutes(15));
    assert_eq!(strangers(2_000), 500);
}

/// S-81, S-86: what the limiter keeps and prints is no address and no e-mail.
#[test]
fn keys_are_kept_as_hashes() {
    let (limiter, _) = limiter(10);
    let taken = limiter.take_here(Bucket::PasswordAccount, "ada@example.test", ACCOUNT);
    assert!(!format!("{limiter:?} {taken:?}").contains("ada"));
}
