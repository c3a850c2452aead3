//! The short table that a start prints: what was found, and what is not safe for production.

use std::fmt::Write as _;

use base::vars::Problem;

use super::{SessionKeys, Settings};
use crate::session::{Remember, SameSite};
use crate::store;

/// What only the running project can tell; `None` while it does not answer.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Whether new accounts are allowed.
    pub sign_up: Option<bool>,
    /// Providers that pages show.
    pub providers: Option<Vec<String>>,
    /// Such as `2 keys (ES256)` or `a shared secret (HS256)`.
    pub keys: Option<String>,
}

/// The table, each line ended. `warnings` stand below, each with the line that mends it.
pub fn table(settings: &Settings, live: &Live, warnings: &[&Problem]) -> String {
    let unknown = || "unknown, the project does not answer yet".to_owned();
    let project = match settings.project.embedded {
        true => format!("embedded auth server, {}", trimmed(&settings.project.url)),
        false => trimmed(&settings.project.url),
    };
    let sign_up = live.sign_up.map_or_else(unknown, |open| if open { "open" } else { "closed" }.to_owned());
    let providers = match &live.providers {
        None => unknown(),
        Some(names) if names.is_empty() => "none".to_owned(),
        Some(names) => names.join(", "),
    };
    let public = settings.network.public.iter().map(trimmed).collect::<Vec<_>>().join(", ");
    let rows = [
        ("site", public),
        ("listening on", settings.network.listen.to_string()),
        ("probes on", settings.network.admin_listen.to_string()),
        ("project", project),
        ("sign-up", sign_up),
        ("providers", providers),
        ("signing keys", live.keys.clone().unwrap_or_else(unknown)),
        ("sessions", sessions(settings)),
        ("behind it", behind(settings)),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<13} {value}"); // writing to a String cannot fail
    }
    let hints = hints(settings);
    if !hints.is_empty() || !warnings.is_empty() {
        text.push_str("\n  Not for production as it is:\n");
    }
    for (what, fix) in hints {
        let _ = writeln!(text, "  - {what}\n      {fix}");
    }
    for warning in warnings {
        let _ = writeln!(
            text,
            "  - {} ({}, {})\n      {}",
            warning.why, warning.place, warning.code, warning.fix
        );
    }
    text
}

fn trimmed(url: &url::Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn sessions(settings: &Settings) -> String {
    let cookie = match settings.session.same_site {
        SameSite::Strict => "SameSite=Strict",
        SameSite::Lax => "SameSite=Lax",
    };
    let life = match settings.session.remember {
        Remember::Never => "ending with the browser".to_owned(),
        _ => format!("at most {} days", settings.session.absolute.whole_days()),
    };
    match &settings.store {
        store::Settings::Cookie => {
            format!("sealed cookies, {cookie}, {life}; a sign-out reaches other nodes at the token's expiry")
        }
        store => format!("in {store}, {cookie}, {life}"),
    }
}

fn behind(settings: &Settings) -> String {
    if settings.demo {
        return "the demo".to_owned();
    }
    let mut names = vec![format!("{} (Supabase)", settings.site.mount)];
    names.extend(settings.upstreams.iter().map(|(name, _)| name.clone()));
    names.join(", ")
}

/// What is fine on one's own machine and nowhere else, with the line that changes it.
fn hints(settings: &Settings) -> Vec<(&'static str, &'static str)> {
    let mut hints = Vec::new();
    if settings.network.canonical().scheme() == "http" {
        hints.push((
            "The site is served over plain http on loopback; cookies are not Secure.",
            "BFF_PUBLIC_URL=https://app.example.com",
        ));
    }
    if settings.project.embedded {
        hints.push((
            "The embedded auth server stands in for a Supabase project.",
            "SUPABASE_URL=https://<ref>.supabase.co and SUPABASE_PUBLISHABLE_KEY=sb_publishable_…",
        ));
    }
    if !settings.keys.given_by_operator() {
        hints.push((
            "Session keys were made here and rest in the data folder; a second node would not know them.",
            "BFF_SESSION_KEYS=<the line that `supabase-bff keys new` prints>",
        ));
    }
    hints
}

impl SessionKeys {
    fn given_by_operator(&self) -> bool {
        matches!(self, Self::Given { made_here: false, .. })
    }
}
