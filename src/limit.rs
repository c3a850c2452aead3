//! Quotas: how often something may be tried, by network, by account, by mailbox (S-81 to S-84).
//!
//! The arithmetic is GCRA and pure; the table beside it is bounded and lives in this process. Checking and counting
//! are one step, and a lock is held for a look-up and no longer. Where several nodes have a store, they count there
//! together; their own tables then refuse what is hopeless, and are the limit when the store fails.

pub mod client;
mod gcra;
mod settings;
mod shared;
mod table;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use base::clock::SharedClock;
use base::entropy::Entropy;
use base::vars::Rate;
use time::Duration;

use gcra::Quota;
pub use settings::Settings;
use shared::Shared;
pub use shared::{LimitStore, Uncounted};
use table::{Id, Table};

/// What is counted. Each has a table of its own, so that a flood of one leaves the others alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// Password tries from one network.
    PasswordNetwork,
    /// Password tries at one account, known or not.
    PasswordAccount,
    /// Mails of one kind to one recipient.
    MailRecipient,
    /// Mails that one network asked for.
    MailNetwork,
    /// Codes typed for one user.
    Code,
    /// Anonymous sign-ups from one network.
    Anonymous,
    /// Mail links and codes that one network tried in vain.
    ConfirmNetwork,
    /// One secret that is being redeemed: one node at a time.
    Redemption,
    /// All sign-in calls to GoTrue, which has one limit for this whole process (S-85).
    GoTrue,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Self; 9] = [
        Self::PasswordNetwork,
        Self::PasswordAccount,
        Self::MailRecipient,
        Self::MailNetwork,
        Self::Code,
        Self::Anonymous,
        Self::ConfirmNetwork,
        Self::Redemption,
        Self::GoTrue,
    ];

    /// GoTrue counts by the address that it sees, and every node has one of its own (S-85).
    const fn is_shared(self) -> bool {
        !matches!(self, Self::GoTrue)
    }

    /// The word of logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordNetwork => "password_network",
            Self::PasswordAccount => "password_account",
            Self::MailRecipient => "mail_recipient",
            Self::MailNetwork => "mail_network",
            Self::Code => "code",
            Self::Anonymous => "anonymous",
            Self::ConfirmNetwork => "confirm_network",
            Self::Redemption => "redemption",
            Self::GoTrue => "gotrue",
        }
    }
}

/// No try is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no try is left for {retry_after}")]
pub struct Wait {
    /// Until the next try would pass; never longer than the time of the quota.
    pub retry_after: Duration,
}

/// Counts tries. Clones count together.
#[derive(Debug, Clone)]
pub struct Limiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: SharedClock,
    /// Keys are kept as keyed hashes: no address and no e-mail rests here.
    hash: hmac::Key,
    tables: [Mutex<Table>; Bucket::ALL.len()],
    shared: Option<Shared>,
}

/// Keys that a bucket remembers, at some 100 bytes each.
pub const CAPACITY: usize = 50_000;

impl Limiter {
    /// Empty tables of [`CAPACITY`] keys each.
    pub fn new(clock: SharedClock, entropy: &dyn Entropy) -> Self {
        Self::with_capacity(clock, &entropy.bytes::<32>(), CAPACITY, None)
    }

    /// Counts in `store` together with all nodes that have the same `secret`, which hashes the keys. A store that
    /// fails is stood in for by this node's own tables.
    pub fn sharing(clock: SharedClock, store: Arc<dyn LimitStore>, secret: &[u8; 32]) -> Self {
        Self::with_capacity(clock, secret, CAPACITY, Some(Shared::new(store)))
    }

    fn with_capacity(clock: SharedClock, secret: &[u8; 32], capacity: usize, shared: Option<Shared>) -> Self {
        let hash = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tables = Bucket::ALL.map(|_| Mutex::new(Table::new(capacity)));
        Self(Arc::new(Inner { clock, hash, tables, shared }))
    }

    /// Takes one of `quota` for `key`, such as [`network`] or a normalised e-mail. The try counts from now on, until
    /// [`Taken::give_back`].
    ///
    /// # Errors
    ///
    /// [`Wait`] when none is left. A refused try costs nothing, so knocking on does not lengthen the wait.
    pub async fn take(&self, bucket: Bucket, key: &str, rate: Rate) -> Result<Taken, Wait> {
        let mut taken = self.take_here(bucket, key, rate)?;
        let Some(shared) = self.0.shared.as_ref().filter(|_| bucket.is_shared()) else { return Ok(taken) };
        match shared.take(bucket, taken.hash, rate).await {
            Some(Ok(())) => taken.shared = true,
            Some(Err(wait)) => {
                taken.give_back();
                return Err(wait);
            }
            None => {} // counted here alone
        }
        Ok(taken)
    }

    fn take_here(&self, bucket: Bucket, key: &str, rate: Rate) -> Result<Taken, Wait> {
        let hash = self.hash(key);
        let now = nanoseconds(self.0.clock.now());
        let counted = self.table(bucket).take(hash, now, Quota::from(rate));
        match counted {
            Ok(at) => Ok(Taken { limiter: self.clone(), bucket, hash, at, rate, shared: false }),
            Err(wait) => Err(Wait { retry_after: Duration::nanoseconds(wait) }),
        }
    }

    fn table(&self, bucket: Bucket) -> MutexGuard<'_, Table> {
        self.0.tables[bucket as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, key: &str) -> u128 {
        let tag = hmac::sign(&self.0.hash, key.as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&tag.as_ref()[..16]);
        u128::from_be_bytes(half)
    }
}

/// A try that counts. Dropping it leaves it counted.
#[must_use = "give it back if the try succeeded"]
#[derive(Debug)]
pub struct Taken {
    limiter: Limiter,
    bucket: Bucket,
    hash: u128,
    at: Id,
    rate: Rate,
    /// Counted in the store as well.
    shared: bool,
}

impl Taken {
    /// Uncounts the try, because it was a good one (S-81): here at once, in the store shortly.
    pub fn give_back(self) {
        self.limiter.table(self.bucket).give_back(self.at, Quota::from(self.rate));
        if let Some(shared) = self.limiter.0.shared.as_ref().filter(|_| self.shared) {
            shared.give_back(self.bucket, self.hash, self.rate);
        }
    }
}

/// The key of a network: the address for IPv4, also in its IPv6 clothes, and the /64 for IPv6.
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(prefix))
        }
    }
}

/// The key of a client whose address is not known: all of them share a bucket, for limits work without one too.
pub const NO_ADDRESS: &str = "unknown";

fn nanoseconds(now: time::OffsetDateTime) -> i64 {
    i64::try_from(now.unix_timestamp_nanos()).unwrap_or(i64::MAX) // the year 2262
}

#[cfg(test)]
mod tests;
