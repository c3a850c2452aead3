//! Store mode: one refresh of a session over all nodes (S-41).
//!
//! Whoever gets the lease of the record asks GoTrue and writes the answer under the version that it read; the others
//! wait for the record, not for the lease. Nobody takes a lease before it has a place to ask from: where one node is
//! busy another goes first. A lease that is lost, because its holder was stopped or is slow, leads to a
//! second refresh with the same token, which GoTrue answers with the same successor. The record's version decides which
//! answer stays; nobody is signed out by that.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use time::{Duration, OffsetDateTime};
use tokio::time::Instant;

use super::breaker::Place;
use super::record::Session;
use super::remote::{Answer, Outcome, TURN};
use super::sessions::Inner;
use super::store::{Changed, Fence, Key, Leased};
use super::ticket::Ticket;
use super::unsaved::Kept;
use super::vault::{Look, Vault};
use crate::event::Reason;

/// A lease lasts this long and is renewed this often while GoTrue is asked.
const LEASE: StdDuration = StdDuration::from_secs(5);
const RENEWAL: StdDuration = StdDuration::from_secs(1);
/// The pauses between two looks at the record.
const SHORT: StdDuration = StdDuration::from_millis(20);
const LONG: StdDuration = StdDuration::from_millis(250);
/// The pause after a failure of the store.
const AWAY: Duration = Duration::SECOND;
/// Writes of one answer before it waits for the next request. A store that did not answer may do so a moment later.
const WRITES: usize = 3;
/// No further one after this time.
const WRITING: StdDuration = StdDuration::from_secs(5);

/// A lease that was given.
struct Lease {
    fence: Fence,
    /// It is over by then, unless it is renewed.
    until: OffsetDateTime,
}

impl Inner {
    pub(super) async fn refresh_among_nodes(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        ticket: &Arc<Ticket>,
        session: &Arc<Session>,
        from: Option<IpAddr>,
    ) -> Outcome {
        let (begun, key) = (Instant::now(), ticket.key());
        let mut pause = SHORT;
        while let Some(left) = TURN.checked_sub(begun.elapsed()) {
            let place = match self.place_or_news(vault, ticket, session, left).await {
                Ok(place) => place,
                Err(outcome) => return outcome,
            };
            let asked = self.clock.now();
            match vault.timely("lease", vault.store.leases.lease(&key, LEASE)).await {
                Err(_) => return self.store_away(),
                Ok(Leased::Ours(fence)) => {
                    let lease = Lease { fence, until: asked + LEASE };
                    match self.refresh_under(vault, ticket, session, lease, place, from).await {
                        Some(outcome) => return outcome,
                        None => continue,
                    }
                }
                Ok(Leased::Gone) => return self.gone(vault, ticket).await,
                Ok(Leased::Held) => drop(place),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONG);
            if let Some(outcome) = self.news_of(vault, ticket, session).await {
                return outcome;
            }
        }
        Outcome::Kept { until: self.clock.now() + AWAY }
    }

    /// A place to ask from. Whoever queues for one looks at the record meanwhile: another node may have a free one.
    async fn place_or_news(
        &self,
        vault: &Vault,
        ticket: &Arc<Ticket>,
        session: &Session,
        patience: StdDuration,
    ) -> Result<Place<'_>, Outcome> {
        let mut place = pin!(self.breaker.place(self.clock.now(), patience));
        let mut pause = SHORT;
        loop {
            match tokio::time::timeout(pause, &mut place).await {
                Ok(Ok(place)) => return Ok(place),
                Ok(Err(until)) => return Err(self.news_or_kept(vault, ticket, session, until).await),
                Err(_) => pause = (pause * 2).min(LONG),
            }
            if let Some(outcome) = self.news_of(vault, ticket, session).await {
                return Err(outcome);
            }
        }
    }

    /// With the lease in hand; `None` if it was over before GoTrue was asked.
    async fn refresh_under(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        ticket: &Arc<Ticket>,
        session: &Arc<Session>,
        lease: Lease,
        place: Place<'_>,
        from: Option<IpAddr>,
    ) -> Option<Outcome> {
        let (key, fence) = (ticket.key(), lease.fence);
        // Between our look and the lease somebody may have done it.
        if let Some(outcome) = self.news_of(vault, ticket, session).await {
            give_back(vault, &key, fence).await;
            return Some(outcome);
        }
        // Whoever was stopped up to here has no lease any more: another node may be asking.
        if lease.until <= self.clock.now() {
            return None;
        }
        Some(match hold(vault, &key, fence, self.ask_gotrue(place, session, from)).await {
            Answer::New(fresh, aal) => self.write(vault, ticket, session, fence, *fresh, aal).await,
            Answer::Kept(until) => {
                give_back(vault, &key, fence).await;
                self.news_or_kept(vault, ticket, session, until).await
            }
            Answer::Final(reason) => {
                // A node that lost its lease asks with a token that another has used up since.
                let stale = matches!(reason, Reason::RefreshReused | Reason::RefreshNotFound);
                if stale && let Some(outcome) = self.news_of(vault, ticket, session).await {
                    give_back(vault, &key, fence).await;
                    return Some(outcome);
                }
                self.give_up(session, reason);
                vault.end_surely(key, reason).await;
                Outcome::Ended(reason)
            }
        })
    }

    /// What became of the record since `session` was read; `None` if it still holds the same tokens.
    async fn news_of(&self, vault: &Vault, ticket: &Arc<Ticket>, session: &Session) -> Option<Outcome> {
        match vault.look(ticket).await {
            Err(_) => Some(self.store_away()),
            Ok(Look::Live(now)) if now.same_tokens(session) => None,
            Ok(Look::Live(newer)) => Some(Outcome::Refreshed(newer)),
            Ok(look) => Some(Outcome::Ended(ended_by(&look))),
        }
    }

    /// Nobody asks before `until`. Whoever was stopped or queued may find that another node has done it meanwhile.
    async fn news_or_kept(
        &self,
        vault: &Vault,
        ticket: &Arc<Ticket>,
        session: &Session,
        until: OffsetDateTime,
    ) -> Outcome {
        match self.news_of(vault, ticket, session).await {
            Some(done @ (Outcome::Refreshed(_) | Outcome::Ended(_))) => done,
            _ => Outcome::Kept { until },
        }
    }

    async fn gone(&self, vault: &Vault, ticket: &Arc<Ticket>) -> Outcome {
        match vault.look(ticket).await {
            Err(_) | Ok(Look::Live(_)) => self.store_away(),
            Ok(look) => Outcome::Ended(ended_by(&look)),
        }
    }

    /// Writes what GoTrue gave before anybody uses it (S-42).
    async fn write(
        &self,
        vault: &Vault,
        ticket: &Arc<Ticket>,
        session: &Session,
        fence: Fence,
        fresh: Session,
        aal: Option<u8>,
    ) -> Outcome {
        let key = ticket.key();
        let mut from = session.rest.as_ref().map(|rest| rest.version).unwrap_or_default();
        let began = Instant::now();
        for _ in 0..WRITES {
            match vault.change(&fresh, from, Some(fence), aal).await {
                Ok(Changed::To(version)) => return Outcome::Refreshed(Arc::new(fresh.resting_as(version))),
                Ok(Changed::Gone) => {
                    let outcome = self.gone(vault, ticket).await;
                    let reason =
                        if let Outcome::Ended(reason) = &outcome { *reason } else { Reason::StoreLost };
                    self.discard_late(fresh.access_token.clone(), reason); // signed out meanwhile (S-43)
                    return outcome;
                }
                Err(_) if began.elapsed() < WRITING => {
                    // It may be written all the same: then the next try finds a conflict with itself.
                    tokio::time::sleep(LONG).await;
                    continue;
                }
                Err(_) => break,
                Ok(Changed::Conflict) => {}
            }
            match vault.look(ticket).await {
                Err(_) => break,
                Ok(Look::Live(now)) if now.same_tokens(session) => {
                    let version = now.rest.as_ref().map(|rest| rest.version).unwrap_or_default();
                    if version == from {
                        break; // another node has the lease by now
                    }
                    from = version;
                }
                // Somebody was faster. The answer that we got is of the same line of tokens: not to be revoked.
                Ok(Look::Live(newer)) => return Outcome::Refreshed(newer),
                Ok(look) => {
                    let reason = ended_by(&look);
                    self.discard_late(fresh.access_token.clone(), reason);
                    return Outcome::Ended(reason);
                }
            }
        }
        give_back(vault, &key, fence).await;
        let session = Arc::new(fresh.resting_as(from));
        vault.unsaved.keep(key, Kept { from, session: Arc::clone(&session), aal }, self.clock.now());
        Outcome::Refreshed(session)
    }

    fn store_away(&self) -> Outcome {
        Outcome::StoreAway { until: self.clock.now() + AWAY }
    }
}

fn ended_by(look: &Look) -> Reason {
    match look {
        Look::Ended(reason) => *reason,
        Look::Damaged => Reason::Damaged,
        Look::Nothing | Look::Live(_) => Reason::StoreLost,
    }
}

/// Runs `work` and renews the lease meanwhile. One that is lost stays lost; the work goes on, for the call is out.
async fn hold<T>(vault: &Vault, key: &Key, fence: Fence, work: impl Future<Output = T>) -> T {
    let renewing = async {
        loop {
            tokio::time::sleep(RENEWAL).await;
            if let Ok(false) = vault.timely("renew", vault.store.leases.renew(key, fence, LEASE)).await {
                tracing::warn!("the lease of a refresh was lost");
                return std::future::pending::<std::convert::Infallible>().await;
            }
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        never = renewing => match never {},
    }
}

/// What cannot be given back runs out by itself.
async fn give_back(vault: &Vault, key: &Key, fence: Fence) {
    let _ = vault.timely("release", vault.store.leases.release(key, fence)).await;
}
