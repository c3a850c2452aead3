//! The published key set: fetched by one task at a time, kept through outages, never asked for too often
//! (S-36, S-37).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use base::clock::SharedClock;
use base::count::Counts;
use base::memory::Memory;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;
use url::Url;

use super::disk::KeptSet;
use super::keys::{BadKeySet, KeySet};
use super::strict;

/// The longest document that is read, in bytes.
const MAX_DOCUMENT: usize = 128 * 1024;
/// A set is fetched anew after this time, in the background.
const REFRESH_AFTER: Duration = Duration::minutes(10);
/// Between two fetches while there is a set to work with.
const GAP: Duration = Duration::minutes(1);
/// Longest silence about one `kid` that stays unknown.
const LONGEST_SILENCE: Duration = Duration::minutes(10);
/// Unknown ids that are remembered.
const REMEMBERED: u64 = 1024;
/// A kept set may seem to come from the future by this much, since clocks differ.
const SKEW: Duration = Duration::minutes(5);

/// The set in use.
pub(super) struct Published {
    /// The published keys, and the secret beside them.
    pub(super) keys: KeySet,
    /// Changes when the keys do.
    pub(super) generation: u64,
    fetched: OffsetDateTime,
    document: Map<String, Value>,
}

/// Why a fetch is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Want {
    /// There is nothing to verify with.
    AnyKeys,
    /// A token names a key that the set lacks.
    Newer,
}

/// What came of asking for a fetch.
pub(super) enum Asked {
    /// Over when the channel closes.
    UnderWay(watch::Receiver<()>),
    /// Too soon after the last one.
    TooSoon,
}

/// Fetches and holds the set of one address.
pub(super) struct Publisher {
    url: Url,
    http: reqwest::Client,
    clock: SharedClock,
    max_stale: Duration,
    /// Holds the secret alone; joined to every set.
    local: KeySet,
    kept: Option<KeptSet>,
    current: ArcSwapOption<Published>,
    gate: Mutex<Gate>,
    unknown: Memory<String, Silence>,
    fetches: Arc<Counts>,
}

#[derive(Default)]
struct Gate {
    started: Option<OffsetDateTime>,
    failures: u32,
    under_way: Option<watch::Receiver<()>>,
}

#[derive(Clone, Copy)]
struct Silence {
    until: OffsetDateTime,
    length: Duration,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer broke off or is too long")]
    Body(#[source] base::http::BodyError),
    #[error("the answer is no JSON object")]
    Json,
    #[error("the answer is no key set")]
    Set(#[source] BadKeySet),
}

impl Publisher {
    /// Starts with the kept set, if it is young enough. Reads a file: call it at start.
    pub(super) fn new(
        url: Url,
        http: reqwest::Client,
        clock: SharedClock,
        max_stale: Duration,
        local: KeySet,
        kept: Option<KeptSet>,
        fetches: Arc<Counts>,
    ) -> Self {
        let now = clock.now();
        let first = kept.as_ref().and_then(KeptSet::load).and_then(|(document, fetched)| {
            let young = fetched <= now + SKEW && now - fetched <= max_stale;
            let keys = KeySet::from_jwks(&document).ok().filter(|_| young)?.with_secret_of(&local);
            Some(Arc::new(Published { keys, generation: 1, fetched, document }))
        });
        Self {
            url,
            http,
            clock,
            max_stale,
            local,
            kept,
            current: ArcSwapOption::new(first),
            gate: Mutex::default(),
            unknown: Memory::new(REMEMBERED, 1),
            fetches,
        }
    }

    /// The set, if there is one and it is not older than the bound.
    pub(super) fn usable(&self, now: OffsetDateTime) -> Option<Arc<Published>> {
        self.current.load_full().filter(|set| now - set.fetched <= self.max_stale)
    }

    /// Starts a fetch in the background if the set has reached its age.
    pub(super) fn keep_fresh(self: &Arc<Self>, set: &Published, now: OffsetDateTime) {
        let age = now - set.fetched;
        if age >= REFRESH_AFTER || age < -SKEW {
            self.ask(Want::Newer, now);
        }
    }

    /// Joins the fetch under way, or starts one unless it is too soon. The fetch is a task of its own: a caller
    /// that goes away does not end it.
    pub(super) fn ask(self: &Arc<Self>, want: Want, now: OffsetDateTime) -> Asked {
        let mut gate = self.gate();
        if let Some(under_way) = &gate.under_way {
            return Asked::UnderWay(under_way.clone());
        }
        if gate.wait(want, now).is_positive() {
            return Asked::TooSoon;
        }
        let (landed, under_way) = watch::channel(());
        gate.started = Some(now);
        gate.failures = gate.failures.saturating_add(1); // taken back by success
        gate.under_way = Some(under_way.clone());
        drop(gate);
        let flight = Flight { publisher: Arc::clone(self), _landed: landed };
        tokio::spawn(async move {
            let publisher = Arc::clone(&flight.publisher);
            let newer = publisher.fetch().await;
            drop(flight); // nobody waits for the disk
            if let Some(newer) = newer {
                publisher.keep(newer).await;
            }
        });
        Asked::UnderWay(under_way)
    }

    /// Whether the last fetch failed: then nobody knows whether an unknown key exists.
    pub(super) fn in_the_dark(&self) -> bool {
        let gate = self.gate();
        gate.failures > 0 && gate.under_way.is_none()
    }

    /// When it makes sense to come back, if the reason was `want`.
    pub(super) fn retry_after(&self, want: Want, now: OffsetDateTime) -> std::time::Duration {
        let wait = self.gate().wait(want, now).max(Duration::SECOND);
        wait.try_into().unwrap_or(std::time::Duration::from_secs(1))
    }

    /// Whether `kid` was missing from a recent fetch, so that no other is worth it yet.
    pub(super) fn is_known_unknown(&self, kid: &str, now: OffsetDateTime) -> bool {
        self.unknown
            .get(kid)
            .is_some_and(|silence| now < silence.until && silence.until - now <= LONGEST_SILENCE)
    }

    /// Notes that a fetch did not bring `kid`: silence for a minute, twice as long each further time.
    pub(super) fn note_unknown(&self, kid: &str, now: OffsetDateTime) {
        if kid.len() > 256 {
            return; // no name of a key: the general gap is enough
        }
        let length = self
            .unknown
            .get(kid)
            .map_or(GAP, |before: Silence| (before.length + before.length).min(LONGEST_SILENCE));
        let silence = Silence { until: now + length, length };
        // For longer than the silence itself: the next one is longer if it follows.
        let forget = (silence.until + LONGEST_SILENCE).unix_timestamp();
        self.unknown.insert(kid.to_owned(), silence, 1, forget, now.unix_timestamp());
    }

    async fn fetch(&self) -> Option<Arc<Published>> {
        let loaded = self.load().await;
        self.fetches.add(&[usize::from(loaded.is_err())]);
        match loaded {
            Ok((document, keys)) => Some(self.replace(document, keys)),
            Err(trouble) => {
                let cause = std::error::Error::source(&trouble).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%trouble, cause, "the key set could not be fetched");
                None
            }
        }
    }

    async fn load(&self) -> Result<(Map<String, Value>, KeySet), Trouble> {
        let request = self.http.get(self.url.clone()).header("accept", "application/json");
        let limit = std::time::Duration::from_secs(10);
        let answer =
            request.timeout(limit).send().await.map_err(|e| Trouble::Unreachable(e.without_url()))?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(Trouble::Status(answer.status().as_u16()));
        }
        let body = base::http::read_body(answer, MAX_DOCUMENT).await.map_err(Trouble::Body)?;
        let document = strict::object(&body).ok_or(Trouble::Json)?;
        let keys = KeySet::from_jwks(&document).map_err(Trouble::Set)?;
        Ok((document, keys))
    }

    /// The whole set gives way, so that a withdrawn key ends at once.
    fn replace(&self, document: Map<String, Value>, keys: KeySet) -> Arc<Published> {
        let fetched = self.clock.now();
        let before = self.current.load_full();
        let generation = match &before {
            Some(before) if before.document == document => before.generation,
            Some(before) => before.generation + 1,
            None => 1,
        };
        if before.is_none_or(|before| before.generation != generation) {
            tracing::info!(keys = keys.public_keys(), "the key set has changed");
        }
        let keys = keys.with_secret_of(&self.local);
        let set = Arc::new(Published { keys, generation, fetched, document });
        self.current.store(Some(Arc::clone(&set)));
        self.gate().failures = 0;
        set
    }

    async fn keep(&self, set: Arc<Published>) {
        let Some(kept) = self.kept.clone() else { return };
        match tokio::task::spawn_blocking(move || kept.save(&set.document, set.fetched)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the key set is kept in memory alone"),
            Err(_) => tracing::warn!("the key set is kept in memory alone"),
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// How long until the next fetch may start; not positive if it may start now. Counted from the start of the
    /// last one, failed or not. With no keys at all the first repetitions come sooner: 2, 4, 8 seconds and so on.
    fn wait(&self, want: Want, now: OffsetDateTime) -> Duration {
        let gap = match want {
            Want::AnyKeys => Duration::seconds(1 << self.failures.min(6)).min(GAP),
            Want::Newer => GAP,
        };
        match self.started {
            // A clock that was set back must not keep the gate shut.
            Some(started) if now >= started => gap - (now - started),
            _ => Duration::ZERO,
        }
    }
}

/// A fetch under way; its end is noted even if the task is torn down.
struct Flight {
    publisher: Arc<Publisher>,
    _landed: watch::Sender<()>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.publisher.gate().under_way = None;
    }
}
