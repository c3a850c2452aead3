//! Mail. Without a mail server what would be sent rests in the outbox, newest last, at most [`KEPT`] of them.

mod smtp;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use time::OffsetDateTime;

pub(crate) use smtp::{BadServer, Sender};

use crate::pages::Templates;
use crate::settings::Settings;

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

    pub(crate) fn body(&self, templates: &Templates) -> Result<MailBody, minijinja::Error> {
        let page = crate::pages::MailPage { subject: self.subject, link: &self.link, code: &self.code };
        Ok(MailBody {
            to: self.to.clone(),
            subject: self.subject,
            text: self.text(),
            html: templates.render(&page)?,
        })
    }
}

/// Where mails go. Clones share it.
#[derive(Debug, Clone)]
pub(crate) enum Outbox {
    /// They rest here, to be looked at.
    Kept(Arc<Mutex<VecDeque<Mail>>>),
    /// They are really sent.
    Smtp(Sender),
}

impl Outbox {
    /// The outbox of these settings. Has to be called inside a runtime.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BadServer> {
        Ok(match &settings.smtp {
            Some(smtp) => Self::Smtp(Sender::start(smtp)?),
            None => Self::Kept(Arc::default()),
        })
    }

    /// Adds a mail, and forgets the oldest beyond [`KEPT`]; or hands it on.
    pub(crate) fn send(&self, mail: Mail, templates: &Templates) {
        match self {
            Self::Kept(mails) => {
                let mut mails = mails.lock().unwrap_or_else(PoisonError::into_inner);
                if mails.len() == KEPT {
                    mails.pop_front();
                }
                mails.push_back(mail);
            }
            Self::Smtp(sender) => match mail.body(templates) {
                Ok(body) => sender.send(body),
                Err(error) => tracing::error!(cause = %error, "a mail cannot be written"),
            },
        }
    }

    /// All that rest here, newest last; `None` if they are sent.
    pub(crate) fn list(&self) -> Option<Vec<Mail>> {
        match self {
            Self::Kept(mails) => {
                Some(mails.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect())
            }
            Self::Smtp(_) => None,
        }
    }

    /// Waits for what is on its way.
    pub(crate) async fn flush(&self) {
        if let Self::Smtp(sender) = self {
            sender.flush().await;
        }
    }
}
