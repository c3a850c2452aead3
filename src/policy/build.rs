//! From settings to rules, with every finding in one list (S-93).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::vars::Problems;
use http::Method;
use time::Duration;

use super::grants::Grants;
use super::pattern::{BadPattern, Pattern};
use super::rules::{Needs, Requests, Rule};
use super::settings::{RuleSettings, Switch};
use super::{Inner, Policy, mount};

/// What the rules stand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where the drop-in is mounted: `/supabase`. `supabase.mount`.
    pub mount: String,
    /// The services of the drop-in. `supabase.services`.
    pub services: Vec<String>,
    /// Strangers are not served as `anon` below the mount. `supabase.signed_out = "refuse"`.
    pub refuse_strangers: bool,
    /// The names of `[upstreams]`.
    pub upstreams: BTreeSet<String>,
    /// The hosts that rules may name; `None`: any.
    pub hosts: Option<Hosts>,
}

impl Default for Site {
    fn default() -> Self {
        let services = ["auth", "rest", "storage", "functions", "graphql", "realtime"];
        Self {
            mount: "/supabase".to_owned(),
            services: services.map(str::to_owned).to_vec(),
            refuse_strangers: false,
            upstreams: BTreeSet::new(),
            hosts: None,
        }
    }
}

/// Names of hosts, in small letters and without ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts {
    /// Those of `public_url`.
    pub served: BTreeSet<String>,
    /// Those of `forward_auth.hosts`; empty while that is off.
    pub asked_about: BTreeSet<String>,
}

/// A fault of the rules. All of them end the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `BFF-RULE-001` never reached, `-002` uses user_metadata, `-003` names something unknown, `BFF-CONF-002`
    /// unreadable.
    pub code: &'static str,
    /// Such as `rules.orders-delete.scopes`.
    pub place: String,
    /// What stands there.
    pub seen: Option<String>,
    /// Why it is refused.
    pub why: String,
    /// One way to mend it.
    pub fix: String,
}

impl Finding {
    /// Adds it to a list of findings.
    pub fn report(self, problems: &mut Problems) {
        problems.fault(self.code, self.place, self.seen.as_deref(), self.why, self.fix);
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}: {} {}", self.code, self.place, self.why, self.fix)
    }
}

impl Policy {
    /// Makes the rules of the drop-in, then those of `bff.toml`.
    ///
    /// # Errors
    ///
    /// Every fault of the rules, scopes and roles. Nothing is half built: one fault refuses all (S-98).
    pub fn build(rules: Vec<RuleSettings>, grants: Grants, site: &Site) -> Result<Self, Vec<Finding>> {
        let mut builder = Builder::new(&grants, site);
        builder.check_grants();
        let reserved = builder.reserved();
        let mut made: Vec<Rule> = builder.built_in();
        for settings in rules {
            if made.iter().any(|rule| rule.name == settings.name) {
                let place = format!("rules.{}.name", settings.name);
                builder.fault(
                    "BFF-CONF-002",
                    place,
                    &settings.name,
                    "Another rule has this name.",
                    "Rename one.",
                );
            }
            let Some(rule) = builder.rule(settings) else { continue };
            builder.check_reach(&rule, &made, &reserved);
            made.push(rule);
        }
        if !builder.findings.is_empty() {
            return Err(builder.findings);
        }
        let rules: Vec<_> = made.into_iter().map(Arc::new).collect();
        let needs = rules.iter().flat_map(|rule| &rule.needs.claims);
        let asked = needs.map(|(path, _)| path.clone()).collect();
        static BUILT: AtomicU64 = AtomicU64::new(0);
        let serial = BUILT.fetch_add(1, Ordering::Relaxed);
        Ok(Self(Arc::new(Inner { serial, rules, reserved, grants, asked })))
    }
}

/// Turns settings into rules and lists what is wrong with them.
pub(super) struct Builder<'a> {
    pub(super) grants: &'a Grants,
    site: &'a Site,
    findings: Vec<Finding>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(grants: &'a Grants, site: &'a Site) -> Self {
        Self { grants, site, findings: Vec::new() }
    }

    /// What was found so far.
    pub(super) fn findings(self) -> Vec<Finding> {
        self.findings
    }
}

impl Builder<'_> {
    pub(super) fn fault(
        &mut self,
        code: &'static str,
        place: impl Into<String>,
        seen: &str,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let seen = Some(seen.to_owned());
        self.findings.push(Finding { code, place: place.into(), seen, why: why.into(), fix: fix.into() });
    }

    /// Paths of which the BFF disposes itself: no rule of the file reaches them.
    fn reserved(&mut self) -> Vec<Pattern> {
        let mount = self.site.mount.as_str();
        let own = [Pattern::parse("/auth/**"), Pattern::parse(&format!("{mount}/**"))];
        let plain = mount.starts_with('/') && !mount.ends_with('/') && !mount.contains(['*', '{', '}']);
        let apart = mount != "/auth" && !mount.starts_with("/auth/");
        if !plain || !apart || own.iter().any(Result::is_err) {
            let why = "The drop-in cannot be mounted here.";
            self.fault("BFF-CONF-002", "supabase.mount", mount, why, "Name a path such as /supabase.");
        }
        own.into_iter().flatten().collect()
    }

    fn built_in(&mut self) -> Vec<Rule> {
        mount::rules(self.site).unwrap_or_default() // a bad mount is on the list already
    }

    fn rule(&mut self, settings: RuleSettings) -> Option<Rule> {
        let before = self.findings.len();
        let at = |key: &str| format!("rules.{}.{key}", settings.name);
        let path = match Pattern::parse(&settings.path) {
            Ok(path) => Some(path),
            Err(bad) => {
                let code = if bad == BadPattern::Impossible { "BFF-RULE-001" } else { "BFF-CONF-002" };
                let fix = "Write the path as browsers send it, such as /api/orders/**.";
                self.fault(code, at("path"), &settings.path, bad.to_string(), fix);
                None
            }
        };
        if !settings.strip.is_empty() && path.as_ref().is_some_and(|path| !path.begins_with(&settings.strip))
        {
            let why = "The path does not begin with it, segment by segment.";
            self.fault(
                "BFF-CONF-002",
                at("strip"),
                &settings.strip,
                why,
                "Name the first segments of the path.",
            );
        }
        self.check_target(&settings);
        let methods = self.methods(&settings);
        let needs = self.needs(&settings);
        self.check_gateway_keys(&settings);
        let path = path.filter(|_| self.findings.len() == before)?;
        Some(Rule {
            name: settings.name,
            host: settings.host,
            requests: vec![Requests { methods, path }],
            upstream: settings.to,
            strip: settings.strip,
            allow: settings.allow,
            needs,
            bearer: settings.bearer,
            csrf_off: settings.csrf == Switch::Off,
            code_guard_off: settings.code_guard == Switch::Off,
            live: settings.live,
            built_in: false,
        })
    }

    /// What a rule asks of people, with its faults among the findings.
    pub(super) fn needs(&mut self, settings: &RuleSettings) -> Needs {
        let at = |key: &str| format!("rules.{}.{key}", settings.name);
        let max_age = settings.max_age.as_deref().and_then(|text| self.max_age(text, &at("max_age")));
        if !matches!(settings.aal, None | Some(1 | 2)) {
            let seen = settings.aal.unwrap_or_default().to_string();
            self.fault("BFF-CONF-002", at("aal"), &seen, "There are two levels.", "Set it to 1 or 2.");
        }
        self.check_needs(settings);
        Needs {
            anonymous_will_do: settings.anonymous_users,
            scopes: settings.scopes.clone(),
            any_scopes: settings.any_scopes.clone(),
            roles: settings.roles.clone(),
            claims: settings.claims.clone().into_iter().collect(),
            aal2: settings.aal == Some(2),
            max_age,
        }
    }

    fn methods(&mut self, settings: &RuleSettings) -> Option<Vec<Method>> {
        let place = format!("rules.{}.methods", settings.name);
        let mut methods = Vec::new();
        for text in &settings.methods {
            let upper = text.bytes().all(|byte| byte.is_ascii_uppercase());
            match Method::from_bytes(text.as_bytes()) {
                Ok(Method::CONNECT | Method::TRACE) => {
                    let why = "It is never forwarded: the answer could show the token.";
                    self.fault("BFF-RULE-001", place.clone(), text, why, "Leave it out.");
                }
                Ok(Method::HEAD) if !settings.methods.iter().any(|m| m == "GET") => {
                    let why = "HEAD is judged as GET, so this would never match.";
                    self.fault(
                        "BFF-RULE-001",
                        place.clone(),
                        text,
                        why,
                        "Name GET: it answers HEAD as well.",
                    );
                }
                Ok(Method::HEAD) => {}
                Ok(method) if upper => methods.push(method),
                _ => self.fault(
                    "BFF-CONF-002",
                    place.clone(),
                    text,
                    "No method.",
                    "Write it like GET or POST.",
                ),
            }
        }
        (!settings.methods.is_empty()).then_some(methods)
    }

    fn max_age(&mut self, text: &str, place: &str) -> Option<Duration> {
        let age = base::vars::duration(text).filter(|age| age.is_positive());
        if age.is_none() {
            self.fault("BFF-CONF-002", place, text, "This is no duration.", "Write it like 5m or 1h.");
        }
        age
    }

    fn check_target(&mut self, settings: &RuleSettings) {
        let at = |key: &str| format!("rules.{}.{key}", settings.name);
        match &settings.to {
            Some(to) if !self.site.upstreams.contains(to) => {
                let fix = format!("Add [upstreams] {to} = {{ url = \"…\" }}, or name one that is there.");
                self.fault("BFF-RULE-003", at("to"), to, "There is no such upstream.", fix);
            }
            None if settings.host.is_none() => {
                let why = "Without an upstream the rule is for forward-auth, and then it names a host.";
                self.fault(
                    "BFF-CONF-002",
                    at("to"),
                    "",
                    why,
                    "Add to = \"<upstream>\" or host = \"<host>\".",
                );
            }
            _ => {}
        }
        if let Some(host) = &settings.host {
            self.check_host(settings, host);
        }
    }

    /// Rules for a host that nobody asks for never decide.
    fn check_host(&mut self, settings: &RuleSettings, host: &str) {
        let place = format!("rules.{}.host", settings.name);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(plain) {
            let fix = "Write the name alone: app.example.com.";
            self.fault("BFF-CONF-002", place, host, "This is no host name without port.", fix);
            return;
        }
        let Some(hosts) = &self.site.hosts else { return };
        let name = host.to_ascii_lowercase();
        if settings.to.is_some() && !hosts.served.contains(&name) {
            let fix = "Add the host to public_url, or name one that is there.";
            self.fault("BFF-RULE-001", place, host, "Never reached: this host is not served here.", fix);
        } else if settings.to.is_none() && !hosts.asked_about.contains(&name) {
            let why = "Never reached: a rule without an upstream is for forward-auth, which does not cover this host.";
            let fix = "Enable [forward_auth] and list the host there, or add to = \"<upstream>\".";
            self.fault("BFF-RULE-001", place, host, why, fix);
        }
    }

    /// A rule that never decides is a rule that somebody relies on in vain.
    fn check_reach(&mut self, rule: &Rule, earlier: &[Rule], reserved: &[Pattern]) {
        let place = || format!("rules.{}", rule.name);
        let path = rule.paths().next().unwrap_or_default().to_owned();
        if rule.requests.iter().all(|r| reserved.iter().any(|own| own.covers(&r.path))) {
            let why = "Everything below this path belongs to the BFF itself.";
            self.fault("BFF-RULE-001", place(), &path, why, "Choose a path outside of /auth and the mount.");
            return;
        }
        let above = rule.shadowed_by(earlier);
        if !above.is_empty() {
            let (rules, verb) = if above.len() == 1 { ("rule", "matches") } else { ("rules", "match") };
            let names = above.join(", ");
            let why =
                format!("Never reached: {rules} {names} above it {verb} everything that this one does.");
            self.fault("BFF-RULE-001", place(), &path, why, "Move it up, or take it out.");
        }
    }
}
