//! `/auth/account` and `/auth/logout`.

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Provider, View};

/// What `account.html` shows: who is signed in here.
#[derive(Debug, Clone, Serialize)]
pub struct AccountPage<'a> {
    /// For `POST /auth/logout`, purpose `logout`.
    pub form_token: &'a str,
    /// From the token; may be unknown.
    pub name: Option<&'a str>,
    /// An anonymous user has none.
    pub email: Option<&'a str>,
    /// How this session began.
    pub way: SignInWay<'a>,
    /// When it began, with the time of the request.
    #[serde(flatten)]
    pub since: Since,
    /// Where "back to the site" leads.
    pub home: &'a str,
    /// One message after a redirect.
    pub notice: Option<AccountNotice<'a>>,
}

/// How a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum SignInWay<'a> {
    /// E-mail and password.
    Password,
    /// A code or link by mail.
    Mail,
    /// Somebody else vouched.
    Provider(Provider<'a>),
    /// Without telling who.
    Anonymous,
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
}

impl View for AccountPage<'_> {
    const TEMPLATE: &'static str = "account.html";

    fn samples() -> Vec<Self> {
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let since = |ago| Since { at, now: at + time::Duration::seconds(ago) };
        let plain = Self {
            form_token: "form-token",
            name: Some("Ada"),
            email: Some("ada@example.test"),
            way: SignInWay::Password,
            since: since(3 * 60),
            home: "/",
            notice: None,
        };
        let google = SignInWay::Provider(Provider { id: "google", name: "Google" });
        let notices = [
            AccountNotice::ConfirmDone,
            AccountNotice::EmailChanged { email: "ada@example.test" },
            AccountNotice::EmailHalf,
            AccountNotice::EmailElsewhere { email: "grace@example.test" },
            AccountNotice::ResetDone,
        ];
        let mut all = vec![
            plain.clone(),
            Self { name: None, way: SignInWay::Mail, since: since(0), ..plain.clone() },
            Self { way: google, since: since(60), ..plain.clone() },
            Self {
                name: None,
                email: None,
                way: SignInWay::Anonymous,
                since: since(9 * 86_400),
                ..plain.clone()
            },
            Self { since: since(3_600), ..plain.clone() },
            Self { since: since(7_200), ..plain.clone() },
            Self { since: since(86_400), ..plain.clone() },
            Self { since: since(3 * 86_400), ..plain.clone() },
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
