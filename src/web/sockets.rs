//! WebSockets: where they may begin (S-58), how many of a session there are (S-61), what ends them (S-60).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use base::secret::Secret;
use hyper::upgrade::OnUpgrade;
use tokio::sync::watch;
use uuid::Uuid;

use super::error::{Code, Error};
use super::guard::Caller;
use super::layers::{cross_site, is_listed};
use super::state::AppState;
use super::supabase::realtime;
use super::visit::Visit;
use crate::gateway::realtime::Protocol;
use crate::gateway::settings::Kind;
use crate::gateway::socket::{Handshake, TunnelEnd, UpstreamHalf, tunnel};
use crate::gateway::upstream::Upstream;
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

/// A socket that a request asks for.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) handshake: Handshake,
    /// It is Realtime's, whose frames are read here.
    realtime: Option<Protocol>,
}

/// The socket that `request` asks for, if there are any under `rule`.
pub(super) fn wish(
    visit: &Visit,
    upstream: &Upstream,
    request: &mut Request,
    rule: &Rule,
) -> Result<Option<Wish>, Error> {
    if !upstream.takes_sockets(rule.name()) {
        return Ok(None); // it goes on as the request that is left without the header
    }
    let is_realtime = upstream.kind() == Kind::Supabase;
    let handshake = Handshake::read(request).map_err(|bad| Error::from(Code::BadRequest).because(bad))?;
    let Some(handshake) = handshake else {
        return if is_realtime { Err(Code::BadRequest.into()) } else { Ok(None) };
    };
    if !is_from_here(visit) {
        return Err(cross_site(Code::CrossOrigin, Some(rule.name())));
    }
    let realtime = if is_realtime { Some(realtime::read(request)?) } else { None };
    Ok(Some(Wish { handshake, realtime }))
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
    /// What goes into frames that bring a token: the person's, or the key where there is nobody.
    pub(super) token: Secret<String>,
    /// Whose the socket is.
    pub(super) person: Option<Uuid>,
}

/// Why a socket may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The session is over, or its token.
    Session(Over),
    /// New tokens no longer satisfy the rule.
    Policy,
    /// The process ends.
    Drain,
}

/// A place for one socket more under the session of `caller`, and the browser's half of it.
///
/// # Errors
///
/// 429 if there are too many, 401 if the session has ended meanwhile, 503 while everything ends.
pub(super) fn admit(
    visit: &Visit,
    caller: &Caller,
    rule: &Arc<Rule>,
    upstream: &Upstream,
) -> Result<Place, Error> {
    let app = visit.app();
    let (token, person) = match caller {
        Caller::Nobody => (upstream.publishable_key().cloned(), None),
        Caller::Session(current) => {
            (Some(current.session.access_token.clone()), Some(current.session.user_id))
        }
        Caller::Bearer { token, claims } => (Some(token.clone()), Some(claims.sub)),
    };
    let held = match caller {
        Caller::Nobody => Ok(None),
        Caller::Session(current) => app.sessions.hold(current, Some(app.sockets.most)).map(Some),
        Caller::Bearer { claims, .. } => app.sessions.hold_token(claims, Some(app.sockets.most)).map(Some),
    };
    let held = held.map_err(|no| match no {
        NotHeld::TooMany => Error::later(Code::RateLimited, CROWDED),
        NotHeld::Ended(reason) => session::Error::Ended(reason).into(),
    })?;
    let closing = app.sockets.closing.subscribe();
    if *closing.borrow() {
        return Err(Error::later(Code::Overloaded, Duration::from_secs(1)));
    }
    let token = token.unwrap_or_else(|| Secret::new(String::new()));
    Ok(Place { app: app.clone(), rule: rule.clone(), held, closing, token, person })
}

/// If `answer` opens the socket of `wish`, carries its bytes from now on. `client` is the browser's half.
pub(super) fn carry(mut place: Place, wish: &Wish, client: OnUpgrade, answer: &mut Response) {
    let Some(upstream) = answer.extensions_mut().remove::<UpstreamHalf>() else { return };
    let (rule, realtime) = (place.rule.clone(), wish.realtime);
    let open = place.app.trail.metrics().socket();
    tokio::spawn(async move {
        let ended = match realtime {
            Some(protocol) => realtime::run(place, protocol, client, upstream).await,
            None => tunnelled(&mut place, client, upstream).await.to_owned(),
        };
        tracing::info!(http.route = rule.name(), socket.end = ended, "a socket ended");
        drop(open);
    });
}

async fn tunnelled(place: &mut Place, client: OnUpgrade, upstream: UpstreamHalf) -> &'static str {
    let mut why = "stopped";
    let stop = async {
        why = match place.ended(|_| {}).await {
            End::Session(Over::Expired) => "expired",
            End::Session(Over::Ended(reason)) => reason.as_str(),
            End::Policy => "policy",
            End::Drain => "drain",
        }
    };
    match tunnel(client, upstream, stop).await {
        TunnelEnd::Closed => "closed",
        TunnelEnd::Idle => "idle",
        TunnelEnd::Age => "age",
        TunnelEnd::Stopped => why,
    }
}

impl Place {
    /// Waits until whoever opened the socket may not have it any more. `renewed` hears of new tokens that still satisfy the
    /// rule.
    pub(super) async fn ended(&mut self, mut renewed: impl FnMut(&Session)) -> End {
        let Self { app, rule, held, closing, .. } = self;
        let over = async {
            let Some(held) = held else { return std::future::pending().await };
            let mut standing = held.standing();
            loop {
                match standing {
                    Standing::Over(over) => return End::Session(over),
                    Standing::Session(session) => {
                        if !may_stay(app, rule, session.clone()).await {
                            return End::Policy;
                        }
                        renewed(&session);
                    }
                    Standing::Token => {}
                }
                standing = held.changed().await;
            }
        };
        tokio::select! {
            end = over => end,
            _ = closing.wait_for(|closing| *closing) => End::Drain,
        }
    }
}

/// Whether `rule` still lets in whoever `session` says (S-98). That the proof has grown old does not close what was open,
/// and neither does an outage.
async fn may_stay(app: &AppState, rule: &Arc<Rule>, session: Arc<Session>) -> bool {
    let claims = match app.sessions.claims(&session).await {
        Ok(claims) => claims,
        Err(session::Error::KeysUnavailable { .. }) => return true,
        Err(_) => return false,
    };
    let now = app.clock.now();
    let caller = Caller::Session(Current::new(session, claims, now));
    matches!(
        app.policy.get().decide(rule, &caller.who(), now),
        Ok(_) | Err(Denied::StepUp { aal2: false, .. })
    )
}
