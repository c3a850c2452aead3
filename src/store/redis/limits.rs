//! Limits of all nodes together (S-84): the arithmetic of `limit`, in one script on the server's clock.

use async_trait::async_trait;
use base::vars::Rate;
use time::Duration;

use super::{Connection, Redis};
use crate::limit::{Bucket, LimitStore, Uncounted, Wait};

#[async_trait]
impl<C: Connection> LimitStore for Redis<C> {
    async fn take(&self, bucket: Bucket, key: u128, rate: Rate) -> Result<Result<(), Wait>, Uncounted> {
        let mut call = self.0.scripts.take.key(self.0.names.limit(bucket, key));
        let wait: i64 = self
            .call("limit", call.arg(interval(rate)).arg(rate.count))
            .await
            .map_err(|failure| Uncounted(failure.source))?;
        let retry_after = Duration::microseconds(wait);
        Ok(if wait == 0 { Ok(()) } else { Err(Wait { retry_after }) })
    }

    async fn give_back(&self, bucket: Bucket, key: u128, rate: Rate) -> Result<(), Uncounted> {
        let mut call = self.0.scripts.give_back.key(self.0.names.limit(bucket, key));
        let done = self.call("limit", call.arg(interval(rate)).arg(rate.count)).await;
        done.map_err(|failure| Uncounted(failure.source))
    }
}

/// Microseconds in which one try comes back; what the server's clock can tell apart.
fn interval(rate: Rate) -> i64 {
    let per = i64::try_from(rate.per.whole_microseconds()).unwrap_or(i64::MAX);
    (per / i64::from(rate.count.max(1))).max(1)
}
