//! What outlasts its request: sockets and endless answers. Each is held under the sign-in that it belongs to, and learns of
//! new tokens and of the end at once (S-45, S-60).
//!
//! All that belong to one sign-in share a [`Group`]. Ends come from [`Inner::end`] and from the news of other nodes; one task
//! of the process looks at the clock for all groups, and asks for new tokens in time where a store keeps them.

mod clock;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use super::Error;
use super::record::Session;
use super::sessions::{Current, Inner, Sessions};
use crate::event::Reason;
use crate::token::{Claims, Refusal};

/// How things stand with whoever a socket belongs to.
#[derive(Debug, Clone)]
pub enum Standing {
    /// The session, with the newest tokens that this process knows.
    Session(Arc<Session>),
    /// The token of a program, which still counts.
    Token,
    /// Nothing may go on.
    Over(Over),
}

/// Why nothing may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The session has ended.
    Ended(Reason),
    /// The token ran out and nobody brought another.
    Expired,
}

/// Why something is not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHeld {
    /// As many as may be are held already (S-61).
    #[error("the session has as many sockets as it may")]
    TooMany,
    /// It has ended just now.
    #[error("the session has ended: {}", .0.as_str())]
    Ended(Reason),
}

/// A place under a sign-in, given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    board: Arc<Board>,
    key: Key,
    group: Arc<Group>,
    counted: bool,
    news: watch::Receiver<Standing>,
}

/// The sign-in by GoTrue's id; for a program, with the end of its token.
type Key = (Uuid, Option<i64>);

/// Everything that is held in this process.
#[derive(Debug, Default)]
pub(super) struct Board {
    groups: Mutex<Groups>,
    /// There is something: most requests need not look for what is theirs.
    any: AtomicBool,
}

#[derive(Debug, Default)]
struct Groups {
    all: BTreeMap<Key, Arc<Group>>,
    /// Somebody looks at the clock.
    watched: bool,
}

/// What belongs to one sign-in.
#[derive(Debug)]
struct Group {
    user: Uuid,
    /// When a program's token was issued and when it ends; a session says so itself.
    token: (OffsetDateTime, OffsetDateTime),
    standing: watch::Sender<Standing>,
    count: AtomicUsize,
    /// Those of them that are counted.
    counted: AtomicUsize,
    /// Somebody asks for news of the session.
    busy: AtomicBool,
    /// No new tokens are asked for before.
    pause: Mutex<OffsetDateTime>,
}

impl Held {
    /// How things stand at this moment.
    pub fn standing(&self) -> Standing {
        self.news.borrow().clone()
    }

    /// Waits until that changes.
    pub async fn changed(&mut self) -> Standing {
        let _ = self.news.changed().await; // the sender is in our own group
        self.news.borrow_and_update().clone()
    }

    /// Waits for the end of the session. Its token may run out before.
    pub async fn ended(&mut self) -> Reason {
        loop {
            if let Standing::Over(Over::Ended(reason)) = self.standing() {
                return reason;
            }
            self.changed().await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut groups = self.board.lock();
        if self.counted {
            self.group.counted.fetch_sub(1, Ordering::AcqRel);
        }
        let last = self.group.count.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && groups.all.get(&self.key).is_some_and(|known| Arc::ptr_eq(known, &self.group)) {
            groups.all.remove(&self.key);
            self.board.any.store(!groups.all.is_empty(), Ordering::Release);
        }
    }
}

impl Sessions {
    /// A place for something that lasts under the session of `current`, if fewer than `most` are taken. Without `most` it is not
    /// counted.
    ///
    /// # Errors
    ///
    /// [`NotHeld`].
    pub fn hold(&self, current: &Current, most: Option<usize>) -> Result<Held, NotHeld> {
        let session = &current.session;
        let standing = Standing::Session(session.clone());
        let times = (session.created_at, session.expires_at);
        let held = self.0.hold((session.gotrue_id, None), session.user_id, times, standing, most)?;
        self.0.held.renewed(session); // the group may have known an older one
        match self.0.denied_reason(session, self.0.clock.now()) {
            Some(reason) => Err(NotHeld::Ended(reason)),
            None => Ok(held),
        }
    }

    /// The same under a program's token that says `claims`.
    ///
    /// # Errors
    ///
    /// [`NotHeld`].
    pub fn hold_token(&self, claims: &Claims, most: Option<usize>) -> Result<Held, NotHeld> {
        let time =
            |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (key, times) = ((claims.session_id, Some(claims.exp)), (time(claims.iat), time(claims.exp)));
        let held = self.0.hold(key, claims.sub, times, Standing::Token, most)?;
        self.denied(claims).map_or(Ok(held), |reason| Err(NotHeld::Ended(reason)))
    }

    /// What the access token of `session` says.
    ///
    /// # Errors
    ///
    /// [`Error::KeysUnavailable`] if nobody can tell; [`Error::Unverified`] if nothing that counts.
    pub async fn claims(&self, session: &Session) -> Result<Arc<Claims>, Error> {
        let verified = self.0.verified(session, self.0.clock.now()).await;
        verified.map_err(|refusal| match refusal {
            Refusal::KeysUnavailable { retry_after } => Error::KeysUnavailable { retry_after },
            Refusal::Invalid(invalid) => Error::Unverified(invalid),
        })
    }
}

impl Inner {
    fn hold(
        self: &Arc<Self>,
        key: Key,
        user: Uuid,
        token: (OffsetDateTime, OffsetDateTime),
        standing: Standing,
        most: Option<usize>,
    ) -> Result<Held, NotHeld> {
        let mut groups = self.held.lock();
        let known = groups.all.get(&key).filter(|group| !group.is_over()).cloned();
        let group = known.unwrap_or_else(|| {
            let group = Arc::new(Group {
                user,
                token,
                standing: watch::Sender::new(standing),
                count: AtomicUsize::new(0),
                counted: AtomicUsize::new(0),
                busy: AtomicBool::new(false),
                pause: Mutex::new(OffsetDateTime::UNIX_EPOCH),
            });
            groups.all.insert(key, group.clone());
            self.held.any.store(true, Ordering::Release);
            group
        });
        if let Some(most) = most {
            if group.counted.load(Ordering::Acquire) >= most {
                return Err(NotHeld::TooMany);
            }
            group.counted.fetch_add(1, Ordering::AcqRel);
        }
        group.count.fetch_add(1, Ordering::AcqRel);
        if !groups.watched {
            groups.watched = true;
            tokio::spawn(clock::watch_the_clock(Arc::downgrade(self)));
        }
        drop(groups);
        let news = group.standing.subscribe();
        Ok(Held { board: self.held.clone(), key, group, counted: most.is_some(), news })
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self, gotrue_id: Uuid) -> Option<Arc<Group>> {
        self.lock().all.get(&(gotrue_id, None)).cloned()
    }

    /// `session` may have newer tokens, or was used later, than what was known of it: another node may have renewed it.
    pub(super) fn renewed(&self, session: &Arc<Session>) {
        if self.any.load(Ordering::Acquire)
            && let Some(group) = self.session(session.gotrue_id)
        {
            group.renew(session);
        }
    }

    /// The sign-in goes on as `session`, under another id.
    pub(super) fn goes_on_as(&self, session: &Arc<Session>) {
        if let Some(group) = self.session(session.gotrue_id).filter(|group| !group.is_over()) {
            group.standing.send_replace(Standing::Session(session.clone()));
        }
    }

    /// `session` is over. One that was replaced within its sign-in goes on under another id by now.
    pub(super) fn end_of(&self, session: &Session, reason: Reason) {
        let is_this = |group: &Arc<Group>| matches!(&*group.standing.borrow(), Standing::Session(known) if known.id == session.id);
        if reason != Reason::Replaced || self.session(session.gotrue_id).as_ref().is_some_and(is_this) {
            self.end(session.gotrue_id, reason);
        }
    }

    /// The sign-in that GoTrue calls `id` is over.
    pub(super) fn end(&self, id: Uuid, reason: Reason) {
        let groups = self.lock();
        for (_, group) in groups.all.range((id, None)..=(id, Some(i64::MAX))) {
            group.end(Over::Ended(reason));
        }
    }

    /// Nothing that `user` began before `before` counts any more.
    pub(super) fn end_person(&self, user: Uuid, before: OffsetDateTime, reason: Reason) {
        let groups = self.lock();
        for group in groups.all.values().filter(|group| group.user == user && group.since() < before) {
            group.end(Over::Ended(reason));
        }
    }
}

impl Group {
    fn is_over(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Over(Over::Ended(_)))
    }

    fn since(&self) -> OffsetDateTime {
        match &*self.standing.borrow() {
            Standing::Session(session) => session.created_at,
            Standing::Token | Standing::Over(_) => self.token.0,
        }
    }

    fn may_ask(&self, now: OffsetDateTime) -> bool {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) <= now
    }

    /// The first reason stays. A token that ran out is no end of its session.
    fn end(&self, over: Over) {
        self.standing.send_if_modified(|standing| {
            let known = match standing {
                Standing::Over(known) => *known == over || *known != Over::Expired,
                Standing::Session(_) | Standing::Token => false,
            };
            if !known {
                *standing = Standing::Over(over);
            }
            !known
        });
    }

    /// Only new tokens are news.
    fn renew(&self, session: &Arc<Session>) {
        self.standing.send_if_modified(|standing| {
            let known = match standing {
                Standing::Session(known) => known,
                Standing::Over(Over::Expired) => {
                    *standing = Standing::Session(session.clone()); // for those who come now
                    return true;
                }
                Standing::Over(Over::Ended(_)) | Standing::Token => return false,
            };
            let same = session.same_tokens(known);
            let newer = !same && session.issued_at >= known.issued_at;
            if newer || (same && session.last_seen > known.last_seen) {
                *known = session.clone();
            }
            newer
        });
    }
}
