//! Connections that wait for their next request. The one that came last goes first, so that those too many run out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::runtime::Handle;

use crate::gateway::body::RequestBody;

/// A connection waits for at least one round, and for less than two.
const ROUND: Duration = Duration::from_secs(30);
const MOST: usize = 256;

/// The connections at rest of one upstream. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Rest(Arc<Mutex<Resting>>);

#[derive(Debug, Default)]
struct Resting {
    /// With the round in which each came, in that order.
    idle: VecDeque<(u64, SendRequest<RequestBody>)>,
    round: u64,
    /// Somebody counts the rounds.
    counted: bool,
}

/// A connection in use. Dropped, it comes to rest.
#[derive(Debug)]
pub(in crate::gateway) struct Lease {
    /// Taken when it is dropped.
    sender: Option<SendRequest<RequestBody>>,
    rest: Rest,
}

impl Rest {
    /// `sender` is in use until the lease is dropped.
    pub(super) fn lease(&self, sender: SendRequest<RequestBody>) -> Lease {
        Lease { sender: Some(sender), rest: self.clone() }
    }

    /// The connection that came last, of those that are fit for a request.
    pub(super) fn take(&self) -> Option<SendRequest<RequestBody>> {
        let idle = &mut self.lock().idle;
        for at in (0..idle.len()).rev() {
            let (_, sender) = &idle[at];
            if sender.is_ready() {
                return idle.remove(at).map(|(_, sender)| sender);
            }
            if sender.is_closed() {
                idle.remove(at);
            }
        }
        None
    }

    fn put(&self, sender: SendRequest<RequestBody>) {
        let mut resting = self.lock();
        if resting.idle.len() >= MOST {
            resting.idle.pop_front();
        }
        let round = resting.round;
        resting.idle.push_back((round, sender));
        if !resting.counted
            && let Ok(runtime) = Handle::try_current()
        {
            resting.counted = true;
            runtime.spawn(count_rounds(Arc::downgrade(&self.0)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Resting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what has waited for too long, as long as anything waits.
async fn count_rounds(resting: Weak<Mutex<Resting>>) {
    loop {
        tokio::time::sleep(ROUND).await;
        let Some(resting) = resting.upgrade() else { return };
        if !resting.lock().unwrap_or_else(PoisonError::into_inner).end_round() {
            return;
        }
    }
}

impl Resting {
    /// Whether another round follows.
    fn end_round(&mut self) -> bool {
        let over = self.round;
        self.idle.retain(|(round, sender)| *round == over && !sender.is_closed());
        self.round += 1;
        self.counted = !self.idle.is_empty();
        self.counted
    }
}

impl Drop for Lease {
    /// hyper may not have noticed yet that its answer was read to the end; one that was left unread, hyper closes. Both
    /// show when the connection is to be taken.
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take().filter(|sender| !sender.is_closed()) {
            self.rest.put(sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// A connection at rest, and its other end.
    async fn rested(rest: &Rest) -> DuplexStream {
        let (ours, mut theirs) = tokio::io::duplex(1 << 10);
        let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::new(RequestBody::new(Body::empty(), 0, ROUND));
        let (answer, ()) = tokio::join!(sender.send_request(request), async {
            assert!(theirs.read(&mut [0; 1 << 10]).await.unwrap() > 0);
            theirs.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        });
        assert_eq!(answer.unwrap().status(), 204);
        sender.ready().await.unwrap();
        drop(rest.lease(sender));
        theirs
    }

    /// No upstream has to keep what nobody uses; one is closed after a minute at the latest.
    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let rest = Rest::default();
        let mut old = rested(&rest).await;
        assert!(rest.lock().counted);
        assert!(rest.lock().end_round(), "it may have come just now");
        let _young = rested(&rest).await;
        assert!(rest.lock().end_round());
        assert_eq!(old.read(&mut [0; 1]).await.unwrap(), 0, "closed");
        assert_eq!(rest.lock().idle.len(), 1);
        assert!(!rest.lock().end_round());
        assert!(rest.take().is_none());
        let _other = rested(&rest).await;
        assert!(rest.lock().counted, "the next one's rounds are counted again");
    }

    /// S-97: a burst does not leave connections behind without bound.
    #[tokio::test]
    async fn so_many_and_no_more() {
        let rest = Rest::default();
        let mut others = Vec::new();
        for _ in 0..MOST + 3 {
            others.push(rested(&rest).await);
        }
        assert_eq!(rest.lock().idle.len(), MOST);
    }
}
