//! Bodies in passing: counted, timed, never collected. Trailers stay behind.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::client::Lease;

/// A sender may fall behind this rate by [`GRACE`] altogether, no more (S-95).
const LEAST_RATE: u64 = 1024; // bytes a second
const GRACE: Duration = Duration::from_secs(10);

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// The request's body is longer than its upstream takes.
    #[error("the body is longer than allowed")]
    TooLong,
    /// Silence for too long, or less than 1 KiB a second.
    #[error("the body came too slowly")]
    TooSlow,
    /// The sender's connection broke.
    #[error("the body broke off")]
    Broken(#[source] axum::Error),
    /// The upstream's connection broke.
    #[error("the answer broke off")]
    Answer(#[source] hyper::Error),
}

/// A request's body on its way to an upstream.
pub(super) struct RequestBody {
    inner: Body,
    left: u64,
    received: u64,
    patience: Patience,
    progress: Option<Arc<AtomicU64>>,
    /// Dropped when the last byte has left.
    sending: Option<oneshot::Sender<()>>,
}

/// How far the other half of [`RequestBody::watched`] is.
pub(super) struct Progress {
    sent: Arc<AtomicU64>,
    sending: oneshot::Receiver<()>,
}

impl RequestBody {
    /// At most `limit` bytes of `inner`, with no silence longer than `idle`.
    pub(super) fn new(inner: Body, limit: u64, idle: Duration) -> Self {
        let patience = Patience::new(idle);
        Self { inner, left: limit, received: 0, patience, progress: None, sending: None }
    }

    /// The same, and a view on how far it is.
    pub(super) fn watched(inner: Body, limit: u64, idle: Duration) -> (Self, Progress) {
        let (sender, sending) = oneshot::channel();
        let sent = Arc::new(AtomicU64::new(0));
        let progress = Progress { sent: Arc::clone(&sent), sending };
        let body = Self::new(inner, limit, idle);
        (Self { progress: Some(sent), sending: Some(sender), ..body }, progress)
    }
}

impl Progress {
    /// Returns `first_byte` after the last byte was taken, or once the upstream took nothing for about twice `idle`.
    pub(super) async fn upstream_hangs(mut self, first_byte: Duration, idle: Duration) {
        loop {
            let seen = self.sent.load(Ordering::Relaxed);
            match tokio::time::timeout(idle, &mut self.sending).await {
                Ok(_) => break,
                Err(_) if self.sent.load(Ordering::Relaxed) == seen => return,
                Err(_) => {}
            }
        }
        tokio::time::sleep(first_byte).await;
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        loop {
            let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let credit = GRACE + Duration::from_secs(this.received / LEAST_RATE);
                    ready!(this.patience.poll_over(cx, credit));
                    return Poll::Ready(Some(Err(BodyFault::TooSlow)));
                }
            };
            this.patience.resume();
            let Some(frame) = frame else {
                this.sending = None;
                return Poll::Ready(None);
            };
            let Ok(data) = frame.map_err(BodyFault::Broken)?.into_data() else { continue };
            let length = data.len() as u64;
            let Some(left) = this.left.checked_sub(length) else {
                return Poll::Ready(Some(Err(BodyFault::TooLong)));
            };
            (this.left, this.received) = (left, this.received + length);
            if let Some(progress) = &this.progress {
                progress.store(this.received, Ordering::Relaxed);
            }
            if this.inner.is_end_stream() {
                this.sending = None;
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body on its way to the browser.
pub(super) struct AnswerBody {
    inner: Incoming,
    /// The connection it comes on, until its last byte.
    lease: Option<Lease>,
    patience: Patience,
}

impl AnswerBody {
    /// `inner`, which comes on the connection of `lease`, with no silence longer than `idle`.
    pub(super) fn new(inner: Incoming, lease: Lease, idle: Duration) -> Self {
        let lease = Some(lease).filter(|_| !inner.is_end_stream());
        Self { inner, lease, patience: Patience::new(idle) }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
                ready!(this.patience.poll_over(cx, Duration::MAX));
                return Poll::Ready(Some(Err(BodyFault::TooSlow)));
            };
            this.patience.resume();
            let Some(frame) = frame else {
                this.lease = None;
                return Poll::Ready(None);
            };
            if let Ok(data) = frame.map_err(BodyFault::Answer)?.into_data() {
                if this.inner.is_end_stream() {
                    this.lease = None;
                }
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Counts the time spent waiting for a sender; time that the receiver takes is not the sender's.
///
/// No timer exists until a body has to be waited for: short ones arrive with their head.
struct Patience {
    idle: Duration,
    waited: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new(idle: Duration) -> Self {
        Self { idle, waited: Duration::ZERO, since: None, timer: None }
    }

    /// Ready once this silence is longer than allowed, or all of them together longer than `credit`.
    fn poll_over(&mut self, cx: &mut Context<'_>, credit: Duration) -> Poll<()> {
        if self.since.is_none() {
            let now = Instant::now();
            let deadline = now + self.idle.min(credit.saturating_sub(self.waited));
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(deadline))),
            }
            self.since = Some(now);
        }
        self.timer.as_mut().map_or(Poll::Pending, |timer| timer.as_mut().poll(cx))
    }

    fn resume(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> =
            sizes.iter().map(|n| Ok::<_, axum::Error>(Bytes::from(vec![b'x'; *n]))).collect();
        Body::from_stream(stream::iter(chunks))
    }

    /// S-96: a body without a declared length is counted as it passes; the limit itself is allowed.
    #[tokio::test]
    async fn the_limit_holds_while_streaming() {
        let passed = RequestBody::new(chunks(&[4, 4, 2]), 10, LONG).collect().await.unwrap();
        assert_eq!(passed.to_bytes().len(), 10);
        let mut body = RequestBody::new(chunks(&[4, 4, 3]), 10, LONG);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 4);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 4);
        assert!(matches!(body.frame().await.unwrap(), Err(BodyFault::TooLong)));
    }

    /// S-95: a sender that stops is given up, and the upstream's half learns of it.
    #[tokio::test]
    async fn silence_ends_a_body() {
        let stalled = stream::iter([Ok::<_, axum::Error>(Bytes::from("a"))]).chain(stream::pending());
        let mut body = RequestBody::new(Body::from_stream(stalled), 10, SHORT);
        assert!(body.frame().await.unwrap().is_ok());
        assert!(matches!(body.frame().await.unwrap(), Err(BodyFault::TooSlow)));
    }

    /// S-95: at least 1 KiB a second. Waiting that a sender has used up does not come back with a drop of data.
    #[tokio::test]
    async fn dribbling_ends_a_body() {
        let mut body =
            RequestBody::new(Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>()), 10, LONG);
        body.patience.waited = GRACE + Duration::from_secs(3);
        body.received = 3 * LEAST_RATE - 1;
        assert!(matches!(body.frame().await.unwrap(), Err(BodyFault::TooSlow)));
    }

    #[tokio::test]
    async fn trailers_stay_behind() {
        let mut trailers = http::HeaderMap::new();
        trailers.insert(http::header::AUTHORIZATION, http::HeaderValue::from_static("Bearer forged"));
        let frames = [Ok::<_, axum::Error>(Frame::data(Bytes::from("a"))), Ok(Frame::trailers(trailers))];
        let body = RequestBody::new(Body::new(StreamBody::new(stream::iter(frames))), 10, LONG);
        let passed = body.collect().await.unwrap();
        assert!(passed.trailers().is_none());
        assert_eq!(passed.to_bytes(), "a");
    }

    #[tokio::test]
    async fn an_upstream_that_takes_nothing_hangs() {
        let (body, progress) = RequestBody::watched(chunks(&[4]), 10, LONG);
        progress.upstream_hangs(LONG, SHORT).await;
        drop(body);
        let (body, progress) = RequestBody::watched(chunks(&[4]), 10, LONG);
        body.collect().await.unwrap();
        progress.upstream_hangs(SHORT, LONG).await;
    }
}
