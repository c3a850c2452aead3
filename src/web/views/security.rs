//! `/auth/account/security`.

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::{FormProblem, Provider, Since, View};

/// What `security.html` shows: where the person is signed in.
#[derive(Debug, Clone, Serialize)]
pub struct SecurityPage<'a> {
    /// For `POST /auth/account/sessions/{id}/delete`, purpose `sessions`.
    pub form_token: &'a str,
    /// For `POST /auth/logout`, purpose `logout`.
    pub logout_token: &'a str,
    /// The authenticator apps, the oldest first. `None` while nobody can tell.
    pub apps: Option<&'a [AppRow<'a>]>,
    /// The one that asks first. `None` where no other session is known: in cookie mode.
    pub devices: Option<&'a [DeviceRow<'a>]>,
    /// The ways to sign in, then the providers that could be linked. `None` while nobody can tell.
    pub ways: Option<&'a [Way<'a>]>,
    /// Where "back to the site" leads.
    pub home: &'a str,
    /// One message after a redirect; a problem takes its place.
    pub notice: Option<SecurityNotice<'a>>,
    /// Why a form came back.
    pub problem: Option<FormProblem<'a>>,
}

/// A way to sign in, or one that could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Way<'a> {
    /// As in the path that takes it away; `None` where it must stay.
    pub id: Option<Uuid>,
    /// `email`, or a provider.
    pub provider: Provider<'a>,
    /// The address there.
    pub email: Option<&'a str>,
    /// It is in use.
    pub linked: bool,
}

/// One session of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeviceRow<'a> {
    /// As in the path that ends it.
    pub id: &'a str,
    /// The browser.
    pub name: DeviceName<'a>,
    /// It is the one that asks.
    pub current: bool,
    /// It was proven by a second factor.
    pub two_steps: bool,
    /// The sign-in.
    pub first: Since,
    /// The last use.
    pub last: Since,
}

/// One authenticator app of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AppRow<'a> {
    /// As in the path that removes it.
    pub id: Uuid,
    /// What the person called it; may be empty.
    pub name: &'a str,
    /// When it was added, if that is known.
    pub added: Option<Since>,
}

/// What a person recognises a browser by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DeviceName<'a> {
    /// `Firefox`, the name of a program, or that of a system if no more is known.
    pub browser: Option<&'a str>,
    /// `Linux`.
    pub system: Option<&'a str>,
    /// It fits into a hand: another picture stands beside it.
    pub phone: bool,
}

impl<'a> DeviceName<'a> {
    /// Takes apart what sessions say of their browser: `Firefox on Linux`, `curl`, or nothing.
    pub fn of(text: &'a str) -> Self {
        let (browser, system) = match text.split_once(" on ") {
            Some((browser, system)) => (browser, Some(system)),
            None => (text, None),
        };
        let phone = matches!(system.unwrap_or(browser), "Android" | "iPhone");
        Self { browser: Some(browser).filter(|name| !name.is_empty()), system, phone }
    }
}

/// A message on top of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "text")]
pub enum SecurityNotice<'a> {
    /// One device was signed out.
    #[serde(rename = "device-ended")]
    DeviceEnded {
        /// Which.
        device: DeviceName<'a>,
    },
    /// All but this one were.
    #[serde(rename = "device-others-ended")]
    OthersEnded,
    /// Another way to sign in.
    #[serde(rename = "identity-connected")]
    IdentityConnected {
        /// Its name, not its id.
        provider: &'a str,
    },
    /// One less.
    #[serde(rename = "identity-removed")]
    IdentityRemoved {
        /// Its name, not its id.
        provider: &'a str,
    },
    /// The person refused at the provider.
    #[serde(rename = "identity-denied")]
    IdentityDenied {
        /// Its name, not its id.
        provider: &'a str,
    },
    /// The provider or the way back failed.
    #[serde(rename = "identity-failed")]
    IdentityFailed {
        /// Its name, not its id.
        provider: &'a str,
    },
    /// Another account here has it.
    #[serde(rename = "error-identity_taken")]
    IdentityTaken {
        /// Its name, not its id.
        provider: &'a str,
    },
    /// An app was added.
    #[serde(rename = "enrol-done")]
    AppAdded,
    /// An app was removed.
    #[serde(rename = "factor-removed")]
    AppRemoved {
        /// What the person called it; may be empty.
        name: &'a str,
    },
}

impl View for SecurityPage<'_> {
    const TEMPLATE: &'static str = "security.html";

    fn samples() -> Vec<Self> {
        let plain = Self {
            form_token: "form-token",
            logout_token: "form-token",
            apps: Some(&[]),
            devices: Some(&DEVICES),
            ways: Some(&[]),
            home: "/",
            notice: None,
            problem: None,
        };
        let provider = "GitHub";
        let told = [
            SecurityNotice::IdentityConnected { provider },
            SecurityNotice::IdentityRemoved { provider },
            SecurityNotice::IdentityDenied { provider },
            SecurityNotice::IdentityFailed { provider },
            SecurityNotice::IdentityTaken { provider },
        ];
        let told = told.map(|notice| Self { notice: Some(notice), ..plain.clone() });
        let firefox = DeviceName { browser: Some("Firefox"), system: Some("Linux"), phone: false };
        let ended = |device| Some(SecurityNotice::DeviceEnded { device });
        let mut all = vec![
            plain.clone(),
            Self { ways: Some(&WAYS), ..plain.clone() },
            Self { ways: Some(&ONLY), ..plain.clone() },
            Self { ways: None, ..plain.clone() },
            Self { devices: Some(&DEVICES[..1]), ..plain.clone() },
            Self { devices: None, ..plain.clone() },
            Self { apps: None, ..plain.clone() },
            Self { apps: Some(&APPS), ..plain.clone() },
            Self { apps: Some(&APPS[..1]), ..plain.clone() },
            Self { notice: Some(SecurityNotice::AppAdded), ..plain.clone() },
            Self { notice: Some(SecurityNotice::AppRemoved { name: "My phone" }), ..plain.clone() },
            Self { notice: Some(SecurityNotice::AppRemoved { name: "" }), ..plain.clone() },
            Self { notice: ended(firefox), ..plain.clone() },
            Self { notice: ended(DeviceName::default()), ..plain.clone() },
            Self { notice: Some(SecurityNotice::OthersEnded), ..plain.clone() },
            Self { problem: Some(FormProblem::FormExpired), ..plain.clone() },
            Self { problem: Some(FormProblem::CookiesBlocked { host: "localhost:8080" }), ..plain.clone() },
        ];
        all.extend(told);
        all
    }
}

/// For the samples: the address, a provider beside it, one that could be linked.
static WAYS: [Way<'static>; 3] = [
    Way {
        id: None,
        provider: Provider { id: "email", name: "email" },
        email: Some("ada@example.test"),
        linked: true,
    },
    Way {
        id: Some(Uuid::from_u128(0x0b7f_9c1e_5d2a_4c3b_8e6f_1a2b_3c4d_5e6f)),
        provider: Provider { id: "google", name: "Google" },
        email: Some("ada@example.test"),
        linked: true,
    },
    Way { id: None, provider: Provider { id: "github", name: "GitHub" }, email: None, linked: false },
];

/// A single way.
static ONLY: [Way<'static>; 1] = [Way {
    id: None,
    provider: Provider { id: "google", name: "Google" },
    email: Some("ada@example.test"),
    linked: true,
}];

/// A day, with the time of a request in it.
const fn since(at: OffsetDateTime) -> Since {
    Since { at, now: datetime!(2026-01-31 00:00 UTC) }
}

/// For the samples.
static APPS: [AppRow<'static>; 2] = [
    AppRow { id: Uuid::from_u128(1), name: "My phone", added: Some(since(datetime!(2026-01-30 00:00 UTC))) },
    AppRow { id: Uuid::from_u128(2), name: "", added: None },
];

/// For the samples: this one, a phone, a program.
static DEVICES: [DeviceRow<'static>; 3] = [
    DeviceRow {
        id: "s_1",
        name: DeviceName { browser: Some("Firefox"), system: Some("Linux"), phone: false },
        current: true,
        two_steps: true,
        first: since(datetime!(2026-01-30 00:00 UTC)),
        last: since(datetime!(2026-01-31 00:00 UTC)),
    },
    DeviceRow {
        id: "s_2",
        name: DeviceName { browser: Some("Safari"), system: Some("iPhone"), phone: true },
        current: false,
        two_steps: false,
        first: since(datetime!(2026-01-19 00:00 UTC)),
        last: since(datetime!(2026-01-30 21:00 UTC)),
    },
    DeviceRow {
        id: "s_3",
        name: DeviceName { browser: None, system: None, phone: false },
        current: false,
        two_steps: false,
        first: since(datetime!(2026-01-02 00:00 UTC)),
        last: since(datetime!(2026-01-25 00:00 UTC)),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_browser_is_taken_apart() {
        let name = |browser, system, phone| DeviceName { browser, system, phone };
        assert_eq!(DeviceName::of("Firefox on Linux"), name(Some("Firefox"), Some("Linux"), false));
        assert_eq!(DeviceName::of("Safari on iPhone"), name(Some("Safari"), Some("iPhone"), true));
        assert_eq!(DeviceName::of("Android"), name(Some("Android"), None, true));
        assert_eq!(DeviceName::of("curl"), name(Some("curl"), None, false));
        assert_eq!(DeviceName::of(""), DeviceName::default());
    }
}
