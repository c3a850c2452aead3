//! A session store in good and bad weather: it counts what it is asked, and can be told to fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base::clock::SharedClock;
use supabase_bff::event::Reason;
use supabase_bff::session::store::{
    Change, Changed, Cursor, Draft, Failure, Fence, Found, Key, Leased, Leases, Listed, Owner, Revocations,
    SessionStore, Store,
};
use supabase_bff::store::memory::Memory;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::harness::Plan;
use crate::tap::bounded;

/// What the store does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Refuses everything.
    Down,
    /// Refuses to write a record: a full disk.
    Full,
    /// Never answers.
    Silent,
}

/// What it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub reads: usize,
    pub writes: usize,
}

/// Clones are the same store.
#[derive(Debug, Clone)]
pub struct Weather(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    behind: Mutex<Option<(Store, SharedClock)>>,
    mood: Mutex<Mood>,
    refused_changes: Mutex<usize>,
    counts: Mutex<Counts>,
    /// So many reads from now on the answer is kept back.
    keep_back: Mutex<Option<usize>>,
    /// How many are, and how often they were let go.
    kept: watch::Sender<usize>,
    let_go: watch::Sender<usize>,
}

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
    Other,
}

impl Weather {
    /// A plan whose sessions rest in it, and behind it in memory.
    pub fn plan() -> (Self, Plan) {
        Self::over(Plan::in_memory())
    }

    /// The same plan with the weather before its store.
    pub fn over(plan: Plan) -> (Self, Plan) {
        let weather = Self(Arc::new(Inner {
            behind: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            refused_changes: Mutex::default(),
            counts: Mutex::default(),
            keep_back: Mutex::default(),
            kept: watch::channel(0).0,
            let_go: watch::channel(0).0,
        }));
        let shared = weather.clone();
        let open = plan.store.clone().expect("a plan with a store");
        let plan = plan.resting_in(move |clock| {
            let (shared, opening) = (shared.clone(), open(clock.clone()));
            async move {
                *shared.0.behind.lock().unwrap() = Some((opening.await, clock));
                Store::of(shared)
            }
        });
        (weather, plan)
    }

    pub fn turn(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
    }

    /// Forgets everything, as a flushed server does.
    pub fn flush(&self) {
        let mut behind = self.0.behind.lock().unwrap();
        let clock = behind.as_ref().expect("a started story").1.clone();
        *behind = Some((Store::of(Memory::new(clock.clone())), clock));
    }

    /// The next `count` changes of a record fail.
    pub fn refuse_changes(&self, count: usize) {
        *self.0.refused_changes.lock().unwrap() = count;
    }

    /// The answer to the read after `others` more is kept back until [`let_go`](Self::let_go): as if the reader had been
    /// stopped with it.
    pub fn keep_back_after(&self, others: usize) {
        *self.0.keep_back.lock().unwrap() = Some(others);
    }

    /// Waits until an answer is kept back.
    pub async fn kept(&self) {
        let mut kept = self.0.kept.subscribe();
        bounded("an answer that is kept back", kept.wait_for(|kept| *kept > 0)).await.unwrap();
    }

    pub fn let_go(&self) {
        self.0.let_go.send_modify(|times| *times += 1);
    }

    async fn kept_back(&self) {
        let mut told = self.0.let_go.subscribe();
        {
            let mut left = self.0.keep_back.lock().unwrap();
            match &mut *left {
                None => return,
                Some(0) => *left = None,
                Some(others) => {
                    *others -= 1;
                    return;
                }
            }
        }
        self.0.kept.send_modify(|kept| *kept += 1);
        let _ = told.changed().await;
        self.0.kept.send_modify(|kept| *kept -= 1);
    }

    /// What was asked since the last call of this.
    pub fn counts(&self) -> Counts {
        std::mem::take(&mut *self.0.counts.lock().unwrap())
    }

    fn behind(&self) -> Store {
        self.0.behind.lock().unwrap().as_ref().expect("a started story").0.clone()
    }

    async fn weather(&self, operation: &'static str, kind: Kind) -> Result<Store, Failure> {
        {
            let mut counts = self.0.counts.lock().unwrap();
            match kind {
                Kind::Read => counts.reads += 1,
                Kind::Write => counts.writes += 1,
                Kind::Other => {}
            }
        }
        let mood = *self.0.mood.lock().unwrap();
        let refused = match (mood, kind) {
            (Mood::Down, _) | (Mood::Full, Kind::Write) => true,
            (Mood::Silent, _) => std::future::pending().await,
            (Mood::Well | Mood::Full, _) if operation == "change" => {
                let mut left = self.0.refused_changes.lock().unwrap();
                let refused = *left > 0;
                *left = left.saturating_sub(1);
                refused
            }
            (Mood::Well | Mood::Full, _) => false,
        };
        if refused { Err(Failure { operation, source: "as told".into() }) } else { Ok(self.behind()) }
    }
}

#[async_trait]
impl SessionStore for Weather {
    async fn create(&self, key: &Key, draft: &Draft) -> Result<bool, Failure> {
        self.weather("create", Kind::Write).await?.sessions.create(key, draft).await
    }

    async fn read(&self, key: &Key) -> Result<Found, Failure> {
        let answer = self.weather("read", Kind::Read).await?.sessions.read(key).await;
        self.kept_back().await;
        answer
    }

    async fn change(&self, key: &Key, change: &Change) -> Result<Changed, Failure> {
        self.weather("change", Kind::Write).await?.sessions.change(key, change).await
    }

    async fn touch(&self, key: &Key, seen: OffsetDateTime, until: OffsetDateTime) -> Result<(), Failure> {
        self.weather("touch", Kind::Write).await?.sessions.touch(key, seen, until).await
    }

    async fn end(&self, key: &Key, reason: Reason) -> Result<bool, Failure> {
        self.weather("end", Kind::Write).await?.sessions.end(key, reason).await
    }

    async fn replace(&self, key: &Key) -> Result<bool, Failure> {
        self.weather("replace", Kind::Write).await?.sessions.replace(key).await
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<Listed>, Failure> {
        self.weather("list", Kind::Read).await?.sessions.list(owner).await
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.weather("probe", Kind::Other).await?.sessions.probe().await
    }
}

#[async_trait]
impl Leases for Weather {
    async fn lease(&self, key: &Key, time: Duration) -> Result<Leased, Failure> {
        self.weather("lease", Kind::Other).await?.leases.lease(key, time).await
    }

    async fn renew(&self, key: &Key, fence: Fence, time: Duration) -> Result<bool, Failure> {
        self.weather("renew", Kind::Other).await?.leases.renew(key, fence, time).await
    }

    async fn release(&self, key: &Key, fence: Fence) -> Result<(), Failure> {
        self.weather("release", Kind::Other).await?.leases.release(key, fence).await
    }
}

#[async_trait]
impl Revocations for Weather {
    async fn publish(&self, sealed: &[u8], until: OffsetDateTime) -> Result<(), Failure> {
        self.weather("publish", Kind::Other).await?.revocations.publish(sealed, until).await
    }

    async fn after(&self, cursor: &Cursor, patience: Duration) -> Result<(Vec<Vec<u8>>, Cursor), Failure> {
        self.weather("after", Kind::Other).await?.revocations.after(cursor, patience).await
    }
}
