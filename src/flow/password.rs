//! Sign-in with address and password.

use std::net::IpAddr;

use base::secret::Secret;

use super::email::Email;
use super::{Counted, Failure, Flows, Inner, Problem, Try};
use crate::event::{Event, Outcome, Record};
use crate::gotrue::{self, Tokens};
use crate::limit::Bucket;
use crate::session::{self, Current, Granted, Proof, Slot};

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

    /// The same, before it is known whether a password is tried at all.
    pub async fn counted_try(&self, from: Option<IpAddr>) -> Counted {
        self.0.counted(Bucket::PasswordNetwork, &self.0.network_key(from)).await
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
        let tokens = inner.tokens_for(form, network, from).await?;
        let proof = Proof { method: "password", remember: form.remember, recovery: false };
        let current = inner.sessions.make(tokens, proof).await?;
        inner.sessions.adopt(slot, &current).await?;
        inner.trail.emit(&Record { method: Some("password"), ..Record::of(Event::SignIn, Outcome::Ok) });
        Ok(current)
    }

    /// The same for a program, which keeps the tokens itself: no session begins here.
    ///
    /// # Errors
    ///
    /// As [`sign_in`](Self::sign_in), and [`session::Error::StepMissing`] where a code would have to follow.
    pub async fn sign_in_program(
        &self,
        form: &Credentials<'_>,
        network: Try,
        from: Option<IpAddr>,
    ) -> Result<Granted, Failure> {
        let tokens = self.0.tokens_for(form, network, from).await?;
        let granted = self.0.sessions.hand_out(tokens).await;
        granted.map_err(|error| {
            if let session::Error::StepMissing = error {
                self.0.note_failure(Some("session_limited"));
            }
            error.into()
        })
    }
}

impl Inner {
    /// What GoTrue gives for an address and a password, within the limits.
    async fn tokens_for(
        &self,
        form: &Credentials<'_>,
        network: Try,
        from: Option<IpAddr>,
    ) -> Result<Tokens, Failure> {
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
        let account = self.count(Bucket::PasswordAccount, &self.account_key(&email)).await?;
        if let Err(failure) = self.count(Bucket::GoTrue, "sign-in").await {
            Try(account).give_back(); // nobody has tried this account's password
            return Err(failure);
        }
        let answer = self.gotrue.password(email.as_str(), form.password, form.captcha, from).await;
        let tokens = answer.map_err(|error| {
            self.note_failure(error.code());
            refused(error)
        })?;
        // GoTrue has counted the call, good or not: its budget is used.
        network.give_back();
        Try(account).give_back();
        Ok(tokens)
    }

    fn note_failure(&self, code: Option<&str>) {
        let failed = Record::of(Event::SignIn, Outcome::Failed);
        self.trail.emit(&Record { method: Some("password"), code, ..failed });
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
