//! What a token grants: roles from its claims, scopes from its claims and from its roles (S-99, S-101).

use std::collections::{BTreeMap, BTreeSet};

use base::vars::{self, Problems, Vars};
use serde::Deserialize;
use serde_json::Value;

use crate::token::ClaimsSet;

/// The scope that stands for all of them. It has this meaning in `[roles]` alone.
const EVERYTHING: &str = "*";

/// `[claims]`: where roles and scopes are found in a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimPaths {
    /// Dotted paths. One whose last name ends in `s` holds a list of texts, any other one text; another type
    /// grants nothing. Default `app_metadata.roles`, `app_metadata.role`, `user_role`.
    pub roles: Vec<String>,
    /// Dotted paths of a list of texts or of one text with spaces between. Default `scopes`, `scope`,
    /// `app_metadata.scopes`.
    pub scopes: Vec<String>,
    /// Between the steps of a scope: with `:`, `items` covers `items:read`. One character.
    pub scope_separator: String,
}

impl Default for ClaimPaths {
    fn default() -> Self {
        let owned = |paths: [&str; 3]| paths.map(str::to_owned).to_vec();
        Self {
            roles: owned(["app_metadata.roles", "app_metadata.role", "user_role"]),
            scopes: owned(["scopes", "scope", "app_metadata.scopes"]),
            scope_separator: ":".to_owned(),
        }
    }
}

impl ClaimPaths {
    /// Reads `claims.*`; [`Policy::build`](super::Policy::build) says what is wrong with them.
    pub fn read(vars: &dyn Vars, problems: &mut Problems) -> Self {
        let usual = Self::default();
        let separator = vars::text(vars, "claims.scope_separator", problems);
        Self {
            roles: vars::list(vars, "claims.roles").unwrap_or(usual.roles),
            scopes: vars::list(vars, "claims.scopes").unwrap_or(usual.scopes),
            scope_separator: separator.unwrap_or(usual.scope_separator),
        }
    }
}

/// `[claims]`, `[scopes]` and `[roles]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Where to look.
    pub claims: ClaimPaths,
    /// Every scope there is, and what it means.
    pub scopes: BTreeMap<String, String>,
    /// The scopes that a role has; `*` is all of them.
    pub roles: BTreeMap<String, Vec<String>>,
}

/// What one person may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// As in the token, in order, each once.
    pub roles: Vec<String>,
    /// After expansion of the roles, sorted, each once. A role with `*` brings every declared scope.
    pub scopes: Vec<String>,
    everything: bool,
}

impl Grants {
    /// Reads roles and scopes out of `claims`.
    pub fn access(&self, claims: &ClaimsSet) -> Access {
        let mut roles: Vec<String> = Vec::new();
        for role in self.claims.roles.iter().flat_map(|path| roles_at(claims, path)) {
            if !roles.iter().any(|known| known == role) {
                roles.push(role.to_owned());
            }
        }
        let of_roles = roles.iter().filter_map(|role| self.roles.get(role)).flatten().map(String::as_str);
        let everything = of_roles.clone().any(|scope| scope == EVERYTHING);
        let in_token = self.claims.scopes.iter().flat_map(|path| scopes_at(claims, path));
        let mut scopes: BTreeSet<&str> = of_roles.chain(in_token).filter(|s| *s != EVERYTHING).collect();
        if everything {
            scopes.extend(self.scopes.keys().map(String::as_str));
        }
        Access { roles, scopes: scopes.into_iter().map(str::to_owned).collect(), everything }
    }

    /// Whether `scope` is declared, or lies below one that is.
    pub(super) fn declares(&self, scope: &str) -> bool {
        self.scopes.keys().any(|known| covers(known, scope, &self.claims.scope_separator))
    }
}

impl Access {
    /// Whether one of the scopes is `needed` or, at a border of `separator`, above it.
    pub(super) fn covers(&self, needed: &str, separator: &str) -> bool {
        self.everything || self.scopes.iter().any(|scope| covers(scope, needed, separator))
    }
}

/// Bytes are compared, whole steps at a time. Empty texts cover nothing and are covered by nothing.
fn covers(granted: &str, needed: &str, separator: &str) -> bool {
    if granted.is_empty() || needed.is_empty() || separator.is_empty() {
        return false;
    }
    match needed.strip_prefix(granted) {
        Some("") => true,
        Some(rest) => rest.strip_prefix(separator).is_some_and(|step| !step.is_empty()),
        None => false,
    }
}

fn roles_at<'a>(claims: &'a ClaimsSet, path: &str) -> Vec<&'a str> {
    match claims.at(path) {
        Some(Value::Array(items)) if path.ends_with('s') => texts(items),
        Some(Value::String(one)) if !path.ends_with('s') && !one.is_empty() => vec![one],
        _ => Vec::new(),
    }
}

fn scopes_at<'a>(claims: &'a ClaimsSet, path: &str) -> Vec<&'a str> {
    match claims.at(path) {
        Some(Value::Array(items)) => texts(items),
        Some(Value::String(all)) => all.split(' ').filter(|scope| !scope.is_empty()).collect(),
        _ => Vec::new(),
    }
}

/// The texts of a list; a list with anything else in it counts as empty.
fn texts(items: &[Value]) -> Vec<&str> {
    let all: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    all.unwrap_or_default().into_iter().filter(|text| !text.is_empty()).collect()
}
