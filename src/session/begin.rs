//! How a session begins: tokens that verify, a new id, the earlier session ended (S-06, S-29).

use std::sync::Arc;

use super::Error;
use super::cookie::{self, Jar};
use super::record::{Fresh, Limited, Memo, Session};
use super::remote::times;
use super::sessions::{Current, Sessions};
use super::settings::Remember;
use super::slot::Slot;
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
    /// It was a recovery link: only a new password may follow (S-32).
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
            next_aal: fresh.next_aal,
            memo: Memo::default(),
        });
        if self.0.cookies_for(&session, &Jar::empty(), now).is_none() {
            self.0.discard(session.access_token.clone());
            return Err(Error::TooLarge);
        }
        self.0.record(&session, Event::SessionStarted, event::Outcome::Ok, None, Some(proof.method));
        Ok(Current { session, claims })
    }

    /// Puts `session` in the place of the one that the request carried, which ends here and at GoTrue (S-06).
    pub fn adopt(&self, slot: &Slot, session: Arc<Session>) {
        if let Some(earlier) = self.peek(slot).filter(|earlier| earlier.id != session.id) {
            self.0.end(&earlier, Reason::Replaced);
            if earlier.gotrue_id != session.gotrue_id {
                self.0.end_at_gotrue_later(earlier, Scope::Local);
            }
        }
        slot.set(session);
    }
}
