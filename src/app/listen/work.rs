//! What a connection works on: requests whose answers are not finished.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::Service;

use super::heads::Last;
use crate::web::error::{Code, Flaw};

/// The requests of one connection. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Work(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicUsize,
    open: AtomicUsize,
    upgraded: AtomicBool,
    last: OnceLock<(usize, Last)>,
}

impl Work {
    /// How many heads were read whole since the connection began.
    pub(super) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Acquire)
    }

    /// Whether an answer is under way, or the connection has become something else than HTTP.
    pub(super) fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire) > 0 || self.is_upgraded()
    }

    /// Whether the connection has become something else than HTTP.
    pub(super) fn is_upgraded(&self) -> bool {
        self.0.upgraded.load(Ordering::Acquire)
    }

    /// No request follows the one that `number` others went before, and this is why.
    pub(super) fn end_with(&self, number: usize, why: Last) {
        let _ = self.0.last.set((number, why)); // there is one last request
    }

    pub(super) fn begin(&self) -> Open {
        let number = self.0.begun.fetch_add(1, Ordering::AcqRel);
        self.0.open.fetch_add(1, Ordering::AcqRel);
        let last = self.0.last.get().filter(|(last, _)| *last <= number).map(|(_, why)| *why);
        Open { work: self.clone(), last }
    }
}

/// One request under way.
#[derive(Debug)]
pub(super) struct Open {
    work: Work,
    /// Set if no other may follow it.
    last: Option<Last>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.work.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts the requests of `inner` until the last byte of their answers.
#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    inner: S,
    work: Work,
}

impl<S> Counted<S> {
    pub(super) fn new(inner: S, work: Work) -> Self {
        Self { inner, work }
    }
}

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Running<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let open = self.work.begin();
        match open.last {
            Some(Last::Framing) => _ = request.extensions_mut().insert(Flaw(Code::BadRequest)),
            Some(Last::Fragment) => _ = request.extensions_mut().insert(Flaw(Code::BadPath)),
            Some(Last::Chunks) | None => {}
        }
        Running { answer: Box::pin(self.inner.call(request)), open: Some(open) }
    }
}

/// A request whose answer is being made.
#[derive(Debug)]
pub(super) struct Running<F> {
    answer: Pin<Box<F>>,
    /// Until the answer takes it along.
    open: Option<Open>,
}

impl<F, B, E> Future for Running<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Answer<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(self.answer.as_mut().poll(cx))?;
        let open = self.open.take();
        if open.as_ref().is_some_and(|open| open.last.is_some()) {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(open) = &open
            && answer.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            open.work.0.upgraded.store(true, Ordering::Release);
        }
        Poll::Ready(Ok(answer.map(|body| Answer { body, _open: open })))
    }
}

/// The body of an answer that is under way.
#[derive(Debug)]
pub(super) struct Answer<B> {
    body: B,
    _open: Option<Open>,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
