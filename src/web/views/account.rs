//! `/auth/account` and `/auth/logout`.

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::View;

/// What `account.html` shows: who is signed in here.
#[derive(Debug, Clone, Serialize)]
pub struct AccountPage<'a> {
    /// From the token; may be unknown.
    pub name: Option<&'a str>,
    /// An anonymous user has none.
    pub email: Option<&'a str>,
    /// The address that waits for its mails, if one was asked for in this browser.
    pub awaited: Option<&'a str>,
    /// Whether there is a password, as far as the token tells.
    pub password: bool,
    /// Nobody knows who this is: the account is this browser's alone.
    pub anonymous: bool,
    /// Where "back to the site" leads.
    pub home: &'a str,
    /// One message after a redirect.
    pub notice: Option<AccountNotice<'a>>,
}

/// A point in the past, shown in words: we do not know a person's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// The point.
    pub at: OffsetDateTime,
    /// The time of the request.
    pub now: OffsetDateTime,
}

impl Serialize for Since {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut map = serializer.serialize_struct("Since", 5)?;
        let at = self.at.to_offset(time::UtcOffset::UTC);
        map.serialize_field("since_iso", &at.format(&Rfc3339).map_err(serde::ser::Error::custom)?)?;
        map.serialize_field("since_day", &at.day())?;
        map.serialize_field("since_month", &u8::from(at.month()))?;
        map.serialize_field("since_year", &at.year())?;
        map.serialize_field("since_seconds", &(self.now - at).whole_seconds().max(0))?;
        map.end()
    }
}

/// A message on top of the account page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "text")]
pub enum AccountNotice<'a> {
    /// A mail link was pressed.
    #[serde(rename = "confirm-done")]
    ConfirmDone,
    /// A new address is in use.
    #[serde(rename = "confirm-changed")]
    EmailChanged {
        /// The new one.
        email: &'a str,
    },
    /// One of two mails of a change of address.
    #[serde(rename = "confirm-half")]
    EmailHalf,
    /// The same of an account that is not the one signed in here.
    #[serde(rename = "confirm-elsewhere")]
    EmailElsewhere {
        /// The new one.
        email: &'a str,
    },
    /// A forgotten password was replaced.
    #[serde(rename = "reset-done")]
    ResetDone,
    /// The name was changed.
    #[serde(rename = "account-name-done")]
    NameDone,
    /// The password was, and all other sessions are over.
    #[serde(rename = "account-password-done")]
    PasswordDone,
    /// Mails for another address may be on their way. The same for a taken address (S-71).
    #[serde(rename = "account-email-sent")]
    EmailSent {
        /// The new one.
        email: &'a str,
    },
    /// A link of such a mail was used, or too old.
    #[serde(rename = "account-email-expired")]
    EmailExpired,
    /// An anonymous account has become a full one.
    #[serde(rename = "upgrade-done")]
    Upgraded,
}

impl View for AccountPage<'_> {
    const TEMPLATE: &'static str = "account.html";

    fn samples() -> Vec<Self> {
        let plain = Self {
            name: Some("Ada"),
            email: Some("ada@example.test"),
            awaited: None,
            password: true,
            anonymous: false,
            home: "/",
            notice: None,
        };
        let notices = [
            AccountNotice::ConfirmDone,
            AccountNotice::EmailChanged { email: "ada@example.test" },
            AccountNotice::EmailHalf,
            AccountNotice::EmailElsewhere { email: "grace@example.test" },
            AccountNotice::ResetDone,
            AccountNotice::NameDone,
            AccountNotice::PasswordDone,
            AccountNotice::EmailSent { email: "new@example.test" },
            AccountNotice::EmailExpired,
            AccountNotice::Upgraded,
        ];
        let mut all = vec![
            plain.clone(),
            Self { name: None, password: false, ..plain.clone() },
            Self { awaited: Some("new@example.test"), ..plain.clone() },
            Self { name: None, email: None, password: false, anonymous: true, ..plain.clone() },
        ];
        all.extend(notices.map(|notice| Self { notice: Some(notice), ..plain.clone() }));
        all
    }
}

/// What `logout.html` shows.
#[derive(Debug, Clone, Serialize)]
pub struct LogoutPage<'a> {
    /// For `POST /auth/logout`, purpose `logout`.
    pub form_token: &'a str,
    /// Whether somebody is signed in here.
    pub signed_in: bool,
    /// Who; an anonymous user has none.
    pub email: Option<&'a str>,
    /// Where "stay signed in" leads.
    pub stay: &'a str,
    /// The button was pressed with a form that is no longer valid.
    pub form_expired: bool,
}

impl View for LogoutPage<'_> {
    const TEMPLATE: &'static str = "logout.html";

    fn samples() -> Vec<Self> {
        let plain = Self {
            form_token: "form-token",
            signed_in: true,
            email: Some("ada@example.test"),
            stay: "/",
            form_expired: false,
        };
        vec![
            plain.clone(),
            Self { form_expired: true, ..plain.clone() },
            Self { email: None, ..plain.clone() },
            Self { signed_in: false, email: None, ..plain },
        ]
    }
}
