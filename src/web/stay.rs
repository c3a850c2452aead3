//! How long somebody may keep what outlasts its request. Session, tokens and rules are looked at again whenever one of them
//! changes (S-60, S-98).

use std::sync::Arc;

use tokio::sync::watch;

use super::guard::{self, Caller};
use super::state::AppState;
use crate::event::Reason;
use crate::policy::{Denied, Rule, Who};
use crate::session::{self, Current, Held, NotHeld, Over, Session, Standing};
use crate::token::Claims;

/// Why something that was opened for somebody may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The session is over: a sign-out on any node, a limit, a ban.
    Session(Reason),
    /// The access token ran out and there is no newer one.
    Expired,
    /// New tokens, or new rules, no longer let this person in.
    Forbidden,
    /// This process ends.
    Drain,
}

impl Ended {
    /// The code to close a WebSocket with: 4401, 4403, or 1012 at the end of the process.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Session(_) | Self::Expired => 4401,
            Self::Forbidden => 4403,
            Self::Drain => 1012,
        }
    }

    /// The word that goes with it. It never changes and names nobody.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session(reason) => reason.as_str(),
            Self::Expired => "session_expired",
            Self::Forbidden => "forbidden",
            Self::Drain => "drain",
        }
    }
}

impl From<Over> for Ended {
    fn from(over: Over) -> Self {
        match over {
            Over::Ended(reason) => Self::Session(reason),
            Over::Expired => Self::Expired,
        }
    }
}

/// What decides whether somebody may stay.
#[derive(Debug)]
pub(super) enum Law {
    /// The rule that is about this path now, as long as it leads to where the first one did.
    Path { host: Option<String>, path: String, upstream: String },
    /// A guard inside somebody's application.
    Guard(Arc<Rule>),
}

/// What was opened for somebody, until it may not go on.
pub(super) struct Stay {
    app: AppState,
    law: Law,
    held: Option<Held>,
    /// What a program's token says.
    program: Option<Arc<Claims>>,
    rules: watch::Receiver<()>,
    closing: watch::Receiver<bool>,
}

impl Stay {
    /// For `caller`, whom `law` has let in; one of `most` under the session, if they are counted.
    ///
    /// # Errors
    ///
    /// [`NotHeld`].
    pub(super) fn begin(
        app: &AppState,
        caller: &Caller,
        law: Law,
        most: Option<usize>,
    ) -> Result<Self, NotHeld> {
        let (rules, closing) = (app.policy.replacements(), app.sockets.closing());
        let (held, program) = match caller {
            Caller::Nobody => (None, None),
            Caller::Session(current) => (Some(app.sessions.hold(current, most)?), None),
            Caller::Bearer { claims, .. } => {
                (Some(app.sessions.hold_token(claims, most)?), Some(claims.clone()))
            }
        };
        Ok(Self { app: app.clone(), law, held, program, rules, closing })
    }

    /// Waits until it may not go on. `renewed` hears of new tokens that are still let in.
    pub(super) async fn ended(&mut self, renewed: impl FnMut(&Session)) -> Ended {
        let Self { app, law, held, program, rules, closing } = self;
        tokio::select! {
            ended = watch_over(app, law, held.as_mut(), program.as_deref(), rules, renewed) => ended,
            _ = closing.wait_for(|closing| *closing) => Ended::Drain,
        }
    }
}

async fn watch_over(
    app: &AppState,
    law: &Law,
    mut held: Option<&mut Held>,
    program: Option<&Claims>,
    rules: &mut watch::Receiver<()>,
    mut renewed: impl FnMut(&Session),
) -> Ended {
    let mut is_news = true;
    loop {
        rules.mark_unchanged();
        let standing = held.as_ref().map(|held| held.standing());
        match (standing, program) {
            (Some(Standing::Over(over)), _) => return over.into(),
            (Some(Standing::Session(session)), _) => {
                if !session_may_stay(app, law, session.clone()).await {
                    return Ended::Forbidden;
                }
                if is_news {
                    renewed(&session);
                }
            }
            (Some(Standing::Token), Some(claims)) if law.admits(app, &guard::program(claims)) => {}
            (None, _) if law.admits(app, &Who::Nobody) => {}
            (Some(Standing::Token) | None, _) => return Ended::Forbidden,
        }
        let news = async {
            match &mut held {
                Some(held) => drop(held.changed().await),
                None => std::future::pending().await,
            }
        };
        is_news = tokio::select! {
            () = news => true,
            _ = rules.changed() => false,
        };
    }
}

/// An outage does not close what was open.
async fn session_may_stay(app: &AppState, law: &Law, session: Arc<Session>) -> bool {
    let claims = match app.sessions.claims(&session).await {
        Ok(claims) => claims,
        Err(session::Error::KeysUnavailable { .. }) => return true,
        Err(_) => return false,
    };
    let caller = Caller::Session(Current::new(session, claims, app.clock.now()));
    law.admits(app, &caller.who())
}

impl Law {
    /// Whether the rules of this moment let in `who` (S-98). That a proof has grown old does not close what was open.
    fn admits(&self, app: &AppState, who: &Who<'_>) -> bool {
        let policy = app.policy.get();
        let rule = match self {
            Self::Guard(rule) => rule,
            Self::Path { host, path, upstream } => {
                match policy.find(host.as_deref(), &http::Method::GET, path) {
                    Ok(rule) if rule.upstream() == Some(upstream) => rule,
                    Ok(_) | Err(_) => return false,
                }
            }
        };
        match policy.decide(rule, who, app.clock.now()) {
            Ok(_) => true,
            Err(Denied::StepUp { aal2, .. }) => {
                !aal2 || matches!(who, Who::User { claims, .. } if claims.aal >= 2)
            }
            Err(_) => false,
        }
    }
}
