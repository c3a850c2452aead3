//! Who may do what: one pure decision.
//!
//! [`Policy::find`] names the rule of a request, [`Policy::decide`] asks whether this person satisfies it and makes
//! the [`Permit`] without which nothing is forwarded (S-98). [`Policy::explain`] walks the same way and talks.

mod build;
mod decide;
mod explain;
mod grants;
mod in_use;
mod mount;
mod needs;
mod pattern;
mod require;
mod rules;
mod settings;

#[cfg(test)]
mod tests;

pub use build::{Finding, Hosts, Site};
pub use decide::{Denied, Identity, Permit, Via, Who};
pub use explain::{Explanation, Line};
pub use grants::{Access, ClaimPaths, Grants};
pub use in_use::InUse;
pub use mount::REALTIME_SOCKET;
pub use require::Require;
pub use rules::Rule;
pub use settings::{Allow, RuleSettings, Switch};

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;

use rules::Miss;

/// All rules of a site, in the order in which they are asked. Clones share them.
#[derive(Debug, Clone)]
pub struct Policy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Tells this policy from every other of the process.
    serial: u64,
    rules: Vec<Arc<Rule>>,
    reserved: Vec<pattern::Pattern>,
    grants: Grants,
    /// The paths of the claims that rules ask for.
    asked: BTreeSet<String>,
}

/// Who asks about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The gateway: only rules with an upstream count.
    Gateway,
    /// Another proxy: only rules without one.
    ForwardAuth,
}

impl Policy {
    /// The rule for a request that the gateway may forward. `path` is the raw path that was judged (S-49), never
    /// with its query; `host` is the host asked for, without port.
    ///
    /// # Errors
    ///
    /// [`Denied::NotFound`], or [`Denied::MethodNotAllowed`] where the path has a rule for other methods.
    pub fn find(&self, host: Option<&str>, method: &Method, path: &str) -> Result<&Arc<Rule>, Denied> {
        self.walk(Door::Gateway, host, method, path, |_, _| {})
    }

    /// The rule for a request that another proxy asks about; otherwise as [`find`](Self::find).
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub fn find_elsewhere(
        &self,
        host: Option<&str>,
        method: &Method,
        path: &str,
    ) -> Result<&Arc<Rule>, Denied> {
        self.walk(Door::ForwardAuth, host, method, path, |_, _| {})
    }

    /// Tells this policy from every other of the process: what was worked out by one holds for no other.
    pub fn serial(&self) -> u64 {
        self.0.serial
    }

    /// `[scopes]`: every scope there is, and what it means.
    pub fn scopes(&self) -> &std::collections::BTreeMap<String, String> {
        &self.0.grants.scopes
    }

    /// Every rule, in order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.0.rules
    }

    /// Asks one rule after the other and tells `seen` what each one said, up to the first that matches.
    fn walk(
        &self,
        door: Door,
        host: Option<&str>,
        method: &Method,
        path: &str,
        mut seen: impl FnMut(&Rule, Result<(), Miss>),
    ) -> Result<&Arc<Rule>, Denied> {
        let ours = self.0.reserved.iter().any(|reserved| reserved.matches(path));
        let mut other_methods = Vec::new();
        for rule in &self.0.rules {
            // Below the mount and below /auth no rule of the file has a say.
            let verdict = if ours && !rule.is_built_in() {
                Err(Miss::Reserved)
            } else if !ours && rule.is_built_in() {
                Err(Miss::Path) // all of them lie below the mount
            } else {
                rule.judge(door, host, method, path)
            };
            seen(rule, verdict);
            match verdict {
                Ok(()) => return Ok(rule),
                Err(Miss::Method) => rule.methods_of(path, &mut other_methods),
                Err(_) => {}
            }
        }
        if other_methods.is_empty() {
            return Err(Denied::NotFound);
        }
        other_methods.sort_unstable();
        other_methods.dedup();
        Err(Denied::MethodNotAllowed { allow: other_methods.join(", ") })
    }
}
