//! `GET /auth/verify`: whether another proxy may let a request through. The gateway's decision about it, as an answer
//! without a body (S-62 to S-64).

mod original;
mod settings;

use axum::Extension;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::event::{self, Event, Outcome, Record};
use crate::policy::Permit;
use crate::session::Limited;
use crate::web::error::{Code, Error};
use crate::web::extract::Params;
use crate::web::guard::{self, Caller};
use crate::web::state::AppState;
use crate::web::visit::{Visit, see_other};
use crate::web::{layers, proof, routes};

pub(in crate::web) use original::Original;
pub use settings::{Around, Family, ForwardAuth};

const REDIRECT: HeaderName = HeaderName::from_static("x-auth-request-redirect");
const TOKEN: HeaderName = HeaderName::from_static("x-auth-request-access-token");

/// `GET /auth/verify`: 200 with who asks, 401, 403 or 503. `?redirect=302` sends navigations to the login page.
#[tracing::instrument(name = "verify.headers", level = "debug", skip_all)]
pub(crate) async fn by_headers(
    visit: Visit,
    Extension(original): Extension<Original>,
    params: Params,
    request: Request,
) -> Response {
    let redirects = params.get("redirect") == Some("302");
    answer(&visit, &original, request, redirects).await
}

/// `ANY /auth/verify/envoy/{*path}`: the same for Envoy, which hands every answer but a 200 on to the browser, so
/// navigations are sent to the login page.
#[tracing::instrument(name = "verify.envoy", level = "debug", skip_all)]
pub(crate) async fn by_path(
    visit: Visit,
    Extension(original): Extension<Original>,
    request: Request,
) -> Response {
    answer(&visit, &original, request, original.passed_on).await
}

async fn answer(visit: &Visit, original: &Original, request: Request, redirects: bool) -> Response {
    let (mut parts, _) = request.into_parts();
    parts.extensions.clear(); // from here on they describe the original request
    parts.method = original.method.clone();
    parts.uri = original.uri.clone();
    let asked = visit.seen_as(&parts, original.public);
    match judge(visit, &asked, &parts).await {
        Ok(yes) => yes,
        Err(error) => {
            visit.count_refusal(error.code);
            let onwards = onwards(&asked, &error).map(|path| absolute(&asked, &path));
            match onwards {
                Some(url) if redirects => redirect(&url, &error),
                onwards => refusal(&error, onwards.as_deref()),
            }
        }
    }
}

/// The walk of a proxied request: one path, one rule, one caller, one decision.
async fn judge(visit: &Visit, asked: &Visit, parts: &Parts) -> Result<Response, Error> {
    let app = visit.app();
    let rule = asked.policy().find_elsewhere(asked.public().host_str(), asked.method(), parts.uri.path());
    let rule = rule.map_err(|denied| guard::refused(denied.into(), None))?.clone();
    visit.note_rule(&rule);
    layers::same_origin_only(asked, parts, rule.name())?;
    let (permit, caller) = routes::permit(asked, &parts.headers, &rule).await?;
    Ok(passed(app, permit, &caller))
}

/// 200 with every header of the set, empty where there is nothing to say: one that is left out is one that the client may
/// fill in (S-64).
fn passed(app: &AppState, permit: Permit, caller: &Caller) -> Response {
    let (identity, access) = (permit.identity(), permit.access());
    let (claims, session) = match caller {
        Caller::Nobody => (None, String::new()),
        Caller::Session(current) => {
            (Some(&current.claims), app.sessions.public_id(&current.session).to_owned())
        }
        Caller::Bearer { claims, .. } => (Some(claims), app.sessions.public_name(claims.session_id)),
    };
    let email = identity.map_or("", |identity| identity.email.as_str());
    let name = identity.and_then(|identity| identity.name.as_deref()).unwrap_or(email);
    let list = |all: Option<&Vec<String>>, separator: char| {
        let escaped: Vec<_> = all.into_iter().flatten().map(|one| escaped(one, separator)).collect();
        escaped.join(separator.encode_utf8(&mut [0; 4]))
    };
    let told = [
        ("x-auth-request-user", identity.map(|identity| identity.user_id.to_string()).unwrap_or_default()),
        ("x-auth-request-email", email.to_owned()),
        ("x-auth-request-preferred-username", name.to_owned()),
        ("x-auth-request-groups", list(access.map(|access| &access.roles), ',')),
        ("x-auth-request-scopes", list(access.map(|access| &access.scopes), ' ')),
        ("x-auth-request-aal", claims.map(|claims| claims.aal.to_string()).unwrap_or_default()),
        ("x-auth-request-session-id", session),
    ];
    let mut headers = HeaderMap::with_capacity(told.len() + 8);
    for (name, value) in told {
        headers.insert(HeaderName::from_static(name), clean(&value));
    }
    if app.forward_auth.as_ref().is_some_and(|forward| forward.pass_token) {
        let bearer = caller.bearer().filter(|_| identity.is_some());
        let token = bearer.as_ref().and_then(|bearer| bearer.to_str().ok()?.strip_prefix("Bearer "));
        let mut token = clean(token.unwrap_or_default());
        token.set_sensitive(true);
        headers.insert(TOKEN, token);
    }
    (StatusCode::OK, headers).into_response()
}

/// One entry of a list, so that no separator in it makes two of it.
fn escaped(entry: &str, separator: char) -> String {
    let mut text = String::with_capacity(entry.len());
    for c in entry.chars() {
        match c {
            '%' => text.push_str("%25"),
            c if c == separator => text.push_str(&format!("%{:02X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

/// A value without control characters.
fn clean(value: &str) -> HeaderValue {
    let kept: String = value.chars().filter(|c| !c.is_control()).collect();
    HeaderValue::from_bytes(kept.as_bytes()).unwrap_or(HeaderValue::from_static(""))
}

/// The answer to a question that could not be read, recorded (S-88).
pub(in crate::web) fn turned_away(app: &AppState, code: Code) -> Response {
    let refused = Record::of(Event::PolicyRefused, Outcome::Refused);
    event::emit(&Record { code: Some(code.as_str()), ..refused });
    app.trail.metrics().refused(code as usize);
    refusal(&code.into(), None)
}

/// 401, 403 or 503 without a body. A proxy understands no other no, and takes every 2xx for a yes.
pub(in crate::web) fn refusal(error: &Error, onwards: Option<&str>) -> Response {
    let status = match error.code.status() {
        StatusCode::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
        status if status.is_client_error() => StatusCode::FORBIDDEN,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = status.into_response();
    error.headers(response.headers_mut(), None);
    response.headers_mut().remove(header::ALLOW); // belongs to a 405
    if let Some(url) = onwards.and_then(|url| HeaderValue::from_str(url).ok()) {
        response.headers_mut().insert(REDIRECT, url);
    }
    response
}

fn redirect(url: &str, error: &Error) -> Response {
    let mut response = see_other(url);
    if response.status() == StatusCode::SEE_OTHER {
        *response.status_mut() = StatusCode::FOUND;
        return response;
    }
    refusal(error, None)
}

/// Where whoever navigates does what is missing, and comes back. Scripts are told the status alone.
fn onwards(asked: &Visit, error: &Error) -> Option<String> {
    if !asked.is_navigation() || !matches!(*asked.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let session = asked.app().sessions.peek(asked.slot());
    match error.code {
        Code::StepUp => Some(proof::url(asked, error.second_factor, asked.way_back().as_deref())),
        Code::SessionLimited => {
            let limited: Option<Limited> = session.and_then(|session| session.limited);
            asked.step_url(limited?, asked.way_back().as_deref())
        }
        _ if error.signs_out() => Some(asked.login_url()),
        _ => None,
    }
}

/// `path` at the origin that the original request was for, as it is configured (S-92).
fn absolute(asked: &Visit, path: &str) -> String {
    format!("{}{path}", asked.public().origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-64: one role stays one role, and nothing ends the line of a header.
    #[test]
    fn values_cannot_become_two() {
        assert_eq!(escaped("a,b", ','), "a%2Cb");
        assert_eq!(escaped("50%, c d", ','), "50%25%2C c d");
        assert_eq!(escaped("a b", ' '), "a%20b");
        assert_eq!(clean("a\r\nX-Evil: 1\t\u{85}"), "aX-Evil: 1");
        assert_eq!(clean("Zoë").as_bytes(), "Zoë".as_bytes());
    }

    /// S-64: whatever the code, a proxy that lets every 2xx pass reads a no.
    #[test]
    fn every_code_is_a_no() {
        for code in Code::ALL {
            let answer = refusal(&(*code).into(), None);
            assert!([401, 403, 503].contains(&answer.status().as_u16()), "{}", code.as_str());
            assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(0), "{}", code.as_str());
        }
    }
}
