//! Requests at once, and the size of their heads (S-96, S-97).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::web::error::{Code, Error};
use crate::web::state::AppState;

/// Longest request target, in bytes.
const TARGET: usize = 8 << 10;
/// Most header fields, and most bytes of all their names and values. The listener has its own caps below this layer;
/// these hold under any other server too.
const FIELDS: usize = 100;
const HEAD: usize = 32 << 10;

/// A place among the requests in flight, or the refusal.
pub(super) fn admit(app: &AppState, request: &Parts) -> Result<OwnedSemaphorePermit, Error> {
    let target = request.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > TARGET {
        return Err(Code::UriTooLong.into());
    }
    let fields = &request.headers;
    let size: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields.len() > FIELDS || size + target > HEAD {
        return Err(Code::HeadersTooLarge.into());
    }
    let busy = |_| Error::later(Code::Overloaded, Duration::from_secs(1));
    app.in_flight.clone().try_acquire_owned().map_err(busy)
}

/// Keeps the place until the answer's last byte.
pub(super) fn hold(response: Response, permit: OwnedSemaphorePermit) -> Response {
    response.map(|body| {
        // A short answer that is all there leaves at once.
        if http_body::Body::size_hint(&body).exact().is_some_and(|size| size <= 64 << 10) {
            return body;
        }
        Body::new(Held { body, _permit: permit })
    })
}

struct Held {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
