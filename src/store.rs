//! Where sessions rest: the adapters of the traits in `session::store`.
//!
//! `memory` is one process, `sqlite` one machine, `redis` many nodes. All keep the same promises, and one suite of
//! tests, `tests/stores`, holds them to it.

pub mod memory;
mod moment;
mod news;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::sync::Arc;

use crate::session::store::{Leases, Revocations, SessionStore};

/// A store, as its users see it. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    /// The records.
    pub sessions: Arc<dyn SessionStore>,
    /// Who may refresh them.
    pub leases: Arc<dyn Leases>,
    /// What all nodes must hear of.
    pub revocations: Arc<dyn Revocations>,
}

impl Store {
    /// One adapter in its three parts.
    pub fn of(adapter: impl SessionStore + Leases + Revocations + 'static) -> Self {
        let adapter = Arc::new(adapter);
        Self { sessions: adapter.clone(), leases: adapter.clone(), revocations: adapter }
    }
}
