//! A guard for single routes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tower::{Layer, Service, ServiceExt};

use super::person::Admitted;
use crate::policy::Rule;
use crate::web::error::{Code, Error};

/// Lets in whom a [`Require`](crate::policy::Require) describes. A `route_layer`, below [`Around`](super::Around).
#[derive(Debug, Clone)]
pub struct Guard {
    /// `None`: it could not be made, so nobody passes.
    rule: Option<Arc<Rule>>,
}

impl Guard {
    /// By `rule`.
    pub fn new(rule: Arc<Rule>) -> Self {
        Self { rule: Some(rule) }
    }

    /// Nobody passes: every request is answered 500 `internal`.
    pub fn closed() -> Self {
        Self { rule: None }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { rule: self.rule.clone(), inner }
    }
}

/// What [`Guard`] makes of a service.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    rule: Option<Arc<Rule>>,
    inner: S,
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // the inner one is waited for with the request
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { rule, inner } = self.clone();
        Box::pin(async move {
            match admit(rule, request).await {
                Ok(request) => inner.oneshot(request).await,
                Err(error) => Ok(error.into_response()),
            }
        })
    }
}

/// The request of somebody who may pass, with who that is for the handler.
async fn admit(rule: Option<Arc<Rule>>, mut request: Request) -> Result<Request, Error> {
    let Some(rule) = rule else {
        tracing::error!("a route is closed since its `require` is refused; the start told why");
        return Err(Code::Internal.into());
    };
    let admitted = Admitted::by(&rule, request.extensions(), request.headers()).await?;
    if let Some(admitted) = admitted {
        request.extensions_mut().insert(admitted);
    }
    Ok(request)
}
