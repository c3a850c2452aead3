//! Links and digits of mails, redeemed once for everybody who comes at the same time (S-75): GoTrue takes no lock, so
//! fifty clicks at once could make many sessions.

use std::net::IpAddr;
use std::sync::Arc;

use base::secret::Secret;
use time::Duration;

use super::alone::named;
use super::email::Email;
use super::{Failure, Flows, Inner, Problem};
use crate::event::{Event, Outcome, Record};
use crate::gotrue::{self, CodeKind, LinkKind, Verified};
use crate::session::flights::{Flights, Key};
use crate::session::{self, Current, Proof};

/// How long the second click of one form is answered with what the first brought. Afterwards the secret is used.
const SHARED: Duration = Duration::seconds(30);
/// The wait after a fault of our own.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(10);

/// What a mail holds.
#[derive(Debug, Clone)]
pub(super) enum OneTime {
    /// The hash of a link.
    Link(LinkKind, Secret<String>),
    /// Digits, with the address that they went to.
    Digits(CodeKind, Email, Secret<String>),
}

/// What redeeming brought.
#[derive(Debug, Clone)]
pub(super) enum Redeemed {
    /// Signed in.
    Session(Current),
    /// One half of a change of address.
    Half,
}

/// The same for everybody who asked, with whoever asked first.
#[derive(Debug, Clone)]
struct Shared {
    brought: Result<Redeemed, Refusal>,
    asker: Key,
}

#[derive(Debug, Clone)]
enum Refusal {
    /// Unknown, used, old: GoTrue tells them apart no further.
    Spent,
    /// GoTrue does not answer.
    Away(Arc<gotrue::Error>),
    /// No session could be made of what it answered.
    Unusable(session::Error),
}

/// The redemptions that run, and those of a moment ago.
#[derive(Default)]
pub(super) struct Redemptions(Flights<Shared>);

impl Flows {
    /// Redeems `secret` and makes a session of what GoTrue gives for it. `form` is the token of the form that asks: a
    /// second click of the same form gets what the first got; anybody else finds the secret used.
    pub(super) async fn redeem(
        &self,
        secret: OneTime,
        remember: bool,
        form: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Redeemed, Failure> {
        let inner = &self.0;
        let (key, method, spent) = match &secret {
            OneTime::Link(kind, hash) => {
                (named(&["link", hash.expose()]), kind.as_str(), Problem::LinkExpired)
            }
            OneTime::Digits(kind, email, code) => {
                let parts = ["digits", kind.as_str(), email.as_str(), code.expose()];
                (named(&parts), kind.as_str(), Problem::CodeWrong)
            }
        };
        let asker = match form {
            Some(token) => named(&["form", token]),
            None => inner.entropy.bytes(), // a program: nobody else is the same
        };
        let flows = self.clone();
        let work = async move {
            let brought = flows.0.alone(&key, flows.session_for(secret, method, remember, from)).await;
            let now = flows.0.now();
            // What was not consumed may be tried again at once.
            let until = if brought.is_ok() { now + SHARED } else { now };
            (Shared { brought, asker }, until)
        };
        match inner.redemptions.0.share(key, &inner.clock, work).await {
            Some(Shared { brought: Ok(Redeemed::Session(current)), .. })
                if !inner.sessions.lives(&current.session) =>
            {
                Err(inner.spent(method, spent)) // signed out meanwhile: nothing brings it back (S-43)
            }
            Some(shared) if shared.asker == asker || shared.brought.is_err() => {
                self.told(shared.brought, method, spent)
            }
            Some(_) => Err(inner.spent(method, spent)),
            None => Err(session::Error::Unavailable { retry_after: PAUSE }.into()),
        }
    }

    async fn session_for(
        &self,
        secret: OneTime,
        method: &'static str,
        remember: bool,
        from: Option<IpAddr>,
    ) -> Result<Redeemed, Refusal> {
        let inner = &self.0;
        let (recovery, answer) = match &secret {
            OneTime::Link(kind, hash) => {
                (*kind == LinkKind::Recovery, inner.gotrue.verify_hash(*kind, hash, from).await)
            }
            OneTime::Digits(kind, email, code) => {
                let answer = inner.gotrue.verify_code(*kind, email.as_str(), code, from).await;
                (*kind == CodeKind::Recovery, answer)
            }
        };
        match answer {
            Ok(Verified::Session(tokens)) => {
                let made = inner.sessions.make(*tokens, Proof { method, remember, recovery }).await;
                made.map(Redeemed::Session).map_err(Refusal::Unusable)
            }
            Ok(Verified::Half) => Ok(Redeemed::Half),
            Err(error) if error.is_transient() => Err(Refusal::Away(Arc::new(error))),
            Err(_) => Err(Refusal::Spent),
        }
    }

    fn told(
        &self,
        brought: Result<Redeemed, Refusal>,
        method: &'static str,
        spent: Problem,
    ) -> Result<Redeemed, Failure> {
        match brought {
            Ok(redeemed) => {
                if matches!(redeemed, Redeemed::Session(_)) {
                    let told = Record { method: Some(method), ..Record::of(Event::SignIn, Outcome::Ok) };
                    self.0.trail.emit(&told);
                }
                Ok(redeemed)
            }
            Err(Refusal::Spent) => Err(self.0.spent(method, spent)),
            Err(Refusal::Away(error)) => Err(Failure::away(error)),
            Err(Refusal::Unusable(error)) => Err(error.into()),
        }
    }
}

impl Inner {
    /// Records that a secret opened nothing.
    pub(super) fn spent(&self, method: &'static str, problem: Problem) -> Failure {
        let code = if problem == Problem::CodeWrong { "code_wrong" } else { "link_expired" };
        let told =
            Record { code: Some(code), method: Some(method), ..Record::of(Event::SignIn, Outcome::Failed) };
        self.trail.emit(&told);
        Failure::Form(problem)
    }
}
