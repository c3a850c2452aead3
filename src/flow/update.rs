//! Everything that a client changes about a person in one call, as GoTrue takes it.

use base::secret::Secret;
use http::HeaderValue;
use serde_json::{Map, Value};
use url::Url;

use super::account::digits;
use super::mailed::read_email;
use super::pending::Purpose;
use super::{Failure, Flows, ReturnTo, Try, callback_url};
use crate::event::Reason;
use crate::gotrue::{self, Change, NewEmail};
use crate::limit::Bucket;
use crate::session::{Current, Slot};

/// What is to be changed; `None` stays as it is.
#[derive(Debug)]
pub struct Update<'a> {
    /// As typed.
    pub email: Option<&'a str>,
    /// As typed, to the last byte (S-69).
    pub password: Option<&'a Secret<String>>,
    /// The one so far, where the project asks for it.
    pub current_password: Option<&'a Secret<String>>,
    /// The digits from the mail of a reauthentication.
    pub nonce: Option<&'a str>,
    /// Merged into `user_metadata`.
    pub data: Option<&'a Map<String, Value>>,
    /// Where the person goes by the links of the mails.
    pub return_to: &'a ReturnTo,
    /// The one of our origins that was asked for, to which the links in the mails lead.
    pub public: &'a Url,
}

/// The person afterwards.
#[derive(Debug)]
pub struct Updated {
    /// As GoTrue tells it.
    pub person: Map<String, Value>,
    /// Keep the flow of a change of address.
    pub cookies: Vec<HeaderValue>,
}

impl Flows {
    /// Changes what `update` names. A new password ends all other sessions, a new address waits for its mails and is
    /// answered alike whether it is taken or free (S-71).
    ///
    /// # Errors
    ///
    /// Those of [`change_password`](Self::change_password) and [`change_address`](Self::change_address).
    pub async fn update(
        &self,
        update: &Update<'_>,
        slot: &Slot,
        current: &Current,
    ) -> Result<Updated, Failure> {
        let inner = &self.0;
        let email = update.email.map(read_email).transpose().map_err(Failure::Form)?;
        let email = email.filter(|email| !email.as_str().eq_ignore_ascii_case(&current.claims.email));
        if let Some(password) = update.password {
            let known = email.as_ref().map_or(current.claims.email.as_str(), |email| email.as_str());
            let words = [known, inner.public_url.host_str().unwrap_or_default()];
            if let Some(problem) = inner.passwords.judge(password.expose(), &words) {
                return Err(Failure::Form(problem));
            }
        }
        let nonce = update.nonce.filter(|nonce| !nonce.trim().is_empty()).map(digits).transpose()?;
        let key = inner.person_key(current.session.user_id);
        let mut tries = Vec::new();
        if update.current_password.is_some() {
            tries.push(Try(inner.count(Bucket::PasswordAccount, &key).await?));
        }
        if nonce.is_some() {
            tries.push(Try(inner.count(Bucket::Code, &key).await?));
        }
        let due = match &email {
            Some(email) => {
                let _ = self.count_mail(slot.client()).await.passed()?; // not given back: mails cost
                inner.mail_is_due(Purpose::EmailChange, email).await
            }
            None => false,
        };
        let begun = email.as_ref().map(|email| self.pending_change(email, update.return_to, current));
        let way = begun.as_ref().filter(|_| due).map(|(id, pending)| {
            (
                pending.verifier.challenge(),
                callback_url(update.public, id, pending.purpose),
                pending.email.as_str(),
            )
        });
        let rest = Change {
            email: None,
            password: update.password,
            current_password: update.current_password,
            nonce: nonce.as_ref(),
            data: update.data,
        };
        let email_change = way.as_ref().map(|(challenge, redirect_to, address)| NewEmail {
            address,
            challenge,
            redirect_to,
        });
        let change = Change { email: email_change, ..rest };
        let answer = match self.told_after(&change, slot, current).await {
            // Nobody learns by it who has an address; what else was asked for is done.
            Err(error)
                if change.email.is_some()
                    && (hides_an_account(error.code()) || inner.hides(Purpose::EmailChange, &error)) =>
            {
                self.told_after(&rest, slot, current).await
            }
            answer => answer,
        };
        let mut person = match answer {
            Ok(person) => person,
            Err(error) => return Err(inner.refused_change(error, slot, current).await),
        };
        if let Some(email) =
            email.as_ref().filter(|email| person.get("email").and_then(Value::as_str) != Some(email.as_str()))
        {
            person.insert("new_email".to_owned(), Value::from(email.as_str()));
        }
        tries.into_iter().for_each(Try::give_back);
        if update.password.is_some() {
            inner.sessions.end_others_after(slot, current, Reason::PasswordChanged).await?;
        } else if update.data.is_some() {
            inner.sessions.catch_up(slot).await; // what the token says of the person has changed
        }
        let keep = |(id, pending)| inner.pending.keep(id, pending, slot.jar(), &*inner.entropy);
        let cookies = begun.as_ref().map(|(id, pending)| keep((id.as_str(), pending))).unwrap_or_default();
        Ok(Updated { person, cookies })
    }

    /// Mails digits that prove who asks, for [`Update::nonce`].
    ///
    /// # Errors
    ///
    /// [`Failure::Limited`]; what GoTrue says of an account without a confirmed address.
    pub async fn reauthenticate(&self, slot: &Slot, current: &Current) -> Result<(), Failure> {
        let _ = self.count_mail(slot.client()).await.passed()?; // not given back: mails cost
        self.send_digits(slot, current, slot.client()).await.map(drop)
    }

    /// The person as GoTrue tells him after `change`.
    async fn told_after(
        &self,
        change: &Change<'_>,
        slot: &Slot,
        current: &Current,
    ) -> Result<Map<String, Value>, gotrue::Error> {
        Ok((*self.0.change(change, slot, current).await?.told).clone())
    }
}

/// Whether a refusal would tell that somebody has this address, or that a mail went there a moment ago.
fn hides_an_account(code: Option<&str>) -> bool {
    matches!(code, Some("email_exists" | "user_already_exists" | "over_email_send_rate_limit"))
}

impl Failure {
    /// Status, code and reasons of a refusal by GoTrue that no form of ours can mend, for a client that speaks with it.
    pub fn refusal(&self) -> Option<(http::StatusCode, &str, &[String])> {
        match self {
            Self::Refused(crate::gotrue::Error::Refused { status, code, reasons }) => {
                Some((*status, code, reasons))
            }
            _ => None,
        }
    }
}
