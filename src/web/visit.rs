//! One request as a handler sees it: who is calling, in which manner, and how to answer in the same manner.

mod bound;
mod head;
mod language;
mod ways;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use url::Url;

use super::api::token;
use super::api::verify::Original;
use super::error::{Code, Error};
use super::forms::Binding;
use super::guard::Caller;
use super::ids::RequestId;
use super::state::AppState;
use super::views::{Frame, View};
use crate::policy::{Policy, Rule};
use crate::session::Slot;
pub use head::FetchSite;
use head::Said;
pub(super) use head::{Client, Peer, SEC_FETCH_MODE, SEC_FETCH_SITE, is_form, text};
use language::Tongues;
pub(super) use ways::returning;

/// Which face a request wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// A person in a browser: pages and redirects.
    Page,
    /// A script or a program: JSON.
    Json,
    /// One of the clients below the mount: JSON in their shape.
    Supabase,
    /// Another proxy, which asks about a request: headers alone, and no cookie (S-64).
    Verdict,
}

/// Everything the layers found out about a request. Clones share the slot and the cookies to set.
#[derive(Clone)]
pub struct Visit(Arc<Inner>);

struct Inner {
    app: AppState,
    slot: Slot,
    face: Face,
    auth: bool,
    site: FetchSite,
    navigation: bool,
    marked: bool,
    client: Client,
    request_id: RequestId,
    method: Method,
    target: Option<PathAndQuery>,
    /// Its place in the list of `public_url`.
    public: usize,
    /// What judges all of this request, whatever is reloaded meanwhile.
    policy: Policy,
    origin: Option<HeaderValue>,
    cookies: Mutex<Vec<HeaderValue>>,
    /// As the browser will have it after this answer; `None` until somebody asks.
    binding: Mutex<Option<Binding>>,
    tongues: Tongues,
    route: OnceLock<MatchedPath>,
    rule: OnceLock<Arc<Rule>>,
    /// Milliseconds until the head of an upstream's answer.
    forwarded: OnceLock<u64>,
    answered: AtomicBool,
    /// Who passed a guard inside somebody's application.
    caller: OnceLock<Arc<Caller>>,
}

impl Visit {
    /// Reads `parts`; `client` is the address by S-83, `public` the origin that the request named.
    pub(super) fn new(
        app: AppState,
        parts: &Parts,
        client: Client,
        request_id: RequestId,
        public: usize,
    ) -> Self {
        let headers = &parts.headers;
        let said = Said::read(headers);
        let path = parts.uri.path();
        let below = path.strip_prefix(app.mount.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        let navigation = path != token::PATH && said.is_navigation(&parts.method, headers);
        let face = match (below, navigation) {
            _ if parts.extensions.get::<Original>().is_some() => Face::Verdict,
            (true, _) => Face::Supabase,
            (_, true) => Face::Page,
            (_, false) => Face::Json,
        };
        Self(Arc::new(Inner {
            slot: Slot::new(headers, client.address),
            face,
            auth: below && app.is_auth(path),
            site: said.site(),
            navigation,
            marked: said.is_marked(),
            client,
            request_id,
            method: parts.method.clone(),
            target: parts.uri.path_and_query().cloned(),
            public,
            policy: app.policy.get(),
            origin: said.origin.value().cloned(),
            cookies: Mutex::default(),
            binding: Mutex::default(),
            tongues: Tongues::of(&app, &said),
            route: OnceLock::new(),
            rule: OnceLock::new(),
            forwarded: OnceLock::new(),
            answered: AtomicBool::new(false),
            caller: OnceLock::new(),
            app,
        }))
    }

    /// The same browser making the request of `parts` by script, as the demo page does for people without one.
    pub(super) fn as_script(&self, parts: &Parts) -> Self {
        self.seen_as(parts, self.0.public)
    }

    /// The same browser with the same session making the request of `parts`, at the origin of this place in the list.
    pub(super) fn seen_as(&self, parts: &Parts, public: usize) -> Self {
        let app = self.0.app.clone();
        let other = Self::new(app, parts, self.0.client.clone(), self.0.request_id.clone(), public);
        let Some(inner) = Arc::into_inner(other.0) else { return self.clone() };
        Self(Arc::new(Inner { slot: self.0.slot.clone(), policy: self.0.policy.clone(), ..inner }))
    }

    /// The running parts.
    pub fn app(&self) -> &AppState {
        &self.0.app
    }

    /// The policy that was in use when the request came.
    pub(super) fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// The place of the session.
    pub fn slot(&self) -> &Slot {
        &self.0.slot
    }

    /// Reads the session from its store for our own pages, which ask for it in passing; what is proxied asks by name.
    pub(super) async fn load_session(&self) {
        let path = self.0.target.as_ref().map_or("/", PathAndQuery::path);
        let own = path.starts_with("/auth/") && !path.starts_with("/auth/assets/");
        if own || (path == "/" && self.app().demo) {
            self.app().sessions.load(self.slot()).await;
        }
    }

    /// How the caller wants to be answered.
    pub fn face(&self) -> Face {
        self.0.face
    }

    /// Whether the call is one of GoTrue's own clients for the authentication service below the mount.
    pub(super) fn speaks_with_gotrue(&self) -> bool {
        self.0.auth
    }

    /// Where the browser says it comes from.
    pub fn site(&self) -> FetchSite {
        self.0.site
    }

    /// Whether the answer will fill a window of its own.
    pub fn is_navigation(&self) -> bool {
        self.0.navigation
    }

    /// Whether `X-CSRF: 1` is there, which no foreign page can add without a preflight (S-14).
    pub(super) fn is_marked(&self) -> bool {
        self.0.marked
    }

    /// A navigation that began on another site and brought no session: a Strict cookie may be there and not have come
    /// along (S-02).
    pub fn may_lack_its_session(&self) -> bool {
        self.is_navigation()
            && self.site() == FetchSite::CrossSite
            && self.app().sessions.peek(self.slot()).is_none()
    }

    /// The client's address (S-83).
    pub fn client(&self) -> Option<IpAddr> {
        self.0.client.address
    }

    /// The same as the value of a header.
    pub(super) fn client_value(&self) -> Option<&HeaderValue> {
        self.0.client.value()
    }

    /// As in `X-Request-Id`.
    pub fn request_id(&self) -> &str {
        self.0.request_id.as_str()
    }

    /// The same as the value of a header.
    pub(super) fn request_id_value(&self) -> &HeaderValue {
        self.0.request_id.value()
    }

    /// As [`host`](Self::host), as the value of a header.
    pub(super) fn host_value(&self) -> &HeaderValue {
        &self.app().hosts[self.0.public]
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// The request matched `rule`; what becomes of it now is counted and logged under that name.
    pub(super) fn note_rule(&self, rule: &Arc<Rule>) {
        let _ = self.0.rule.set(Arc::clone(rule)); // the same at every time
    }

    /// The name of the rule, or the template of the path of ours that the request matched, once that is known.
    pub(super) fn route(&self) -> Option<&str> {
        let template = || self.0.route.get().map(MatchedPath::as_str);
        self.0.rule.get().map(|rule| rule.name()).or_else(template)
    }

    /// The template of the path that the request matched.
    pub(super) fn note_path(&self, path: &MatchedPath) {
        let _ = self.0.route.set(path.clone()); // the same at every time
    }

    /// The request goes on for `caller`.
    pub(super) fn note_caller(&self, caller: Caller) -> Arc<Caller> {
        let caller = Arc::new(caller);
        if caller.claims().is_some() {
            let _ = self.0.caller.set(Arc::clone(&caller)); // the same person at every time
        }
        caller
    }

    /// The person for whom the request went on, if that was asked.
    pub(super) fn caller(&self) -> Option<Arc<Caller>> {
        self.0.caller.get().cloned()
    }

    /// The upstream that the request went on to, if it did, and the milliseconds until the head of the answer.
    pub(super) fn forwarded(&self) -> Option<(&str, u64)> {
        Some((self.0.rule.get()?.upstream().unwrap_or_default(), *self.0.forwarded.get()?))
    }

    pub(super) fn set_forwarded(&self, millis: u64) {
        let _ = self.0.forwarded.set(millis); // the demo page forwards more than once; the first is told
    }

    /// The answer is an upstream's, dressed by the gateway.
    pub(super) fn note_answered(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }

    /// Whether the answer is an upstream's.
    pub(super) fn is_answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }

    /// Path and query as they came.
    pub fn target(&self) -> &str {
        self.0.target.as_ref().map_or("/", PathAndQuery::as_str)
    }

    /// The query as it came.
    pub(super) fn query(&self) -> &str {
        self.0.target.as_ref().and_then(PathAndQuery::query).unwrap_or_default()
    }

    /// The request's `Origin`; a doubled one counts as absent.
    pub(super) fn origin(&self) -> Option<&HeaderValue> {
        self.0.origin.as_ref()
    }

    /// The public origin under which the request came.
    pub fn public(&self) -> &Url {
        &self.app().public[self.0.public]
    }

    /// `localhost:8080` or `app.example.com`, as the browser names us.
    pub fn host(&self) -> &str {
        &self.public()[url::Position::BeforeHost..url::Position::AfterPort]
    }

    /// Counts a refusal whose answer is a page of its own; any other is counted where it is dressed.
    pub(super) fn count_refusal(&self, code: Code) {
        self.app().trail.metrics().refused(code as usize);
    }

    /// Adds a `Set-Cookie` to the answer.
    pub fn set_cookie(&self, cookie: HeaderValue) {
        self.0.cookies.lock().unwrap_or_else(PoisonError::into_inner).push(cookie);
    }

    /// Every `Set-Cookie` of the answer: the session's, the form's, and what handlers added.
    pub(super) fn take_cookies(&self) -> Vec<HeaderValue> {
        if self.face() == Face::Verdict {
            return Vec::new();
        }
        self.keep_language();
        let app = self.app();
        let mut cookies = std::mem::take(&mut *self.0.cookies.lock().unwrap_or_else(PoisonError::into_inner));
        let held = self.0.binding.lock().unwrap_or_else(PoisonError::into_inner);
        let due = held.as_ref().filter(|binding| binding.is_due());
        cookies.extend(due.map(|binding| app.forms.keep(binding, &*app.entropy)));
        cookies.extend(app.sessions.set_cookies(&self.0.slot));
        cookies
    }

    /// Whether the request brings any cookie of ours.
    pub fn brings_cookies(&self) -> bool {
        let names = self.app().sessions.names();
        self.0.slot.jar().names().any(|name| names.is_own(name))
    }

    /// A page with `status`.
    pub fn page<V: View>(&self, status: StatusCode, view: &V) -> Response {
        let app = self.app();
        let sign_out = app.sessions.peek(&self.0.slot).map(|_| self.form_token("logout"));
        let (language, tongues) = (self.language(), self.tongues());
        let host = self.host();
        let frame = Frame { host, sign_out: sign_out.as_deref(), language, tongues: &tongues };
        let html = match app.templates.render(&frame, view) {
            Ok(html) => html,
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                return Error::from(Code::Internal).into_response();
            }
        };
        let mut page = (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response();
        let languages = app.templates.languages();
        if let Ok(code) = HeaderValue::from_str(languages.code(language)) {
            page.headers_mut().insert(header::CONTENT_LANGUAGE, code);
        }
        if languages.are_several() {
            page.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Language"));
        }
        page
    }

    /// JSON with `status`.
    pub fn json(&self, status: StatusCode, body: &impl Serialize) -> Response {
        match serde_json::to_string(body) {
            Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written");
                Error::from(Code::Internal).into_response()
            }
        }
    }
}

/// 303 with `no-referrer` (S-23, S-67).
pub fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return Error::from(Code::Internal).into_response();
    };
    let headers =
        [(header::LOCATION, location), (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let visit = parts.extensions.get::<Self>().cloned().ok_or(Code::Internal)?;
        if let Some(route) = parts.extensions.get::<MatchedPath>() {
            visit.note_path(route);
        }
        Ok(visit)
    }
}
