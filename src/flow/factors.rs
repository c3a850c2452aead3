//! The authenticator apps of an account: one more, one less. Both end the person's other sessions (S-45).

use std::net::IpAddr;

use time::Duration;
use uuid::Uuid;

use super::{AppCode, Failure, Flows, Problem};
use crate::event::Reason;
use crate::gotrue::{self, Enrolled, Factor};
use crate::session::{self, Current, Slot};

/// Longest name of an app, in characters; more is cut off.
const LONGEST_NAME: usize = 64;
/// How long a person may take from the picture to the first code.
const PATIENCE: Duration = Duration::minutes(30);

impl Flows {
    /// Begins to enroll an app called `name`. It counts once [`confirm_app`](Self::confirm_app) has seen a code of it. What
    /// was begun under this name and never finished gives way.
    ///
    /// # Errors
    ///
    /// [`Problem::AppNameTaken`], [`Problem::AppsFull`]; [`Failure::Disabled`] if the project has no such apps.
    pub async fn enroll(
        &self,
        name: &str,
        issuer: &str,
        current: &Current,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Enrolled, Failure> {
        let inner = &self.0;
        let name = tidied(name);
        let known = inner.sessions.person(slot, current).await?.factors;
        if known.iter().any(|factor| factor.verified && factor.name == name) {
            return Err(Failure::Form(Problem::AppNameTaken));
        }
        let begun = |factor: &&Factor| !factor.verified && factor.name == name;
        self.drop_unfinished(known.iter().filter(begun), current, from).await?;
        let token = &current.session.access_token;
        inner.sessions.person_changed(&current.session, None);
        let enrolled = match inner.gotrue.enroll(token, &name, issuer, from).await {
            Err(error) if error.code() == Some("too_many_enrolled_mfa_factors") => {
                let rest = known.iter().filter(|factor| !factor.verified && !begun(factor));
                self.drop_unfinished(rest, current, from).await?;
                inner.gotrue.enroll(token, &name, issuer, from).await
            }
            answer => answer,
        };
        enrolled.map_err(refused)
    }

    /// Whether the app called `id` was enrolled under a proof that was fresh at that time, within `fresh` of it, and not
    /// long ago: to scan a picture may take longer than a proof stays fresh.
    ///
    /// # Errors
    ///
    /// As [`session::Sessions::person`].
    pub async fn enrolled_while_fresh(
        &self,
        id: Uuid,
        fresh: Duration,
        current: &Current,
        slot: &Slot,
    ) -> Result<bool, session::Error> {
        let user = self.0.sessions.person(slot, current).await?;
        let begun = user.factors.iter().find(|factor| factor.id == id && !factor.verified);
        let Some(begun) = begun.and_then(|factor| factor.created_at) else { return Ok(false) };
        let since_proof = begun - current.session.auth_time;
        let proved = -Duration::MINUTE <= since_proof && since_proof <= fresh;
        Ok(proved && self.0.now() - begun <= PATIENCE)
    }

    /// Turns on the app called `id` by the first code of it: a new session of the second level takes the place of
    /// `current` (S-06), and the person's other sessions end.
    ///
    /// # Errors
    ///
    /// As [`prove`](Self::prove).
    pub async fn confirm_app(
        &self,
        id: Uuid,
        code: &str,
        current: &Current,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Current, Failure> {
        let form = AppCode { factor: Some(id), code };
        let raised = self.prove(&form, current, slot, from).await?;
        self.0.sessions.sign_out_others(raised.session.clone(), Reason::FactorChanged).await?;
        Ok(raised)
    }

    /// Removes the app called `id` and returns its name. The session of `slot`'s request goes on under another id with the
    /// level that is left; the person's other sessions end.
    ///
    /// # Errors
    ///
    /// [`Problem::UnknownFactor`] for none, and for another person's alike.
    pub async fn remove_app(
        &self,
        id: Uuid,
        current: &Current,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<String, Failure> {
        let inner = &self.0;
        let session = &current.session;
        let factor = self.app(id, current, slot).await?;
        inner.gotrue.unenroll(&session.access_token, id, from).await.map_err(refused)?;
        inner.sessions.person_changed(session, None);
        if !factor.verified {
            return Ok(factor.name);
        }
        let lowered = match inner.gotrue.refresh(&session.refresh_token, from).await {
            Ok(tokens) => inner.sessions.step(tokens, session, None).await?,
            Err(error) => {
                // Its next refresh brings the level that is left.
                tracing::warn!(%error, "a session goes on with the level of a factor that was removed");
                current.clone()
            }
        };
        if lowered.session.id != session.id {
            inner.sessions.adopt(slot, &lowered).await?;
        }
        inner.sessions.sign_out_others(lowered.session, Reason::FactorChanged).await?;
        Ok(factor.name)
    }

    /// The app called `id` of the person of `current`.
    ///
    /// # Errors
    ///
    /// As [`remove_app`](Self::remove_app).
    pub async fn app(&self, id: Uuid, current: &Current, slot: &Slot) -> Result<Factor, Failure> {
        let user = self.0.sessions.person(slot, current).await?;
        let own = user.factors.into_iter().find(|factor| factor.id == id);
        own.ok_or(Failure::Form(Problem::UnknownFactor))
    }

    async fn drop_unfinished(
        &self,
        factors: impl Iterator<Item = &Factor>,
        current: &Current,
        from: Option<IpAddr>,
    ) -> Result<(), Failure> {
        for factor in factors {
            match self.0.gotrue.unenroll(&current.session.access_token, factor.id, from).await {
                Err(error) if error.code() != Some("mfa_factor_not_found") => return Err(refused(error)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Without control characters, and no longer than a row of the list.
fn tidied(name: &str) -> String {
    let plain: String = name.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    plain.trim_end().to_owned()
}

fn refused(error: gotrue::Error) -> Failure {
    match error.code() {
        Some("mfa_factor_name_conflict") => Failure::Form(Problem::AppNameTaken),
        Some("too_many_enrolled_mfa_factors") => Failure::Form(Problem::AppsFull),
        Some("mfa_factor_not_found") => Failure::Form(Problem::UnknownFactor),
        Some("mfa_totp_enroll_not_enabled") => Failure::Disabled,
        _ => Failure::of(error),
    }
}
