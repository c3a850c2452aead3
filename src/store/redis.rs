//! Sessions in Redis or Valkey, for many nodes.
//!
//! A record is a hash, the list of a person's records a sorted set, the revocations one stream, a limit one moment;
//! all names carry the deployment's prefix. Every change is one script, so one round trip and atomic. Leases go by the server's clock;
//! expiry is handed over as a time to live, so the nodes' clocks need not agree with it either.

mod breaker;
mod connect;
mod leases;
mod limits;
mod revocations;
mod scripts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::clock::SharedClock;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{FromRedisValue, RedisError};
use time::OffsetDateTime;

use super::moment::{millis, of_seconds, seconds};
use crate::event::Reason;
use crate::limit::Bucket;
use crate::session::store::{
    Change, Changed, Draft, Entry, Failure, Found, Key, Listed, Owner, SessionStore, Version,
};
use breaker::Breaker;
use scripts::Scripts;

/// No answer within this time is a [`Failure`]: the wait for a lost connection included. Long enough for a machine that has
/// too much to do for a moment; what is longer is an outage, and after a few of these nobody waits any more.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// The store over connections of type `C`. Clones share them.
#[derive(Clone)]
pub struct Redis<C = ConnectionManager>(Arc<Inner<C>>);

struct Inner<C> {
    commands: C,
    /// Waits for revocations, so nothing else can use it meanwhile.
    waiting: C,
    breaker: Breaker,
    names: Names,
    scripts: Scripts,
    clock: SharedClock,
}

impl<C> fmt::Debug for Redis<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("names", &self.0.names).finish_non_exhaustive()
    }
}

/// A connection that is shared by being cloned.
pub trait Connection: ConnectionLike + Clone + Send + Sync + 'static {}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Connection for C {}

impl<C: Connection> Redis<C> {
    /// A store over two connections, each of which mends itself: one for commands, one that waits for revocations and
    /// has no time limit of its own. The braces around `prefix` keep all names in one slot of a cluster.
    pub fn over(commands: C, waiting: C, prefix: &str, clock: SharedClock) -> Self {
        let names = Names(format!("{{{prefix}}}"));
        let (breaker, scripts) = (Breaker::new(), Scripts::default());
        Self(Arc::new(Inner { commands, waiting, breaker, names, scripts, clock }))
    }

    fn now(&self) -> i64 {
        millis(self.0.clock.now())
    }

    /// One answer, or a failure within [`PATIENCE`]; at once in an outage.
    async fn ask<T>(
        &self,
        operation: &'static str,
        question: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Failure> {
        let _trial = self.0.breaker.enter().map_err(|open| failure(operation, open))?;
        let answer = tokio::time::timeout(PATIENCE, question).await;
        let lost = |error: &RedisError| error.is_io_error() || error.is_unrecoverable_error();
        self.0.breaker.note(matches!(&answer, Ok(answer) if !answer.as_ref().is_err_and(lost)));
        match answer {
            Ok(answer) => answer.map_err(|error| failure(operation, error)),
            Err(late) => Err(failure(operation, late)),
        }
    }

    /// Of `command`, which changes nothing. So it is put once more where the connection turns out to be lost, as idle ones
    /// are that a server or a balancer closes: the manager makes a new one.
    async fn command<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: &redis::Cmd,
    ) -> Result<T, Failure> {
        let mut connection = self.0.commands.clone();
        let question = async {
            match command.query_async(&mut connection).await {
                Err(lost) if lost.is_connection_dropped() => command.query_async(&mut connection).await,
                answer => answer,
            }
        };
        self.ask(operation, question).await
    }

    async fn call<T: FromRedisValue>(
        &self,
        operation: &'static str,
        call: &redis::ScriptInvocation<'_>,
    ) -> Result<T, Failure> {
        let mut connection = self.0.commands.clone();
        self.ask(operation, call.invoke_async(&mut connection)).await
    }
}

fn failure(operation: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure { operation, source: source.into() }
}

/// The names of a deployment's values.
#[derive(Debug, Clone)]
struct Names(String);

impl Names {
    fn record(&self, key: &Key) -> String {
        format!("{}:session:{}", self.0, hex(&key.0))
    }

    fn owner(&self, owner: &Owner) -> String {
        format!("{}:owner:{}", self.0, hex(&owner.0))
    }

    fn limit(&self, bucket: Bucket, key: u128) -> String {
        format!("{}:limit:{}:{key:032x}", self.0, bucket.as_str())
    }

    fn revocations(&self) -> String {
        format!("{}:revocations", self.0)
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

fn key_of(hex: &str) -> Option<Key> {
    let mut key = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(Key(key))
}

/// The fields of a record that a reader asks for.
type Fields = (Option<String>, Option<u64>, Option<Vec<u8>>, Option<i64>, Option<i64>);

#[async_trait]
impl<C: Connection> SessionStore for Redis<C> {
    async fn create(&self, key: &Key, draft: &Draft) -> Result<bool, Failure> {
        let (now, until) = (self.now(), millis(draft.until));
        if until <= now {
            return Ok(true); // it would be gone with the same breath
        }
        let mut call = self.0.scripts.create.key(self.0.names.record(key));
        call.key(self.0.names.owner(&draft.owner)).arg(now).arg(&draft.sealed).arg(&draft.label);
        self.call("create", call.arg(seconds(draft.seen)).arg(until)).await
    }

    async fn read(&self, key: &Key) -> Result<Found, Failure> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.0.names.record(key)).arg(&["ended", "version", "sealed", "seen", "until"]);
        let fields: Fields = self.command("read", &command).await?;
        let (ended, version, sealed, seen, until) = fields;
        let Some(until) = until else { return Ok(Found::Nothing) };
        if until <= self.now() {
            return Ok(Found::Nothing);
        }
        match (ended, version, sealed, seen) {
            (Some(_), _, Some(sealed), _) => Ok(Found::Replaced(sealed)),
            (Some(word), ..) => Ok(Found::Ended(Reason::parse(&word).unwrap_or(Reason::StoreLost))),
            (None, Some(version), Some(sealed), Some(seen)) => {
                Ok(Found::Live(Entry { version: Version(version), sealed, seen: of_seconds(seen) }))
            }
            _ => Err(failure("read", "a record lacks one of its fields")),
        }
    }

    async fn change(&self, key: &Key, change: &Change) -> Result<Changed, Failure> {
        let mut call = self.0.scripts.change.key(self.0.names.record(key));
        if let Some(owner) = &change.owner {
            call.key(self.0.names.owner(owner));
        }
        call.arg(self.now()).arg(change.from.0).arg(change.fence.map_or(0, |fence| fence.0));
        call.arg(&change.sealed).arg(seconds(change.seen)).arg(millis(change.until));
        if let Some(label) = &change.label {
            call.arg(label);
        }
        Ok(match self.call::<i64>("change", &call).await? {
            scripts::GONE => Changed::Gone,
            scripts::REFUSED => Changed::Conflict,
            _ => Changed::To(Version(change.from.0 + 1)),
        })
    }

    async fn touch(&self, key: &Key, seen: OffsetDateTime, until: OffsetDateTime) -> Result<(), Failure> {
        let mut call = self.0.scripts.touch.key(self.0.names.record(key));
        self.call("touch", call.arg(self.now()).arg(seconds(seen)).arg(millis(until))).await
    }

    async fn end(&self, key: &Key, reason: Reason) -> Result<bool, Failure> {
        let mut call = self.0.scripts.end.key(self.0.names.record(key));
        self.call("end", call.arg(self.now()).arg(reason.as_str())).await
    }

    async fn replace(&self, key: &Key) -> Result<bool, Failure> {
        let mut call = self.0.scripts.end.key(self.0.names.record(key));
        let call = call.arg(self.now()).arg(Reason::Replaced.as_str()).arg("stays");
        self.call("replace", call).await
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<Listed>, Failure> {
        let index = self.0.names.owner(owner);
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(index).arg(format!("({}", self.now())).arg("+inf");
        let members: Vec<String> = self.command("list", &command).await?;
        let keys: Vec<Key> = members.iter().filter_map(|member| key_of(member)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut records = redis::pipe();
        for key in &keys {
            records.cmd("HMGET").arg(self.0.names.record(key)).arg(&["label", "seen"]);
        }
        let mut connection = self.0.commands.clone();
        let rows: Vec<(Option<Vec<u8>>, Option<i64>)> =
            self.ask("list", records.query_async(&mut connection)).await?;
        let live = keys.into_iter().zip(rows).filter_map(|(key, (label, seen))| {
            Some(Listed { key, label: label?, seen: of_seconds(seen?) }) // one that ended between the two looks
        });
        Ok(live.collect())
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.command("probe", &redis::cmd("PING")).await
    }
}
