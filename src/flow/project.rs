//! What the project offers: GoTrue's settings, kept for a minute, the last good ones through an outage.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use base::clock::SharedClock;
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
    pub providers: Vec<String>,
}

impl Project {
    pub(super) fn new(gotrue: Arc<GoTrue>, clock: SharedClock) -> Self {
        Self { gotrue, clock, known: Arc::default(), asking: Arc::default() }
    }

    /// The settings; those of before an outage while it lasts, `None` if there never were any.
    pub(super) async fn settings(&self) -> Option<ProjectSettings> {
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
            anonymous: settings.anonymous && settings.signup_open,
            providers: providers
                .names()
                .filter(|name| settings.providers.contains(*name))
                .map(str::to_owned)
                .collect(),
        }
    }
}
