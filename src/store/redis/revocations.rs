//! Revocations as a stream: a reader waits at its end, and one who was away goes on where he stopped.

use std::time::Duration;

use async_trait::async_trait;
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};
use time::OffsetDateTime;

use super::{Connection, PATIENCE, Redis, failure};
use crate::session::store::{Cursor, Failure, Revocations};
use crate::store::moment::millis;
use crate::store::news::{AT_ONCE, CAPACITY, FULL};

/// Before the first entry of any stream.
const BEGINNING: &str = "0-0";

#[async_trait]
impl<C: Connection> Revocations for Redis<C> {
    async fn publish(&self, sealed: &[u8], until: OffsetDateTime) -> Result<(), Failure> {
        let (now, until) = (self.now(), millis(until));
        let mut call = self.0.scripts.publish.key(self.0.names.revocations());
        let kept = self.call("publish", call.arg(now).arg(sealed).arg(until).arg(CAPACITY)).await?;
        if kept { Ok(()) } else { Err(failure("publish", FULL)) }
    }

    async fn after(&self, cursor: &Cursor, patience: Duration) -> Result<(Vec<Vec<u8>>, Cursor), Failure> {
        let stream = self.0.names.revocations();
        let from =
            place(cursor).map_or_else(|| BEGINNING.to_owned(), |(time, number)| format!("{time}-{number}"));
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(AT_ONCE);
        if let Ok(wait @ 1..) = u64::try_from(patience.as_millis()) {
            command.arg("BLOCK").arg(wait);
        }
        command.arg("STREAMS").arg(&stream).arg(&from);
        let mut waiting = self.0.waiting.clone();
        let answer = tokio::time::timeout(patience + PATIENCE, command.query_async(&mut waiting)).await;
        let answer: Option<StreamReadReply> =
            answer.map_err(|late| failure("after", late))?.map_err(|error| failure("after", error))?;
        let entries: Vec<StreamId> =
            answer.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect();
        let Some(last) = entries.last() else {
            let reset = self.began_anew(&stream, cursor).await?;
            return Ok((Vec::new(), if reset { Cursor::default() } else { cursor.clone() }));
        };
        let next = Cursor(last.id.clone());
        let now = self.now();
        let counting =
            entries.iter().filter(|entry| entry.get::<i64>("until").is_none_or(|until| now < until));
        Ok((counting.filter_map(|entry| entry.get("sealed")).collect(), next))
    }
}

impl<C: Connection> Redis<C> {
    /// Whether the stream ends before `cursor`: the server has lost it, and its clock went back since, so that new
    /// entries would be taken for known ones.
    async fn began_anew(&self, stream: &str, cursor: &Cursor) -> Result<bool, Failure> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(stream).arg("+").arg("-").arg("COUNT").arg(1);
        let newest: StreamRangeReply = self.command("after", &command).await?;
        let newest = newest.ids.first().and_then(|entry| place(&Cursor(entry.id.clone())));
        Ok(newest.zip(place(cursor)).is_some_and(|(newest, known)| newest < known))
    }
}

/// Time and number of an entry; what is neither stands at the beginning, where nothing is missed.
fn place(cursor: &Cursor) -> Option<(u64, u64)> {
    let (time, number) = cursor.0.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_order_of_the_stream() {
        let at = |text: &str| place(&Cursor(text.to_owned()));
        assert!(at("9-5") < at("10-0") && at("10-2") < at("10-10"));
        assert_eq!((at(""), at("7"), at("x-1")), (None, None, None));
    }
}
