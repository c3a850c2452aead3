//! Counting together with other nodes, and what happens while that is not possible.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base::vars::Rate;

use super::{Bucket, Wait};

/// Counts the tries of all nodes, by the same arithmetic and on one clock, its own.
#[async_trait]
pub trait LimitStore: Debug + Send + Sync {
    /// Takes one of `rate` for `key`; checking and counting are one step for everybody who asks. A refused try costs
    /// nothing.
    async fn take(&self, bucket: Bucket, key: u128, rate: Rate) -> Result<Result<(), Wait>, Uncounted>;

    /// Uncounts one.
    async fn give_back(&self, bucket: Bucket, key: u128, rate: Rate) -> Result<(), Uncounted>;
}

/// The store did not count, or nobody can tell whether it did.
#[derive(Debug, thiserror::Error)]
#[error("the shared limits cannot be counted")]
pub struct Uncounted(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The store and whether it worked the last time.
#[derive(Debug)]
pub(super) struct Shared {
    store: Arc<dyn LimitStore>,
    failing: Arc<AtomicBool>,
}

impl Shared {
    pub(super) fn new(store: Arc<dyn LimitStore>) -> Self {
        Self { store, failing: Arc::default() }
    }

    /// `None`: the store does not count now.
    pub(super) async fn take(&self, bucket: Bucket, key: u128, rate: Rate) -> Option<Result<(), Wait>> {
        let counted = self.store.take(bucket, key, rate).await;
        note(&self.failing, counted.as_ref().err());
        counted.ok()
    }

    /// Nobody waits for it; where it fails the try stays counted.
    pub(super) fn give_back(&self, bucket: Bucket, key: u128, rate: Rate) {
        let (store, failing) = (self.store.clone(), self.failing.clone());
        tokio::spawn(async move {
            note(&failing, store.give_back(bucket, key, rate).await.as_ref().err());
        });
    }
}

/// One line when it begins and one when it is over, however many requests come.
fn note(failing: &AtomicBool, error: Option<&Uncounted>) {
    match error {
        Some(error) if !failing.swap(true, Ordering::Relaxed) => {
            let cause = &error.0;
            tracing::warn!(cause = %cause, "each node counts its limits by itself: the store fails");
        }
        None if failing.swap(false, Ordering::Relaxed) => tracing::info!("limits are counted together again"),
        _ => {}
    }
}
