//! A new account.

use std::net::IpAddr;

use base::secret::Secret;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use super::double::Pressed;
use super::email::Email;
use super::mailed::read_email;
use super::pending::{Pending, Purpose};
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
    /// The token of the form that was sent, if it was one: pressed twice, it makes one account.
    pub form: Option<&'a str>,
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
        let (id, pending) = inner.waiting(Purpose::SignUp, &email, form.return_to);
        let due = inner.mail_is_due(Purpose::SignUp, &email).await;
        if !due && !self.offer().await.autoconfirm {
            // A mail went out less than a minute ago: it looks sent (S-82).
            return Ok(self.to_confirm(&id, &pending, slot));
        }
        let work = {
            let (flows, email, pending) = (self.clone(), email.clone(), pending.clone());
            let (password, data) = (form.password.clone(), form.data.cloned());
            let captcha = form.captcha.map(str::to_owned);
            let to = callback_url(form.public, &id, Purpose::SignUp);
            async move {
                let account = SignUp {
                    email: email.as_str(),
                    password: &password,
                    data: data.as_ref(),
                    challenge: &pending.verifier.challenge(),
                    redirect_to: &to,
                    captcha: captcha.as_deref(),
                };
                let made = flows.make_account(&account, from).await;
                let shared = made.as_ref().ok().cloned().flatten();
                (made, shared)
            }
        };
        let made = match form.form {
            None => work.await.0?,
            Some(token) => {
                let password = form.password.expose().as_bytes();
                let parts = [b"signup", token.as_bytes(), email.as_str().as_bytes(), password];
                match self.once_per_form(&parts, work).await {
                    Pressed::First(made) => made?,
                    Pressed::Again(made) => made,
                }
            }
        };
        inner.trail.emit(&Record::of(Event::SignUp, Outcome::Ok));
        match made {
            Some(current) => {
                inner.sessions.adopt(slot, &current).await?;
                Ok(SignedUp::Session(current))
            }
            None => Ok(self.to_confirm(&id, &pending, slot)),
        }
    }

    /// The session of the new account; `None` if a mail confirms it first, or seems to (S-71).
    async fn make_account(
        &self,
        account: &SignUp<'_>,
        from: Option<IpAddr>,
    ) -> Result<Option<Current>, Failure> {
        let inner = &self.0;
        let confirms = !self.offer().await.autoconfirm;
        let answer = match inner.gotrue.sign_up(account, from).await {
            // Of two sign-ups at once GoTrue fails one with 500 (contract, trap 34). Nothing of it stays; asked again, it
            // finds the account.
            Err(gotrue::Error::Server { status: StatusCode::INTERNAL_SERVER_ERROR }) => {
                inner.gotrue.sign_up(account, from).await
            }
            answer => answer,
        };
        match answer {
            Ok(gotrue::SignedUp::Session(tokens)) => {
                let proof = Proof { method: "signup", remember: false, recovery: false };
                Ok(Some(inner.sessions.make(*tokens, proof).await?))
            }
            Ok(gotrue::SignedUp::Confirm) => Ok(None),
            Err(error) if confirms && inner.hides(Purpose::SignUp, &error) => Ok(None),
            Err(error) => match refused(error) {
                Some(failure) => Err(failure),
                None => Ok(None),
            },
        }
    }

    fn to_confirm(&self, id: &str, pending: &Pending, slot: &Slot) -> SignedUp {
        let inner = &self.0;
        SignedUp::Confirm(inner.pending.keep(id, pending, slot.jar(), &*inner.entropy))
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
