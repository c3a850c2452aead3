//! What people change about themselves.

use std::net::IpAddr;

use base::secret::Secret;
use serde_json::{Map, Value};
use url::Url;

use super::call::Endpoint;
use super::error::Error;
use super::{GoTrue, User, answer, wire};
use crate::pkce::Challenge;

/// A change of a person by that person; what is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserChange<'a> {
    /// The new address, normalised by the caller (S-70), with the flow that its mails belong to.
    pub email: Option<(&'a str, &'a Challenge, &'a Url)>,
    /// The new password, as typed.
    pub password: Option<&'a Secret<String>>,
    /// The old one, where the project asks for it.
    pub current_password: Option<&'a Secret<String>>,
    /// Digits of a reauthentication mail, where the project asks for them.
    pub nonce: Option<&'a Secret<String>>,
    /// Merged into `user_metadata`; `null` removes a key.
    pub data: Option<&'a Map<String, Value>>,
}

impl GoTrue {
    /// `PUT /user`. A new password ends every other session of the person at GoTrue and voids all mails (contract 2.12).
    ///
    /// # Errors
    ///
    /// Refused with `same_password`, `weak_password`, `insufficient_aal` (401, a verified factor and no code yet),
    /// `email_exists`, `reauthentication_needed`, `current_password_required`, `current_password_invalid`,
    /// `session_not_found` (403) and others of the contract, 2.12.
    pub async fn update_user(
        &self,
        access_token: &Secret<String>,
        change: &UserChange<'_>,
        from: Option<IpAddr>,
    ) -> Result<User, Error> {
        let body = wire::UserChange {
            email: change.email.map(|(email, ..)| email),
            password: change.password.map(|password| password.expose().as_str()),
            current_password: change.current_password.map(|password| password.expose().as_str()),
            nonce: change.nonce.map(|nonce| nonce.expose().as_str()),
            data: change.data,
            challenge: change.email.map(|(_, challenge, _)| wire::ChallengeFields::of(challenge)),
        };
        let call = self.call(Endpoint::UpdateUser, from).bearer(access_token).json(&body);
        let call = match change.email {
            Some((_, _, to)) => call.query(&[("redirect_to", to.as_str())]),
            None => call,
        };
        answer::user(&call.send().await?)
    }
}
