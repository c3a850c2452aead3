//! Where sessions rest: the adapters of the traits in `session::store`.
//!
//! `memory` is one process, `sqlite` one machine, `redis` many nodes. All keep the same promises, and one suite of
//! tests, `tests/stores`, holds them to it.

pub mod memory;
mod moment;
mod news;
#[cfg(feature = "redis")]
pub mod redis;
mod settings;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(feature = "redis")]
use std::sync::Arc;

use base::clock::SharedClock;

pub use settings::{Server, Settings};

use crate::session::store::Failure;
pub use crate::session::store::Store;

/// Opens the store that `settings` name; `None` in cookie mode. Afterwards it mends itself: a server that goes away
/// and comes back needs no second call.
///
/// # Errors
///
/// When the file or the server cannot be used; [`Settings::report`] makes a finding of it.
pub async fn open(settings: &Settings, clock: SharedClock) -> Result<Option<Store>, Failure> {
    match settings {
        Settings::Cookie => Ok(None),
        #[cfg(feature = "sqlite")]
        Settings::Sqlite(path) => Ok(Some(Store::of(sqlite::Sqlite::open(path, clock).await?))),
        #[cfg(feature = "redis")]
        Settings::Redis(server) => {
            let redis = redis::Redis::connect(&server.url, &server.prefix, clock).await?;
            Ok(Some(Store { limits: Some(Arc::new(redis.clone())), ..Store::of(redis) }))
        }
        #[cfg(not(all(feature = "sqlite", feature = "redis")))]
        _ => {
            drop(clock);
            Err(Failure { operation: "open", source: "the program was built without this store".into() })
        }
    }
}
