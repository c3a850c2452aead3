//! The place of the session in one request: what came in, and what the answer has to say about it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::{HeaderMap, HeaderValue, header};

use super::cookie::{Jar, Names};
use super::record::Session;
use crate::event::Reason;

/// What the cookies of a request turned out to be.
#[derive(Debug, Clone)]
pub(super) enum Presented {
    Nothing,
    Ended(Reason),
    Session(Arc<Session>),
    /// The store does not answer: nobody can tell.
    Unknown,
}

/// What the answer says about the session.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Nothing: the cookies stay as they are.
    None,
    /// These are the session's cookies from now on.
    Set(Arc<Session>),
    /// There is no session any more. The reason, if there was one, is kept for the login page.
    Clear(Option<Reason>),
}

/// Shared by the layers and the handler of one request. Opened when somebody first asks for the session.
#[derive(Debug, Clone)]
pub struct Slot(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    jar: Jar,
    agent: Option<HeaderValue>,
    client: Option<IpAddr>,
    carries: OnceLock<bool>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    presented: Option<Presented>,
    change: Change,
    poll: bool,
}

impl Slot {
    /// For a request with `headers`, of which only `Cookie` and `User-Agent` are kept, from `client` (S-83).
    pub fn new(headers: &HeaderMap, client: Option<IpAddr>) -> Self {
        let agent = headers.get(header::USER_AGENT).cloned();
        let state = Mutex::new(State { presented: None, change: Change::None, poll: false });
        Self(Arc::new(Inner { jar: Jar::read(headers), agent, client, carries: OnceLock::new(), state }))
    }

    /// The cookies of the request.
    pub fn jar(&self) -> &Jar {
        &self.0.jar
    }

    /// Whose request this is, for GoTrue's own limits (S-85).
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.0.client
    }

    /// The browser, as it calls itself.
    pub(super) fn agent(&self) -> &str {
        self.0.agent.as_ref().and_then(|agent| agent.to_str().ok()).unwrap_or_default()
    }

    /// Whether the request carries anything in place of a session, be it damaged.
    pub fn carries_session(&self, names: &Names) -> bool {
        *self.0.carries.get_or_init(|| names.carries_session(&self.0.jar))
    }

    /// This request is a poll of the page's script: it must not keep an idle session alive.
    pub fn mark_as_poll(&self) {
        self.state().poll = true;
    }

    pub(super) fn is_poll(&self) -> bool {
        self.state().poll
    }

    /// What came in, opened by `open` at the first call.
    pub(super) fn presented(&self, open: impl FnOnce(&Jar) -> (Presented, bool)) -> Presented {
        let mut state = self.state();
        if let Some(presented) = &state.presented {
            return presented.clone();
        }
        let (presented, stale) = open(&self.0.jar);
        state.learn(&presented, stale);
        presented
    }

    /// What came in, as far as that is known.
    pub(super) fn known(&self) -> Option<Presented> {
        self.state().presented.clone()
    }

    /// What came in turned out to be `presented`, unless the request knows something newer by now.
    pub(super) fn learn(&self, presented: &Presented) {
        let mut state = self.state();
        if state.presented.is_none() {
            state.learn(presented, false);
        }
    }

    /// From now on the request works with `session`; the cookies stay as they are.
    pub(super) fn go_on_with(&self, session: Arc<Session>) {
        self.state().presented = Some(Presented::Session(session));
    }

    /// From now on the request works with `session`, and the answer sets it.
    pub(super) fn set(&self, session: Arc<Session>) {
        let mut state = self.state();
        state.presented = Some(Presented::Session(session.clone()));
        state.change = Change::Set(session);
    }

    /// From now on the request has no session, and the answer clears it.
    pub(super) fn clear(&self, reason: Option<Reason>) {
        let mut state = self.state();
        state.presented = Some(reason.map_or(Presented::Nothing, Presented::Ended));
        state.change = Change::Clear(reason);
    }

    pub(super) fn change(&self) -> Change {
        self.state().change.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn learn(&mut self, presented: &Presented, stale: bool) {
        match presented {
            Presented::Ended(reason) => self.change = Change::Clear(Some(*reason)),
            Presented::Session(session) if stale => self.change = Change::Set(session.clone()),
            Presented::Session(_) | Presented::Nothing | Presented::Unknown => {}
        }
        self.presented = Some(presented.clone());
    }
}
