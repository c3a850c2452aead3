//! What a person changes about the own account: the name, the password, the address. The caller has seen to the fresh
//! proof (S-46).

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use base::secret::Secret;
use http::HeaderValue;
use serde_json::{Map, Value};
use url::Url;

use super::email::Email;
use super::mailed::read_email;
use super::pending::{Pending, Purpose};
use super::{Failure, Flows, Problem, ReturnTo, Try, callback_url};
use crate::event::Reason;
use crate::gotrue::{self, Change, NewEmail};
use crate::limit::Bucket;
use crate::pkce::Verifier;
use crate::session::{Current, Slot};

/// Longest name, in characters: it rides in every token.
const NAME: usize = 100;

/// What the project let us know of itself by its refusals; its `/settings` do not say.
#[derive(Debug, Default)]
pub(super) struct Learned {
    asks_current_password: AtomicBool,
    pub(super) linking_is_off: AtomicBool,
}

/// Another password.
#[derive(Debug)]
pub struct NewPassword<'a> {
    /// As typed, to the last byte (S-69).
    pub password: &'a Secret<String>,
    /// The one so far, if it was asked for.
    pub current: Option<&'a Secret<String>>,
    /// The digits of the mail that GoTrue wanted first, if it did.
    pub code: Option<&'a str>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordChange {
    /// It is in use, and all other sessions are over.
    Done,
    /// GoTrue wants digits first, and mails them.
    CodeSent,
}

/// Another address.
#[derive(Debug)]
pub struct NewAddress<'a> {
    /// As typed.
    pub email: &'a str,
    /// With which an anonymous account becomes a full one.
    pub password: Option<&'a Secret<String>>,
    /// The one of our origins that was asked for, to which the links in the mails lead.
    pub public: &'a Url,
}

/// What came of it.
#[derive(Debug)]
pub enum AddressChange {
    /// Mails may be on their way; for a taken address the answer is the same (S-71).
    Sent {
        /// As it was understood.
        email: String,
        /// Keep the flow.
        cookies: Vec<HeaderValue>,
    },
    /// It is in use at once.
    Done {
        /// As it was understood.
        email: String,
    },
}

impl Flows {
    /// Whether a new password needs the old one, as far as the project has said so.
    pub fn asks_current_password(&self) -> bool {
        self.0.learned.asks_current_password.load(Ordering::Relaxed)
    }

    /// Names the person; an empty name takes the one there was away.
    ///
    /// # Errors
    ///
    /// [`Problem::NameTooLong`]
    pub async fn rename(&self, name: &str, slot: &Slot, current: &Current) -> Result<(), Failure> {
        let inner = &self.0;
        let name = plain_name(name);
        if name.chars().count() > NAME {
            return Err(Failure::Form(Problem::NameTooLong));
        }
        let value = if name.is_empty() { Value::Null } else { Value::from(name) };
        // Providers write the first, and it is what is shown before the other.
        let names = ["full_name", "name"].map(|member| (member.to_owned(), value.clone()));
        let data: Map<String, Value> = names.into_iter().collect();
        let change = Change { data: Some(&data), ..Change::default() };
        if let Err(error) = inner.change(&change, slot, current).await {
            return Err(inner.refused_change(error, slot, current).await);
        }
        inner.sessions.catch_up(slot).await;
        Ok(())
    }

    /// Replaces the password, and ends all other sessions.
    ///
    /// # Errors
    ///
    /// [`Problem::WeakPassword`], [`Problem::PasswordTooLong`], [`Problem::SamePassword`], [`Problem::CurrentPassword`]
    /// or [`Problem::Required`] `current_password`, [`Problem::CodeWrong`], [`Failure::Anonymous`].
    pub async fn change_password(
        &self,
        form: &NewPassword<'_>,
        slot: &Slot,
        current: &Current,
        from: Option<IpAddr>,
    ) -> Result<PasswordChange, Failure> {
        let inner = &self.0;
        let claims = &current.claims;
        let email = Email::parse(&claims.email).ok_or(Failure::Anonymous)?;
        let words = [email.as_str(), inner.public_url.host_str().unwrap_or_default()];
        if let Some(problem) = inner.passwords.judge(form.password.expose(), &words) {
            return Err(Failure::Form(problem));
        }
        let given = |secret: &&Secret<String>| !secret.expose().is_empty();
        let current_password = form.current.filter(given);
        if self.asks_current_password() && current_password.is_none() {
            return Err(Failure::Form(Problem::Required("current_password")));
        }
        let nonce = form.code.filter(|code| !code.trim().is_empty()).map(digits).transpose()?;
        let key = inner.account_key(&email);
        let mut tries = Vec::new();
        if current_password.is_some() {
            tries.push(Try(inner.count(Bucket::PasswordAccount, &key).await?));
        }
        if nonce.is_some() {
            tries.push(Try(inner.count(Bucket::Code, &key).await?));
        }
        let change = Change {
            password: Some(form.password),
            current_password,
            nonce: nonce.as_ref(),
            ..Change::default()
        };
        match inner.change(&change, slot, current).await {
            Ok(_) => {
                tries.into_iter().for_each(Try::give_back);
                let ended = inner.sessions.end_others_after(slot, current, Reason::PasswordChanged).await;
                if let Err(error) = ended {
                    tracing::error!(%error, "after a new password this session could not be written anew");
                }
                Ok(PasswordChange::Done)
            }
            Err(error) if error.code() == Some("reauthentication_needed") => {
                tries.into_iter().for_each(Try::give_back);
                self.send_digits(slot, current, from).await
            }
            Err(error) => Err(inner.refused_change(error, slot, current).await),
        }
    }

    /// Mails the digits that a new password takes as its nonce.
    pub(super) async fn send_digits(
        &self,
        slot: &Slot,
        current: &Current,
        from: Option<IpAddr>,
    ) -> Result<PasswordChange, Failure> {
        let inner = &self.0;
        match inner.gotrue.reauthenticate(&current.session.access_token, from).await {
            Ok(()) => Ok(PasswordChange::CodeSent),
            // One went out a moment ago, and it is still good.
            Err(gotrue::Error::RateLimited { code, .. }) if code == "over_email_send_rate_limit" => {
                Ok(PasswordChange::CodeSent)
            }
            Err(error) => Err(inner.refused_change(error, slot, current).await),
        }
    }

    /// Begins a change of address; an anonymous account becomes a full one by it, under the same id. `mail` is given back
    /// if a field stands in the way.
    ///
    /// # Errors
    ///
    /// [`Problem::EmailInvalid`], [`Problem::SameEmail`]; those of a password, for an anonymous account.
    pub async fn change_address(
        &self,
        form: &NewAddress<'_>,
        mail: Try,
        slot: &Slot,
        current: &Current,
    ) -> Result<AddressChange, Failure> {
        let inner = &self.0;
        let email = match self.read_address(form, current) {
            Ok(email) => email,
            Err(problem) => {
                mail.give_back();
                return Err(Failure::Form(problem));
            }
        };
        let account = inner.targets.choose(Some("/auth/account"));
        let (id, pending) = self.pending_change(&email, &account, current);
        let (challenge, to) = (pending.verifier.challenge(), callback_url(form.public, &id, pending.purpose));
        let address = email.as_str().to_owned();
        let anonymous = current.claims.is_anonymous;
        let change = Change {
            email: Some(NewEmail { address: &address, challenge: &challenge, redirect_to: &to }),
            password: form.password.filter(|password| anonymous && !password.expose().is_empty()),
            ..Change::default()
        };
        let sent = || AddressChange::Sent {
            email: address.clone(),
            cookies: inner.pending.keep(&id, &pending, slot.jar(), &*inner.entropy),
        };
        if !inner.mail_is_due(Purpose::EmailChange, &email).await {
            return Ok(sent()); // one went out less than a minute ago: it looks sent (S-82)
        }
        let mailed = !self.offer().await.autoconfirm;
        match inner.change(&change, slot, current).await {
            Ok(user) if user.email.eq_ignore_ascii_case(&address) => {
                inner.sessions.catch_up(slot).await;
                Ok(AddressChange::Done { email: address })
            }
            Ok(_) => Ok(sent()),
            Err(error) => match error.code() {
                Some("email_exists" | "user_already_exists" | "over_email_send_rate_limit") => Ok(sent()),
                Some("validation_failed" | "email_address_invalid" | "email_address_not_authorized") => {
                    Err(Failure::Form(Problem::EmailInvalid))
                }
                None if mailed && inner.hides(Purpose::EmailChange, &error) => Ok(sent()),
                _ => Err(inner.refused_change(error, slot, current).await),
            },
        }
    }

    /// The address that `current`'s person asked for in this browser and that waits for its mails.
    pub fn awaited_address(&self, slot: &Slot, current: &Current) -> Option<String> {
        let own = |pending: &Pending| {
            pending.purpose == Purpose::EmailChange && pending.user == Some(current.session.user_id)
        };
        let (_, pending) = self.0.pending.newest(slot.jar(), self.0.now(), own)?;
        (!pending.email.eq_ignore_ascii_case(&current.claims.email)).then_some(pending.email)
    }

    fn read_address(&self, form: &NewAddress<'_>, current: &Current) -> Result<Email, Problem> {
        let email = read_email(form.email)?;
        if email.as_str().eq_ignore_ascii_case(&current.claims.email) {
            return Err(Problem::SameEmail);
        }
        let words = [email.as_str(), self.0.public_url.host_str().unwrap_or_default()];
        match form.password.filter(|_| current.claims.is_anonymous) {
            Some(password) => match self.0.passwords.judge(password.expose(), &words) {
                Some(problem) => Err(problem),
                None => Ok(email),
            },
            None => Ok(email),
        }
    }

    pub(super) fn pending_change(
        &self,
        email: &Email,
        return_to: &ReturnTo,
        current: &Current,
    ) -> (String, Pending) {
        let pending = Pending {
            purpose: Purpose::EmailChange,
            provider: String::new(),
            verifier: Verifier::draw(&*self.0.entropy),
            return_to: return_to.as_str().to_owned(),
            remember: false,
            email: email.as_str().to_owned(),
            user: Some(current.session.user_id),
            waiting: return_to.client().map(|client| client.waiting.clone()),
            started_at: self.0.now(),
        };
        (self.0.entropy.text::<16>(), pending)
    }
}

impl super::Inner {
    pub(super) async fn change(
        &self,
        change: &Change<'_>,
        slot: &Slot,
        current: &Current,
    ) -> Result<gotrue::User, gotrue::Error> {
        let answer = self.gotrue.update_user(&current.session.access_token, change, slot.client()).await;
        if let Ok(user) = &answer {
            self.sessions.person_changed(&current.session, Some(user));
        }
        answer
    }

    /// What a refusal means for the person who asked. One that says that the session is over ends it.
    pub(super) async fn refused_change(
        &self,
        error: gotrue::Error,
        slot: &Slot,
        current: &Current,
    ) -> Failure {
        if let Some(ended) = self.sessions.heed(slot, current, &error).await {
            return Failure::Session(ended);
        }
        match error.code().filter(|_| !error.is_transient()) {
            Some("weak_password") => Failure::Form(Problem::WeakPassword),
            Some("same_password") => Failure::Form(Problem::SamePassword),
            Some("current_password_required") => {
                self.learned.asks_current_password.store(true, Ordering::Relaxed);
                Failure::Form(Problem::Required("current_password"))
            }
            Some("current_password_invalid") => {
                self.learned.asks_current_password.store(true, Ordering::Relaxed);
                Failure::Form(Problem::CurrentPassword)
            }
            Some("reauthentication_not_valid") => Failure::Form(Problem::CodeWrong),
            Some("insufficient_aal") => Failure::StepUp,
            Some("user_sso_managed") => Failure::Disabled,
            Some("manual_linking_disabled") => {
                self.learned.linking_is_off.store(true, Ordering::Relaxed);
                Failure::Disabled
            }
            Some("single_identity_not_deletable" | "email_conflict_identity_not_deletable") => {
                Failure::Form(Problem::LastIdentity)
            }
            _ => Failure::of(error),
        }
    }
}

/// A name without what only disturbs the line it stands in: space around it, controls, marks that turn the direction of
/// what follows. Letters of every script, and emoji with what joins them, stay.
fn plain_name(typed: &str) -> String {
    let disturbs = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text: String = typed.chars().map(|c| if disturbs(c) { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Digits of a mail as they were typed, spaces and all.
pub(super) fn digits(typed: &str) -> Result<Secret<String>, Failure> {
    let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let plausible = (6..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if plausible { Ok(Secret::new(digits)) } else { Err(Failure::Form(Problem::CodeWrong)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_letters_and_loses_what_disturbs_the_line() {
        assert_eq!(plain_name("  Ada \t Lovelace\r\n"), "Ada Lovelace");
        assert_eq!(plain_name("\u{202e}adA\u{2066}\0"), "adA");
        for whole in ["שרה", "عائشة", "👩🏽\u{200d}🚀 Ada", "Zoë", "O'Brien <b>"] {
            assert_eq!(plain_name(whole), whole);
        }
        assert_eq!(plain_name(" \u{202a} "), "");
    }
}
