//! Where sessions rest, for stories that hold in every mode.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use supabase_bff::limit::LimitStore;
use supabase_bff::session::store::Store;
use supabase_bff::store::sqlite::Sqlite;

use crate::harness::Plan;
use crate::redis_server::{self, Server, Setup};

/// One of the modes, with what it needs to run.
#[derive(Clone)]
pub enum Mode {
    Cookie,
    Memory,
    Sqlite,
    /// A real server; every story has a prefix of its own.
    Redis(Arc<Redises>),
}

pub struct Redises {
    server: Server,
    count: AtomicUsize,
    _folder: tempfile::TempDir,
}

impl Mode {
    /// A Redis of this machine, for as long as the mode is held.
    pub fn redis() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Setup::Password, folder.path());
        Self::Redis(Arc::new(Redises { server, count: AtomicUsize::new(0), _folder: folder }))
    }

    /// The one that `CONTRACT_STORE` names: `cookie`, `memory`, `sqlite` or `redis`; cookies without it.
    pub fn from_env() -> Self {
        match std::env::var("CONTRACT_STORE").as_deref().unwrap_or_default() {
            "" | "cookie" => Self::Cookie,
            "memory" => Self::Memory,
            "sqlite" => Self::Sqlite,
            "redis" => Self::redis(),
            other => panic!("CONTRACT_STORE cannot be {other}"),
        }
    }

    pub fn is_cookie(&self) -> bool {
        matches!(self, Self::Cookie)
    }

    /// The same, where nodes also count their limits together if they can: on the clock of the Redis, which no story moves.
    pub fn counting(&self) -> Plan {
        self.planned(true)
    }

    /// A plan whose sessions rest there.
    pub fn plan(&self) -> Plan {
        self.planned(false)
    }

    fn planned(&self, counting: bool) -> Plan {
        match self {
            Self::Cookie => Plan::default(),
            Self::Memory => Plan::in_memory(),
            Self::Sqlite => {
                let folder = Arc::new(tempfile::tempdir().unwrap());
                Plan::default().resting_in(move |clock| {
                    let folder = folder.clone();
                    async move {
                        Store::of(Sqlite::open(&folder.path().join("sessions.db"), clock).await.unwrap())
                    }
                })
            }
            Self::Redis(redis) => {
                let redis = redis.clone();
                Plan::default().resting_in(move |clock| {
                    let redis = redis.clone();
                    async move {
                        let prefix = format!("story-{}", redis.count.fetch_add(1, Ordering::SeqCst));
                        let store = redis_server::store(redis.server.url(), &prefix, clock).await;
                        let limits = counting.then(|| Arc::new(store.clone()) as Arc<dyn LimitStore>);
                        Store { limits, ..Store::of(store) }
                    }
                })
            }
        }
    }
}
