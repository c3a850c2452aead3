//! What a signed-in person asks of GoTrue about the own account: with the access token of that person's session.

use std::net::IpAddr;

use base::secret::Secret;
use url::Url;
use uuid::Uuid;

use super::call::Endpoint;
use super::types::{Authorize, Change, User};
use super::{Error, GoTrue, answer, wire};

impl GoTrue {
    /// `PUT /user`. A new password ends every other session of the person at GoTrue. A new address waits for its mails,
    /// unless the user is anonymous and the project confirms by itself.
    ///
    /// # Errors
    ///
    /// Refused with `weak_password`, `same_password`, `email_exists`, `current_password_required` and `_invalid`,
    /// `reauthentication_needed` and `reauthentication_not_valid`, `insufficient_aal`, `user_sso_managed`, and as
    /// [`user`](Self::user).
    pub async fn update_user(
        &self,
        access_token: &Secret<String>,
        change: &Change<'_>,
        from: Option<IpAddr>,
    ) -> Result<User, Error> {
        let body = wire::Update {
            email: change.email.map(|email| email.address),
            password: change.password.map(|text| text.expose().as_str()),
            current_password: change.current_password.map(|text| text.expose().as_str()),
            nonce: change.nonce.map(|text| text.expose().as_str()),
            data: change.data,
            challenge: change.email.map(|email| wire::ChallengeFields::of(email.challenge)),
        };
        let call = self.call(Endpoint::Update, from).bearer(access_token).json(&body);
        let call = match change.email {
            Some(email) => call.query(&[("redirect_to", email.redirect_to.as_str())]),
            None => call,
        };
        answer::user(&call.send().await?)
    }

    /// `GET /reauthenticate`: mails digits to the person, which a new password takes as its nonce. It has an effect:
    /// never to be repeated or kept.
    ///
    /// # Errors
    ///
    /// Refused with `email_not_confirmed`, `validation_failed` without an address; [`Error::RateLimited`] within a minute
    /// of the last mail.
    pub async fn reauthenticate(
        &self,
        access_token: &Secret<String>,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        self.call(Endpoint::Reauthenticate, from).bearer(access_token).send().await.map(drop)
    }

    /// `GET /user/identities/authorize`: where a browser goes so that what the provider says is linked to the caller's
    /// account. The way back brings a code, whose exchange makes a session of its own.
    ///
    /// # Errors
    ///
    /// Refused with `manual_linking_disabled`, `validation_failed` for a provider that is off.
    pub async fn link_url(
        &self,
        access_token: &Secret<String>,
        request: &Authorize<'_>,
        from: Option<IpAddr>,
    ) -> Result<Url, Error> {
        let mut pairs = request.pairs();
        pairs.push(("skip_http_redirect", "true"));
        let call = self.call(Endpoint::Link, from).bearer(access_token).query(&pairs);
        answer::provider_url(&call.send().await?)
    }

    /// `DELETE /user/identities/{id}`
    ///
    /// # Errors
    ///
    /// Refused with `single_identity_not_deletable`, `email_conflict_identity_not_deletable`, `identity_not_found`,
    /// `manual_linking_disabled`.
    pub async fn unlink(
        &self,
        access_token: &Secret<String>,
        identity: Uuid,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        let path = format!("{}/{identity}", Endpoint::Unlink.path());
        self.call_at(Endpoint::Unlink, &path, from).bearer(access_token).send().await.map(drop)
    }
}
