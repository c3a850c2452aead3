//! Store mode: what the cookie of a request stands for, read from the store once a request.

use std::sync::Arc;

use super::cookie::Carried;
use super::record::Session;
use super::sessions::{Inner, Sessions};
use super::slot::{Presented, Slot};
use super::store::{Changed, Failure};
use super::ticket::Ticket;
use super::vault::{Look, Vault};
use crate::event::{self, Event, Reason, Record};
use crate::gotrue::Scope;

impl Sessions {
    /// Reads the session that the request carries, unless that was done before. In cookie mode there is nothing to read:
    /// the cookie is opened when somebody asks. [`peek`](Self::peek) and [`ended`](Self::ended) know of a session in a
    /// store only after this.
    pub async fn load(&self, slot: &Slot) {
        if let Some(vault) = &self.0.vault
            && slot.known().is_none()
        {
            let presented = self.0.look_up(vault, slot).await;
            slot.learn(&presented);
        }
    }
}

impl Inner {
    async fn look_up(self: &Arc<Self>, vault: &Arc<Vault>, slot: &Slot) -> Presented {
        let ticket = match self.names.read_session(slot.jar()) {
            Carried::Nothing => return Presented::Nothing,
            Carried::Damaged => return Presented::Ended(Reason::Damaged),
            Carried::Sealed(text) => Ticket::parse(&text),
        };
        let Some(ticket) = ticket.map(Arc::new) else { return Presented::Ended(Reason::Damaged) };
        match self.newest(vault, &ticket).await {
            Err(_) => Presented::Unknown,
            Ok(Look::Live(session)) => self.judged(vault, &ticket, session).await,
            Ok(Look::Ended(reason)) => Presented::Ended(reason),
            Ok(Look::Damaged) => Presented::Ended(Reason::Damaged),
            Ok(Look::Nothing) => {
                let ended = Record::of(Event::SessionEnded, event::Outcome::Ok); // whose it was nobody can say
                self.trail.emit(&Record { reason: Some(Reason::StoreLost), ..ended });
                Presented::Ended(Reason::StoreLost)
            }
        }
    }

    /// The deny-list may know more than the store, and the limits are judged by our clock.
    async fn judged(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        ticket: &Ticket,
        session: Arc<Session>,
    ) -> Presented {
        let now = self.clock.now();
        if let Some(reason) = self.denied_reason(&session, now) {
            vault.end_surely(ticket.key(), reason).await;
            return Presented::Ended(reason);
        }
        let Some(reason) = self.limit_passed(&session, now) else { return Presented::Session(session) };
        // Whoever puts the mark tells GoTrue (S-08).
        if let Ok(true) = vault.end(&ticket.key(), reason).await {
            self.end(&session, reason);
            self.end_at_gotrue_later(session, Scope::Local);
        }
        Presented::Ended(reason)
    }

    /// The record, or the newer tokens that it did not take so far: those are written now (S-42).
    async fn newest(&self, vault: &Vault, ticket: &Arc<Ticket>) -> Result<Look, Failure> {
        let look = vault.look(ticket).await?;
        let key = ticket.key();
        let Some(kept) = vault.unsaved.get(&key) else { return Ok(look) };
        match &look {
            Look::Live(session) if session.rest.as_ref().is_some_and(|rest| rest.version == kept.from) => {
                match vault.change(&kept.session, kept.from, None, kept.aal).await {
                    Err(_) => Ok(Look::Live(kept.session)),
                    Ok(Changed::To(version)) => {
                        vault.unsaved.drop_old(&key, &kept);
                        Ok(Look::Live(Arc::new(kept.session.resting_as(version))))
                    }
                    Ok(Changed::Conflict | Changed::Gone) => {
                        vault.unsaved.drop_old(&key, &kept);
                        vault.look(ticket).await
                    }
                }
            }
            Look::Live(_) | Look::Damaged => {
                vault.unsaved.drop_old(&key, &kept);
                Ok(look)
            }
            Look::Ended(_) | Look::Nothing => {
                vault.unsaved.drop_old(&key, &kept);
                let reason = if let Look::Ended(reason) = &look { *reason } else { Reason::StoreLost };
                self.discard_late(kept.session.access_token.clone(), reason); // it ended without them (S-43)
                Ok(look)
            }
        }
    }
}
