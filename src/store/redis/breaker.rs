//! Keeps an outage from piling up requests: while nothing answers, one question at a time is put, and the others fail
//! at once.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Questions without an answer, one after the other, that make an outage.
const OUTAGE: u32 = 5;

/// The server did not answer before, and somebody else is finding out whether it does now.
#[derive(Debug, thiserror::Error)]
#[error("the server has not answered for a while")]
pub(super) struct Open;

#[derive(Debug)]
pub(super) struct Breaker {
    unanswered: AtomicU32,
    trial: Semaphore,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { unanswered: AtomicU32::new(0), trial: Semaphore::new(1) }
    }

    /// The leave to ask. Keep what comes back until the answer is there.
    pub(super) fn enter(&self) -> Result<Option<SemaphorePermit<'_>>, Open> {
        if self.unanswered.load(Ordering::Relaxed) < OUTAGE {
            return Ok(None);
        }
        self.trial.try_acquire().map(Some).map_err(|_| Open)
    }

    /// What became of it. An answer is an answer, be it a refusal.
    pub(super) fn note(&self, answered: bool) {
        let noted = |count: u32| Some(if answered { 0 } else { count.saturating_add(1) });
        let _ = self.unanswered.fetch_update(Ordering::Relaxed, Ordering::Relaxed, noted); // never refuses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_an_outage_one_asks_and_an_answer_ends_it() {
        let breaker = Breaker::new();
        for _ in 0..OUTAGE {
            assert!(breaker.enter().is_ok_and(|permit| permit.is_none()));
            breaker.note(false);
        }
        let trial = breaker.enter();
        assert!(matches!(trial, Ok(Some(_))) && breaker.enter().is_err());
        breaker.note(false);
        drop(trial);
        let trial = breaker.enter();
        assert!(matches!(trial, Ok(Some(_))) && breaker.enter().is_err());
        breaker.note(true);
        assert!(breaker.enter().is_ok_and(|permit| permit.is_none()));
    }

    /// A few lost answers among others are no outage.
    #[test]
    fn single_failures_do_not_open_it() {
        let breaker = Breaker::new();
        for round in 0..100 {
            breaker.note(round % 3 == 0);
            assert!(breaker.enter().is_ok_and(|permit| permit.is_none()));
        }
    }
}
