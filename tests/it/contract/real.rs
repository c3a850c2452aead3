//! What stories need of a project, and the one that the environment names.

use http::Method;

use super::github::FakeGitHub;
use crate::client::Browser;
use crate::modes::Mode;

/// What a project must be like for a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Addresses count as confirmed.
    Autoconfirm,
    /// Addresses are confirmed by mail.
    Confirmation,
    /// The story can read the mails.
    Mail,
    /// GitHub is ours.
    GitHub,
    /// The story may ban people.
    Admin,
    /// Access tokens end while one can wait for it.
    ShortTokens,
    /// Sessions have a limit for which one can wait.
    SessionLimit,
    /// Sessions have no limit that is shorter than a minute.
    LongSessions,
    /// Nobody can sign up.
    Closed,
    /// People begin without an account.
    Anonymous,
    /// People link providers.
    Linking,
    /// Sessions rest in cookies.
    Cookies,
}

/// A real project on this machine, as `CONTRACT_*` describe it.
pub struct Real {
    /// `CONTRACT_SUPABASE_URL`
    pub url: String,
    pub key: String,
    pub service_key: Option<String>,
    pub jwt_secret: Option<String>,
    pub outbox: Option<String>,
    pub github: Option<FakeGitHub>,
    autoconfirm: bool,
    closed: bool,
    anonymous: bool,
    linking: bool,
    /// Where sessions rest.
    pub mode: Mode,
    pub lifetime: u64,
    pub session_limit: Option<u64>,
}

impl Real {
    /// `None` unless the environment names a project.
    pub async fn from_env() -> Option<Self> {
        base::http::install_tls_provider();
        let variable =
            |name: &str| std::env::var(format!("CONTRACT_{name}")).ok().filter(|value| !value.is_empty());
        let url = variable("SUPABASE_URL")?.trim_end_matches('/').to_owned();
        let key = variable("KEY").expect("CONTRACT_KEY is the project's publishable key");
        let browser = Browser::new(&url);
        let settings = browser.send(Method::GET, "/auth/v1/settings", &[("apikey", &key)], None).await;
        let github = match variable("GITHUB_PORT") {
            Some(port) => Some(FakeGitHub::start(port.parse().unwrap()).await),
            None => None,
        };
        let seconds = |name: &str| variable(name).map(|seconds| seconds.parse().unwrap());
        let settings = settings.json();
        Some(Self {
            closed: settings["disable_signup"] == true,
            autoconfirm: settings["mailer_autoconfirm"] == true,
            anonymous: settings["external"]["anonymous_users"] == true,
            linking: variable("LINKING").is_some(),
            mode: Mode::from_env(),
            lifetime: seconds("TOKEN_SECONDS").unwrap_or(3600),
            session_limit: seconds("SESSION_SECONDS"),
            service_key: variable("SERVICE_KEY"),
            jwt_secret: variable("JWT_SECRET"),
            outbox: variable("OUTBOX"),
            github,
            url,
            key,
        })
    }

    /// The first of `needs` that this project does not meet.
    pub fn lacks(&self, needs: &[Need]) -> Option<Need> {
        let met = |need: &Need| match need {
            Need::Autoconfirm => self.autoconfirm,
            Need::Confirmation => !self.autoconfirm,
            Need::Mail => self.outbox.is_some(),
            Need::GitHub => self.github.is_some(),
            Need::Admin => self.service_key.is_some(),
            Need::ShortTokens => self.lifetime <= 30,
            Need::SessionLimit => self.session_limit.is_some(),
            Need::LongSessions => self.session_limit.is_none_or(|seconds| seconds > 60),
            Need::Closed => self.closed,
            Need::Anonymous => self.anonymous,
            Need::Linking => self.linking,
            Need::Cookies => self.mode.is_cookie(),
        };
        let lacking = needs.iter().find(|need| !met(need)).copied();
        let without_accounts = || match (self.closed, self.autoconfirm || self.outbox.is_some()) {
            (true, _) => (!needs.contains(&Need::Closed)).then_some(Need::Autoconfirm),
            (false, readable) => (!readable).then_some(Need::Mail),
        };
        lacking.or_else(without_accounts)
    }
}
