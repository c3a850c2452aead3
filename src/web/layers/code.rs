//! An authorization code that arrived at a page: GoTrue sends it to the Site URL when the callback is missing from its
//! list. It must not reach a document (S-27).

use axum::response::{IntoResponse, Response};
use http::Method;
use http::request::Parts;

use crate::event::{self, Event, Outcome, Record};
use crate::gateway::path::{AllowEncoded, Path};
use crate::web::error::{Code, Error};
use crate::web::visit::{Face, Visit, see_other};

/// The same address without its code, before anything of it is served; `None` for every other request.
pub(super) fn guard(visit: &Visit, parts: &Parts) -> Option<Response> {
    let query = parts.uri.query()?;
    let raw = parts.uri.path();
    let is_page = visit.face() == Face::Page && matches!(parts.method, Method::GET | Method::HEAD);
    if !is_page || raw.starts_with("/auth/callback/") || !query.split('&').any(is_code) {
        return None;
    }
    // A path such as `//elsewhere` would lead away from here.
    let Ok(path) = Path::judge(raw, AllowEncoded::ALL) else {
        return Some(Error::from(Code::BadPath).into_response());
    };
    let rule = visit.policy().find(visit.public().host_str(), &parts.method, &path);
    if rule.is_ok_and(|rule| rule.code_guard_off()) {
        return None;
    }
    event::emit(&Record::of(Event::CodeAtWrongUrl, Outcome::Refused));
    tracing::warn!(
        "hint: add `{}/auth/callback/*` to the redirect URLs of the project",
        visit.public().origin().ascii_serialization()
    );
    let rest: Vec<_> = query.split('&').filter(|pair| !is_code(pair)).collect();
    Some(see_other(&if rest.is_empty() { path.to_string() } else { format!("{raw}?{}", rest.join("&")) }))
}

/// Whether a pair of a query is a code of GoTrue's, as a script on the page would read it.
fn is_code(pair: &str) -> bool {
    url::form_urlencoded::parse(pair.as_bytes())
        .any(|(name, value)| name == "code" && value.len() == 36 && uuid::Uuid::try_parse(&value).is_ok())
}
