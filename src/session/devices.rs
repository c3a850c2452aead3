//! A person's sessions as the list of devices shows them. Only a store knows of more than the one that asks.

use time::OffsetDateTime;

use super::Error;
use super::record::Session;
use super::sessions::Sessions;
use crate::event::Reason;

/// A list shows no more; whoever has more signs out all others at once.
const MOST: usize = 100;

/// One session of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name towards its person: [`Sessions::public_id`].
    pub id: String,
    /// It is the one that asks.
    pub current: bool,
    /// The sign-in.
    pub created_at: OffsetDateTime,
    /// The last use, as exactly as a store keeps it: a tenth of `session.idle`.
    pub last_seen: OffsetDateTime,
    /// `Firefox on Linux`; empty if the browser did not say.
    pub browser: String,
    /// The level of its last proof: 1 or 2.
    pub aal: u8,
}

impl Sessions {
    /// Whether there is a list of devices: in store mode.
    pub fn lists_devices(&self) -> bool {
        self.0.vault.is_some()
    }

    /// The live sessions of `session`'s person: the one that asks, then the latest use first, a hundred at most. Empty in
    /// cookie mode.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`]
    pub async fn devices(&self, session: &Session) -> Result<Vec<Device>, Error> {
        let Some(vault) = &self.0.vault else { return Ok(Vec::new()) };
        let now = self.0.clock.now();
        let all = vault.list(session.user_id).await.map_err(|_| Error::STORE_UNAVAILABLE)?;
        let mut devices: Vec<_> = all
            .into_iter()
            .filter(|(listed, label)| {
                let (idle, absolute) = (self.0.settings.idle, self.0.settings.absolute);
                now <= listed.seen + idle && now <= label.created_at() + absolute
            })
            .map(|(listed, label)| Device {
                id: self.0.public_id(label.id()),
                current: label.id() == session.id,
                created_at: label.created_at(),
                last_seen: listed.seen,
                browser: label.agent().to_owned(),
                aal: label.aal(),
            })
            .collect();
        devices.sort_by(|a, b| {
            let current = b.current.cmp(&a.current);
            current.then(b.last_seen.cmp(&a.last_seen)).then_with(|| a.id.cmp(&b.id))
        });
        devices.truncate(MOST);
        Ok(devices)
    }

    /// Ends the session called `id` of `session`'s person, and returns its browser. `None` if that person has none of
    /// this name: an own one that is gone and somebody else's are alike (S-102). GoTrue is not told, for it ends a single
    /// session by its own token alone, which nobody but that browser can bring; here and at every node it is over.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`]
    pub async fn end_device(&self, session: &Session, id: &str) -> Result<Option<String>, Error> {
        let Some(vault) = &self.0.vault else { return Ok(None) };
        let all = vault.list(session.user_id).await.map_err(|_| Error::STORE_UNAVAILABLE)?;
        let named = all.into_iter().find(|(_, label)| self.0.public_id(label.id()) == id);
        let Some((listed, label)) = named else { return Ok(None) };
        vault.end_surely(listed.key, Reason::OtherDevice).await;
        self.0.record_end(session.user_id, label.gotrue_id(), Reason::OtherDevice);
        self.0.spread_sessions(vec![label.gotrue_id()], Reason::OtherDevice).await;
        Ok(Some(label.agent().to_owned()))
    }
}
