//! A new account.

use std::net::IpAddr;

use base::secret::Secret;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use super::double::Pressed;
use super::email::Email;
use super::pending::{Pending, Purpose};
use super::{Counted, Failure, Flows, Problem, ReturnTo, Try, callback_url};
use crate::event::{Event, Outcome, Record};
use crate::gotrue::{self, CodeKind, ResendKind, SignUp, Verified};
use crate::limit::Bucket;
use crate::pkce::Verifier;
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
        let (id, pending) = self.pending_sign_up(&email, form.return_to);
        let due = self.mail_is_due(&email).await;
        if !due && !self.offer().await.autoconfirm {
            // A mail went out less than a minute ago: it looks sent (S-82).
            return Ok(self.to_confirm(&id, &pending, slot));
        }
        let work = {
            let (flows, email, pending) = (self.clone(), email.clone(), pending.clone());
            let (password, data) = (form.password.clone(), form.data.cloned());
            let captcha = form.captcha.map(str::to_owned);
            let to = callback_url(form.public, &id);
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

    /// The sign-up that waits for its mail in this browser: its address.
    pub fn awaited(&self, slot: &Slot) -> Option<String> {
        let newest = self.0.pending.newest(Purpose::SignUp, slot.jar(), self.0.now());
        newest.map(|(_, pending)| pending.email)
    }

    /// Where the sign-up that waits in this browser was to lead: its mail's link names the callback, which is no page.
    pub fn awaited_target(&self, slot: &Slot) -> Option<ReturnTo> {
        let newest = self.0.pending.newest(Purpose::SignUp, slot.jar(), self.0.now());
        newest.and_then(|(_, pending)| self.0.targets.parse(&pending.return_to))
    }

    /// Confirms the sign-up that waits in this browser with the digits from its mail.
    ///
    /// # Errors
    ///
    /// [`Problem::CodeWrong`] for wrong, used and old digits, and where no sign-up waits.
    pub async fn confirm_with_code(
        &self,
        code: &str,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<(Current, ReturnTo, HeaderValue), Failure> {
        let inner = &self.0;
        let wrong = || {
            let (code, method) = (Some("code_wrong"), Some("signup"));
            inner.trail.emit(&Record { code, method, ..Record::of(Event::SignIn, Outcome::Failed) });
            Failure::Form(Problem::CodeWrong)
        };
        let (id, pending) =
            inner.pending.newest(Purpose::SignUp, slot.jar(), inner.now()).ok_or_else(wrong)?;
        let email = Email::parse(&pending.email).ok_or_else(wrong)?;
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if !(6..=10).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let tried = inner.count(Bucket::Code, &inner.account_key(&email)).await?;
        let verified =
            inner.gotrue.verify_code(CodeKind::Signup, email.as_str(), &Secret::new(digits), from).await;
        let tokens = match verified {
            Ok(Verified::Session(tokens)) => *tokens,
            Ok(Verified::Half) => return Err(wrong()),
            Err(error) if error.is_transient() => return Err(Failure::of(error)),
            Err(_) => return Err(wrong()),
        };
        if let Some(tried) = tried {
            tried.give_back();
        }
        let proof = Proof { method: "signup", remember: pending.remember, recovery: false };
        let current = inner.sessions.make(tokens, proof).await?;
        inner.sessions.adopt(slot, &current).await?;
        inner.trail.emit(&Record { method: Some("signup"), ..Record::of(Event::SignIn, Outcome::Ok) });
        Ok((current, inner.targets.choose(Some(&pending.return_to)), inner.pending.clear(&id)))
    }

    /// Asks for the confirmation mail once more. Always answered alike (S-71): what was suppressed looks sent.
    pub async fn send_confirmation_again(
        &self,
        typed: &str,
        mail: Try,
        return_to: &ReturnTo,
        public: &Url,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Vec<HeaderValue>, Failure> {
        let inner = &self.0;
        let email = match read_email(typed) {
            Ok(email) => email,
            Err(problem) => {
                mail.give_back();
                return Err(Failure::Form(problem));
            }
        };
        let (id, pending) = self.pending_sign_up(&email, return_to);
        if self.mail_is_due(&email).await {
            let challenge = pending.verifier.challenge();
            let to = callback_url(public, &id);
            let sent =
                inner.gotrue.resend(ResendKind::Signup, email.as_str(), &challenge, &to, None, from).await;
            match sent {
                Ok(()) | Err(gotrue::Error::RateLimited { .. } | gotrue::Error::Refused { .. }) => {}
                Err(error) => return Err(Failure::of(error)),
            }
        }
        Ok(inner.pending.keep(&id, &pending, slot.jar(), &*inner.entropy))
    }

    fn read_account(&self, form: &Account<'_>) -> Result<Email, Problem> {
        let email = read_email(form.email)?;
        let words = [email.as_str(), self.0.public_url.host_str().unwrap_or_default()];
        match self.0.passwords.judge(form.password.expose(), &words) {
            Some(problem) => Err(problem),
            None => Ok(email),
        }
    }

    fn pending_sign_up(&self, email: &Email, return_to: &ReturnTo) -> (String, Pending) {
        let pending = Pending {
            purpose: Purpose::SignUp,
            provider: String::new(),
            verifier: Verifier::draw(&*self.0.entropy),
            return_to: return_to.as_str().to_owned(),
            remember: false,
            email: email.as_str().to_owned(),
            user: None,
            started_at: self.0.now(),
        };
        (self.0.entropy.text::<16>(), pending)
    }

    /// Whether a mail to `email` is due: at most one a minute (S-82).
    pub(super) async fn mail_is_due(&self, email: &Email) -> bool {
        let inner = &self.0;
        let key = inner.account_key(email);
        inner.count(Bucket::MailRecipient, &key).await.is_ok()
    }
}

pub(super) fn read_email(typed: &str) -> Result<Email, Problem> {
    if typed.trim().is_empty() {
        return Err(Problem::Required("email"));
    }
    Email::parse(typed).ok_or(Problem::EmailInvalid)
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
