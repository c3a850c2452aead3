//! Answers that go on for hours, as server-sent events do: they end with the session that asked for them (S-45).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use http::header;
use http_body::Frame;

use super::error::Error;
use super::guard::Caller;
use super::state::AppState;
use crate::session::{self, NotHeld};

/// Ties `answer` to the session of `caller` if it is a stream of events. The end of a token does not end it: what it was asked
/// for was granted while that lasted.
///
/// # Errors
///
/// 401 if the session has ended meanwhile.
pub(super) fn tie(app: &AppState, caller: &Caller, answer: Response) -> Result<Response, Error> {
    let kind = answer.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    if !kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream")) {
        return Ok(answer);
    }
    let held = match caller {
        Caller::Nobody => return Ok(answer),
        Caller::Session(current) => app.sessions.hold(current, None),
        Caller::Bearer { claims, .. } => app.sessions.hold_token(claims, None),
    };
    let mut held = match held {
        Ok(held) => held,
        Err(NotHeld::Ended(reason)) => return Err(session::Error::Ended(reason).into()),
        Err(NotHeld::TooMany) => return Ok(answer), // none is counted
    };
    let over = Box::pin(async move {
        held.ended().await;
    });
    Ok(answer.map(|body| Body::new(Tied { body, over })))
}

struct Tied {
    body: Body,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl http_body::Body for Tied {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}
