//! What code asks of people, where no line of `bff.toml` does: a rule without a path, judged like every other.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::build::{Builder, Site};
use super::rules::Rule;
use super::settings::{Allow, RuleSettings, Switch};
use super::{Finding, Policy};

/// What somebody must bring to pass: signed in, and whatever is added to that. Each addition narrows; they all hold.
///
/// ```
/// use std::time::Duration;
/// use supabase_bff::Require;
///
/// let require = Require::scope("items:write").and_role("editor").aal2().max_age(Duration::from_secs(300));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it guards a route once `Bff::require` has made a layer of it"]
pub struct Require {
    asked: RuleSettings,
    /// What was asked for twice, where a rule can say it once: taking one of them for the other would let people pass.
    doubled: Option<String>,
}

impl Require {
    /// Signed in, with an account: anonymous people do not pass ([`anonymous_users`](Self::anonymous_users)).
    pub fn signed_in() -> Self {
        let asked = RuleSettings {
            name: "require".to_owned(),
            methods: Vec::new(),
            path: "/**".to_owned(),
            to: None,
            host: None,
            strip: String::new(),
            allow: Allow::User,
            anonymous_users: false,
            scopes: Vec::new(),
            any_scopes: Vec::new(),
            roles: Vec::new(),
            claims: std::collections::BTreeMap::new(),
            aal: None,
            max_age: None,
            live: false,
            bearer: true,
            csrf: Switch::On,
            code_guard: Switch::On,
        };
        Self { asked, doubled: None }
    }

    /// This scope, or one above it: `items` covers `items:read`.
    pub fn scope(scope: impl Into<String>) -> Self {
        Self::signed_in().and_scope(scope)
    }

    /// One of these scopes.
    pub fn any_scope<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        let mut require = Self::signed_in();
        require.asked.any_scopes = scopes.into_iter().map(Into::into).collect();
        require
    }

    /// This role.
    pub fn role(role: impl Into<String>) -> Self {
        Self::signed_in().and_role(role)
    }

    /// One of these roles.
    pub fn any_role<S: Into<String>>(roles: impl IntoIterator<Item = S>) -> Self {
        Self::signed_in().and_any_role(roles)
    }

    /// One of these values for the claim at a dotted path such as `app_metadata.tenant`, with their exact types. Never
    /// anything of `user_metadata`, which every user can write (S-99).
    pub fn claim<V: Into<Value>>(path: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::signed_in().and_claim(path, values)
    }

    /// This scope as well.
    pub fn and_scope(mut self, scope: impl Into<String>) -> Self {
        self.asked.scopes.push(scope.into());
        self
    }

    /// This role as well. Roles can be asked for once: put a second [`Bff::require`](crate::app::Bff::require) around the
    /// route for another.
    pub fn and_role(self, role: impl Into<String>) -> Self {
        self.and_any_role([role])
    }

    /// One of these roles as well; once, see [`and_role`](Self::and_role).
    pub fn and_any_role<S: Into<String>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        if !self.asked.roles.is_empty() {
            self.doubled = Some("roles".to_owned());
        }
        self.asked.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// This claim as well, each path once; see [`claim`](Self::claim).
    pub fn and_claim<V: Into<Value>>(
        mut self,
        path: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let (path, values) = (path.into(), values.into_iter().map(Into::into).collect());
        if self.asked.claims.insert(path.clone(), values).is_some() {
            self.doubled = Some(path);
        }
        self
    }

    /// A second factor. A page is led to the code and back; a program gets 401 `insufficient_user_authentication`.
    pub fn aal2(mut self) -> Self {
        self.asked.aal = Some(2);
        self
    }

    /// A proof of identity that is no older than this, to the second; a refresh does not count as one.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.asked.max_age = Some(format!("{}s", age.as_secs()));
        self
    }

    /// The auth server's word that the session still lives. It is asked once everything else has said yes; its answer about
    /// a browser's session counts for ten seconds.
    pub fn live(mut self) -> Self {
        self.asked.live = true;
        self
    }

    /// Admits those who signed in anonymously.
    pub fn anonymous_users(mut self) -> Self {
        self.asked.anonymous_users = true;
        self
    }

    /// Only a session cookie will do: bearers are ignored, good or not.
    pub fn cookie_only(mut self) -> Self {
        self.asked.bearer = false;
        self
    }

    /// The name that refusals have in the log as `policy.rule`; default `require`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.asked.name = name.into();
        self
    }
}

impl Rule {
    /// The rule of handlers that only ask who is there: it names no path and is on no list.
    pub fn bare(allow: Allow) -> Self {
        Self {
            name: "extractor".to_owned(),
            host: None,
            requests: Vec::new(),
            upstream: None,
            strip: String::new(),
            allow,
            needs: super::rules::Needs::default(),
            bearer: true,
            csrf_off: false,
            code_guard_off: false,
            live: false,
            built_in: false,
        }
    }
}

impl Policy {
    /// Makes the rule that `require` describes. It is never [found](Self::find): whoever holds it has it
    /// [decided](Self::decide).
    ///
    /// # Errors
    ///
    /// Every fault, as for a rule of the file: scopes and roles that are not declared, claims that users write themselves.
    pub fn require(&self, require: Require) -> Result<Arc<Rule>, Vec<Finding>> {
        let Require { asked: settings, doubled } = require;
        let site = Site::default();
        let mut builder = Builder::new(&self.0.grants, &site);
        let needs = builder.needs(&settings);
        if let Some(what) = doubled {
            let place = format!("rules.{}", settings.name);
            let fix = "Put a second `require` around the route.";
            builder.fault("BFF-CONF-002", place, &what, "It is asked for twice.", fix);
        }
        let findings = builder.findings();
        if !findings.is_empty() {
            return Err(findings);
        }
        let RuleSettings { name, bearer, live, .. } = settings;
        Ok(Arc::new(Rule { name, needs, bearer, live, ..Rule::bare(Allow::User) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Denied, Grants, Via, Who};
    use crate::token::Claims;

    fn policy() -> Policy {
        let grants = Grants {
            scopes: [("items".to_owned(), String::new())].into(),
            roles: [("editor".to_owned(), vec!["items".to_owned()])].into(),
            ..Grants::default()
        };
        Policy::build(Vec::new(), grants, &Site::default()).unwrap()
    }

    /// Whoever asks for a claim that no rule of the file names gets the same decision.
    #[test]
    fn claims_are_those_of_the_token() {
        let policy = policy();
        let rule = policy.require(Require::claim("app_metadata.tenant", ["acme", "other"])).unwrap();
        let now = time::OffsetDateTime::UNIX_EPOCH;
        let decide = |tenant: serde_json::Value| {
            let told = serde_json::json!({ "app_metadata": { "tenant": tenant } });
            let claims = Claims::suppose(told.as_object().unwrap().clone(), now).unwrap();
            let who = Who::User { claims: &claims, via: Via::Bearer, auth_time: None, limited: false };
            policy.decide(&rule, &who, now).map(|permit| permit.rule().to_owned())
        };
        assert_eq!(decide("other".into()), Ok("require".to_owned()));
        for wrong in ["acm".into(), "Acme".into(), serde_json::json!(["acme"]), serde_json::Value::Null] {
            assert_eq!(decide(wrong.clone()), Err(Denied::Forbidden), "{wrong}");
        }
    }

    /// S-99: what a rule of the file may not ask for, code may not either.
    #[test]
    fn faults_are_those_of_rules() {
        let codes = |require: Require| -> Vec<&'static str> {
            let found = policy().require(require).err().unwrap_or_default();
            found.into_iter().map(|finding| finding.code).collect()
        };
        assert_eq!(codes(Require::scope("items").and_role("editor").aal2()), [""; 0]);
        assert_eq!(codes(Require::scope("items:read")), [""; 0], "items is declared");
        assert_eq!(codes(Require::scope("orders:read")), ["BFF-RULE-003"]);
        assert_eq!(codes(Require::any_role(["editor", "admin"])), ["BFF-RULE-003"]);
        assert_eq!(codes(Require::claim("user_metadata.role", ["admin"])), ["BFF-RULE-002"]);
        assert_eq!(codes(Require::signed_in().max_age(Duration::ZERO)), ["BFF-CONF-002"]);
        assert_eq!(codes(Require::role("editor").and_role("editor")), ["BFF-CONF-002"]);
        assert_eq!(
            codes(Require::claim("app_metadata.t", [1]).and_claim("app_metadata.t", [2])),
            ["BFF-CONF-002"]
        );
    }
}
