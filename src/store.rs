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

pub use crate::session::store::Store;
