//! How a session begins: tokens that verify, a new id, the earlier session ended (S-06, S-29).

use std::sync::Arc;

use time::OffsetDateTime;

use super::Error;
use super::agent;
use super::cookie::{self, Jar};
use super::record::{Fresh, Limited, Memo, Rest, Session};
use super::remote::times;
use super::sessions::{Current, Inner, Sessions};
use super::settings::Remember;
use super::slot::{Presented, Slot};
use super::store::Version;
use super::ticket::Ticket;
use crate::event::{self, Event, Reason};
use crate::gotrue::{Scope, Tokens};
use crate::token::{Claims, Invalid, Refusal};

/// How a person proved who they are, for [`Sessions::make`].
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// For the audit trail: `password`, `signup`, a provider's name.
    pub method: &'a str,
    /// The tick at "stay signed in", if there was one.
    pub remember: bool,
    /// It was a recovery link: only a new password may follow (S-32).
    pub recovery: bool,
}

/// What a session takes over from whatever led to it.
struct Begin<'a> {
    method: Option<&'a str>,
    remember: bool,
    recovery: bool,
    created_at: OffsetDateTime,
    auth_time: OffsetDateTime,
    /// It is to be the same sign-in as this one at GoTrue.
    within: Option<&'a Session>,
}

impl Begin<'_> {
    fn fits(&self, claims: &Claims) -> bool {
        self.within
            .is_none_or(|earlier| claims.sub == earlier.user_id && claims.session_id == earlier.gotrue_id)
    }
}

impl Sessions {
    /// Makes a session of the tokens that GoTrue just gave, for [`adopt`](Self::adopt).
    ///
    /// # Errors
    ///
    /// [`Error::Unverified`] if the token does not pass verification, [`Error::KeysUnavailable`] if nobody can tell,
    /// [`Error::TooLarge`] if it does not fit. The tokens are revoked then.
    pub async fn make(&self, tokens: Tokens, proof: Proof<'_>) -> Result<Current, Error> {
        let now = self.0.clock.now();
        let remember = match self.0.settings.remember {
            Remember::Ask => proof.remember,
            Remember::Always => true,
            Remember::Never => false,
        };
        let (method, recovery) = (Some(proof.method), proof.recovery);
        self.begin(
            tokens,
            &Begin { method, remember, recovery, created_at: now, auth_time: now, within: None },
        )
        .await
    }

    /// Makes the session that takes the place of `earlier` after a further step of the same sign-in, for
    /// [`adopt`](Self::adopt): another id (S-06), and the limits, the sign-in and "stay signed in" of before. `method` is
    /// the proof that the step was, if it was one.
    ///
    /// # Errors
    ///
    /// As [`make`](Self::make), and [`Error::Ended`] if `earlier` is over by now: nothing brings it back (S-43).
    pub async fn step(
        &self,
        tokens: Tokens,
        earlier: &Session,
        method: Option<&str>,
    ) -> Result<Current, Error> {
        let now = self.0.clock.now();
        if let Some(reason) = self.0.denied_reason(earlier, now) {
            self.0.discard_late(tokens.access_token, reason);
            return Err(Error::Ended(reason));
        }
        let begin = Begin {
            method,
            remember: earlier.remember,
            recovery: earlier.limited.is_some_and(Limited::ends_with_password),
            created_at: earlier.created_at,
            auth_time: if method.is_some() { now } else { earlier.auth_time },
            within: Some(earlier),
        };
        self.begin(tokens, &begin).await
    }

    async fn begin(&self, tokens: Tokens, begin: &Begin<'_>) -> Result<Current, Error> {
        let now = self.0.clock.now();
        // Longer than all cookies together: nothing that follows could change that.
        if tokens.access_token.expose().len() > cookie::LARGEST {
            self.0.discard(tokens.access_token);
            return Err(Error::TooLarge);
        }
        let claims = match self.0.verifier.verify(tokens.access_token.expose()).await {
            Ok(claims) if claims.sub == tokens.user.id && begin.fits(&claims) => claims,
            refused => {
                self.0.discard(tokens.access_token);
                return Err(match refused {
                    Err(Refusal::KeysUnavailable { retry_after }) => Error::KeysUnavailable { retry_after },
                    Err(Refusal::Invalid(invalid)) => Error::Unverified(invalid),
                    Ok(_) => Error::Unverified(Invalid::Claims("sub")),
                });
            }
        };
        let (issued_at, expires_at) = times(&claims, now);
        let factors = tokens.user.factors.clone();
        let person = Arc::new(tokens.user.clone());
        let fresh = Fresh::new(tokens, issued_at, expires_at);
        let asked = self.0.settings.second_factor;
        let limited = Limited::of(begin.recovery, claims.aal, fresh.next_aal, asked);
        let rest = self.0.vault.as_ref().map(|_| Rest {
            ticket: Arc::new(Ticket::fresh(&*self.0.entropy)),
            version: Version::default(),
            agent: "".into(),
        });
        let session = Arc::new(Session {
            id: self.0.entropy.uuid(),
            user_id: claims.sub,
            gotrue_id: claims.session_id,
            access_token: fresh.access_token,
            refresh_token: fresh.refresh_token,
            issued_at,
            expires_at,
            created_at: begin.created_at,
            auth_time: begin.auth_time,
            last_seen: now,
            remember: begin.remember,
            limited,
            next_aal: fresh.next_aal,
            rest,
            memo: Memo::default(),
        });
        if self.0.cookies_for(&session, &Jar::empty(), now).is_none() {
            self.0.discard(session.access_token.clone());
            return Err(Error::TooLarge);
        }
        match begin.within {
            // The answer to a factor's code still lists what the code has removed (contract 2.15).
            Some(_) => self.person_changed(&session, None),
            None => self.0.keep_person(&session, person, now),
        }
        self.0.record(&session, Event::SessionStarted, event::Outcome::Ok, None, begin.method);
        Ok(Current { session, claims, factors, at: now })
    }

    /// Puts `current` in the place of the session that the request carried, which ends here and at GoTrue (S-06). In store
    /// mode the new one is written first; twins of the same sign-in, as a doubled callback makes them, share it.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`] if it could not be written. Its tokens are revoked then, and the earlier session
    /// goes on. [`Error::Ended`] if somebody signed out of this very sign-in meanwhile: a step within it brings nobody
    /// back (S-43).
    pub async fn adopt(&self, slot: &Slot, current: &Current) -> Result<(), Error> {
        self.load(slot).await;
        let session = &current.session;
        if matches!(self.presented(slot), Presented::Unknown) {
            self.0.discard(session.access_token.clone());
            return Err(Error::STORE_UNAVAILABLE); // the earlier one would stay
        }
        let session = self.keep_new(current, slot.agent()).await?;
        self.0.held.goes_on_as(&session);
        if let Some(earlier) = self.peek(slot).filter(|earlier| earlier.id != session.id) {
            if earlier.gotrue_id == session.gotrue_id {
                self.0.hand_over(slot, &earlier, &session).await?;
            } else {
                self.0.end(&earlier, Reason::Replaced);
                if let (Some(vault), Some(rest)) = (&self.0.vault, &earlier.rest) {
                    vault.end_surely(rest.ticket.key(), Reason::Replaced).await;
                }
                // What the other nodes hold open for it ends as well (S-45).
                self.0.spread_sessions(vec![earlier.gotrue_id], Reason::Replaced).await;
                self.0.end_at_gotrue_later(earlier, Scope::Local);
            }
        }
        slot.set(session);
        Ok(())
    }

    /// Writes a session that was just made into the store, if there is one. `agent` is the browser's `User-Agent`.
    ///
    /// # Errors
    ///
    /// As [`adopt`](Self::adopt).
    pub async fn keep_new(&self, current: &Current, agent: &str) -> Result<Arc<Session>, Error> {
        let session = &current.session;
        let (Some(vault), Some(rest)) = (&self.0.vault, &session.rest) else { return Ok(session.clone()) };
        let rest = Rest { agent: agent::summary(agent).into(), version: Version(1), ..rest.clone() };
        let session = Arc::new(Session { rest: Some(rest), ..(**session).clone() });
        match vault.create(&session, current.claims.aal).await {
            Ok(_) => Ok(session),
            Err(_) => {
                self.0.discard(session.access_token.clone());
                Err(Error::STORE_UNAVAILABLE)
            }
        }
    }
}

impl Inner {
    /// Ends `earlier`, whose sign-in goes on as `session`. The mark is the arbiter over all nodes: a sign-out that came
    /// before it wins here, one that comes after finds `session` (S-43).
    pub(super) async fn hand_over(
        self: &Arc<Self>,
        slot: &Slot,
        earlier: &Session,
        session: &Session,
    ) -> Result<(), Error> {
        let marked = match (&self.vault, &earlier.rest) {
            (Some(vault), Some(rest)) => vault.hand_over(rest.ticket.key()).await,
            _ => None,
        };
        self.end(earlier, Reason::Replaced);
        let Some(reason) = marked.or_else(|| self.denied.reason(&[session.gotrue_id], self.clock.now()))
        else {
            return Ok(());
        };
        self.end(session, reason);
        if let (Some(vault), Some(rest)) = (&self.vault, &session.rest) {
            vault.end_surely(rest.ticket.key(), reason).await;
        }
        slot.clear(Some(reason));
        Err(Error::Ended(reason))
    }
}
