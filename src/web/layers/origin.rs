//! The cross-origin gate (S-13), the header that forces a preflight (S-14), CORS (S-18).

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::event::{self, Event, Outcome, Record};
use crate::gateway::socket::Handshake;
use crate::web::api::token;
use crate::web::error::{Code, Error};
use crate::web::sockets::is_from_here;
use crate::web::state::AppState;
use crate::web::visit::{Face, FetchSite, SEC_FETCH_SITE, Visit, is_form, text};

/// Refuses what a page of another site could have caused. Where the rules serve the path, theirs may excuse it from S-14.
pub(crate) fn gate(visit: &Visit, parts: &Parts, excuses: bool) -> Result<(), Error> {
    let Err(code) = judge(visit, parts) else { return Ok(()) };
    // The header alone can be switched off, and only for the one rule that is matched (S-19). S-13 always holds.
    let opted_out = excuses
        && code == Code::CsrfHeader
        && !parts.uri.path().starts_with("/auth/")
        && visit
            .policy()
            .find(visit.public().host_str(), &parts.method, parts.uri.path())
            .is_ok_and(|rule| rule.csrf_off());
    if opted_out { Ok(()) } else { Err(cross_site(code, None)) }
}

/// Records that a request was refused which a page elsewhere may have caused (S-88).
pub(crate) fn cross_site(code: Code, rule: Option<&str>) -> Error {
    let refused = Record::of(Event::CsrfRefused, Outcome::Refused);
    event::emit(&Record { code: Some(code.as_str()), rule, ..refused });
    code.into()
}

fn judge(visit: &Visit, parts: &Parts) -> Result<(), Code> {
    let headers = &parts.headers;
    let app = visit.app();
    let listed = is_listed(app, visit.origin());
    let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    // For programs alone, whatever the origin; where it is off there is nothing to guard.
    if app.token && !safe && parts.uri.path() == token::PATH {
        return if token::is_browser(headers) { Err(Code::BrowserClient) } else { Ok(()) };
    }
    if !safe && !listed {
        same_origin(visit, headers, parts.uri.path())?;
    }
    let has_session = visit.slot().carries_session(app.sessions.names());
    if !has_session || visit.is_navigation() {
        return Ok(());
    }
    let own_read = || safe && visit.site() == FetchSite::SameOrigin;
    // A browser marks no handshake, and lets no script say its Origin (S-58).
    let own_socket = || safe && Handshake::is_wanted(headers) && is_from_here(visit);
    if is_marked(visit, headers) || own_read() || own_socket() { Ok(()) } else { Err(Code::CsrfHeader) }
}

/// Whether a header is there that no foreign page can add without a preflight.
pub(crate) fn is_marked(visit: &Visit, headers: &HeaderMap) -> bool {
    let of_clients = ["apikey", "x-client-info", "authorization", "x-csrf"];
    visit.is_marked()
        || (visit.face() == Face::Supabase && of_clients.iter().any(|name| headers.contains_key(*name)))
}

/// S-13 alone, for a request that another proxy asks about: scripts of the app behind it need know nothing of `X-CSRF`.
/// The handshake of a WebSocket is a GET with effects, and rests on `Origin` (S-58).
pub(crate) fn same_origin_only(visit: &Visit, parts: &Parts, rule: &str) -> Result<(), Error> {
    let handshake = parts.headers.contains_key(header::SEC_WEBSOCKET_KEY);
    let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) && !handshake;
    if safe || is_listed(visit.app(), visit.origin()) {
        return Ok(());
    }
    same_origin(visit, &parts.headers, parts.uri.path()).map_err(|code| cross_site(code, Some(rule)))
}

fn same_origin(visit: &Visit, headers: &HeaderMap, path: &str) -> Result<(), Code> {
    let origins = headers.get_all(header::ORIGIN).iter().count();
    let own = visit.public().origin().ascii_serialization();
    let site_known = headers.contains_key(SEC_FETCH_SITE);
    let passes = match (origins, site_known) {
        (0, false) => {
            let names = visit.app().sessions.names();
            let own_cookie = visit.slot().jar().names().any(|name| names.is_own(name));
            let form = is_form(headers) && path != token::PATH;
            !own_cookie && !form
        }
        (0, true) => from_here(visit.site()),
        (1, known) => {
            text(headers, header::ORIGIN) == Some(own.as_str()) && (!known || from_here(visit.site()))
        }
        _ => false,
    };
    if passes { Ok(()) } else { Err(Code::CrossOrigin) }
}

fn from_here(site: FetchSite) -> bool {
    matches!(site, FetchSite::SameOrigin | FetchSite::None)
}

/// Whether `origin` is on the exact list.
pub(crate) fn is_listed(app: &AppState, origin: Option<&HeaderValue>) -> bool {
    origin.is_some_and(|origin| app.cors.origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes()))
}

/// The answer to a preflight, without session or upstream. An origin that is not listed gets no permission.
pub(super) fn preflight(visit: &Visit, parts: &Parts) -> Option<Response> {
    let app = visit.app();
    if parts.method != Method::OPTIONS || !parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if is_listed(app, visit.origin()) {
        let headers = response.headers_mut();
        let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(asked) = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(app.cors.max_age.as_secs()));
    }
    Some(response)
}

/// Lets a listed origin read the answer.
pub(super) fn allow(app: &AppState, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
    if app.cors.origins.is_empty() {
        return;
    }
    answer.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| is_listed(app, Some(origin))) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        let exposed =
            HeaderValue::from_static("X-Request-Id, X-Session-Ended, Retry-After, WWW-Authenticate");
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}
