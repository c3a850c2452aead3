//! Sign-ins whose tokens a program keeps itself. No session of ours begins; who gets tokens, and until when they count,
//! follows the same rules.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use base::secret::Secret;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Error;
use super::news::News;
use super::record::Limited;
use super::remote;
use super::sessions::{Inner, Sessions};
use crate::event::{self, Event, Reason, Record, Refreshed};
use crate::gotrue::{self, Scope, Tokens};
use crate::token::{Claims, Invalid, Refusal};

/// Longest refresh token that GoTrue is bothered with, in bytes.
const LONGEST: usize = 4 << 10;
/// How long a sign-out waits for GoTrue before it answers; the call itself goes on.
const PATIENCE: StdDuration = StdDuration::from_secs(3);
/// Tokens are refused for this long past their end.
const LEEWAY: Duration = Duration::minutes(1);

/// Tokens for a program, found good.
#[derive(Debug)]
pub struct Granted {
    /// A JWT.
    pub access_token: Secret<String>,
    /// Opaque, of any length; the next refresh makes another.
    pub refresh_token: Secret<String>,
    /// Seconds that the access token lives from now on; at least 1.
    pub expires_in: i64,
    /// What it says.
    pub claims: Arc<Claims>,
}

impl Sessions {
    /// Judges the tokens of a sign-in by password that succeeded at GoTrue just now.
    ///
    /// # Errors
    ///
    /// [`Error::StepMissing`] where the person has a second factor that `mfa.enforce` wants to see;
    /// [`Error::Unverified`] and [`Error::KeysUnavailable`] as for every sign-in (S-29). The tokens are revoked then.
    pub async fn hand_out(&self, tokens: Tokens) -> Result<Granted, Error> {
        let access_token = tokens.access_token.clone();
        let granted = self.0.vouch(tokens).await;
        match &granted {
            Ok(granted) => {
                self.0.record_of(
                    of(&granted.claims),
                    Event::SignIn,
                    event::Outcome::Ok,
                    None,
                    Some("password"),
                );
            }
            Err(_) => self.0.discard(access_token),
        }
        granted
    }

    /// Trades a refresh token that a program holds for new tokens. After an error that is no end the same token is good
    /// for another try: GoTrue takes one that is one behind.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] by one of GoTrue's final answers or by a sign-out here; [`Error::StepMissing`] as for
    /// [`hand_out`](Self::hand_out). Everything else is for later: [`Error::Unavailable`] and its kin (S-44).
    pub async fn refresh_program(
        &self,
        refresh_token: &Secret<String>,
        from: Option<IpAddr>,
    ) -> Result<Granted, Error> {
        let refreshed = self.0.refresh_program(refresh_token, from).await;
        self.0.trail.metrics().refreshed(match &refreshed {
            Ok(_) => Refreshed::Ok,
            Err(Error::Ended(_) | Error::StepMissing) => Refreshed::Ended,
            Err(_) => Refreshed::Kept,
        });
        refreshed
    }

    /// Revokes tokens that are not handed out after all.
    pub fn take_back(&self, granted: Granted) {
        self.0.discard(granted.access_token);
    }

    /// Ends the sign-in behind the access token that a program sent, or with [`Scope::Global`] everything of its person:
    /// here and on all nodes first, at GoTrue then, which need not answer (S-11).
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`] if the person's records could not be found. Their tokens are refused all the same.
    pub async fn sign_out_program(
        &self,
        access_token: Secret<String>,
        claims: &Claims,
        scope: Scope,
    ) -> Result<(), Error> {
        let (inner, now) = (&self.0, self.0.clock.now());
        let everywhere = scope == Scope::Global;
        let reason = if everywhere { Reason::UserEverywhere } else { Reason::User };
        let until = claims.expires_at().max(now) + LEEWAY;
        inner.spread(News { sessions: vec![claims.session_id], ..News::new(reason, until) }).await;
        inner.verifier.forget(access_token.expose());
        inner.record_end(claims.sub, claims.session_id, reason);
        let listed = if everywhere {
            let listed = inner.end_listed(claims.sub, reason, |_, _| true).await;
            let ended = listed.as_ref().cloned().unwrap_or_default();
            inner.spread_person(claims.sub, now, ended, reason).await;
            listed
        } else {
            inner.end_listed(claims.sub, reason, |_, label| label.gotrue_id() == claims.session_id).await
        };
        let _ = tokio::time::timeout(PATIENCE, inner.tell_of_program(access_token, of(claims), scope)).await;
        listed.map(drop)
    }
}

impl Inner {
    async fn refresh_program(
        self: &Arc<Self>,
        refresh_token: &Secret<String>,
        from: Option<IpAddr>,
    ) -> Result<Granted, Error> {
        if refresh_token.expose().len() > LONGEST {
            return Err(Error::Ended(Reason::RefreshNotFound));
        }
        let place = self.breaker.place(self.clock.now(), remote::TURN).await;
        let leave = place.and_then(|place| place.leave(self.clock.now()));
        let leave = leave.map_err(|until| self.unavailable(until))?;
        let answer = self.gotrue.refresh(refresh_token, from).await;
        leave.report(!answer.as_ref().is_err_and(remote::is_outage), self.clock.now());
        let tokens = answer.map_err(|error| self.program_not_refreshed(&error))?;
        let access_token = tokens.access_token.clone();
        // A rotated token is not revoked because nobody can check it now: the one before it is good for another try.
        let granted = self.vouch(tokens).await;
        let over = match &granted {
            Ok(granted) => self.denied_program(&granted.claims).map(Error::Ended),
            Err(Error::StepMissing) => Some(Error::StepMissing),
            Err(_) => None,
        };
        match over {
            Some(error) => {
                self.discard(access_token);
                Err(error)
            }
            None => granted,
        }
    }

    fn program_not_refreshed(&self, error: &gotrue::Error) -> Error {
        if let Some(reason) = error.final_refresh_reason().map(remote::reason) {
            if reason == Reason::RefreshReused {
                let reused = Record::of(Event::TokenReuse, event::Outcome::Refused);
                self.trail.emit(&Record { reason: Some(reason), ..reused });
            }
            return Error::Ended(reason);
        }
        tracing::warn!(%error, "a program's tokens could not be refreshed");
        self.trail.emit(&Record::of(Event::Refresh, event::Outcome::Failed));
        self.unavailable(self.clock.now() + self.pause_after(error))
    }

    async fn vouch(&self, tokens: Tokens) -> Result<Granted, Error> {
        let claims = match self.verifier.verify(tokens.access_token.expose()).await {
            Ok(claims) if claims.sub == tokens.user.id => claims,
            Ok(_) => return Err(Error::Unverified(Invalid::Claims("sub"))),
            Err(Refusal::Invalid(invalid)) => return Err(Error::Unverified(invalid)),
            Err(Refusal::KeysUnavailable { retry_after }) => {
                return Err(Error::KeysUnavailable { retry_after });
            }
        };
        let next_aal = if tokens.user.has_verified_factor() { 2 } else { 1 };
        if Limited::of(false, claims.aal, next_aal, self.settings.second_factor).is_some() {
            return Err(Error::StepMissing);
        }
        let Tokens { access_token, refresh_token, expires_in, .. } = tokens;
        Ok(Granted { access_token, refresh_token, expires_in, claims })
    }

    /// As for a session: what counts is when the person signed in, not when this token was made.
    fn denied_program(&self, claims: &Claims) -> Option<Reason> {
        let issued = OffsetDateTime::from_unix_timestamp(claims.iat).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let since = claims.auth_time().map_or(issued, |proved| proved.min(issued));
        self.denied.reason_for(&[claims.session_id], claims.sub, since, self.clock.now())
    }

    fn tell_of_program(
        self: &Arc<Self>,
        access_token: Secret<String>,
        of: (Uuid, Uuid),
        scope: Scope,
    ) -> tokio::task::JoinHandle<()> {
        let inner = self.clone();
        tokio::spawn(async move {
            let told = inner.gotrue.logout(&access_token, scope, None).await;
            let outcome = if told.is_ok() { event::Outcome::Ok } else { event::Outcome::RemoteFailed };
            if let Err(error) = told {
                tracing::warn!(%error, "GoTrue did not hear of a sign-out");
            }
            inner.record_of(of, Event::SignOut, outcome, None, None);
        })
    }
}

/// The person and GoTrue's id of the session.
fn of(claims: &Claims) -> (Uuid, Uuid) {
    (claims.sub, claims.session_id)
}
