//! What the clock does to whatever is held: limits of sessions, ends of tokens, new tokens in time.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use time::OffsetDateTime;

use super::{Group, Over, Standing};
use crate::event::Reason;
use crate::session::record::Session;
use crate::session::remote::Outcome;
use crate::session::sessions::{Inner, Sessions};
use crate::session::vault::{Look, Vault};

/// How often the clock is looked at: well within the second that an end may take (S-60).
const TICK: Duration = Duration::from_millis(250);

/// What the time asks of a group.
enum Due {
    End(Over),
    Errand(Errand),
}

impl Inner {
    /// Does what the time asks of each group; whether there is any. Nearly always nothing is asked of anybody, and then
    /// nothing is copied.
    fn look_around(self: &Arc<Self>) -> bool {
        let now = self.clock.now();
        let (due, any) = {
            let mut groups = self.held.lock();
            groups.watched = !groups.all.is_empty();
            let due = |group: &Arc<Group>| self.due(group, now).map(|due| (group.clone(), due));
            (groups.all.values().filter_map(due).collect::<Vec<_>>(), groups.watched)
        };
        for (group, due) in due {
            match due {
                Due::End(over) => group.end(over),
                Due::Errand(errand) => self.ask(&group, errand),
            }
        }
        any
    }

    fn due(&self, group: &Group, now: OffsetDateTime) -> Option<Due> {
        let standing = group.standing.borrow();
        let session = match &*standing {
            Standing::Over(_) => return None,
            Standing::Token => return (group.token.1 <= now).then_some(Due::End(Over::Expired)),
            Standing::Session(session) => session,
        };
        match (self.limit_passed(session, now), &self.vault) {
            // Another node may have seen the person since.
            (Some(Reason::Idle), Some(vault)) => {
                Some(Due::Errand(Errand::Look(vault.clone(), session.clone())))
            }
            (Some(reason), _) => Some(Due::End(Over::Ended(reason))),
            (None, _) if session.expires_at <= now => Some(Due::End(Over::Expired)),
            (None, Some(_)) if session.is_due(self.settings.refresh_margin, now) && group.may_ask(now) => {
                Some(Due::Errand(Errand::Refresh(session.clone())))
            }
            (None, _) => None,
        }
    }

    fn ask(self: &Arc<Self>, group: &Arc<Group>, errand: Errand) {
        if group.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inner, group) = (self.clone(), group.clone());
        tokio::spawn(async move {
            match errand {
                Errand::Refresh(session) => inner.refresh_held(&group, &session).await,
                Errand::Look(vault, session) => inner.look_again(&group, &vault, &session).await,
            }
            group.busy.store(false, Ordering::Release);
        });
    }

    /// Store mode: new tokens before the old ones run out. Nobody's request carries them; they rest in the store.
    async fn refresh_held(self: &Arc<Self>, group: &Group, session: &Arc<Session>) {
        match Sessions(self.clone()).take_off(session, None).await {
            Outcome::Refreshed(fresh) => match self.denied_reason(&fresh, self.clock.now()) {
                Some(reason) => group.end(Over::Ended(reason)),
                None => group.renew(&fresh),
            },
            Outcome::Ended(reason) => group.end(Over::Ended(reason)),
            Outcome::Kept { until } | Outcome::StoreAway { until } | Outcome::TooLarge { until } => {
                *group.pause.lock().unwrap_or_else(PoisonError::into_inner) = until;
            }
        }
    }

    /// The record may know of a later use than this process.
    async fn look_again(&self, group: &Group, vault: &Vault, session: &Session) {
        let Some(rest) = &session.rest else { return };
        match vault.look(&rest.ticket).await {
            Err(_) => {} // at the next tick
            Ok(Look::Live(now)) => match self.limit_passed(&now, self.clock.now()) {
                Some(reason) => group.end(Over::Ended(reason)),
                None => group.renew(&now),
            },
            Ok(Look::Ended(reason)) => group.end(Over::Ended(reason)),
            Ok(Look::Nothing | Look::Damaged) => group.end(Over::Ended(Reason::StoreLost)),
        }
    }
}

/// What a group's session is asked for.
enum Errand {
    Refresh(Arc<Session>),
    Look(Arc<Vault>, Arc<Session>),
}

pub(super) async fn watch_the_clock(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(inner) = inner.upgrade() else { return };
        if !inner.look_around() {
            return;
        }
    }
}
