//! Leases on the server's clock, beside the record that they protect.

use std::time::Duration;

use async_trait::async_trait;

use super::{Connection, Redis, scripts};
use crate::session::store::{Failure, Fence, Key, Leased, Leases};

fn whole(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl<C: Connection> Leases for Redis<C> {
    async fn lease(&self, key: &Key, time: Duration) -> Result<Leased, Failure> {
        let mut call = self.0.scripts.lease.key(self.0.names.record(key));
        let answer: i64 = self.call("lease", call.arg(self.now()).arg(whole(time))).await?;
        Ok(match (answer, u64::try_from(answer)) {
            (scripts::GONE, _) => Leased::Gone,
            (_, Ok(fence)) => Leased::Ours(Fence(fence)),
            _ => Leased::Held,
        })
    }

    async fn renew(&self, key: &Key, fence: Fence, time: Duration) -> Result<bool, Failure> {
        let mut call = self.0.scripts.renew.key(self.0.names.record(key));
        self.call("renew", call.arg(self.now()).arg(fence.0).arg(whole(time))).await
    }

    async fn release(&self, key: &Key, fence: Fence) -> Result<(), Failure> {
        let mut call = self.0.scripts.release.key(self.0.names.record(key));
        self.call("release", call.arg(self.now()).arg(fence.0)).await
    }
}
