//! Store mode: records as they go into the store and come out of it.
//!
//! A record is sealed under a key that only its cookie holds, bound to its place and to this origin (S-07); a label is
//! sealed and an owner is hashed under the deployment's keys. Every call has a time limit, and every failure is told
//! apart from "not there".

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use base::entropy::SharedEntropy;
use base::seal::{Keyring, Sealer};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::label::Label;
use super::later::Later;
use super::opened::OpenedSessions;
use super::record::Session;
use super::settings::Settings;
use super::store::{
    Change, Changed, Draft, Entry, Failure, Fence, Found, Key, Listed, Owner, Store, Version,
};
use super::ticket::Ticket;
use super::unsaved::Unsaved;
use crate::event::{Reason, Trail};

/// No call of a store is waited for any longer. SQLite alone may wait 5 s for a lock.
const PATIENCE: StdDuration = StdDuration::from_secs(6);
/// A record outlives its session's absolute limit by this, so that whoever comes late still learns why it ended.
const AFTERLIFE: Duration = Duration::days(1);

/// The store with what is needed to read it.
pub(super) struct Vault {
    pub(super) store: Store,
    /// New tokens that the store did not take.
    pub(super) unsaved: Unsaved,
    pub(super) later: Later,
    pub(super) news: Sealer,
    labels: Sealer,
    owners: Sealer,
    opened: OpenedSessions,
    pub(super) origin: String,
    absolute: Duration,
    pub(super) entropy: SharedEntropy,
    trail: Trail,
}

/// What stands under a ticket's key.
pub(super) enum Look {
    Live(Arc<Session>),
    Ended(Reason),
    Nothing,
    /// The ticket does not open it.
    Damaged,
}

impl Vault {
    pub(super) fn new(
        store: Store,
        keys: &Keyring,
        origin: &str,
        settings: &Settings,
        opened: OpenedSessions,
        entropy: SharedEntropy,
        trail: Trail,
    ) -> Self {
        Self {
            store,
            unsaved: Unsaved::default(),
            later: Later::default(),
            news: keys.purpose("revocation"),
            labels: keys.purpose("session label"),
            owners: keys.purpose("session owner"),
            opened,
            origin: origin.to_owned(),
            absolute: settings.absolute,
            entropy,
            trail,
        }
    }

    /// The record of `ticket`, with one look into the store.
    pub(super) async fn look(&self, ticket: &Arc<Ticket>) -> Result<Look, Failure> {
        Ok(match self.timely("read", self.store.sessions.read(&ticket.key())).await? {
            Found::Live(entry) => self.open(ticket, &entry).map_or(Look::Damaged, Look::Live),
            Found::Ended(reason) => Look::Ended(reason),
            Found::Replaced(_) => Look::Ended(Reason::Replaced),
            Found::Nothing => Look::Nothing,
        })
    }

    /// The last record of a session whose sign-in goes on under another ticket; `None` if that is not so.
    pub(super) async fn left_behind(&self, ticket: &Arc<Ticket>) -> Result<Option<Arc<Session>>, Failure> {
        let found = self.timely("read", self.store.sessions.read(&ticket.key())).await?;
        let Found::Replaced(sealed) = found else { return Ok(None) };
        Ok(str::from_utf8(&sealed)
            .ok()
            .and_then(|sealed| self.unseal(ticket, sealed, Version::default()))
            .map(Arc::new))
    }

    fn unseal(&self, ticket: &Arc<Ticket>, sealed: &str, version: Version) -> Option<Session> {
        let opened = ticket.sealer()?.open(&[&self.origin, &ticket.place()], sealed).ok()?;
        Session::from_bytes(&opened.plain, Some((ticket, version)))
    }

    fn open(&self, ticket: &Arc<Ticket>, entry: &Entry) -> Option<Arc<Session>> {
        let sealed = str::from_utf8(&entry.sealed).ok()?;
        let opened = match self.opened.get(sealed) {
            Some((known, _)) => {
                // Found by its sealed text alone: whoever asks must bring the key to it as well.
                let rest = known.rest.as_ref().filter(|rest| rest.ticket.same_as(ticket))?;
                if rest.version == entry.version && entry.seen <= known.last_seen {
                    return Some(known);
                }
                known.resting_as(entry.version)
            }
            None => self.unseal(ticket, sealed, entry.version)?,
        };
        let last_seen = opened.last_seen.max(entry.seen);
        let session = Arc::new(Session { last_seen, ..opened });
        self.opened.insert(sealed, &session, false);
        Some(session)
    }

    /// Writes a new record for `session`. `false` if there is one already.
    pub(super) async fn create(&self, session: &Session, aal: u8) -> Result<bool, Failure> {
        let Some((key, sealed)) = self.sealed(session) else { return Ok(false) };
        let draft = Draft {
            owner: self.owner(session),
            sealed,
            label: self.label(session, aal),
            seen: session.last_seen,
            until: self.until(session),
        };
        self.timely("create", self.store.sessions.create(&key, &draft)).await
    }

    /// Writes `session` over the version that it came from, under a lease if there is one. `aal` as its token says, if
    /// that is known: the label is written anew. Owner and label come under the newest key, so that an older one may go.
    pub(super) async fn change(
        &self,
        session: &Session,
        from: Version,
        fence: Option<Fence>,
        aal: Option<u8>,
    ) -> Result<Changed, Failure> {
        let Some((key, sealed)) = self.sealed(session) else { return Ok(Changed::Gone) };
        let change = Change {
            from,
            fence,
            sealed,
            owner: Some(self.owner(session)),
            label: aal.map(|aal| self.label(session, aal)),
            seen: session.last_seen,
            until: self.until(session),
        };
        self.timely("change", self.store.sessions.change(&key, &change)).await
    }

    /// Moves the idle limit.
    pub(super) async fn touch(&self, session: &Session, seen: OffsetDateTime) -> Result<(), Failure> {
        let Some(rest) = &session.rest else { return Ok(()) };
        self.timely("touch", self.store.sessions.touch(&rest.ticket.key(), seen, self.until(session))).await
    }

    /// Puts the mark of an end. `true` if this was it.
    pub(super) async fn end(&self, key: &Key, reason: Reason) -> Result<bool, Failure> {
        self.timely("end", self.store.sessions.end(key, reason)).await
    }

    /// As [`end`](Self::end); what fails now is tried again until it works.
    pub(super) async fn end_surely(self: &Arc<Self>, key: Key, reason: Reason) {
        if self.end(&key, reason).await.is_err() {
            let vault = Arc::clone(self);
            self.later.keep_trying("end", move || {
                let vault = Arc::clone(&vault);
                async move { vault.end(&key, reason).await.is_ok() }
            });
        }
    }

    /// Puts the mark of a session whose sign-in goes on under another key, which is written already. `Some` if it had
    /// ended before, and not by such a step: then nothing goes on. What fails now is tried again until it works.
    pub(super) async fn hand_over(self: &Arc<Self>, key: Key) -> Option<Reason> {
        match self.timely("replace", self.store.sessions.replace(&key)).await {
            Ok(true) => None,
            Ok(false) => match self.timely("read", self.store.sessions.read(&key)).await {
                Ok(Found::Ended(reason)) => Some(reason),
                Ok(Found::Live(_) | Found::Replaced(_) | Found::Nothing) | Err(_) => None,
            },
            Err(_) => {
                let vault = Arc::clone(self);
                self.later.keep_trying("replace", move || {
                    let vault = Arc::clone(&vault);
                    async move { vault.timely("replace", vault.store.sessions.replace(&key)).await.is_ok() }
                });
                None
            }
        }
    }

    /// The live sessions of `user`, with those that were last written under an older key.
    pub(super) async fn list(&self, user: Uuid) -> Result<Vec<(Listed, Label)>, Failure> {
        let mut all = HashMap::new();
        // The newest key last: a record that moves to it meanwhile is met twice, and never missed.
        for owner in self.owners.macs(&[b"owner", user.as_bytes()]).into_iter().rev() {
            for listed in self.timely("list", self.store.sessions.list(&Owner(owner))).await? {
                if let Some(label) = self.read_label(&listed.label) {
                    all.insert(listed.key, (listed, label));
                }
            }
        }
        Ok(all.into_values().collect())
    }

    fn owner(&self, session: &Session) -> Owner {
        Owner(self.owners.mac(&[b"owner", session.user_id.as_bytes()]))
    }

    fn sealed(&self, session: &Session) -> Option<(Key, Vec<u8>)> {
        let ticket = &session.rest.as_ref()?.ticket;
        let context = [self.origin.as_str(), &ticket.place()];
        let sealed = ticket.sealer()?.seal(&context, &session.to_bytes(), &*self.entropy);
        Some((ticket.key(), sealed.into_bytes()))
    }

    fn label(&self, session: &Session, aal: u8) -> Vec<u8> {
        let label = Label::of(session, aal).to_bytes();
        self.labels.seal(&[&self.origin], &label, &*self.entropy).into_bytes()
    }

    fn read_label(&self, sealed: &[u8]) -> Option<Label> {
        let opened = self.labels.open(&[&self.origin], str::from_utf8(sealed).ok()?).ok()?;
        Label::from_bytes(&opened.plain)
    }

    fn until(&self, session: &Session) -> OffsetDateTime {
        session.created_at + self.absolute + AFTERLIFE
    }

    /// Waits for a call of the store, but not for ever; a failure is told to the log and counted, not told to the person.
    pub(super) async fn timely<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let answer = match tokio::time::timeout(PATIENCE, call).await {
            Ok(answer) => answer,
            Err(late) => Err(Failure { operation, source: Box::new(late) }),
        };
        if let Err(failure) = &answer {
            self.trail.metrics().store_failed(failure.operation);
            tracing::warn!(error = %failure, cause = %failure.source, "the session store");
        }
        answer
    }
}
