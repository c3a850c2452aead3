//! One use of a secret at a time, over all nodes that share a store: GoTrue takes no lock, so two nodes that redeem one
//! link or code at the same instant could make two sessions (S-26, S-75).
//!
//! Within a process [`Flights`](crate::session::flights::Flights) see to that. Nodes without a shared Redis rely on
//! GoTrue's own single use.

use std::time::Duration as StdDuration;

use aws_lc_rs::digest::{Context, SHA256};
use base::vars::Rate;
use time::Duration;
use tokio::time::Instant;

use super::Inner;
use crate::limit::Bucket;
use crate::session::flights::Key;

/// One at a time. A node that ended in the middle holds the others up no longer than this: more than a call of GoTrue
/// takes.
const ONE: Rate = Rate { count: 1, per: Duration::seconds(12) };
/// Longest wait for another node; whoever waited so long asks GoTrue all the same.
const PATIENCE: StdDuration = StdDuration::from_secs(12);
/// Between two looks.
const PAUSE: StdDuration = StdDuration::from_millis(50);

/// Names a secret, by everything that tells it from others, without holding it.
pub(super) fn named(parts: &[&str]) -> Key {
    let mut named = Context::new(&SHA256);
    for part in parts {
        named.update(&part.len().to_be_bytes());
        named.update(part.as_bytes());
    }
    let mut key: Key = [0; 32];
    key.copy_from_slice(named.finish().as_ref());
    key
}

impl Inner {
    /// Does `work` when no other node does any for the secret that `key` names.
    pub(super) async fn alone<T>(&self, key: &Key, work: impl Future<Output = T>) -> T {
        let name: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let begun = Instant::now();
        let turn = loop {
            match self.limiter.take(Bucket::Redemption, &name, ONE).await {
                Ok(turn) => break Some(turn),
                Err(_) if begun.elapsed() >= PATIENCE => break None,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        let done = work.await;
        if let Some(turn) = turn {
            turn.give_back();
        }
        done
    }
}
