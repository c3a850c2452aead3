//! Revocations on their way to every node (S-45): what is published, and who reads it.

use std::sync::{Arc, Weak};
use std::time::Duration as StdDuration;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::sessions::Inner;
use super::store::{Cursor, Revocations};
use super::vault::Vault;
use crate::event::Reason;

/// One question to the store waits this long for news.
const LISTEN: StdDuration = StdDuration::from_secs(20);
/// The pauses after failures double up to the longest.
const FIRST: StdDuration = StdDuration::from_millis(100);
const LONGEST: StdDuration = StdDuration::from_secs(5);

/// What every node must refuse from now on. Travels sealed; times are unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct News {
    /// Sessions, by GoTrue's id.
    #[serde(default, rename = "s", skip_serializing_if = "Vec::is_empty")]
    pub(super) sessions: Vec<Uuid>,
    /// A person, and the time before which nothing of theirs counts.
    #[serde(default, rename = "p", skip_serializing_if = "Option::is_none")]
    pub(super) person: Option<(Uuid, i64)>,
    /// The milliseconds of that time.
    #[serde(default, rename = "m", skip_serializing_if = "super::record::is_zero")]
    pub(super) millis: u16,
    #[serde(rename = "r")]
    pub(super) reason: String,
    #[serde(rename = "u")]
    pub(super) until: i64,
}

impl News {
    pub(super) fn new(reason: Reason, until: OffsetDateTime) -> Self {
        let until = until.unix_timestamp().saturating_add(1);
        Self { reason: reason.as_str().to_owned(), until, ..Self::default() }
    }

    /// Nothing that `user` began before `before` counts.
    pub(super) fn of_person(
        user: Uuid,
        before: OffsetDateTime,
        reason: Reason,
        until: OffsetDateTime,
    ) -> Self {
        let (person, millis) = (Some((user, before.unix_timestamp())), before.millisecond());
        Self { person, millis, ..Self::new(reason, until) }
    }

    fn until(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.until).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Reads the news of a store until it is dropped.
#[derive(Debug)]
pub(super) struct Follower(JoinHandle<()>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Inner {
    /// Refuses what `news` says on this node, then on every other.
    pub(super) async fn spread(&self, news: News) {
        self.apply(&news);
        let Some(vault) = &self.vault else { return };
        if !vault.publish(&news).await {
            let (vault, again) = (Arc::clone(vault), Arc::new(news));
            vault.clone().later.keep_trying("publish", move || {
                let (vault, again) = (Arc::clone(&vault), Arc::clone(&again));
                async move { vault.publish(&again).await }
            });
        }
    }

    fn apply(&self, news: &News) {
        // A word of a newer version still ends what it names.
        let reason = Reason::parse(&news.reason).unwrap_or(Reason::Admin);
        let (now, until) = (self.clock.now(), news.until());
        for id in &news.sessions {
            self.denied.add(*id, until, reason, now);
            self.held.end(*id, reason);
        }
        if let Some((user, before)) = news.person
            && let Ok(before) = OffsetDateTime::from_unix_timestamp(before)
        {
            let before = before + Duration::milliseconds(news.millis.into());
            self.denied.add_person(user, before, until, reason, now);
            self.held.end_person(user, before, reason);
        }
    }

    /// Starts to read the news, in a task that ends with the last of the sessions' owners.
    pub(super) fn follow(self: &Arc<Self>) {
        let Some(vault) = &self.vault else { return };
        self.follower.get_or_init(|| {
            let task = follow(Arc::downgrade(self), Arc::clone(&vault.store.revocations));
            Follower(tokio::spawn(task))
        });
    }
}

/// From the beginning of what is kept, so that a node that starts, or lost its connection, misses nothing.
async fn follow(inner: Weak<Inner>, revocations: Arc<dyn Revocations>) {
    let (mut cursor, mut pause) = (Cursor::default(), FIRST);
    loop {
        match revocations.after(&cursor, LISTEN).await {
            Ok((all, next)) => {
                pause = FIRST;
                let Some(inner) = inner.upgrade() else { return };
                let Some(vault) = &inner.vault else { return };
                all.iter().filter_map(|sealed| vault.open_news(sealed)).for_each(|news| inner.apply(&news));
                cursor = next;
            }
            Err(failure) => {
                tracing::warn!(error = %failure, cause = %failure.source, "revocations cannot be read");
                let Some(inner) = inner.upgrade() else { return };
                inner.trail.metrics().store_failed(failure.operation);
                drop(inner);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
        }
    }
}

impl Vault {
    async fn publish(&self, news: &News) -> bool {
        let plain = serde_json::to_vec(news).unwrap_or_default();
        let sealed = self.news.seal(&[&self.origin], &plain, &*self.entropy);
        self.timely("publish", self.store.revocations.publish(sealed.as_bytes(), news.until())).await.is_ok()
    }

    /// `None` for what another deployment, or a key that is gone, has sealed.
    fn open_news(&self, sealed: &[u8]) -> Option<News> {
        let opened = self.news.open(&[&self.origin], str::from_utf8(sealed).ok()?).ok()?;
        serde_json::from_slice(&opened.plain).ok()
    }
}
