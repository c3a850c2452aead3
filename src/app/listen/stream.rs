//! A connection under watch: it ends when a head dribbles, when nothing is asked, or when nobody reads the answer.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use super::caps::Place;
use super::heads::Heads;
use super::work::Work;

/// How an HTTP/2 connection begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI";

/// The stream of one connection.
#[derive(Debug)]
pub(super) struct Watched<I> {
    inner: I,
    work: Work,
    limits: Limits,
    protocol: Protocol,
    heads: Heads,
    /// Requests that had begun when `reading` was last set.
    seen: usize,
    /// Part of a head has come.
    in_head: bool,
    reading: Alarm,
    writing: Alarm,
    _place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Unknown,
    /// A head is limited from its first byte on, and so is the silence before it.
    Http1,
    /// Frames come at any time, so that only requests count as life.
    Http2,
}

impl<I> Watched<I> {
    pub(super) fn new(inner: I, work: Work, limits: Limits, place: Place) -> Self {
        Self {
            inner,
            work,
            limits,
            protocol: Protocol::Unknown,
            heads: Heads::default(),
            seen: 0,
            in_head: false,
            reading: Alarm::default(),
            writing: Alarm::default(),
            _place: place,
        }
    }

    /// Called when bytes came in.
    fn heard(&mut self, bytes: &[u8]) {
        if self.protocol == Protocol::Unknown {
            self.protocol = if bytes.starts_with(PREFACE) { Protocol::Http2 } else { Protocol::Http1 };
        }
        if !self.work.is_upgraded()
            && let Some((number, why)) = self.heads.read(bytes)
        {
            self.work.end_with(number, why);
        }
        if self.protocol == Protocol::Http1 && !self.work.is_open() {
            if self.in_head {
                self.reading.begin(); // a head in more than one piece
            } else {
                self.in_head = true;
                self.reading.set(self.limits.head);
            }
        }
    }

    /// Whether the time for what the client is at is up. Nothing waits for it yet.
    fn was_late(&mut self, cx: &mut Context<'_>) -> bool {
        self.follow();
        self.reading.is_under_way() && self.reading.rings(cx)
    }

    /// The same, for a task that goes to sleep now.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        self.follow();
        self.reading.rings(cx)
    }

    fn follow(&mut self) {
        let begun = self.work.begun();
        if self.work.is_open() || begun != self.seen {
            self.seen = begun;
            self.in_head = false;
            self.reading.clear();
        }
        if self.protocol != Protocol::Unknown && !self.work.is_open() {
            self.reading.set_once(self.limits.idle);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.was_late(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() > before {
                    this.heard(&buffer.filled()[before..]);
                }
                Poll::Ready(read)
            }
            Poll::Pending if this.is_late(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<I: AsyncWrite + Unpin> Watched<I> {
    fn written<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.writing.clear();
            return result;
        }
        self.writing.set_once(self.limits.stall);
        if self.writing.rings(cx) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        self.written(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.written(cx, result)
    }
}

/// A moment that is set often and seldom comes. No clock is read before somebody has to wait, and the runtime's timer is not
/// moved along: it stays where it was as long as that is early enough, and looks for the moment when it goes off.
#[derive(Debug, Default)]
struct Alarm {
    wanted: Wanted,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Wanted {
    #[default]
    Nothing,
    /// This long after the first wait.
    After(Duration),
    At(Instant),
}

impl Alarm {
    /// Rings after `time`, counted from the first wait, whatever was set before.
    fn set(&mut self, time: Duration) {
        self.wanted = Wanted::After(time);
    }

    /// Rings after `time`, counted from the first wait, unless it is set already.
    fn set_once(&mut self, time: Duration) {
        if let Wanted::Nothing = self.wanted {
            self.set(time);
        }
    }

    fn is_under_way(&self) -> bool {
        matches!(self.wanted, Wanted::At(_))
    }

    fn clear(&mut self) {
        self.wanted = Wanted::Nothing;
    }

    /// Counts from now, if it does not do so yet.
    fn begin(&mut self) {
        if let Wanted::After(time) = self.wanted {
            self.wanted = Wanted::At(Instant::now() + time); // the runtime's monotonic clock; no time of day is read here
        }
    }

    /// Whether the moment has come; if not, this task waits and is woken by then.
    fn rings(&mut self, cx: &mut Context<'_>) -> bool {
        self.begin();
        let Wanted::At(at) = self.wanted else { return false };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= at {
                return true;
            }
            timer.as_mut().reset(at);
        }
        false
    }
}
