//! The demo page at `/`, complete without script: a form names a call, the answer stands on the next page.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;

use crate::web::api;
use crate::web::error::Error;
use crate::web::extract::{Fields, Input};
use crate::web::forms::Lock;
use crate::web::layers::PAGE_POLICY;
use crate::web::layers::bounce;
use crate::web::routes;
use crate::web::views::{CALLS, Call, DemoPage, Outcome, token_shapes};
use crate::web::visit::Visit;

/// The most of an answer that the page shows.
const SHOWN: usize = 4 << 10;

/// Which call to make.
#[derive(Deserialize)]
pub(crate) struct DemoForm {
    #[serde(default)]
    call: String,
}

impl Fields for DemoForm {
    const PURPOSE: &'static str = "demo";
}

/// `GET /`.
#[tracing::instrument(name = "demo.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Result<Response, Error> {
    if visit.may_lack_its_session() {
        return Ok(bounce(&visit));
    }
    page(&visit, None).await
}

/// `POST /`: makes the call here, through the same gate and rules as a browser's script would.
#[tracing::instrument(name = "demo.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, input: Input<DemoForm>) -> Result<Response, Error> {
    let call = CALLS.iter().find(|call| call.id == input.fields.call);
    match (input.lock, call) {
        (Lock::Fits, Some(call)) => page(&visit, Some(make(&visit, call).await)).await,
        _ => page(&visit, None).await,
    }
}

struct Made {
    call: &'static str,
    time: String,
    status: u16,
    code: Option<String>,
    body: String,
}

async fn make(visit: &Visit, call: &'static Call) -> Made {
    let now = visit.app().clock.now().time();
    let time = format!("{:02}:{:02}:{:02}", now.hour(), now.minute(), now.second());
    let answer = run(visit, call).await;
    let (status, code) = (answer.0, answer.1);
    Made { call: call.id, time, status: status.as_u16(), code, body: answer.2 }
}

async fn run(visit: &Visit, call: &Call) -> (StatusCode, Option<String>, String) {
    let mut request = Request::builder().method(call.method).uri(call.path).header("sec-fetch-mode", "cors");
    request = request.header("sec-fetch-dest", "empty").header("sec-fetch-site", "same-origin");
    if call.csrf {
        request = request.header("x-csrf", "1");
    }
    let Ok(request) = request.body(Body::empty()) else {
        return (StatusCode::INTERNAL_SERVER_ERROR, None, String::new());
    };
    let (parts, body) = request.into_parts();
    let script = visit.as_script(&parts);
    let response = match crate::web::layers::gate(&script, &parts, true) {
        Err(error) => error.into_response(),
        Ok(()) if call.path == "/auth/refresh" => {
            api::session::refresh(script.clone()).await.unwrap_or_else(IntoResponse::into_response)
        }
        Ok(()) => routes::answer(&script, &mut Request::from_parts(parts, body))
            .await
            .unwrap_or_else(IntoResponse::into_response),
    };
    let code =
        response.extensions().get::<std::sync::Arc<Error>>().map(|error| error.code.as_str().to_owned());
    let dressed = crate::web::layers::dress(&script, response);
    let status = dressed.status();
    let body = Limited::new(dressed.into_body(), SHOWN).collect().await;
    let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
    (status, code, indented(&text))
}

async fn page(visit: &Visit, made: Option<Made>) -> Result<Response, Error> {
    let app = visit.app();
    let current = app.sessions.current(visit.slot()).await.ok();
    let session = match &current {
        Some(current) => {
            let set = current.claims.set();
            serde_json::to_string_pretty(&api::session::describe(visit, &current.claims, &set, Some(current)))
        }
        None => {
            let nobody = serde_json::json!({ "authenticated": false, "login_url": "/auth/login" });
            serde_json::to_string_pretty(&nobody)
        }
    };
    let session = session.unwrap_or_default();
    let outcomes: Vec<_> = made
        .iter()
        .map(|made| Outcome {
            call: made.call,
            time: &made.time,
            status: made.status,
            code: made.code.as_deref(),
            forwarded: made.code.is_none() && made.call != "refresh",
            body: &made.body,
        })
        .collect();
    let found =
        token_shapes(&session) + outcomes.iter().map(|outcome| token_shapes(outcome.body)).sum::<usize>();
    let token = visit.form_token("demo");
    let view = DemoPage {
        form_token: &token,
        person: current.as_ref().map(|current| current.claims.email.as_str()),
        session: &session,
        calls: &CALLS,
        outcomes: &outcomes,
        found,
    };
    let mut response = visit.page(StatusCode::OK, &view);
    // The one page with a script: its own file, and calls to our own origin.
    let policy = format!("{PAGE_POLICY}; script-src 'self'; connect-src 'self'");
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

fn indented(text: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.to_owned())
}
