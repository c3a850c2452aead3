//! Where sessions rest in store mode: what a store promises, whatever it is made of.
//!
//! A store sees no secret: records are sealed under a key that only the cookie holds, labels and revocations under the
//! deployment's own (S-07). Every change of a record is a compare-and-swap, an end leaves a mark that nothing
//! overwrites, and "not there" is never an error, nor an error "not there". Implementations stand in
//! the module `store`; one suite of tests holds them all to these words.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::event::Reason;
use crate::limit::LimitStore;

/// Finds a record: the SHA-256 of the session id that the cookie holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 32]);

/// Finds the records of one person: a keyed hash of the user's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(pub [u8; 32]);

/// Counts the writes of one record, from 1; 0 is that of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Version(pub u64);

/// Counts the leases of one record: a later holder has the greater number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// Where the reader of revocations stands; the default is the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor(pub String);

/// What a new session rests as.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Whose it is.
    pub owner: Owner,
    /// The record, sealed under the cookie's key.
    pub sealed: Vec<u8>,
    /// What the list of devices shows, sealed under the deployment's key.
    pub label: Vec<u8>,
    /// The last use.
    pub seen: OffsetDateTime,
    /// The store may forget it from then on.
    pub until: OffsetDateTime,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The version that a change must name.
    pub version: Version,
    /// The record, sealed under the cookie's key.
    pub sealed: Vec<u8>,
    /// The last use, in whole seconds.
    pub seen: OffsetDateTime,
}

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A session.
    Live(Entry),
    /// The mark of one that has ended.
    Ended(Reason),
    /// The mark of one whose sign-in goes on under another key, with its last record.
    Replaced(Vec<u8>),
    /// Nothing: it never was, its time is over, or the store has lost it.
    Nothing,
}

/// A change of a record, its owner's name, its label and its time.
#[derive(Debug, Clone)]
pub struct Change {
    /// The version that was read.
    pub from: Version,
    /// The lease under which this is written. A greater one that was given since refuses the change.
    pub fence: Option<Fence>,
    /// The new record.
    pub sealed: Vec<u8>,
    /// Whose it is from now on, as a newer key says it; `None` keeps the old word.
    pub owner: Option<Owner>,
    /// The new label; `None` keeps the old one.
    pub label: Option<Vec<u8>>,
    /// The last use.
    pub seen: OffsetDateTime,
    /// The store may forget it from then on.
    pub until: OffsetDateTime,
}

/// What became of a [`Change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It is written under this version, and the lease, if there was one, is given back.
    To(Version),
    /// Somebody else was first; nothing is written.
    Conflict,
    /// There is no live record any more; nothing is written (S-43).
    Gone,
}

/// What became of the wish for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased {
    /// It is ours for the time that was asked for.
    Ours(Fence),
    /// Somebody else holds it.
    Held,
    /// There is no live record.
    Gone,
}

/// One live session of a person, for the list of devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its record.
    pub key: Key,
    /// What was said about it.
    pub label: Vec<u8>,
    /// The last use.
    pub seen: OffsetDateTime,
}

/// The store did not do what it was asked, or nobody can tell whether it did. Never a reason to end a session.
#[derive(Debug, thiserror::Error)]
#[error("the session store failed to {operation}")]
pub struct Failure {
    /// `read`, `create`, `change` and so on; stands in the metric.
    pub operation: &'static str,
    /// What went wrong; holds no address and no password.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The records of sessions.
#[async_trait]
pub trait SessionStore: Debug + Send + Sync {
    /// Writes a new record. `false` if anything, be it the mark of an end, stands under `key`: it stays.
    async fn create(&self, key: &Key, draft: &Draft) -> Result<bool, Failure>;

    /// One look-up; the only call of a request that changes nothing.
    async fn read(&self, key: &Key) -> Result<Found, Failure>;

    /// Compare and swap. Last use and time only ever move forward: where the known ones are later, those stay.
    async fn change(&self, key: &Key, change: &Change) -> Result<Changed, Failure>;

    /// Moves the last use forward, and the time until which the record is kept, without a new version. An earlier time
    /// than the known one and an absent record change nothing.
    async fn touch(&self, key: &Key, seen: OffsetDateTime, until: OffsetDateTime) -> Result<(), Failure>;

    /// Puts a mark in the place of the record, for as long as the record would have been kept. Returns whether there
    /// was a live one; the first reason stays.
    async fn end(&self, key: &Key, reason: Reason) -> Result<bool, Failure>;

    /// As [`end`](Self::end) with [`Reason::Replaced`], for one whose sign-in goes on under another key: its last record
    /// stays beside the mark, so that a sign-out that still comes with its cookie can tell which sign-in that is.
    async fn replace(&self, key: &Key) -> Result<bool, Failure>;

    /// The live sessions of `owner`, in no order.
    async fn list(&self, owner: &Owner) -> Result<Vec<Listed>, Failure>;

    /// Asks whether the store answers.
    async fn probe(&self) -> Result<(), Failure>;
}

/// Who may refresh a session: one node at a time, until the time is up.
#[async_trait]
pub trait Leases: Debug + Send + Sync {
    /// Takes the lease of `key` for `time`, on the store's own clock.
    async fn lease(&self, key: &Key, time: Duration) -> Result<Leased, Failure>;

    /// Holds on to it for `time` from now. `false`: it is lost, because its time was up, and may be somebody else's.
    async fn renew(&self, key: &Key, fence: Fence, time: Duration) -> Result<bool, Failure>;

    /// Gives it back; one that is lost already is left alone.
    async fn release(&self, key: &Key, fence: Fence) -> Result<(), Failure>;
}

/// What every node must hear of: ended sessions and people whose tokens count no more (S-45).
#[async_trait]
pub trait Revocations: Debug + Send + Sync {
    /// Tells all nodes, this one included. `sealed` is kept until `until`, for those who come later. A store that is
    /// full of what must be kept refuses with a failure; it never forgets an older one instead.
    async fn publish(&self, sealed: &[u8], until: OffsetDateTime) -> Result<(), Failure>;

    /// What was published after `cursor`, oldest first, with the cursor to go on from. Waits up to `patience` for the
    /// first, or not at all; an empty answer means that nothing came. At most 1,000 at once. One reader at a time.
    async fn after(&self, cursor: &Cursor, patience: Duration) -> Result<(Vec<Vec<u8>>, Cursor), Failure>;
}

/// One store in its three roles, as [`Sessions`](super::Sessions) takes it.
#[derive(Debug, Clone)]
pub struct Store {
    /// Its records.
    pub sessions: Arc<dyn SessionStore>,
    /// Its leases.
    pub leases: Arc<dyn Leases>,
    /// Its revocations.
    pub revocations: Arc<dyn Revocations>,
    /// Where all nodes count their limits together; `None` where each counts by itself.
    pub limits: Option<Arc<dyn LimitStore>>,
}

impl Store {
    /// `store` in every role but that of counting limits.
    pub fn of<S: SessionStore + Leases + Revocations + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self { sessions: store.clone(), leases: store.clone(), revocations: store, limits: None }
    }
}
