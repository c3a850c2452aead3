//! Settings of features that this version does not have: read, and refused unless they ask for nothing (S-93).

use base::vars::{self, Problems, Raw, Vars};

use super::place;
use super::sources::Entry;
use crate::policy::RuleSettings;

/// Adds a fault for every setting that could not be honoured.
pub(super) fn refuse(vars: &dyn Vars, problems: &mut Problems) {
    forward_auth(vars, problems);
}

/// Adds a fault for every rule that somebody would rely on in vain.
pub(super) fn refuse_in_rules(rules: &[Entry<RuleSettings>], problems: &mut Problems) {
    for rule in rules {
        let mut fault = |key: &str, why: &str, fix: &str| {
            problems.fault("BFF-CONF-003", format!("{}.{key}", rule.place), None, why, fix);
        };
        if rule.value.live {
            let why =
                "Asking GoTrue at every request whether the session lives is not available in this version.";
            fault("live", why, "Remove the key.");
        }
        if rule.value.to.is_none() && rule.value.host.is_some() {
            let why =
                "A rule without an upstream is for forward-auth, which is not available in this version.";
            fault("to", why, "Add to = \"<upstream>\", or remove the rule.");
        }
    }
}

fn forward_auth(vars: &dyn Vars, problems: &mut Problems) {
    if vars::flag(vars, "forward_auth.enabled", false, problems) {
        fault(vars, "forward_auth.enabled", Some("true"), "Forward-auth", "Set it to false.", problems);
    }
    let families = [("x-forwarded", true), ("x-original", false)];
    if !vars::choice(vars, "forward_auth.family", &families, true, problems) {
        fault(vars, "forward_auth.family", Some("x-original"), "Forward-auth", "Remove the key.", problems);
    }
    let hosts = vars.get("forward_auth.hosts").map(|found| found.raw);
    if hosts.is_some_and(|raw| raw != Raw::List(Vec::new())) {
        fault(vars, "forward_auth.hosts", None, "Forward-auth", "Remove the key.", problems);
    }
    if vars::flag(vars, "forward_auth.pass_token", false, problems) {
        fault(vars, "forward_auth.pass_token", Some("true"), "Forward-auth", "Remove the key.", problems);
    }
}

fn fault(vars: &dyn Vars, name: &str, seen: Option<&str>, what: &str, fix: &str, problems: &mut Problems) {
    let why = format!("{what} is not available in this version.");
    problems.fault("BFF-CONF-003", place(vars, name), seen, why, fix);
}
