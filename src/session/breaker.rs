//! Keeps an outage of GoTrue from being made worse by us.
//!
//! At most [`AT_ONCE`] refreshes run at the same time; more queue for a place, each no longer than it says. After
//! [`IN_A_ROW`] failures without a success in between the breaker opens: nobody asks for the length of the cool-down,
//! sessions are kept. Then one single refresh is let through; its success closes the breaker, its failure keeps it open
//! for another cool-down. Every process has its own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration as StdDuration;

use time::{Duration, OffsetDateTime};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Refreshes at the same time.
const AT_ONCE: usize = 128;
/// Failures in a row that count as an outage.
const IN_A_ROW: u32 = 20;
/// No call takes so long. One that did tells that this process was stopped, and nothing about GoTrue.
const STOPPED: Duration = Duration::seconds(11);

/// Lets refreshes through, or not.
#[derive(Debug)]
pub(super) struct Breaker {
    places: Semaphore,
    state: Mutex<State>,
    pause: Duration,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While this is set the breaker is open; from then on one may try.
    open_until: Option<OffsetDateTime>,
    probing: bool,
}

/// A place among those who may ask. Dropping it makes room for the next, and says nothing about GoTrue.
#[derive(Debug)]
pub(super) struct Place<'a> {
    breaker: &'a Breaker,
    held: SemaphorePermit<'a>,
}

/// The leave to ask once. Dropped without a report it counts as a failure.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    now: OffsetDateTime,
    reported: bool,
    _place: SemaphorePermit<'a>,
}

impl Breaker {
    /// Opens for `pause` at a time.
    pub(super) fn new(pause: Duration) -> Self {
        Self { places: Semaphore::new(AT_ONCE), state: Mutex::default(), pause }
    }

    /// A place, waited for in turn and no longer than `patience`, or when to come back.
    pub(super) async fn place(
        &self,
        now: OffsetDateTime,
        patience: StdDuration,
    ) -> Result<Place<'_>, OffsetDateTime> {
        self.closed(now)?;
        match tokio::time::timeout(patience, self.places.acquire()).await {
            Ok(Ok(held)) => Ok(Place { breaker: self, held }),
            Ok(Err(_)) | Err(_) => Err(now + self.pause),
        }
    }

    fn closed(&self, now: OffsetDateTime) -> Result<(), OffsetDateTime> {
        match self.state().open_until {
            Some(until) if now < until => Err(until),
            _ => Ok(()),
        }
    }

    /// Only one may try an open one.
    fn take(&self, now: OffsetDateTime) -> Result<(), OffsetDateTime> {
        let mut state = self.state();
        match state.open_until {
            Some(until) if now < until => Err(until),
            Some(_) if state.probing => Err(now + Duration::SECOND),
            Some(_) => {
                state.probing = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, worked: bool, begun: OffsetDateTime, now: OffsetDateTime) {
        let mut state = self.state();
        if worked {
            *state = State::default();
            return;
        }
        if now - begun > STOPPED && state.open_until.is_none() {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures == IN_A_ROW {
            tracing::warn!("GoTrue does not answer refreshes: it is asked once a cool-down from now on");
        }
        if state.failures >= IN_A_ROW {
            state.open_until = Some(now + self.pause);
            state.probing = false;
        }
    }
}

impl<'a> Place<'a> {
    /// The leave to ask from this place, or when to come back: the breaker may have opened during the wait.
    pub(super) fn leave(self, now: OffsetDateTime) -> Result<Leave<'a>, OffsetDateTime> {
        self.breaker.take(now)?;
        Ok(Leave { breaker: self.breaker, now, reported: false, _place: self.held })
    }
}

impl Leave<'_> {
    /// Whether GoTrue answered as GoTrue does, be it with a refusal.
    pub(super) fn report(mut self, worked: bool, now: OffsetDateTime) {
        self.reported = true;
        self.breaker.report(worked, self.now, now);
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if !self.reported {
            self.breaker.report(false, self.now, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);
    const PAUSE: Duration = Duration::seconds(10);

    const PATIENCE: StdDuration = StdDuration::from_secs(16);

    async fn admit(breaker: &Breaker, now: OffsetDateTime) -> Result<Leave<'_>, OffsetDateTime> {
        breaker.place(now, PATIENCE).await?.leave(now)
    }

    async fn opened() -> Breaker {
        let breaker = Breaker::new(PAUSE);
        for _ in 0..IN_A_ROW {
            admit(&breaker, START).await.unwrap().report(false, START);
        }
        breaker
    }

    /// S-44: an outage is asked about once a cool-down, and one success ends it.
    #[tokio::test]
    async fn an_outage_is_probed_once_a_cool_down() {
        let breaker = opened().await;
        assert_eq!(admit(&breaker, START).await.err(), Some(START + PAUSE));
        let later = START + PAUSE;
        let probe = admit(&breaker, later).await.unwrap();
        assert!(admit(&breaker, later).await.is_err(), "one at a time");
        probe.report(false, later);
        assert_eq!(admit(&breaker, later).await.err(), Some(later + PAUSE));
        let again = later + PAUSE;
        drop(admit(&breaker, again).await.unwrap());
        assert!(admit(&breaker, again).await.is_err(), "one that was lost counts as a failure");
        let third = again + PAUSE;
        admit(&breaker, third).await.unwrap().report(true, third);
        assert!(admit(&breaker, third).await.is_ok() && admit(&breaker, third).await.is_ok());
    }

    /// Failures count only in a row.
    #[tokio::test]
    async fn a_success_begins_the_count_anew() {
        let breaker = Breaker::new(PAUSE);
        for n in 0..5 * IN_A_ROW {
            let leave = admit(&breaker, START).await.expect("closed");
            leave.report(n % IN_A_ROW == IN_A_ROW - 1, START);
        }
    }

    /// A process that was stopped, or slept with its machine, finds its calls timed out: that is no outage.
    #[tokio::test]
    async fn a_pause_of_our_own_does_not_open_it() {
        let breaker = Breaker::new(PAUSE);
        let awake = START + Duration::seconds(12);
        for _ in 0..2 * IN_A_ROW {
            admit(&breaker, START).await.unwrap().report(false, awake);
        }
        assert!(admit(&breaker, awake).await.is_ok());
    }

    /// No more than so many at once: the next waits for a place, in turn, and a place that was not used says nothing.
    #[tokio::test]
    async fn places_are_bounded() {
        let breaker = Breaker::new(PAUSE);
        let mut all = Vec::new();
        for _ in 0..AT_ONCE {
            all.push(breaker.place(START, PATIENCE).await.unwrap());
        }
        let next = breaker.place(START, PATIENCE);
        tokio::pin!(next);
        tokio::select! {
            biased;
            _ = &mut next => unreachable!("every place is taken"),
            () = tokio::task::yield_now() => {}
        }
        drop(all.pop());
        assert!(next.await.is_ok());
        drop(all);
        assert!(admit(&breaker, START).await.is_ok(), "those who gave their place back did not fail");
    }

    /// S-44: the wait for a place is bounded, and its end no failure of GoTrue.
    #[tokio::test]
    async fn a_place_is_not_waited_for_for_ever() {
        let breaker = Breaker::new(PAUSE);
        let mut all = Vec::new();
        for _ in 0..AT_ONCE {
            all.push(breaker.place(START, PATIENCE).await.unwrap());
        }
        for _ in 0..2 * IN_A_ROW {
            assert_eq!(breaker.place(START, StdDuration::ZERO).await.err(), Some(START + PAUSE));
        }
        drop(all);
        assert!(admit(&breaker, START).await.is_ok());
    }
}
