//! Sign-in with address and password.

use std::net::IpAddr;

use base::secret::Secret;

use super::email::Email;
use super::{Failure, Flows, Problem, Try};
use crate::event::{Event, Outcome, Record};
use crate::gotrue;
use crate::limit::Bucket;
use crate::session::{Current, Proof, Slot};

/// Longest password and captcha answer that GoTrue is bothered with, in bytes (S-69): nobody has a longer one.
const LONGEST: usize = 4 << 10;

/// What a person types.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// As typed.
    pub email: &'a str,
    /// As typed, to the last byte (S-69).
    pub password: &'a Secret<String>,
    /// "Stay signed in on this device".
    pub remember: bool,
    /// What a captcha widget gave.
    pub captcha: Option<&'a str>,
}

impl Flows {
    /// Counts a password try of the network of `from`, before anything that came with it is read (S-84).
    ///
    /// # Errors
    ///
    /// [`Failure::Limited`] if none is left.
    pub async fn count_try(&self, from: Option<IpAddr>) -> Result<Try, Failure> {
        self.0.count(Bucket::PasswordNetwork, &self.0.network_key(from)).await.map(Try)
    }

    /// Trades an address and a password for a session.
    ///
    /// The account's try is counted before GoTrue is asked. It and `network` are given back if it succeeds (S-81).
    ///
    /// # Errors
    ///
    /// [`Problem::InvalidCredentials`] for unknown, wrong, banned and malformed alike (S-71);
    /// [`Problem::EmailNotConfirmed`] only after a right password.
    pub async fn sign_in(
        &self,
        form: &Credentials<'_>,
        network: Try,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Current, Failure> {
        let inner = &self.0;
        if form.email.trim().is_empty() {
            network.give_back();
            return Err(Failure::Form(Problem::Required("email")));
        }
        if form.password.expose().is_empty() {
            network.give_back();
            return Err(Failure::Form(Problem::Required("password")));
        }
        if form.captcha.is_some_and(|answer| answer.len() > LONGEST) {
            return Err(Failure::Form(Problem::CaptchaFailed));
        }
        let Some(email) = Email::parse(form.email).filter(|_| form.password.expose().len() <= LONGEST) else {
            return Err(Failure::Form(Problem::InvalidCredentials));
        };
        let account = inner.count(Bucket::PasswordAccount, &inner.account_key(&email)).await?;
        if let Err(failure) = inner.count(Bucket::GoTrue, "sign-in").await {
            Try(account).give_back(); // nobody has tried this account's password
            return Err(failure);
        }
        let answer = inner.gotrue.password(email.as_str(), form.password, form.captcha, from).await;
        let tokens = match answer {
            Ok(tokens) => tokens,
            Err(error) => {
                inner.trail.emit(&Record {
                    method: Some("password"),
                    code: error.code(),
                    ..Record::of(Event::SignIn, Outcome::Failed)
                });
                return Err(refused(error));
            }
        };
        // GoTrue has counted the call, good or not: its budget is used.
        network.give_back();
        Try(account).give_back();
        let proof = Proof { method: "password", remember: form.remember, recovery: false };
        let current = inner.sessions.make(tokens, proof).await?;
        inner.sessions.adopt(slot, &current).await?;
        inner.trail.emit(&Record { method: Some("password"), ..Record::of(Event::SignIn, Outcome::Ok) });
        Ok(current)
    }
}

fn refused(error: gotrue::Error) -> Failure {
    if error.is_transient() {
        return Failure::of(error);
    }
    match error.code() {
        Some("email_not_confirmed") => Failure::Form(Problem::EmailNotConfirmed),
        Some("invalid_credentials" | "user_banned" | "validation_failed") => {
            Failure::Form(Problem::InvalidCredentials)
        }
        Some("email_provider_disabled") => Failure::Disabled,
        _ => Failure::of(error),
    }
}
