//! Mail. What would be sent rests in the outbox, newest last, at most [`KEPT`] of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use time::OffsetDateTime;

/// How many mails the outbox remembers.
const KEPT: usize = 500;

/// Why a mail is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    /// Confirms the address of a new account.
    Signup,
    /// Signs in without a password.
    Magiclink,
    /// Lets a person set a new password.
    Recovery,
    /// Invites a person to an account that an administrator made.
    Invite,
    /// Confirms the new address of an account, at that address.
    EmailChange,
    /// Confirms that change at the current address.
    EmailChangeCurrent,
    /// Proves that the person still reads the mail. Has digits and no link.
    Reauthentication,
}

impl MailKind {
    /// The `type` in links, as `/verify` reads it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::Magiclink => "magiclink",
            Self::Recovery => "recovery",
            Self::Invite => "invite",
            Self::EmailChange | Self::EmailChangeCurrent => "email_change",
            Self::Reauthentication => "reauthentication",
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Signup => "Confirm your address",
            Self::Magiclink => "Your sign-in code",
            Self::Recovery => "Reset your password",
            Self::Invite => "You have been invited",
            Self::EmailChange => "Confirm your new address",
            Self::EmailChangeCurrent => "Confirm the change of your address",
            Self::Reauthentication => "Confirm that it is you",
        }
    }
}

/// A mail. Its address was checked when the account was made: it has no space, control or line break (S-70, S-80).
#[derive(Debug, Clone)]
pub struct Mail {
    /// Why.
    pub kind: MailKind,
    /// The one recipient.
    pub to: String,
    /// The subject line: a constant for each kind.
    pub subject: &'static str,
    /// The link in it; empty if it has digits alone.
    pub link: String,
    /// The digits in it.
    pub code: String,
    /// When it was made.
    pub at: OffsetDateTime,
}

/// A mail as `/outbox.json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct MailBody {
    to: String,
    subject: &'static str,
    text: String,
    html: String,
}

impl Mail {
    /// A mail with a link and the digits that do the same.
    pub(crate) fn new(kind: MailKind, to: String, link: String, code: String, at: OffsetDateTime) -> Self {
        Self { kind, to, subject: kind.subject(), link, code, at }
    }

    /// The plain text.
    pub fn text(&self) -> String {
        let (subject, link, code) = (self.subject, &self.link, &self.code);
        if link.is_empty() {
            return format!("{subject}\n\nEnter this code: {code}\n");
        }
        format!("{subject}\n\nFollow this link:\n{link}\n\nor enter this code: {code}\n")
    }

    pub(crate) fn body(&self, templates: &crate::pages::Templates) -> Result<MailBody, minijinja::Error> {
        let page = crate::pages::MailPage { subject: self.subject, link: &self.link, code: &self.code };
        Ok(MailBody {
            to: self.to.clone(),
            subject: self.subject,
            text: self.text(),
            html: templates.render(&page)?,
        })
    }
}

/// The mails of this process. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<VecDeque<Mail>>>);

impl Outbox {
    /// Adds a mail, and forgets the oldest beyond [`KEPT`].
    pub(crate) fn send(&self, mail: Mail) {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mails.len() == KEPT {
            mails.pop_front();
        }
        mails.push_back(mail);
    }

    /// All of them, newest last.
    pub(crate) fn list(&self) -> Vec<Mail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
