//! The service: opens what a request carries, refreshes it in time, begins and ends sessions.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration as StdDuration;

use base::clock::SharedClock;
use base::entropy::SharedEntropy;
use base::seal::{Keyring, Sealer};
use time::{Duration, OffsetDateTime};
use url::Url;

use super::Error;
use super::breaker::Breaker;
use super::cookie::Names;
use super::ended::DenyList;
use super::flights::Flights;
use super::held::Board;
use super::live::Persons;
use super::news::Follower;
use super::opened::OpenedSessions;
use super::record::{Session, seconds};
use super::remote::Outcome;
use super::settings::{SameSite, Settings};
use super::slot::{Presented, Slot};
use super::store::Store;
use super::vault::Vault;
use crate::event::{self, Event, LogHash, Reason, Trail};
use crate::gotrue::{Factor, GoTrue};
use crate::token::{Claims, Invalid, Refusal, Verifier};

/// How long the store's answer to a probe counts.
const PROBED: Duration = Duration::SECOND;

/// What [`Sessions::new`] joins.
pub struct Parts {
    /// `session.*`.
    pub settings: Settings,
    /// The canonical public origin: part of every seal and of cookie names.
    pub public_url: Url,
    /// Seals cookies.
    pub keys: Keyring,
    /// Checks what GoTrue issues.
    pub verifier: Verifier,
    /// Asked for refreshes and sign-outs.
    pub gotrue: Arc<GoTrue>,
    /// Tells and counts what happens.
    pub trail: Trail,
    /// The time.
    pub clock: SharedClock,
    /// Randomness for ids and seals.
    pub entropy: SharedEntropy,
    /// Where sessions rest; `None` for cookie mode.
    pub store: Option<Store>,
}

/// Every session of this process. Clones share everything.
#[derive(Clone)]
pub struct Sessions(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) names: Names,
    pub(super) origin: String,
    pub(super) sealer: Sealer,
    pub(super) verifier: Verifier,
    pub(super) gotrue: Arc<GoTrue>,
    pub(super) flights: Flights<Outcome>,
    pub(super) persons: Persons,
    pub(super) denied: DenyList,
    pub(super) held: Arc<Board>,
    pub(super) opened: OpenedSessions,
    pub(super) breaker: Breaker,
    /// Store mode.
    pub(super) vault: Option<Arc<Vault>>,
    pub(super) follower: OnceLock<Follower>,
    probed: Mutex<Option<(OffsetDateTime, bool)>>,
    pub(super) log: LogHash,
    pub(super) trail: Trail,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
}

/// A session that may be used now, with the verified claims of its access token.
#[derive(Debug, Clone)]
pub struct Current {
    /// The session.
    pub session: Arc<Session>,
    /// What its access token says.
    pub claims: Arc<Claims>,
    /// When that was found.
    pub at: OffsetDateTime,
    /// The person's second factors, where GoTrue has just told them: after a sign-in.
    pub factors: Vec<Factor>,
}

impl Current {
    /// A session found good `at` a moment, whose person's factors nobody asked for.
    pub fn new(session: Arc<Session>, claims: Arc<Claims>, at: OffsetDateTime) -> Self {
        Self { session, claims, at, factors: Vec::new() }
    }
}

impl Sessions {
    /// Joins `parts`. With a store, call [`follow`](Self::follow) as well.
    pub fn new(parts: Parts) -> Self {
        let strict = parts.settings.same_site == SameSite::Strict;
        let origin = parts.public_url.origin().ascii_serialization();
        let (settings, entropy, trail) = (&parts.settings, &parts.entropy, &parts.trail);
        let opened = || OpenedSessions::new(settings.memory_of_sessions(), parts.clock.clone());
        let seal = |store| {
            Vault::new(store, &parts.keys, &origin, settings, opened(), entropy.clone(), trail.clone())
        };
        let (vault, opened) = (parts.store.map(seal).map(Arc::new), opened());
        Self(Arc::new(Inner {
            names: Names::new(&parts.public_url, strict),
            origin,
            breaker: Breaker::new(settings.refresh_cooldown),
            vault,
            follower: OnceLock::new(),
            probed: Mutex::default(),
            sealer: parts.keys.purpose("session"),
            log: LogHash::from_ring(&parts.keys),
            trail: parts.trail,
            settings: parts.settings,
            verifier: parts.verifier,
            gotrue: parts.gotrue,
            flights: Flights::default(),
            persons: Persons::default(),
            denied: DenyList::default(),
            held: Arc::default(),
            opened,
            clock: parts.clock,
            entropy: parts.entropy,
        }))
    }

    /// Starts to hear of what other nodes revoke, until the last clone is gone. Within a Tokio runtime; without a store
    /// there is nothing to hear.
    pub fn follow(&self) {
        self.0.follow();
    }

    /// Whether the store answers, asked at most once a second; always in cookie mode.
    pub async fn ready(&self) -> bool {
        let Some(vault) = &self.0.vault else { return true };
        let now = self.0.clock.now();
        let known = *self.0.probed.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some((at, answers)) if (now - at).abs() < PROBED => answers,
            _ => {
                let answers = vault.timely("probe", vault.store.sessions.probe()).await.is_ok();
                *self.0.probed.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, answers));
                answers
            }
        }
    }

    /// The names and attributes of our cookies.
    pub fn names(&self) -> &Names {
        &self.0.names
    }

    /// `session.*`.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What the request carries, without a call to anybody: `None` if there is no live session, or none that
    /// [`load`](Self::load) has brought so far.
    pub fn peek(&self, slot: &Slot) -> Option<Arc<Session>> {
        match self.presented(slot) {
            Presented::Session(session) => Some(session),
            Presented::Nothing | Presented::Ended(_) | Presented::Unknown => None,
        }
    }

    /// Why the session that the request carried is over; `None` if it carried none or a live one.
    pub fn ended(&self, slot: &Slot) -> Option<Reason> {
        match self.presented(slot) {
            Presented::Ended(reason) => Some(reason),
            Presented::Session(_) | Presented::Unknown => None,
            Presented::Nothing => slot.jar().get(&self.0.names.ended).and_then(Reason::parse),
        }
    }

    pub(super) fn presented(&self, slot: &Slot) -> Presented {
        self.presented_at(slot, || self.0.clock.now())
    }

    fn presented_at(&self, slot: &Slot, now: impl FnOnce() -> OffsetDateTime) -> Presented {
        match self.0.vault {
            None => slot.presented(|jar| self.0.open(jar, now())),
            Some(_) => slot.known().unwrap_or(Presented::Nothing),
        }
    }

    /// The session of this request, refreshed first if its access token is about to end.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] and [`Error::Ended`] mean: sign in. [`Error::Unavailable`], [`Error::StoreUnavailable`] and
    /// [`Error::KeysUnavailable`] mean: the session is kept, try again later.
    pub async fn current(&self, slot: &Slot) -> Result<Current, Error> {
        self.load(slot).await;
        let mut now = self.0.clock.now();
        let session = match self.presented_at(slot, || now) {
            Presented::Session(session) => session,
            Presented::Ended(reason) => {
                self.0.end_at_gotrue_if_it_ran_out(slot, reason);
                return Err(Error::Ended(reason));
            }
            Presented::Unknown => return Err(Error::STORE_UNAVAILABLE),
            Presented::Nothing => return Err(self.ended(slot).map_or(Error::Missing, Error::Ended)),
        };
        let session = if session.is_due(self.0.settings.refresh_margin, now) {
            let renewed = Box::pin(self.renew(slot, session)).await?;
            now = self.0.clock.now();
            renewed
        } else {
            session
        };
        match self.0.verified(&session, now).await {
            Ok(claims) => {
                self.0.held.renewed(&session);
                self.touch(slot, &session, now).await;
                Ok(Current::new(session, claims, now))
            }
            Err(Refusal::KeysUnavailable { retry_after }) => Err(Error::KeysUnavailable { retry_after }),
            // The key that signed it was withdrawn: GoTrue can still make a token with a new one.
            Err(Refusal::Invalid(_)) => {
                let session = Box::pin(self.renew(slot, session)).await?;
                let now = self.0.clock.now();
                let claims =
                    self.0.verified(&session, now).await.map_err(|refusal| self.0.unusable(&refusal))?;
                Ok(Current::new(session, claims, now))
            }
        }
    }

    /// Refreshes now, unless the tokens are younger than `session.refresh_cooldown`.
    ///
    /// # Errors
    ///
    /// As [`current`](Self::current).
    pub async fn refresh(&self, slot: &Slot) -> Result<(), Error> {
        self.load(slot).await;
        let session = match self.presented(slot) {
            Presented::Session(session) => session,
            Presented::Ended(reason) => return Err(Error::Ended(reason)),
            Presented::Nothing => return Err(Error::Missing),
            Presented::Unknown => return Err(Error::STORE_UNAVAILABLE),
        };
        let age = self.0.clock.now() - session.issued_at;
        if age < self.0.settings.refresh_cooldown && !age.is_negative() {
            return Ok(());
        }
        match self.take_off(&session, slot.client()).await {
            Outcome::Refreshed(fresh) => self.keep(slot, fresh).map(drop),
            Outcome::Ended(reason) => {
                slot.clear(Some(reason));
                Err(Error::Ended(reason))
            }
            Outcome::Kept { until } => Err(self.0.unavailable(until)),
            Outcome::StoreAway { .. } => Err(Error::STORE_UNAVAILABLE),
            Outcome::TooLarge { .. } => Err(Error::TooLarge),
        }
    }

    /// Goes on with `fresh`, unless somebody signed out while this request waited for it (S-43).
    pub(super) fn keep(&self, slot: &Slot, fresh: Arc<Session>) -> Result<Arc<Session>, Error> {
        if let Some(reason) = self.0.denied_reason(&fresh, self.0.clock.now()) {
            slot.clear(Some(reason));
            return Err(Error::Ended(reason));
        }
        self.0.go_on(slot, fresh.clone());
        Ok(fresh)
    }

    /// Refreshes `session`; a transient failure is no failure while the access token lives.
    async fn renew(&self, slot: &Slot, session: Arc<Session>) -> Result<Arc<Session>, Error> {
        match self.take_off(&session, slot.client()).await {
            Outcome::Refreshed(fresh) => self.keep(slot, fresh),
            Outcome::Ended(reason) => {
                slot.clear(Some(reason));
                Err(Error::Ended(reason))
            }
            Outcome::Kept { .. } | Outcome::TooLarge { .. } | Outcome::StoreAway { .. }
                if self.0.clock.now() < session.expires_at =>
            {
                Ok(session)
            }
            Outcome::Kept { until } => Err(self.0.unavailable(until)),
            Outcome::StoreAway { .. } => Err(Error::STORE_UNAVAILABLE),
            Outcome::TooLarge { .. } => Err(Error::TooLarge),
        }
    }

    /// Joins the refresh of `session`, or starts it for the client at `from`.
    pub(super) async fn take_off(&self, session: &Arc<Session>, from: Option<IpAddr>) -> Outcome {
        let (inner, asking) = (self.0.clone(), session.clone());
        let work = async move { inner.ask_for_refresh(&asking, from).await };
        let lost = Outcome::Kept { until: self.0.clock.now() + self.0.settings.refresh_cooldown };
        self.0.flights.share(session.refresh_key(), &self.0.clock, work).await.unwrap_or(lost)
    }

    /// Moves the idle limit, if a tenth of it has passed. Never on `GET /auth/session`, which polls.
    async fn touch(&self, slot: &Slot, session: &Arc<Session>, now: OffsetDateTime) {
        let tenth = (self.0.settings.idle.whole_seconds() / 10).max(60);
        if seconds(session.last_seen, now) <= tenth || slot.is_poll() {
            return;
        }
        if let Some(vault) = &self.0.vault {
            let _ = Box::pin(vault.touch(session, now)).await; // the next request tries again
        }
        let used = Arc::new(Session { last_seen: now, ..(**session).clone() });
        self.0.held.renewed(&used);
        self.0.go_on(slot, used);
    }
}

impl Inner {
    /// The request goes on with `session`. What a cookie holds in store mode is not changed by that.
    fn go_on(&self, slot: &Slot, session: Arc<Session>) {
        match self.vault {
            None => slot.set(session),
            Some(_) => slot.go_on_with(session),
        }
    }

    pub(super) async fn verified(
        &self,
        session: &Session,
        now: OffsetDateTime,
    ) -> Result<Arc<Claims>, Refusal> {
        let token = session.access_token.expose();
        let claims = self.verifier.verify_kept(token, &session.memo.token, now).await?;
        let own = claims.sub == session.user_id && claims.session_id == session.gotrue_id;
        if own { Ok(claims) } else { Err(Refusal::Invalid(Invalid::Claims("sub"))) }
    }

    pub(super) fn unusable(&self, refusal: &Refusal) -> Error {
        match refusal {
            Refusal::KeysUnavailable { retry_after } => Error::KeysUnavailable { retry_after: *retry_after },
            Refusal::Invalid(invalid) => {
                tracing::error!(error = %invalid, "a token that GoTrue just refreshed does not verify");
                self.unavailable(self.clock.now() + self.settings.refresh_cooldown)
            }
        }
    }

    pub(super) fn unavailable(&self, until: OffsetDateTime) -> Error {
        let wait = (until - self.clock.now()).max(Duration::SECOND);
        Error::Unavailable { retry_after: wait.try_into().unwrap_or(StdDuration::from_secs(1)) }
    }

    /// Refuses every copy of the session in this process, before anything else happens.
    pub(super) fn end(&self, session: &Session, reason: Reason) {
        let now = self.clock.now();
        // A copied cookie could be refreshed again if GoTrue did not hear of the end, so ours is refused for as long
        // as the cookie could live; a bare token only until it runs out.
        self.denied.add(session.id, session.created_at + self.settings.absolute, reason, now);
        if reason != Reason::Replaced {
            self.deny_sign_in(session, reason);
        }
        self.held.end_of(session, reason);
        self.verifier.forget(session.access_token.expose());
        self.record(session, Event::SessionEnded, event::Outcome::Ok, Some(reason), None);
    }
}
