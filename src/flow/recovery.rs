//! A new password for whoever came by a mail: after a recovery link, or the first one after an invitation (S-32, S-46).

use std::net::IpAddr;
use std::sync::Arc;

use base::secret::Secret;
use time::Duration;

use super::redeem::{PAUSE, key};
use super::{Failure, Flows, Problem};
use crate::gotrue::{self, UserChange};
use crate::session::flights::Flights;
use crate::session::{self, Current, Limited, Slot};

/// How long after its link a recovery may end: it opens nothing else, and people think about a password.
const RECOVERY: Duration = Duration::minutes(60);
/// How old any other proof by mail may be.
const FRESH: Duration = Duration::minutes(5);
/// How long the second click of one form is answered with what the first brought.
const SHARED: Duration = Duration::seconds(30);

/// What a session may do about its password without naming the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// It came by a recovery link: nothing else.
    Recover,
    /// It came by another mail a moment ago.
    Set,
    /// The code of the second factor comes first.
    AfterCode,
    /// A recovery that took too long.
    TooLate,
    /// Nothing: it is as good as any.
    Nothing,
}

/// The changes that run, and those of a moment ago.
#[derive(Default)]
pub(super) struct Resets(Flights<Result<Current, Refusal>>);

#[derive(Debug, Clone)]
enum Refusal {
    Form(Problem),
    Gotrue(Arc<gotrue::Error>),
    Session(session::Error),
}

impl Flows {
    /// What `current` may do at the page for a new password.
    pub fn may_reset(&self, current: &Current) -> May {
        let session = &current.session;
        let age = self.0.now() - session.auth_time;
        match session.limited {
            Some(Limited::MfaThenRecovery) => May::AfterCode,
            Some(Limited::Mfa) => May::Nothing,
            Some(Limited::Recovery) if age <= RECOVERY => May::Recover,
            Some(Limited::Recovery) => May::TooLate,
            None if age <= FRESH && came_by_mail(current) => May::Set,
            None => May::Nothing,
        }
    }

    /// Gives the person of `current` a new password and this browser a new session; every other one ends (S-45).
    /// `form` is the token of the form that asks: its second click gets what the first got.
    ///
    /// # Errors
    ///
    /// [`Problem::WeakPassword`], [`Problem::PasswordTooLong`], [`Problem::SamePassword`], and what
    /// [`Sessions::ask_live`](crate::session::Sessions::ask_live) and GoTrue say.
    pub async fn reset(
        &self,
        password: &Secret<String>,
        current: &Current,
        form: Option<&str>,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Current, Failure> {
        let inner = &self.0;
        let words = [current.claims.email.as_str(), inner.public_url.host_str().unwrap_or_default()];
        if let Some(problem) = inner.passwords.judge(password.expose(), &words) {
            return Err(Failure::Form(problem));
        }
        let session = current.session.id.to_string();
        let name = match form {
            Some(token) => key(&["reset", &session, token]),
            None => inner.entropy.bytes(),
        };
        let (flows, asking, place, password) =
            (self.clone(), current.clone(), slot.clone(), password.clone());
        let work = async move {
            let brought = flows.change(&password, &asking, &place, from).await;
            let now = flows.0.now();
            let until = if brought.is_ok() { now + SHARED } else { now };
            (brought, until)
        };
        match inner.resets.0.share(name, &inner.clock, work).await {
            Some(Ok(renewed)) => {
                inner.sessions.go_on_as(slot, &renewed);
                Ok(renewed)
            }
            Some(Err(Refusal::Form(problem))) => Err(Failure::Form(problem)),
            Some(Err(Refusal::Gotrue(error))) => Err(Failure::away(error)),
            Some(Err(Refusal::Session(error))) => Err(error.into()),
            None => Err(session::Error::Unavailable { retry_after: PAUSE }.into()),
        }
    }

    async fn change(
        &self,
        password: &Secret<String>,
        current: &Current,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Current, Refusal> {
        let inner = &self.0;
        let change = UserChange { password: Some(password), ..UserChange::default() };
        let token = &current.session.access_token;
        if let Err(error) = inner.gotrue.update_user(token, &change, from).await {
            return Err(match error.code() {
                Some("same_password") => Refusal::Form(Problem::SamePassword),
                Some("weak_password") => Refusal::Form(Problem::WeakPassword),
                Some("validation_failed") => Refusal::Form(Problem::PasswordTooLong),
                _ => Refusal::Gotrue(Arc::new(error)),
            });
        }
        inner.sessions.renew_after_password(slot, current).await.map_err(Refusal::Session)
    }
}

/// Whether a mail, and no password or provider, let the person in.
fn came_by_mail(current: &Current) -> bool {
    let mails = ["otp", "magiclink", "invite", "email/signup", "recovery", "email_change"];
    let methods: Vec<_> = current.claims.amr.iter().map(|proof| proof.method.as_str()).collect();
    methods.iter().any(|method| mails.contains(method))
        && methods.iter().all(|method| mails.contains(method) || *method == "totp")
}
