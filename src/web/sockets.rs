//! WebSockets: where they may begin (S-58), how many of a session there are (S-61), what ends them (S-60).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use tokio::sync::watch;

use super::error::{Code, Error};
use super::guard::Caller;
use super::layers::{cross_site, is_listed};
use super::state::AppState;
use super::visit::Visit;
use crate::gateway::socket::{Handshake, TunnelEnd, UpstreamHalf, tunnel};
use crate::policy::{Denied, Rule};
use crate::session::{self, Current, Held, NotHeld, Over, Session, Standing};

/// When somebody whose sockets are too many may come again.
const CROWDED: Duration = Duration::from_secs(5);

/// All sockets of one app.
#[derive(Debug)]
pub struct Sockets {
    /// The end of all; each socket listens.
    closing: watch::Sender<bool>,
    /// Of one session.
    most: usize,
}

impl Sockets {
    /// None so far, and at most `most` of one session. `limits.sockets_per_session`.
    pub fn new(most: usize) -> Self {
        Self { closing: watch::Sender::new(false), most }
    }

    /// Ends every socket, and waits for that as long as `time`. None begins any more.
    pub async fn close(&self, time: Duration) {
        self.closing.send_replace(true);
        let _ = tokio::time::timeout(time, self.closing.closed()).await;
    }
}

/// The handshake in `request`, if its upstream takes sockets and it asks for one.
pub(super) fn handshake(
    visit: &Visit,
    takes_sockets: bool,
    request: &Request,
    rule: &Rule,
) -> Result<Option<Handshake>, Error> {
    if !takes_sockets {
        return Ok(None); // it goes on as the request that is left without the header
    }
    let handshake = Handshake::read(request).map_err(|bad| Error::from(Code::BadRequest).because(bad))?;
    if handshake.is_some() && !is_from_here(visit) {
        return Err(cross_site(Code::CrossOrigin, Some(rule.name())));
    }
    Ok(handshake)
}

/// Whether `Origin` is ours or on the list. One that is missing, doubled or `null` is neither (S-58).
pub(super) fn is_from_here(visit: &Visit) -> bool {
    let own = visit.public().origin().ascii_serialization();
    let origin = visit.origin();
    origin.is_some_and(|origin| origin.as_bytes() == own.as_bytes()) || is_listed(visit.app(), origin)
}

/// What a socket needs for as long as it lives.
pub(super) struct Place {
    app: AppState,
    rule: Arc<Rule>,
    held: Option<Held>,
    closing: watch::Receiver<bool>,
}

/// A place for one socket more under the session of `caller`, and the browser's half of it.
///
/// # Errors
///
/// 429 if there are too many, 401 if the session has ended meanwhile, 503 while everything ends.
pub(super) fn admit(visit: &Visit, caller: &Caller, rule: &Arc<Rule>) -> Result<Place, Error> {
    let app = visit.app();
    let held = match caller {
        Caller::Nobody => Ok(None),
        Caller::Session(current) => app.sessions.hold(current, app.sockets.most).map(Some),
        Caller::Bearer { claims, .. } => app.sessions.hold_token(claims, app.sockets.most).map(Some),
    };
    let held = held.map_err(|no| match no {
        NotHeld::TooMany => Error::later(Code::RateLimited, CROWDED),
        NotHeld::Ended(reason) => session::Error::Ended(reason).into(),
    })?;
    let closing = app.sockets.closing.subscribe();
    if *closing.borrow() {
        return Err(Error::later(Code::Overloaded, Duration::from_secs(1)));
    }
    Ok(Place { app: app.clone(), rule: rule.clone(), held, closing })
}

/// If `answer` opens a socket, carries its bytes from now on. `client` is the browser's half.
pub(super) fn carry(place: Place, client: OnUpgrade, answer: &mut Response) {
    let Some(upstream) = answer.extensions_mut().remove::<UpstreamHalf>() else { return };
    tokio::spawn(async move {
        let Place { app, rule, mut held, mut closing } = place;
        let _open = app.trail.metrics().socket();
        let mut why = "stopped";
        let stop = async {
            tokio::select! {
                over = until_over(&app, &rule, &mut held) => why = over,
                _ = closing.wait_for(|closing| *closing) => why = "drain",
            }
        };
        let ended = match tunnel(client, upstream, stop).await {
            TunnelEnd::Closed => "closed",
            TunnelEnd::Idle => "idle",
            TunnelEnd::Age => "age",
            TunnelEnd::Stopped => why,
        };
        tracing::info!(http.route = rule.name(), socket.end = ended, "a socket ended");
    });
}

/// Waits until whoever opened the socket may not have it any more: the session is over, or new tokens no longer satisfy
/// the rule.
async fn until_over(app: &AppState, rule: &Arc<Rule>, held: &mut Option<Held>) -> &'static str {
    let Some(held) = held else { return std::future::pending().await };
    let mut standing = held.standing();
    loop {
        match standing {
            Standing::Over(Over::Expired) => return "expired",
            Standing::Over(Over::Ended(reason)) => return reason.as_str(),
            Standing::Session(session) if !may_stay(app, rule, session.clone()).await => return "policy",
            Standing::Session(_) | Standing::Token => {}
        }
        standing = held.changed().await;
    }
}

/// Whether `rule` still lets in whoever `session` says (S-98). That the proof has grown old does not close what was open,
/// and neither does an outage.
pub(super) async fn may_stay(app: &AppState, rule: &Arc<Rule>, session: Arc<Session>) -> bool {
    let claims = match app.sessions.claims(&session).await {
        Ok(claims) => claims,
        Err(session::Error::KeysUnavailable { .. }) => return true,
        Err(_) => return false,
    };
    let now = app.clock.now();
    let caller = Caller::Session(Current::new(session, claims, now));
    matches!(app.policy.decide(rule, &caller.who(), now), Ok(_) | Err(Denied::StepUp { aal2: false, .. }))
}
