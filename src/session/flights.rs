//! Work that is done once for everybody who asks for it at the same time.
//!
//! The work runs in a task of its own, so that a caller who leaves does not cancel it; the others wait for the same
//! result. A result is kept for as long as the work itself says: a late request gets it without any work.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use base::clock::SharedClock;
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;

/// Names a piece of work; a digest of what must not be kept itself.
pub type Key = [u8; 32];

/// Results beyond this number are forgotten, the oldest first.
const CAPACITY: usize = 50_000;
/// How often results that are over are swept out.
const SWEEP: Duration = Duration::seconds(30);

/// What runs, and what ended a moment ago.
pub struct Flights<V>(Arc<Mutex<Board<V>>>);

struct Board<V> {
    flights: HashMap<Key, Flight<V>>,
    swept: OffsetDateTime,
}

enum Flight<V> {
    Running(watch::Receiver<Option<V>>),
    Landed { until: OffsetDateTime, value: V },
}

enum Seat<V> {
    Landed(V),
    Shared(watch::Receiver<Option<V>>),
    Own(watch::Sender<Option<V>>, watch::Receiver<Option<V>>),
}

impl<V> Default for Flights<V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Board { flights: HashMap::new(), swept: OffsetDateTime::UNIX_EPOCH })))
    }
}

impl<V: Clone + Send + Sync + 'static> Flights<V> {
    /// The value of the work called `key`: kept from before, shared with whoever started it, or brought by `work`,
    /// which returns the value and until when it answers later callers. `None` if the work panicked.
    pub async fn share<F>(&self, key: Key, clock: &SharedClock, work: F) -> Option<V>
    where
        F: Future<Output = (V, OffsetDateTime)> + Send + 'static,
    {
        let mut waiting = match self.board(key, clock.now()) {
            Seat::Landed(value) => return Some(value),
            Seat::Shared(waiting) => waiting,
            Seat::Own(sender, waiting) => {
                let (board, own) = (self.0.clone(), waiting.clone());
                tokio::spawn(async move {
                    let (value, until) = work.await;
                    let landed = Flight::Landed { until, value: value.clone() };
                    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
                    // What was put in its place meanwhile is newer.
                    if let Some(Flight::Running(running)) = board.flights.get(&key)
                        && running.same_channel(&own)
                    {
                        board.flights.insert(key, landed);
                    }
                    drop(board);
                    sender.send_replace(Some(value));
                });
                waiting
            }
        };
        let value = waiting.wait_for(Option::is_some).await.ok()?;
        value.clone()
    }

    /// From now until `until` callers get `value`; work that runs answers those who wait for it and nobody later.
    pub(crate) fn keep(&self, key: Key, value: V, now: OffsetDateTime, until: OffsetDateTime) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.sweep(now);
        board.flights.insert(key, Flight::Landed { until, value });
    }

    /// Whoever asks next has the work done anew.
    pub(crate) fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flights.remove(key);
    }

    fn board(&self, key: Key, now: OffsetDateTime) -> Seat<V> {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match board.flights.get(&key) {
            Some(flight) if flight.is_over(now) => {}
            Some(Flight::Running(waiting)) => return Seat::Shared(waiting.clone()),
            Some(Flight::Landed { value, .. }) => return Seat::Landed(value.clone()),
            None => {}
        }
        board.sweep(now);
        let (sender, receiver) = watch::channel(None);
        board.flights.insert(key, Flight::Running(receiver.clone()));
        Seat::Own(sender, receiver)
    }
}

impl<V> Flight<V> {
    fn is_over(&self, now: OffsetDateTime) -> bool {
        match self {
            // The task is gone without a result: it panicked.
            Self::Running(result) => result.has_changed().is_err() && result.borrow().is_none(),
            Self::Landed { until, .. } => *until <= now,
        }
    }
}

impl<V> Board<V> {
    fn sweep(&mut self, now: OffsetDateTime) {
        if self.flights.len() < CAPACITY && (now - self.swept).abs() < SWEEP {
            return;
        }
        self.swept = now;
        self.flights.retain(|_, flight| !flight.is_over(now));
        if self.flights.len() < CAPACITY {
            return;
        }
        let landed = |flight: &Flight<V>| match flight {
            Flight::Landed { until, .. } => Some(*until),
            Flight::Running(_) => None,
        };
        let mut times: Vec<_> = self.flights.values().filter_map(landed).collect();
        times.sort_unstable();
        if let Some(middle) = times.get(times.len() / 2).copied() {
            self.flights.retain(|_, flight| landed(flight).is_none_or(|until| until > middle));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use base::clock::ManualClock;

    use super::*;

    const START: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);

    fn clock() -> (ManualClock, SharedClock) {
        let clock = ManualClock::at(START);
        (clock.clone(), Arc::new(clock))
    }

    /// S-41: however many ask at once, the work runs once; later callers get the kept value until its time.
    #[tokio::test]
    async fn the_work_runs_once_and_its_value_is_kept() {
        let (hands, clock) = clock();
        let flights: Flights<u32> = Flights::default();
        let runs = Arc::new(AtomicU32::new(0));
        let ask = || {
            let runs = runs.clone();
            flights.share([1; 32], &clock, async move {
                tokio::task::yield_now().await;
                (runs.fetch_add(1, Ordering::SeqCst) + 1, START + Duration::seconds(30))
            })
        };
        let all = futures_util::future::join_all((0..200).map(|_| ask())).await;
        assert!(all.iter().all(|value| *value == Some(1)));
        hands.advance(Duration::seconds(29));
        assert_eq!(ask().await, Some(1));
        hands.advance(Duration::seconds(1));
        assert_eq!(ask().await, Some(2));
    }

    /// A caller who leaves takes nothing with him.
    #[tokio::test]
    async fn the_work_goes_on_without_its_first_caller() {
        let (_, clock) = clock();
        let flights: Flights<u32> = Flights::default();
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let work = async move {
            let _ = gate.await;
            (7, START + Duration::seconds(30))
        };
        let mut first = Box::pin(flights.share([1; 32], &clock, work));
        tokio::select! {
            biased;
            _ = &mut first => unreachable!("the gate is shut"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        open.send(()).unwrap();
        let second = flights.share([1; 32], &clock, async { unreachable!("the first work is still there") });
        assert_eq!(second.await, Some(7));
    }

    /// What is kept or forgotten while work runs is not overwritten by the older result.
    #[tokio::test]
    async fn an_older_result_does_not_come_back() {
        let (_, clock) = clock();
        let flights: Flights<u32> = Flights::default();
        let until = START + Duration::seconds(10);
        for kept in [Some(2), None] {
            let (open, gate) = tokio::sync::oneshot::channel::<()>();
            let work = async move {
                let _ = gate.await;
                (1, until)
            };
            let mut first = Box::pin(flights.share([1; 32], &clock, work));
            tokio::select! {
                biased;
                _ = &mut first => unreachable!("the gate is shut"),
                () = tokio::task::yield_now() => {}
            }
            match kept {
                Some(value) => flights.keep([1; 32], value, START, until),
                None => flights.forget(&[1; 32]),
            }
            open.send(()).unwrap();
            assert_eq!(first.await, Some(1), "whoever waited gets what he waited for");
            assert_eq!(flights.share([1; 32], &clock, async { (3, START) }).await, Some(kept.unwrap_or(3)));
            flights.forget(&[1; 32]);
        }
    }

    #[tokio::test]
    async fn a_panic_is_nobodys_value_and_the_next_caller_tries_again() {
        let (_, clock) = clock();
        let flights: Flights<u32> = Flights::default();
        let lost = flights.share([1; 32], &clock, async { panic!("as a bug would") }).await;
        assert_eq!(lost, None);
        let next = flights.share([1; 32], &clock, async { (3, START + Duration::SECOND) });
        assert_eq!(next.await, Some(3));
    }
}
