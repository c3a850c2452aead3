//! A new password for whoever came by a mail: after a recovery link, or the first one after an invitation (S-32, S-46).

use base::secret::Secret;
use time::Duration;

use super::double::Pressed;
use super::{Failure, Flows};
use crate::event::Reason;
use crate::gotrue::Change;
use crate::session::{Current, Limited, Slot};

/// How long after its link a recovery may end: it opens nothing else, and people think about a password.
const RECOVERY: Duration = Duration::minutes(60);
/// How old any other proof by mail may be.
const FRESH: Duration = Duration::minutes(5);

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
    /// [`WeakPassword`](super::Problem::WeakPassword), `PasswordTooLong`, `SamePassword`, and what
    /// [`Sessions::ask_live`](crate::session::Sessions::ask_live) and GoTrue say.
    pub async fn reset(
        &self,
        password: &Secret<String>,
        current: &Current,
        form: Option<&str>,
        slot: &Slot,
    ) -> Result<Current, Failure> {
        let inner = &self.0;
        let words = [current.claims.email.as_str(), inner.public_url.host_str().unwrap_or_default()];
        if let Some(problem) = inner.passwords.judge(password.expose(), &words) {
            return Err(Failure::Form(problem));
        }
        let Some(token) = form else { return self.set_password(password, current, slot).await };
        let work = {
            let (flows, current, slot, password) =
                (self.clone(), current.clone(), slot.clone(), password.clone());
            async move {
                let set = flows.set_password(&password, &current, &slot).await;
                let session = set.as_ref().ok().cloned();
                (set, session)
            }
        };
        let id = current.session.id;
        match self.once_per_form(&[b"reset", token.as_bytes(), id.as_bytes()], work).await {
            Pressed::First(set) => set,
            Pressed::Again(Some(renewed)) => {
                inner.sessions.go_on_as(slot, &renewed);
                Ok(renewed)
            }
            Pressed::Again(None) => self.set_password(password, current, slot).await,
        }
    }

    async fn set_password(
        &self,
        password: &Secret<String>,
        current: &Current,
        slot: &Slot,
    ) -> Result<Current, Failure> {
        let inner = &self.0;
        let change = Change { password: Some(password), ..Change::default() };
        if let Err(error) = inner.change(&change, slot, current).await {
            return Err(inner.refused_change(error, slot, current).await);
        }
        inner.sessions.end_others_after(slot, current, Reason::PasswordChanged).await?;
        Ok(inner.sessions.current(slot).await?)
    }
}

/// Whether a mail, and no password or provider, let the person in.
fn came_by_mail(current: &Current) -> bool {
    let mails = ["otp", "magiclink", "invite", "email/signup", "recovery", "email_change"];
    let methods: Vec<_> = current.claims.amr.iter().map(|proof| proof.method.as_str()).collect();
    methods.iter().any(|method| mails.contains(method))
        && methods.iter().all(|method| mails.contains(method) || *method == "totp")
}
