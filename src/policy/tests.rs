//! The rules of authorization, each by its number.

mod build;
mod decide;
mod find;
mod grants;
mod property;

use std::sync::Arc;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::{ClaimPaths, Denied, Finding, Grants, Permit, Policy, Rule, RuleSettings, Site, Via, Who};
use crate::token::Claims;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

/// Rules as they stand in the file, from a list of TOML-like objects.
fn settings(rules: Value) -> Vec<RuleSettings> {
    serde_json::from_value(rules).unwrap()
}

fn grants() -> Grants {
    let owned = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
    let declared = ["items", "items:read", "items:write", "notes:read", "orders"];
    Grants {
        claims: ClaimPaths::default(),
        scopes: declared.iter().map(|scope| ((*scope).to_owned(), "a sentence".to_owned())).collect(),
        roles: [("user", owned(&["items:read"])), ("editor", owned(&["items"])), ("admin", owned(&["*"]))]
            .into_iter()
            .map(|(role, scopes)| (role.to_owned(), scopes))
            .collect(),
    }
}

fn site() -> Site {
    Site { upstreams: ["web", "api"].map(str::to_owned).into(), ..Site::default() }
}

fn build(rules: Value) -> Result<Policy, Vec<Finding>> {
    Policy::build(settings(rules), grants(), &site())
}

fn policy(rules: Value) -> Policy {
    build(rules).unwrap()
}

fn claims(some: Value) -> Claims {
    Claims::suppose(some.as_object().unwrap().clone(), NOW).unwrap()
}

fn user(claims: &Claims) -> Who<'_> {
    Who::User { claims, via: Via::Cookie, auth_time: None, limited: false }
}

fn rule(policy: &Policy, path: &str) -> Arc<Rule> {
    Arc::clone(policy.find(None, &http::Method::GET, path).unwrap())
}

/// One rule at `/x`, asked about one person.
fn one(mut rule_text: Value, who: &Who<'_>, now: OffsetDateTime) -> Result<Permit, Denied> {
    let members = rule_text.as_object_mut().unwrap();
    for (key, value) in [("name", json!("x")), ("path", json!("/x")), ("to", json!("api"))] {
        members.insert(key.to_owned(), value);
    }
    let policy = policy(json!([rule_text]));
    policy.decide(&rule(&policy, "/x"), who, now)
}
