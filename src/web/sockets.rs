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
use super::stay::{Law, Stay};
use super::supabase::realtime;
use super::visit::Visit;
use crate::gateway::realtime::Protocol;
use crate::gateway::settings::Kind;
use crate::gateway::socket::{Handshake, TunnelEnd, UpstreamHalf, tunnel};
use crate::gateway::upstream::Upstream;
use crate::policy::Rule;
use crate::session::{self, NotHeld};

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

    /// Says when all of them end.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
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
    pub(super) stay: Stay,
    /// What goes into frames that bring a token: the person's, or the key where there is nobody.
    pub(super) token: Secret<String>,
    /// Whose the socket is.
    pub(super) person: Option<Uuid>,
}

/// A place for one socket more under the session of `caller`, for `path`, about which `rule` is now.
///
/// # Errors
///
/// 429 if there are too many, 401 if the session has ended meanwhile, 503 while everything ends.
pub(super) fn admit(
    visit: &Visit,
    path: &str,
    caller: &Caller,
    rule: &Rule,
    upstream: &Upstream,
) -> Result<Place, Error> {
    let app = visit.app();
    if *app.sockets.closing.borrow() {
        return Err(Error::later(Code::Overloaded, Duration::from_secs(1)));
    }
    let (token, person) = match caller {
        Caller::Nobody => (upstream.publishable_key().cloned(), None),
        Caller::Session(current) => {
            (Some(current.session.access_token.clone()), Some(current.session.user_id))
        }
        Caller::Bearer { token, claims } => (Some(token.clone()), Some(claims.sub)),
    };
    let law = Law::Path {
        host: visit.public().host_str().map(str::to_owned),
        path: path.to_owned(),
        upstream: rule.upstream().unwrap_or_default().to_owned(),
    };
    let stay = Stay::begin(app, caller, law, Some(app.sockets.most)).map_err(|no| match no {
        NotHeld::TooMany => Error::later(Code::RateLimited, CROWDED),
        NotHeld::Ended(reason) => session::Error::Ended(reason).into(),
    })?;
    let token = token.unwrap_or_else(|| Secret::new(String::new()));
    Ok(Place { stay, token, person })
}

/// If `answer` opens the socket of `wish`, carries its bytes from now on. `client` is the browser's half.
pub(super) fn carry(
    visit: &Visit,
    rule: Arc<Rule>,
    mut place: Place,
    wish: &Wish,
    client: OnUpgrade,
    answer: &mut Response,
) {
    let Some(upstream) = answer.extensions_mut().remove::<UpstreamHalf>() else { return };
    let realtime = wish.realtime;
    let open = visit.app().trail.metrics().socket();
    tokio::spawn(async move {
        let ended = match realtime {
            Some(protocol) => realtime::run(place, protocol, client, upstream).await,
            None => tunnelled(&mut place.stay, client, upstream).await.to_owned(),
        };
        tracing::info!(http.route = rule.name(), socket.end = ended, "a socket ended");
        drop(open);
    });
}

async fn tunnelled(stay: &mut Stay, client: OnUpgrade, upstream: UpstreamHalf) -> &'static str {
    let mut why = "stopped";
    let stop = async { why = stay.ended(|_| {}).await.as_str() };
    match tunnel(client, upstream, stop).await {
        TunnelEnd::Closed => "closed",
        TunnelEnd::Idle => "idle",
        TunnelEnd::Age => "age",
        TunnelEnd::Stopped => why,
    }
}
