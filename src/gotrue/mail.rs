//! Mails that somebody asks for by address: a recovery, a code to sign in. Sign-up and resend stand with the client.

use std::net::IpAddr;

use url::Url;

use super::call::Endpoint;
use super::error::Error;
use super::{GoTrue, wire};
use crate::pkce::Challenge;

/// Who is to get a mail, and what its link belongs to.
#[derive(Debug, Clone, Copy)]
pub struct MailTo<'a> {
    /// Normalised by the caller (S-70).
    pub email: &'a str,
    /// Of this flow (S-24).
    pub challenge: &'a Challenge,
    /// Where the mail's link leads; built from the public URL (S-22).
    pub redirect_to: &'a Url,
    /// What a captcha widget gave.
    pub captcha: Option<&'a str>,
}

impl GoTrue {
    /// `POST /recover`: a link and digits that lead to a new password. An unknown address is answered alike, but a known
    /// one within its pause is [`Error::RateLimited`] (S-71: the caller answers all of them the same).
    ///
    /// # Errors
    ///
    /// Refused with `email_provider_disabled`, `captcha_failed`.
    pub async fn recover(&self, to: &MailTo<'_>, from: Option<IpAddr>) -> Result<(), Error> {
        self.mail(Endpoint::Recover, None, to, from).await
    }

    /// `POST /otp`: a link and digits that sign in. With `create`, an address that nobody has becomes an account.
    ///
    /// # Errors
    ///
    /// Refused with `otp_disabled` for an unknown address without `create`, which must not be told (S-71);
    /// `email_provider_disabled`, `captcha_failed`.
    pub async fn otp(&self, to: &MailTo<'_>, create: bool, from: Option<IpAddr>) -> Result<(), Error> {
        self.mail(Endpoint::Otp, Some(create), to, from).await
    }

    async fn mail(
        &self,
        endpoint: Endpoint,
        create_user: Option<bool>,
        to: &MailTo<'_>,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        let body = wire::MailTo {
            email: to.email,
            create_user,
            challenge: wire::ChallengeFields::of(to.challenge),
            security: wire::Security::of(to.captcha),
        };
        let target = [("redirect_to", to.redirect_to.as_str())];
        self.call(endpoint, from).json(&body).query(&target).send().await.map(drop)
    }
}
