//! Time comes from here: the system's clock in production, one that a test moves by hand otherwise.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

/// Tells the time. Read it at the edge of a request and pass `now` inward.
pub trait Clock: Debug + Send + Sync {
    /// The present moment in UTC. May jump when an operator corrects the machine's clock.
    fn now(&self) -> OffsetDateTime;
}

/// A clock that several parts hold.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// A clock that stands still until it is moved. Clones share the same hands.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<OffsetDateTime>>);

impl ManualClock {
    /// Stands at `start`.
    pub fn at(start: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    /// Moves the hands by `by`; a negative duration moves them back.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *hands += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
