//! `POST /auth/hooks/revoke`: the project's database says that sessions are over.
//!
//! A message proves itself by its signature alone (S-47): cookies count for nothing here, and whatever is wrong, the
//! answer is one and the same.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base::webhook::{self, Secrets};
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::event::{self, Event, Outcome, Reason, Record};
use crate::session::Subject;
use crate::web::error::{Code, Error};
use crate::web::visit::{Visit, text};

/// Longest message, in bytes.
const LONGEST: usize = 256 << 10;

/// As much may a sender's clock be behind: what began between its time and ours is older than the message all the same.
const BEHIND: Duration = Duration::seconds(10);

/// Messages that are remembered. Each of them bore a good signature, so no stranger can fill this.
const CAPACITY: usize = 100_000;

/// The receiving end of the hooks.
#[derive(Debug)]
pub struct Hooks {
    secrets: Secrets,
    seen: Mutex<Seen>,
}

/// The body of a message. Further fields are for later versions.
#[derive(Debug, Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: Kind,
    user_id: Uuid,
    session_id: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Kind {
    #[serde(rename = "session.deleted")]
    SessionDeleted,
    #[serde(rename = "user.banned")]
    UserBanned,
    #[serde(rename = "user.deleted")]
    UserDeleted,
}

impl Hooks {
    /// Accepts what one of `secrets` has signed.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, seen: Mutex::default() }
    }

    /// The message of a request, and what it is remembered by; `None` for one that is not good, or not for the first
    /// time.
    async fn receive(&self, request: Request, now: OffsetDateTime) -> Option<(Message, Mark)> {
        let (parts, body) = request.into_parts();
        let header = |name| text(&parts.headers, name);
        let headers = webhook::Headers {
            id: header("webhook-id")?,
            timestamp: header("webhook-timestamp")?,
            signatures: header("webhook-signature")?,
        };
        let bytes = read(body).await?;
        let at = self.secrets.verify(headers, &bytes, now)?;
        // An object and nothing else: a derived struct would read a list as well.
        let object: Map<String, Value> = serde_json::from_slice(&bytes).ok()?;
        let message = serde_json::from_value(Value::Object(object)).ok()?;
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &bytes).as_ref());
        let mark = (at.unix_timestamp(), hash);
        self.seen().first_time(mark, now.unix_timestamp()).then_some((message, mark))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handler. 204, or `hook_refused`; 503 if the session store did not take it, and then the same message may come
/// again.
#[tracing::instrument(name = "hooks.revoke", skip_all)]
pub(crate) async fn revoke(visit: Visit, request: Request) -> Result<Response, Error> {
    let app = visit.app();
    let hooks = app.hooks.as_ref().ok_or(Code::NotFound)?;
    let received = hooks.receive(request, app.clock.now()).await;
    let known =
        received.and_then(|(message, mark)| Some((subject(message, said(mark, app.clock.now()))?, mark)));
    let ((subject, reason), mark) = known.ok_or_else(|| {
        let code = Code::HookRefused;
        let refused = Record::of(Event::HookRefused, Outcome::Refused);
        event::emit(&Record { method: Some("revoke"), code: Some(code.as_str()), ..refused });
        Error::from(code)
    })?;
    if let Err(error) = app.sessions.revoke(subject, reason).await {
        hooks.seen().messages.remove(&mark);
        return Err(error.into());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Up to when a message speaks: its own time, and some more if the sender's clock is behind ours. So one that is replayed
/// where nobody has seen it, on another node or after a restart, says what it said before.
fn said(mark: Mark, now: OffsetDateTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(mark.0).map_or(now, |signed| now.min(signed + BEHIND))
}

fn subject(message: Message, at: OffsetDateTime) -> Option<(Subject, Reason)> {
    Some(match message.kind {
        Kind::SessionDeleted => {
            let (user, id) = (message.user_id, message.session_id?);
            (Subject::Session { user, id }, Reason::Hook)
        }
        Kind::UserBanned => (Subject::User { id: message.user_id, at }, Reason::UserBanned),
        Kind::UserDeleted => (Subject::User { id: message.user_id, at }, Reason::Hook),
    })
}

async fn read(body: Body) -> Option<bytes::Bytes> {
    Limited::new(body, LONGEST).collect().await.ok().map(http_body_util::Collected::to_bytes)
}

/// Messages by signed time and body, for as long as their time is good: the id changes when a sender tries again.
#[derive(Debug, Default)]
struct Seen {
    messages: BTreeSet<Mark>,
}

/// The signed time and the hash of the body.
type Mark = (i64, [u8; 32]);

impl Seen {
    fn first_time(&mut self, mark: Mark, now: i64) -> bool {
        let oldest = now - webhook::TOLERANCE.whole_seconds();
        self.messages = self.messages.split_off(&(oldest, [0; 32]));
        let first = self.messages.insert(mark);
        if self.messages.len() > CAPACITY {
            self.messages.pop_first();
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-47: the same bytes at the same signed time count once; the list is bounded by time and by number.
    #[test]
    fn a_message_is_taken_once() {
        let mut seen = Seen::default();
        let hash = |n: u64| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            hash
        };
        assert!(seen.first_time((1_000, hash(1)), 1_000));
        assert!(!seen.first_time((1_000, hash(1)), 1_000));
        assert!(!seen.first_time((1_000, hash(1)), 1_300), "its time is good to the last second");
        assert!(seen.first_time((1_001, hash(1)), 1_000) && seen.first_time((1_000, hash(2)), 1_000));
        assert!(seen.first_time((1_500, hash(3)), 1_302));
        assert_eq!(seen.messages.len(), 1, "what is too old to pass is forgotten");
        for n in 0..(CAPACITY as u64 + 10) {
            seen.first_time((1_500, hash(n)), 1_500);
        }
        assert_eq!(seen.messages.len(), CAPACITY);
    }
}
