//! All settings side by side, and the rules that span two of them.
//!
//! Modules read their own sections; this one gathers them, in an order in which later ones may refer to earlier ones.
//! Nothing here runs, connects or writes: `check` and the start read the same way.

mod demo;
mod file;
mod hooks;
mod keys;
pub mod known;
mod network;
mod project;
mod providers;
mod small;
pub mod sources;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base::vars::{Problems, Vars, variable};
use base::webhook::Secrets;

pub use keys::SessionKeys;
pub use network::Network;
pub use project::{Embedded, Project};
pub use small::{Cors, Log, LogFormat};
pub use sources::{Inputs, Sources};
pub use table::{Live, table};

use crate::flow::{PasswordRules, Providers};
use crate::gateway::settings::UpstreamSettings;
use crate::gateway::upstream::{Surroundings, Upstream};
use crate::policy::{ClaimPaths, Grants, Hosts, Policy, RuleSettings, Site};
use crate::web::templates::Settings as Pages;
use crate::web::{Around, ForwardAuth};
use crate::{gotrue, limit, session, store, token};

/// What cookies of ours begin with, whatever the scheme of the public URL. No upstream sees or sets one of these.
pub const OWN_COOKIES: &[&str] = &["sb_", "__Host-Http-sb_"];

/// Everything that one start needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Addresses, proxies, folders.
    pub network: Network,
    /// Supabase, or the embedded server.
    pub project: Project,
    /// The client of GoTrue.
    pub gotrue: gotrue::Settings,
    /// Verification of tokens.
    pub token: token::Settings,
    /// Sessions and their cookies.
    pub session: session::Settings,
    /// Where they rest.
    pub store: store::Settings,
    /// What seals them.
    pub keys: SessionKeys,
    /// What proves a hook call; `None` keeps the endpoint closed.
    pub hooks: Option<Secrets>,
    /// What another proxy may ask; `None`: nothing.
    pub forward_auth: Option<ForwardAuth>,
    /// The pages.
    pub pages: Pages,
    /// New passwords.
    pub password: PasswordRules,
    /// Ways to sign in.
    pub providers: Providers,
    /// Roles and scopes.
    pub grants: Grants,
    /// `[[rules]]`, in order.
    pub rules: Vec<RuleSettings>,
    /// What the rules stand in.
    pub site: Site,
    /// `[upstreams]`, in the order of the file.
    pub upstreams: Vec<(String, UpstreamSettings)>,
    /// Other sites.
    pub cors: Cors,
    /// Whether programs may come with a bearer token. `bearer.enabled`; default true.
    pub bearer: bool,
    /// Whether `POST /auth/token` answers. `token.enabled`; default: as `project.embedded`.
    pub token_grants: bool,
    /// Quotas and caps.
    pub limits: limit::Settings,
    /// The log.
    pub log: Log,
    /// Nothing is configured to stand behind us: the demo does.
    pub demo: bool,
}

impl Settings {
    /// Reads all sections and judges them together. `embedded` is where the embedded auth server is; without it there
    /// must be a project. `None` only where `problems` has faults; with faults the caller must not start (S-93).
    pub fn read(
        sources: &Sources,
        network: Network,
        embedded: Option<&Embedded>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let log = Log::read(sources, problems);
        let cors = Cors::read(sources, problems);
        let bearer = base::vars::flag(sources, "bearer.enabled", true, problems);
        let token_grants = base::vars::flag(sources, "token.enabled", embedded.is_some(), problems);
        let keys = SessionKeys::read(sources, &network, problems);
        let hooks = hooks::read(sources, problems);
        let session = session::Settings::read(sources, problems);
        let store = store::Settings::read(sources, &network.plain_http, network.canonical(), problems);
        let proxied = Around {
            public: &network.public,
            proxies: &network.proxies,
            stored: store.as_ref().is_none_or(store::Settings::is_store),
        };
        let forward_auth = ForwardAuth::read(sources, proxied, problems);
        let pages = Pages::read(sources, problems);
        let providers = providers::read(sources, problems);
        let password = PasswordRules::read(sources, embedded.is_some(), problems);
        let around = Surroundings {
            plain_http: &network.plain_http,
            link_local: &network.link_local,
            own_cookies: OWN_COOKIES,
        };
        let project = Project::read(sources, embedded, problems).filter(|project| {
            // Judged here for its findings; `app` builds the one that is used.
            let key = project.key.clone();
            Upstream::supabase(&project.url, &project.public_url, key, &around, problems).is_some()
        });
        let token = project
            .as_ref()
            .and_then(|project| token::Settings::read(sources, &project.url, &project.public_url, problems));
        let own_budget = project.as_ref().is_some_and(Project::tells_clients_apart);
        let limits = limit::Settings::read(sources, own_budget, problems);
        let upstreams = upstreams(sources, &around, problems);
        let grants = grants(sources, problems);
        let (rules, site) = rules(sources, &upstreams, &grants, &network, forward_auth.as_ref(), problems);
        let demo = embedded.is_some() && upstreams.is_empty();
        if !problems.has_faults() {
            sources.refuse_unread(problems); // else a fault may be why something was not read
        }
        let (project, session, mut token) = (project?, session?, token?);
        token.memory = session.memory - session.memory_of_sessions();
        Some(Self {
            gotrue: project.gotrue(),
            project,
            network,
            token,
            session,
            store: store?,
            keys: keys?,
            hooks,
            forward_auth,
            pages: pages?,
            password,
            providers,
            grants,
            rules,
            site,
            upstreams,
            cors,
            bearer,
            token_grants,
            limits: limits?,
            log,
            demo,
        })
    }
}

/// Where `name` was set, or the variable that would set it.
fn place(vars: &dyn Vars, name: &str) -> String {
    vars.get(name).map_or_else(|| variable(name), |found| found.place)
}

fn upstreams(
    sources: &Sources,
    around: &Surroundings<'_>,
    problems: &mut Problems,
) -> Vec<(String, UpstreamSettings)> {
    let entries = sources.entries::<UpstreamSettings>("upstreams", "BFF-CONF-001", problems);
    for entry in &entries {
        if entry.name == "supabase" {
            let why = "This name belongs to the project behind the drop-in mount.";
            problems.fault("BFF-CONF-002", &entry.place, None, why, "Choose another name.");
        }
        let _ = Upstream::build(&entry.name, entry.value.clone(), around, problems);
    }
    entries.into_iter().map(|entry| (entry.name, entry.value)).collect()
}

fn grants(sources: &Sources, problems: &mut Problems) -> Grants {
    let scopes = sources.entries::<String>("scopes", "BFF-CONF-001", problems);
    let roles = sources.entries::<Vec<String>>("roles", "BFF-CONF-001", problems);
    Grants {
        claims: ClaimPaths::read(sources, problems),
        scopes: scopes.into_iter().map(|entry| (entry.name, entry.value)).collect(),
        roles: roles.into_iter().map(|entry| (entry.name, entry.value)).collect(),
    }
}

fn rules(
    sources: &Sources,
    upstreams: &[(String, UpstreamSettings)],
    grants: &Grants,
    network: &Network,
    forward_auth: Option<&ForwardAuth>,
    problems: &mut Problems,
) -> (Vec<RuleSettings>, Site) {
    let entries = sources.items::<RuleSettings>("rules", problems);
    let places: BTreeMap<String, String> =
        entries.iter().map(|entry| (format!("rules.{}", entry.name), entry.place.clone())).collect();
    let rules: Vec<RuleSettings> = entries.into_iter().map(|entry| entry.value).collect();
    let hosts = Hosts {
        served: network.public.iter().filter_map(|url| url.host_str().map(str::to_owned)).collect(),
        asked_about: forward_auth.map(ForwardAuth::names).unwrap_or_default(),
    };
    let site = Site { hosts: Some(hosts), ..site(sources, upstreams, problems) };
    if let Err(findings) = Policy::build(rules.clone(), grants.clone(), &site) {
        for mut finding in findings {
            if let Some((rule, line)) =
                places.iter().find(|(rule, _)| finding.place.starts_with(rule.as_str()))
            {
                finding.place = format!("{line}{}", &finding.place[rule.len()..]);
            }
            finding.report(problems);
        }
    }
    (rules, site)
}

fn site(sources: &Sources, upstreams: &[(String, UpstreamSettings)], problems: &mut Problems) -> Site {
    let usual = Site::default();
    let signed_out = [("anon", false), ("refuse", true)];
    let services = base::vars::list(sources, "supabase.services").unwrap_or_else(|| usual.services.clone());
    if let Some(other) = services.iter().find(|service| !usual.services.contains(service)) {
        let fix = format!("Name any of {}.", usual.services.join(", "));
        problems.fault(
            "BFF-CONF-002",
            place(sources, "supabase.services"),
            Some(other),
            "Supabase has no such service.",
            fix,
        );
    }
    Site {
        mount: base::vars::text(sources, "supabase.mount", problems).unwrap_or(usual.mount),
        services,
        refuse_strangers: base::vars::choice(sources, "supabase.signed_out", &signed_out, false, problems),
        upstreams: upstreams.iter().map(|(name, _)| name.clone()).collect(),
        ..usual
    }
}
