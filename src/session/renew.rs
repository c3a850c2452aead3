//! What a new password means for sessions: this browser goes on under a new id, nothing else of the person does (S-06,
//! S-45).

use std::sync::Arc;

use super::Error;
use super::agent;
use super::label::Label;
use super::record::{Limited, Memo, Rest, Session};
use super::sessions::{Current, Sessions};
use super::slot::Slot;
use super::store::{Key, Version};
use super::ticket::Ticket;
use crate::event::Reason;

impl Sessions {
    /// Puts a session with a new id in the place of `current`, which `slot`'s request carries and whose person has a new
    /// password as of now. A recovery is over with that. GoTrue has ended the person's other sessions with the change
    /// itself; here they end now, in store mode on all nodes.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`] if it could not be written: the earlier session goes on then, and the others are
    /// refused all the same.
    pub async fn after_password(&self, slot: &Slot, current: &Current) -> Result<Current, Error> {
        let renewed = self.renew_after_password(slot, current).await?;
        self.go_on_as(slot, &renewed);
        Ok(renewed)
    }

    /// The same, without an answer that tells the browser: that takes [`go_on_as`](Self::go_on_as).
    ///
    /// # Errors
    ///
    /// As [`after_password`](Self::after_password).
    pub async fn renew_after_password(&self, slot: &Slot, current: &Current) -> Result<Current, Error> {
        let renewed = self.renewed(slot, current).await;
        self.end_the_rest(renewed.as_ref().unwrap_or(&current.session)).await;
        let session = renewed?;
        let earlier = &current.session;
        self.0.end(earlier, Reason::Replaced);
        if let (Some(vault), Some(rest)) = (&self.0.vault, &earlier.rest) {
            vault.end_surely(rest.ticket.key(), Reason::Replaced).await;
        }
        Ok(Current { session, ..current.clone() })
    }

    /// The browser of `slot`'s request goes on with `current`.
    pub fn go_on_as(&self, slot: &Slot, current: &Current) {
        slot.set(current.session.clone());
    }

    async fn renewed(&self, slot: &Slot, current: &Current) -> Result<Arc<Session>, Error> {
        let now = self.0.clock.now();
        let rest = self.0.vault.as_ref().map(|_| Rest {
            ticket: Arc::new(Ticket::fresh(&*self.0.entropy)),
            version: Version(1),
            agent: agent::summary(slot.agent()).into(),
        });
        let earlier = &current.session;
        let session = Arc::new(Session {
            id: self.0.entropy.uuid(),
            created_at: now, // what began before is refused from now on
            last_seen: now,
            limited: earlier.limited.filter(|step| *step != Limited::Recovery),
            rest,
            memo: Memo::default(),
            ..(**earlier).clone()
        });
        if let Some(vault) = &self.0.vault {
            vault.create(&session, current.claims.aal).await.map_err(|_| Error::STORE_UNAVAILABLE)?;
        }
        Ok(session)
    }

    async fn end_the_rest(&self, own: &Session) {
        let reason = Reason::PasswordChanged;
        let key = own.rest.as_ref().map(|rest| rest.ticket.key());
        let other = |listed: &Key, label: &Label| Some(*listed) != key && label.gotrue_id() != own.gotrue_id;
        // If the list cannot be had, the time still refuses them, and their records end at their next use.
        let ended = self.0.end_listed(own.user_id, reason, other).await.unwrap_or_default();
        let now = self.0.clock.now().unix_timestamp();
        self.0.spread_person(own.user_id, now, ended, reason).await;
    }

    /// Whether `current` has ended on this node since it was made.
    pub fn is_over(&self, current: &Current) -> bool {
        self.0.denied_reason(&current.session, self.0.clock.now()).is_some()
    }

    /// Revokes at GoTrue what [`make`](Self::make) made and nobody is to use.
    pub fn discard(&self, current: &Current) {
        self.0.discard(current.session.access_token.clone());
    }
}
