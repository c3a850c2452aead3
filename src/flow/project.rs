//! What the project offers: GoTrue's settings, kept for a minute, the last good ones through an outage.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use base::clock::SharedClock;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::provider::Providers;
use crate::gotrue::{GoTrue, ProjectSettings};
use crate::session::flights::Flights;

/// How long settings are taken for current, and how often an outage is looked at again.
const FRESH: Duration = Duration::minutes(1);
const AFTER_FAILURE: Duration = Duration::seconds(5);

/// The settings of the project behind `SUPABASE_URL`.
#[derive(Clone)]
pub struct Project {
    gotrue: Arc<GoTrue>,
    clock: SharedClock,
    known: Arc<ArcSwapOption<Known>>,
    asking: Arc<Flights<()>>,
}

struct Known {
    settings: ProjectSettings,
    at: OffsetDateTime,
}

/// What a login page can offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Address and password.
    pub password: bool,
    /// New accounts.
    pub signup: bool,
    /// New accounts need no mail.
    pub autoconfirm: bool,
    /// Sessions without an account.
    pub anonymous: bool,
    /// In the order of their buttons.
    pub providers: Vec<ProviderButton>,
}

/// One way to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderButton {
    /// As in the path.
    pub name: String,
    /// As people know it.
    pub label: String,
}

impl Project {
    pub(super) fn new(gotrue: Arc<GoTrue>, clock: SharedClock) -> Self {
        Self { gotrue, clock, known: Arc::default(), asking: Arc::default() }
    }

    /// The settings; those of before an outage while it lasts, `None` if there never were any.
    async fn settings(&self) -> Option<ProjectSettings> {
        let known = self.known.load_full();
        let fresh = known.as_ref().is_some_and(|known| self.clock.now() - known.at < FRESH);
        if !fresh {
            self.ask().await;
        }
        self.known.load_full().map(|known| known.settings.clone())
    }

    async fn ask(&self) {
        let (gotrue, clock, slot) = (self.gotrue.clone(), self.clock.clone(), self.known.clone());
        let work = async move {
            match gotrue.settings().await {
                Ok(settings) => {
                    slot.store(Some(Arc::new(Known { settings, at: clock.now() })));
                    ((), clock.now())
                }
                Err(error) => {
                    tracing::warn!(%error, "the project's settings could not be read");
                    ((), clock.now() + AFTER_FAILURE)
                }
            }
        };
        self.asking.share([0; 32], &self.clock, work).await;
    }

    pub(super) async fn warm_up(&self) {
        self.ask().await;
    }

    /// Without any settings yet, a page offers address and password alone: the rest would be a guess.
    pub(super) async fn offer(&self, providers: &Providers) -> Offer {
        let settings = self.settings().await;
        let unknown = ProjectSettings { email: true, signup_open: true, ..ProjectSettings::default() };
        let settings = settings.unwrap_or(unknown);
        Offer {
            password: settings.email,
            signup: settings.signup_open && settings.email,
            autoconfirm: settings.autoconfirm,
            anonymous: settings.anonymous,
            providers: buttons(providers, &settings.providers),
        }
    }
}

fn buttons(configured: &Providers, enabled: &BTreeSet<String>) -> Vec<ProviderButton> {
    let listed = configured.names().filter(|name| enabled.contains(*name));
    listed.map(|name| ProviderButton { name: name.to_owned(), label: label(name) }).collect()
}

/// A provider's own spelling of its name.
pub(super) fn label(name: &str) -> String {
    let known = match name {
        "github" => "GitHub",
        "gitlab" => "GitLab",
        "linkedin" | "linkedin_oidc" => "LinkedIn",
        "slack_oidc" => "Slack",
        "workos" => "WorkOS",
        "azure" => "Microsoft",
        "x" => "X",
        "fly" => "Fly.io",
        _ => {
            let mut letters = name.trim_start_matches("custom:").chars();
            let first = letters.next().map(|c| c.to_ascii_uppercase());
            return first.into_iter().chain(letters).collect();
        }
    };
    known.to_owned()
}
