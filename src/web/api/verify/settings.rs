//! `[forward_auth]`: whether another proxy may ask, and about what.

use std::collections::BTreeSet;

use base::vars::{self, Problems, Vars, variable};
use url::Url;

use crate::limit::client::TrustedProxies;

/// `[forward_auth]`, switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardAuth {
    /// How the proxy tells what it asks about. `forward_auth.family`; default `x-forwarded`.
    pub family: Family,
    /// The hosts behind that proxy, as in `public_url` and with the port if one stands there. `forward_auth.hosts`.
    pub hosts: Vec<String>,
    /// Whether a yes brings the access token, for the proxy to hand on. `forward_auth.pass_token`; default false.
    pub pass_token: bool,
}

/// The headers that describe the original request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`.
    Forwarded,
    /// `X-Original-Method` and `X-Original-URL`.
    Original,
}

/// What `[forward_auth]` must agree with.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// `public_url`.
    pub public: &'a [Url],
    /// `trusted_proxies`.
    pub proxies: &'a TrustedProxies,
    /// Sessions rest in a store.
    pub stored: bool,
}

impl ForwardAuth {
    /// Reads `forward_auth.*`; `None` while it is off, and then nothing else of it may be set (S-93).
    pub fn read(vars: &dyn Vars, around: Around<'_>, problems: &mut Problems) -> Option<Self> {
        let families = [("x-forwarded", Family::Forwarded), ("x-original", Family::Original)];
        let read = Self {
            family: vars::choice(vars, "forward_auth.family", &families, Family::Forwarded, problems),
            hosts: vars::list(vars, "forward_auth.hosts").unwrap_or_default(),
            pass_token: vars::flag(vars, "forward_auth.pass_token", false, problems),
        };
        if vars::flag(vars, "forward_auth.enabled", false, problems) {
            read.check(vars, around, problems);
            return Some(read);
        }
        let set = [
            ("forward_auth.family", read.family != Family::Forwarded),
            ("forward_auth.hosts", !read.hosts.is_empty()),
            ("forward_auth.pass_token", read.pass_token),
        ];
        for (name, _) in set.into_iter().filter(|(_, set)| *set) {
            let why = "It has no effect while forward_auth.enabled is false.";
            problems.fault("BFF-CONF-002", place(vars, name), None, why, "Enable it, or remove the key.");
        }
        None
    }

    /// The hosts without their ports, as rules name them.
    pub fn names(&self) -> BTreeSet<String> {
        let name =
            |host: &String| host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name).to_lowercase();
        self.hosts.iter().map(name).collect()
    }

    fn check(&self, vars: &dyn Vars, around: Around<'_>, problems: &mut Problems) {
        if around.proxies.is_empty() {
            let why = "Only a listed proxy may ask, and none is listed.";
            let fix = "Name its address in trusted_proxies.";
            problems.fault("BFF-FWD-001", place(vars, "forward_auth.enabled"), None, why, fix);
        }
        if !around.stored {
            let why = "Sessions are in cookies, and an answer to another proxy cannot renew a cookie.";
            let fix = "Set session.store to sqlite:data/sessions.db or to a Redis.";
            problems.fault("BFF-FWD-002", place(vars, "forward_auth.enabled"), None, why, fix);
        }
        let at = place(vars, "forward_auth.hosts");
        if self.hosts.is_empty() {
            let why = "No host is listed, so every answer would be no.";
            problems.fault("BFF-CONF-002", &at, None, why, "List the hosts that the proxy serves.");
        }
        for host in &self.hosts {
            if !around.public.iter().any(|public| host.eq_ignore_ascii_case(authority(public))) {
                let why = "People sign in at every protected host itself, and this one is not in public_url.";
                let fix = format!("Add https://{host} to public_url, and lead its /auth to here.");
                problems.fault("BFF-CONF-002", &at, Some(host), why, fix);
            }
        }
    }
}

/// `app.example.com` or `localhost:8080`, as `Host` says it.
pub(super) fn authority(public: &Url) -> &str {
    &public[url::Position::BeforeHost..url::Position::AfterPort]
}

fn place(vars: &dyn Vars, name: &str) -> String {
    vars.get(name).map_or_else(|| variable(name), |found| found.place)
}
