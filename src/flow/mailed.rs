//! Mails that a browser waits for: which one, the digits from it, another one of the kind.

use std::net::IpAddr;

use http::HeaderValue;
use time::Duration;
use url::Url;

use super::email::Email;
use super::pending::{Pending, Purpose};
use super::redeem::Redeemed;
use super::{Failure, Flows, Inner, Problem, ReturnTo, Try, callback_url};
use crate::event::{Event, Outcome, Record};
use crate::gotrue::{self, CodeKind, MailTo, ResendKind};
use crate::limit::Bucket;
use crate::pkce::Verifier;
use crate::session::{Current, Slot};

/// A mail that a browser waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// What it is for.
    pub purpose: Purpose,
    /// Whom it went to, if it went.
    pub email: String,
    /// Where the person goes afterwards.
    pub return_to: ReturnTo,
    /// Until another may go out, told by this browser's own wish alone (S-71); zero if now.
    pub again_in: Duration,
}

/// Digits as somebody types them.
#[derive(Debug)]
pub struct Typed<'a> {
    /// What the form says they are for; `None` for what this browser waits for.
    pub purpose: Option<Purpose>,
    /// Whose; may be empty if this browser waits for a mail.
    pub email: &'a str,
    /// As typed.
    pub code: &'a str,
    /// The token of the form, if one was sent.
    pub form: Option<&'a str>,
}

/// Who came in by digits.
#[derive(Debug)]
pub struct Entered {
    /// The session.
    pub current: Current,
    /// Where to go.
    pub return_to: ReturnTo,
    /// Ends the wait in this browser, if there was one.
    pub cookie: Option<HeaderValue>,
}

/// A wish for another mail.
#[derive(Debug)]
pub struct Again<'a> {
    /// What for; `None` for what this browser waits for, and for a sign-up where it waits for nothing.
    pub purpose: Option<Purpose>,
    /// As typed; may be empty if this browser waits for a mail.
    pub email: &'a str,
    /// The one of our origins that was asked for, to which the link in the mail leads.
    pub public: &'a Url,
}

impl Flows {
    /// The newest mail that this browser waits for; of `purpose` alone, if one is named.
    pub fn awaited(&self, purpose: Option<Purpose>, slot: &Slot) -> Option<Awaited> {
        let inner = &self.0;
        let (_, pending) = inner.newest_mail(purpose, "", slot)?;
        let gap =
            inner.limits.rate(Bucket::MailRecipient).map_or(Duration::ZERO, |rate| rate.per / rate.count);
        Some(Awaited {
            purpose: pending.purpose,
            return_to: pending.target(&inner.targets),
            again_in: (pending.started_at + gap - inner.now()).max(Duration::ZERO),
            email: pending.email,
        })
    }

    /// Signs in with digits: of the mail that this browser waits for, or of any other to the address that is typed.
    ///
    /// # Errors
    ///
    /// [`Problem::CodeWrong`] for wrong, used and old digits alike.
    pub async fn enter(
        &self,
        typed: &Typed<'_>,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Entered, Failure> {
        let inner = &self.0;
        let waiting = inner.newest_mail(typed.purpose, typed.email, slot);
        let purpose = waiting.as_ref().map(|(_, pending)| pending.purpose);
        let purpose = purpose.or(typed.purpose).unwrap_or(Purpose::Email);
        let kind = match purpose {
            Purpose::SignUp => CodeKind::Signup,
            Purpose::Recovery => CodeKind::Recovery,
            _ => CodeKind::Email,
        };
        let email = waiting.as_ref().map_or(typed.email, |(_, pending)| &pending.email);
        let email = Email::parse(email).ok_or_else(|| inner.spent(kind.as_str(), Problem::CodeWrong))?;
        let remember = waiting.as_ref().is_some_and(|(_, pending)| pending.remember);
        let current = match self.redeem_digits(kind, email, typed.code, remember, typed.form, from).await? {
            Redeemed::Session(current) => current,
            Redeemed::Half => return Err(inner.spent(kind.as_str(), Problem::CodeWrong)),
        };
        inner.sessions.adopt(slot, &current).await?;
        let target = waiting.as_ref().map(|(_, pending)| pending.target(&inner.targets));
        Ok(Entered {
            current,
            return_to: target.unwrap_or_else(|| inner.targets.default()),
            cookie: waiting.map(|(id, _)| inner.pending.clear(&id)),
        })
    }

    /// Asks for another mail. Always answered alike (S-71): what was suppressed looks sent. `mail` is given back if the
    /// address is none.
    ///
    /// # Errors
    ///
    /// [`Problem::EmailInvalid`]; [`Failure::Unavailable`] if GoTrue does not answer.
    pub async fn send_again(
        &self,
        wish: &Again<'_>,
        mail: Try,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Vec<HeaderValue>, Failure> {
        let inner = &self.0;
        let waiting = inner.newest_mail(wish.purpose, wish.email, slot);
        let known = waiting.as_ref().map_or(wish.email, |(_, pending)| &pending.email);
        let email = match read_email(known) {
            Ok(email) => email,
            Err(problem) => {
                mail.give_back();
                return Err(Failure::Form(problem));
            }
        };
        let purpose = waiting.as_ref().map(|(_, pending)| pending.purpose).or(wish.purpose);
        let target = waiting.as_ref().map(|(_, pending)| pending.target(&inner.targets));
        let return_to = target.unwrap_or_else(|| inner.targets.default());
        let send = Send {
            purpose: purpose.unwrap_or(Purpose::SignUp),
            return_to: &return_to,
            public: wish.public,
            captcha: None,
            create: true,
        };
        self.send(&email, &send, slot, from).await
    }

    /// Has a mail sent, unless one went out a moment ago, and begins to wait for it in this browser.
    pub(super) async fn send(
        &self,
        email: &Email,
        wish: &Send<'_>,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Vec<HeaderValue>, Failure> {
        let inner = &self.0;
        let (id, mut pending) = inner.waiting(wish.purpose, email, wish.return_to);
        if inner.mail_is_due(wish.purpose, email).await {
            let (challenge, to) =
                (pending.verifier.challenge(), callback_url(wish.public, &id, pending.purpose));
            let (email, captcha) = (email.as_str(), wish.captcha);
            let mail = MailTo { email, challenge: &challenge, redirect_to: &to, captcha };
            let sent = match wish.purpose {
                Purpose::Recovery => inner.gotrue.recover(&mail, from).await,
                Purpose::SignUp => {
                    inner.gotrue.resend(ResendKind::Signup, email, &challenge, &to, captcha, from).await
                }
                _ => inner.gotrue.otp(&mail, wish.create && self.offer().await.signup, from).await,
            };
            sent.or_else(|error| inner.told(wish.purpose, error))?;
        } else if let Some((_, earlier)) = inner.newest_mail(Some(wish.purpose), email.as_str(), slot) {
            pending.started_at = earlier.started_at; // the wait for the next mail goes on from there
        }
        Ok(inner.pending.keep(&id, &pending, slot.jar(), &*inner.entropy))
    }
}

/// A mail to be sent.
pub(super) struct Send<'a> {
    pub(super) purpose: Purpose,
    pub(super) return_to: &'a ReturnTo,
    pub(super) public: &'a Url,
    pub(super) captcha: Option<&'a str>,
    /// Whether a mail to a new address makes an account.
    pub(super) create: bool,
}

impl Inner {
    /// A flow that begins to wait for a mail, under its new id.
    pub(super) fn waiting(&self, purpose: Purpose, email: &Email, return_to: &ReturnTo) -> (String, Pending) {
        let pending = Pending {
            purpose,
            provider: String::new(),
            verifier: Verifier::draw(&*self.entropy),
            return_to: return_to.as_str().to_owned(),
            remember: false,
            email: email.as_str().to_owned(),
            user: None,
            waiting: return_to.client().map(|client| client.waiting.clone()),
            started_at: self.now(),
        };
        (self.entropy.text::<16>(), pending)
    }

    /// The newest flow of this browser that waits for a mail; for `purpose` and to `email`, as far as they are given.
    fn newest_mail(&self, purpose: Option<Purpose>, email: &str, slot: &Slot) -> Option<(String, Pending)> {
        let typed = !email.trim().is_empty();
        let email = Email::parse(email);
        if typed && email.is_none() {
            return None;
        }
        self.pending.newest(slot.jar(), self.now(), |pending| {
            pending.purpose.is_mail()
                && purpose.is_none_or(|purpose| pending.purpose == purpose)
                && email.as_ref().is_none_or(|email| pending.email == email.as_str())
        })
    }

    /// What GoTrue says of a mail, as far as everybody may hear it: not whether the address is known, has an account or
    /// got a mail a moment ago (S-71).
    fn told(&self, purpose: Purpose, error: gotrue::Error) -> Result<(), Failure> {
        match &error {
            gotrue::Error::RateLimited { .. } => Ok(()),
            gotrue::Error::Refused { code, .. } => match code.as_str() {
                "captcha_failed" => Err(Failure::Form(Problem::CaptchaFailed)),
                "email_provider_disabled" => Err(Failure::Disabled),
                _ => Ok(()),
            },
            error if self.hides(purpose, error) => Ok(()),
            _ => Err(Failure::of(error)),
        }
    }

    /// Whether `error` may come of a mail server that is away or slow. GoTrue meets it for addresses alone that it has
    /// something to tell, so the answer must be the one of all others (S-71); the operator hears of it here. An auth
    /// server that cannot be reached is away for everybody, and is no such error.
    pub(super) fn hides(&self, purpose: Purpose, error: &gotrue::Error) -> bool {
        let hidden = match error {
            gotrue::Error::Server { status } => matches!(status.as_u16(), 500 | 504),
            gotrue::Error::Unreachable(cause) => cause.is_timeout() && !cause.is_connect(),
            _ => false,
        };
        if hidden {
            let method = Some(purpose.as_str());
            self.trail.emit(&Record { method, ..Record::of(Event::MailFailed, Outcome::Failed) });
        }
        hidden
    }

    /// Whether a mail of this kind to `email` is due: at most one a minute (S-82).
    pub(super) async fn mail_is_due(&self, purpose: Purpose, email: &Email) -> bool {
        let key = format!("{} {}", self.account_key(email), purpose.as_str());
        self.count(Bucket::MailRecipient, &key).await.is_ok()
    }
}

pub(super) fn read_email(typed: &str) -> Result<Email, Problem> {
    if typed.trim().is_empty() {
        return Err(Problem::Required("email"));
    }
    Email::parse(typed).ok_or(Problem::EmailInvalid)
}
