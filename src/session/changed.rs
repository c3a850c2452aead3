//! What a change of the account does to its sessions: the one that made it learns of it, the others may end (S-45).

use std::sync::Arc;

use uuid::Uuid;

use super::label::Label;
use super::record::{Limited, Memo, Rest, Session};
use super::remote::Outcome;
use super::sessions::{Current, Sessions};
use super::slot::{Presented, Slot};
use super::store::{Key, Version};
use super::ticket::Ticket;
use super::{Error, agent};
use crate::event::Reason;
use crate::gotrue::{Scope, Tokens};

impl Sessions {
    /// Asks for new tokens however young the old ones are, for what these say of the person has changed. If GoTrue does
    /// not give any, the old ones go on, and what they say comes right at the next refresh.
    pub async fn catch_up(&self, slot: &Slot) {
        self.load(slot).await;
        let Presented::Session(session) = self.presented(slot) else { return };
        match self.take_off(&session, slot.client()).await {
            Outcome::Refreshed(fresh) => drop(self.keep(slot, fresh)),
            Outcome::Ended(reason) => slot.clear(Some(reason)),
            Outcome::Kept { .. } | Outcome::StoreAway { .. } | Outcome::TooLarge { .. } => {}
        }
    }

    /// Whether nothing has ended `session` yet, as far as this node knows.
    pub fn lives(&self, session: &Session) -> bool {
        self.0.denied_reason(session, self.0.clock.now()).is_none()
    }

    /// Revokes at GoTrue what [`make`](Self::make) made and nobody is to use.
    pub fn discard(&self, current: &Current) {
        self.0.discard(current.session.access_token.clone());
    }

    /// The browser of `slot`'s request goes on with `current`.
    pub fn go_on_as(&self, slot: &Slot, current: &Current) {
        slot.set(current.session.clone());
    }

    /// Revokes tokens that nobody will use, and says whether they are those of `user`.
    pub async fn revoke_unused(&self, tokens: Tokens, user: Uuid) -> bool {
        let verified = self.0.verifier.verify(tokens.access_token.expose()).await;
        let own = tokens.user.id == user && verified.is_ok_and(|claims| claims.sub == user);
        self.0.discard(tokens.access_token);
        own
    }

    /// Ends every session of `current`'s person but this one, on all nodes, because of a change that this one made:
    /// [`Reason::PasswordChanged`] or [`Reason::FactorChanged`]. This one goes on under a new name and with new tokens
    /// (S-06), so that whoever copied its cookie is out as well. GoTrue itself ends the others at a new password; of any
    /// other change it is told.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`] if this session could not be written anew, [`Error::Ended`] if somebody signed out of it
    /// meanwhile. The others have ended all the same, as far
    /// as the time can tell them; it is to be asked for again.
    pub async fn end_others_after(
        &self,
        slot: &Slot,
        current: &Current,
        reason: Reason,
    ) -> Result<(), Error> {
        self.catch_up(slot).await;
        let (user, now) = (current.session.user_id, self.0.clock.now());
        let renewed = self.begin_anew(slot, current, reason).await;
        let own =
            renewed.as_ref().ok().and_then(|session| session.rest.as_ref()).map(|rest| rest.ticket.key());
        // What this sign-in was before may still be listed: the sign-in goes on.
        let other =
            |key: &Key, label: &Label| Some(*key) != own && label.gotrue_id() != current.session.gotrue_id;
        // What the list does not tell, the time does: nothing that began before now counts any more.
        let listed = self.0.end_listed(user, reason, other).await.unwrap_or_default();
        self.0.spread_person(user, now, listed, reason).await;
        let session = renewed?;
        if reason != Reason::PasswordChanged {
            self.0.tell_gotrue(session, Scope::Others).await;
        }
        Ok(())
    }

    /// The session of the request under a new name, as if it began now. The proof stays as old as it is.
    async fn begin_anew(
        &self,
        slot: &Slot,
        current: &Current,
        reason: Reason,
    ) -> Result<Arc<Session>, Error> {
        let earlier = self.peek(slot).ok_or(Error::Missing)?;
        let rest = self.0.vault.as_ref().map(|_| Rest {
            ticket: Arc::new(Ticket::fresh(&*self.0.entropy)),
            version: Version(1),
            agent: agent::summary(slot.agent()).into(),
        });
        let (id, now) = (self.0.entropy.uuid(), self.0.clock.now());
        let memo = Memo::default();
        // A recovery is over with its new password (S-32).
        let over = |step: &Limited| reason == Reason::PasswordChanged && step.ends_with_password();
        let limited = earlier.limited.filter(|step| !over(step));
        let anew = Session { id, created_at: now, last_seen: now, limited, rest, memo, ..(*earlier).clone() };
        let anew = Arc::new(anew);
        if let Some(vault) = &self.0.vault {
            vault.create(&anew, current.claims.aal).await.map_err(|_| Error::STORE_UNAVAILABLE)?;
        }
        self.0.held.goes_on_as(&anew);
        self.0.hand_over(slot, &earlier, &anew).await?;
        slot.set(anew.clone());
        Ok(anew)
    }
}
