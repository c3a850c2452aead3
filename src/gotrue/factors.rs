//! Second factors: enrolling an app, its challenge and proof, its removal (contract, 2.15).

use std::net::IpAddr;

use base::secret::Secret;
use uuid::Uuid;

use super::call::Endpoint;
use super::{Enrolled, Error, GoTrue, Tokens, answer, wire};

impl GoTrue {
    /// `POST /factors` for an authenticator app called `name`; `issuer` stands beside its codes and may hold no colon. This
    /// answer alone ever shows the secret. The factor counts once a code of it was [verified](Self::verify_factor).
    ///
    /// # Errors
    ///
    /// Refused with `mfa_factor_name_conflict` (an app that was never verified counts), `too_many_enrolled_mfa_factors`,
    /// `insufficient_aal`, `mfa_totp_enroll_not_enabled`, `no_authorization` for anonymous people.
    pub async fn enroll(
        &self,
        access_token: &Secret<String>,
        name: &str,
        issuer: &str,
        from: Option<IpAddr>,
    ) -> Result<Enrolled, Error> {
        let body = wire::Enroll { factor_type: "totp", friendly_name: name, issuer };
        let call = self.call(Endpoint::Enroll, from).bearer(access_token);
        answer::enrolled(&call.json(&body).send().await?)
    }

    /// `POST /factors/{id}/challenge`: opens a challenge, which lives 5 minutes and is answered from the same address.
    ///
    /// # Errors
    ///
    /// Refused with 404 `mfa_factor_not_found`, `mfa_totp_verify_not_enabled`.
    pub async fn challenge(
        &self,
        access_token: &Secret<String>,
        factor: Uuid,
        from: Option<IpAddr>,
    ) -> Result<Uuid, Error> {
        let call = self.call_for(Endpoint::Challenge, factor, from).bearer(access_token);
        answer::challenged(&call.json(&wire::Nothing {}).send().await?)
    }

    /// `POST /factors/{id}/verify`: the session rises to `aal2` and gets new tokens. The refresh token from before is good
    /// for the reuse interval alone, and other `aal1` sessions of the person are over.
    ///
    /// # Errors
    ///
    /// Refused with `mfa_verification_failed` for a wrong code, `mfa_challenge_expired`, and `mfa_ip_address_mismatch` for
    /// a challenge that was met before.
    pub async fn verify_factor(
        &self,
        access_token: &Secret<String>,
        factor: Uuid,
        challenge: Uuid,
        code: &Secret<String>,
        from: Option<IpAddr>,
    ) -> Result<Tokens, Error> {
        let body = wire::VerifyFactor { challenge_id: challenge, code: code.expose() };
        let call = self.call_for(Endpoint::VerifyFactor, factor, from).bearer(access_token);
        answer::tokens(&call.json(&body).send().await?)
    }

    /// `DELETE /factors/{id}`: sessions that it raised fall back to `aal1` at their next refresh.
    ///
    /// # Errors
    ///
    /// Refused with 404 `mfa_factor_not_found`; with `insufficient_aal` for a verified one at `aal1`.
    pub async fn unenroll(
        &self,
        access_token: &Secret<String>,
        factor: Uuid,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        self.call_for(Endpoint::Unenroll, factor, from).bearer(access_token).send().await.map(drop)
    }

    fn call_for(&self, endpoint: Endpoint, factor: Uuid, from: Option<IpAddr>) -> super::Call<'_> {
        let path = endpoint.path().replace("{id}", &factor.to_string());
        self.call_at(endpoint, &path, from)
    }
}
