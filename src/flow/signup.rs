//! A new account.

use std::net::IpAddr;

use base::secret::Secret;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use super::email::Email;
use super::mailed::read_email;
use super::pending::Purpose;
use super::{Counted, Failure, Flows, Problem, ReturnTo, Try, callback_url};
use crate::event::{Event, Outcome, Record};
use crate::gotrue::{self, SignUp};
use crate::limit::Bucket;
use crate::session::{Current, Proof, Slot};

/// What a person types.
#[derive(Debug)]
pub struct Account<'a> {
    /// As typed.
    pub email: &'a str,
    /// As typed, to the last byte (S-69).
    pub password: &'a Secret<String>,
    /// Becomes `user_metadata`.
    pub data: Option<&'a Map<String, Value>>,
    /// Where the person goes once the account is there.
    pub return_to: &'a ReturnTo,
    /// What a captcha widget gave.
    pub captcha: Option<&'a str>,
    /// The one of our origins that was asked for, to which the link in the mail leads.
    pub public: &'a Url,
}

/// How a sign-up ended.
#[derive(Debug)]
pub enum SignedUp {
    /// Confirmed by itself: signed in.
    Session(Current),
    /// A mail may be on its way; for a known address the answer is the same (S-71). The cookies keep the flow.
    Confirm(Vec<HeaderValue>),
}

impl Flows {
    /// Counts a mail that the network of `from` may be asking for, before anything that came with it is read (S-84).
    pub async fn count_mail(&self, from: Option<IpAddr>) -> Counted {
        self.0.counted(Bucket::MailNetwork, &self.0.network_key(from)).await
    }

    /// Makes an account. `mail` is given back if a field stands in the way.
    ///
    /// # Errors
    ///
    /// [`Problem::EmailInvalid`], [`Problem::WeakPassword`], [`Problem::PasswordTooLong`], [`Problem::SignupClosed`].
    pub async fn sign_up(
        &self,
        form: &Account<'_>,
        mail: Try,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<SignedUp, Failure> {
        let inner = &self.0;
        let email = match self.read_account(form) {
            Ok(email) => email,
            Err(problem) => {
                mail.give_back();
                return Err(Failure::Form(problem));
            }
        };
        let (id, pending) = self.0.waiting(Purpose::SignUp, &email, form.return_to);
        let account = SignUp {
            email: email.as_str(),
            password: form.password,
            data: form.data,
            challenge: &pending.verifier.challenge(),
            redirect_to: &callback_url(form.public, &id),
            captcha: form.captcha,
        };
        let due = self.0.mail_is_due(Purpose::SignUp, &email).await;
        let answer = if due || self.offer().await.autoconfirm {
            match inner.gotrue.sign_up(&account, from).await {
                // Of two sign-ups at once, a double click, GoTrue fails one with 500 (contract, trap 34). Nothing of it
                // stays; asked again, it finds the account.
                Err(gotrue::Error::Server { status: StatusCode::INTERNAL_SERVER_ERROR }) => {
                    inner.gotrue.sign_up(&account, from).await
                }
                answer => answer,
            }
        } else {
            Ok(gotrue::SignedUp::Confirm) // a mail went out less than a minute ago: it looks sent (S-82)
        };
        let confirm = || SignedUp::Confirm(inner.pending.keep(&id, &pending, slot.jar(), &*inner.entropy));
        let outcome = match answer {
            Ok(gotrue::SignedUp::Session(tokens)) => {
                let proof = Proof { method: "signup", remember: false, recovery: false };
                let current = inner.sessions.make(*tokens, proof).await?;
                inner.sessions.adopt(slot, &current).await?;
                SignedUp::Session(current)
            }
            Ok(gotrue::SignedUp::Confirm) => confirm(),
            Err(error) => match refused(error) {
                Some(failure) => return Err(failure),
                None => confirm(),
            },
        };
        inner.trail.emit(&Record::of(Event::SignUp, Outcome::Ok));
        Ok(outcome)
    }

    /// Whether the project signs up by itself now.
    pub async fn signup_is_open(&self) -> bool {
        self.offer().await.signup
    }

    fn read_account(&self, form: &Account<'_>) -> Result<Email, Problem> {
        let email = read_email(form.email)?;
        let words = [email.as_str(), self.0.public_url.host_str().unwrap_or_default()];
        match self.0.passwords.judge(form.password.expose(), &words) {
            Some(problem) => Err(problem),
            None => Ok(email),
        }
    }
}

/// `None` for what must look like a success: the address is taken, or its mail went out a moment ago (S-71).
fn refused(error: gotrue::Error) -> Option<Failure> {
    match &error {
        gotrue::Error::Refused { code, .. } => match code.as_str() {
            "user_already_exists" | "email_exists" => None,
            "signup_disabled" | "email_provider_disabled" => Some(Failure::Form(Problem::SignupClosed)),
            "weak_password" => Some(Failure::Form(Problem::WeakPassword)),
            "validation_failed" | "email_address_invalid" | "email_address_not_authorized" => {
                Some(Failure::Form(Problem::EmailInvalid))
            }
            _ => Some(Failure::of(error)),
        },
        gotrue::Error::RateLimited { code, .. } if code == "over_email_send_rate_limit" => None,
        _ => Some(Failure::of(error)),
    }
}
