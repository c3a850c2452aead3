//! Two nodes on one store, whatever it is made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base::clock::{ManualClock, SharedClock};
use supabase_bff::session::store::{Change, Draft, Entry, Fence, Found, Key, Owner, Version};
use supabase_bff::store::Store;
use supabase_bff::store::memory::Memory;
use supabase_bff::store::sqlite::Sqlite;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::redis_server::{self, Server, Setup};

/// Two nodes of one deployment.
pub struct Stand {
    pub a: Store,
    pub b: Store,
    clock: ManualClock,
    pub server: Option<Server>,
    pub folder: TempDir,
}

pub const PREFIX: &str = "app.example.test";

impl Stand {
    fn clock() -> (ManualClock, SharedClock) {
        let clock = ManualClock::at(datetime!(2026-03-01 12:00:00.25 UTC));
        (clock.clone(), Arc::new(clock))
    }

    fn new(clock: ManualClock, a: Store, b: Store, server: Option<Server>, folder: TempDir) -> Self {
        Self { a, b, clock, server, folder }
    }

    pub fn memory() -> Self {
        let (hands, clock) = Self::clock();
        let store = Memory::new(clock);
        Self::new(hands, Store::of(store.clone()), Store::of(store), None, folder())
    }

    pub async fn sqlite() -> Self {
        let (hands, clock) = Self::clock();
        let folder = folder();
        let path = folder.path().join("sessions.db");
        let open = async || Sqlite::open(&path, clock.clone()).await.unwrap();
        let (a, b) = (Store::of(open().await), Store::of(open().await));
        Self::new(hands, a, b, None, folder)
    }

    /// With a user of its own, who may do what the documentation says and no more.
    pub async fn redis() -> Self {
        Self::redis_as(Setup::User).await
    }

    pub async fn redis_with_password_alone() -> Self {
        Self::redis_as(Setup::Password).await
    }

    pub async fn redis_as(setup: Setup) -> Self {
        let folder = folder();
        let server = Server::start(setup, folder.path());
        Self::on(server, folder).await
    }

    pub async fn on(server: Server, folder: TempDir) -> Self {
        let (hands, clock) = Self::clock();
        let open = async || redis_server::store(server.url(), PREFIX, clock.clone()).await;
        let (a, b) = (Store::of(open().await), Store::of(open().await));
        Self::new(hands, a, b, Some(server), folder)
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a stand with a server")
    }

    pub fn now(&self) -> OffsetDateTime {
        base::clock::Clock::now(&self.clock)
    }

    /// Lets time pass on the nodes' clock, and on the server's if there is one.
    pub async fn pass(&self, time: Duration) {
        self.clock.advance(time.try_into().unwrap());
        if let Some(server) = &self.server {
            server.wait_for(time).await;
        }
    }

    /// Moves the nodes' clock alone.
    pub fn skip(&self, time: time::Duration) {
        self.clock.advance(time);
    }

    pub fn draft(&self, owner: Owner) -> Draft {
        let until = self.now() + time::Duration::hours(1);
        Draft { owner, sealed: b"sealed 1".into(), label: b"label 1".into(), seen: self.now(), until }
    }

    pub fn change(&self, from: u64, fence: Option<Fence>) -> Change {
        Change {
            from: Version(from),
            fence,
            sealed: format!("sealed {}", from + 1).into(),
            owner: None,
            label: None,
            seen: self.now(),
            until: self.now() + time::Duration::hours(1),
        }
    }

    /// A new session of a new person.
    pub async fn session(&self) -> Key {
        let key = key();
        assert!(self.a.sessions.create(&key, &self.draft(owner())).await.unwrap());
        key
    }

    /// The record as the other node sees it.
    pub async fn entry(&self, key: &Key) -> Entry {
        match self.b.sessions.read(key).await.unwrap() {
            Found::Live(entry) => entry,
            other => panic!("no live record but {other:?}"),
        }
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Different at each call.
fn unique() -> [u8; 32] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    hash(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes())
}

pub fn hash(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

pub fn key() -> Key {
    Key(unique())
}

pub fn owner() -> Owner {
    Owner(unique())
}

/// Runs `work` two hundred times at once, over both nodes in turn, and counts for how many `is` holds.
pub async fn crowd<T, W, F>(stand: &Stand, work: W, is: impl Fn(&T) -> bool) -> usize
where
    T: Send + 'static,
    W: Fn(usize, Store) -> F,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let node = if number % 2 == 0 { &stand.a } else { &stand.b };
        tasks.spawn(work(number, node.clone()));
    }
    tasks.join_all().await.iter().filter(|done| is(done)).count()
}
