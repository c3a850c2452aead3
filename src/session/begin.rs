//! How a session begins: tokens that verify, a new id, the earlier session ended (S-06, S-29).

use std::sync::Arc;

use super::Error;
use super::agent;
use super::cookie::{self, Jar};
use super::record::{Fresh, Limited, Memo, Rest, Session};
use super::remote::times;
use super::sessions::{Current, Sessions};
use super::settings::Remember;
use super::slot::{Presented, Slot};
use super::store::Version;
use super::ticket::Ticket;
use crate::event::{self, Event, Reason};
use crate::gotrue::{Scope, Tokens};
use crate::token::{Invalid, Refusal};

/// How a person proved who they are, for [`Sessions::make`].
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// For the audit trail: `password`, `signup`, a provider's name.
    pub method: &'a str,
    /// The tick at "stay signed in", if there was one.
    pub remember: bool,
    /// It was a recovery link, or goes on from one: only a new password may follow (S-32).
    pub recovery: bool,
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
        // Longer than all cookies together: nothing that follows could change that.
        if tokens.access_token.expose().len() > cookie::LARGEST {
            self.0.discard(tokens.access_token);
            return Err(Error::TooLarge);
        }
        let claims = match self.0.verifier.verify(tokens.access_token.expose()).await {
            Ok(claims) if claims.sub == tokens.user.id => claims,
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
        let fresh = Fresh::new(tokens, issued_at, expires_at);
        let limited = match (proof.recovery, claims.aal, fresh.next_aal) {
            (_, 1, 2) => Some(Limited::Mfa),
            (true, ..) => Some(Limited::Recovery),
            _ => None,
        };
        let remember = match self.0.settings.remember {
            Remember::Ask => proof.remember,
            Remember::Always => true,
            Remember::Never => false,
        };
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
            created_at: now,
            auth_time: now,
            last_seen: now,
            remember,
            limited,
            recovery: proof.recovery,
            next_aal: fresh.next_aal,
            rest,
            memo: Memo::default(),
        });
        if self.0.cookies_for(&session, &Jar::empty(), now).is_none() {
            self.0.discard(session.access_token.clone());
            return Err(Error::TooLarge);
        }
        self.0.record(&session, Event::SessionStarted, event::Outcome::Ok, None, Some(proof.method));
        Ok(Current { session, claims })
    }

    /// Puts `current` in the place of the session that the request carried, which ends here and at GoTrue (S-06). In store
    /// mode the new one is written first; twins of the same sign-in, as a doubled callback makes them, share it.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`] if it could not be written. Its tokens are revoked then, and the earlier session
    /// goes on.
    pub async fn adopt(&self, slot: &Slot, current: &Current) -> Result<(), Error> {
        self.load(slot).await;
        let session = &current.session;
        if matches!(self.presented(slot), Presented::Unknown) {
            self.0.discard(session.access_token.clone());
            return Err(Error::STORE_UNAVAILABLE); // the earlier one would stay
        }
        let session = self.keep_new(current, slot.agent()).await?;
        if let Some(earlier) = self.peek(slot).filter(|earlier| earlier.id != session.id) {
            self.0.end(&earlier, Reason::Replaced);
            if let (Some(vault), Some(rest)) = (&self.0.vault, &earlier.rest) {
                vault.end_surely(rest.ticket.key(), Reason::Replaced).await;
            }
            if earlier.gotrue_id != session.gotrue_id {
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
