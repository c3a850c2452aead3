//! Findings about what rules ask for: scopes, roles and claims that nobody can have, or everybody can give himself.

use serde_json::Value;

use super::build::Builder;
use super::settings::{Allow, RuleSettings, Switch};

impl Builder<'_> {
    /// What `[claims]`, `[scopes]` and `[roles]` say for themselves.
    pub(super) fn check_grants(&mut self) {
        let grants = self.grants;
        let separator = &grants.claims.scope_separator;
        let fits = |c: char| c.is_ascii_punctuation() && !matches!(c, '*' | '"' | '\\');
        if separator.chars().count() != 1 || !separator.chars().all(fits) {
            let why = "Steps of a scope are separated by one character.";
            self.fault(
                "BFF-CONF-002",
                "claims.scope_separator",
                separator,
                why,
                "Set it to : or to a point.",
            );
        }
        for (key, paths) in [("roles", &grants.claims.roles), ("scopes", &grants.claims.scopes)] {
            paths.iter().for_each(|path| self.check_claim(&format!("claims.{key}"), path));
        }
        for scope in grants.scopes.keys() {
            self.check_scope_form("scopes", scope);
        }
        for (role, scopes) in &grants.roles {
            for scope in scopes.iter().filter(|scope| *scope != "*") {
                self.check_scope(&format!("roles.{role}"), scope);
            }
        }
    }

    /// What one rule asks of people.
    pub(super) fn check_needs(&mut self, settings: &RuleSettings) {
        let at = |key: &str| format!("rules.{}.{key}", settings.name);
        for (key, scopes) in [("scopes", &settings.scopes), ("any_scopes", &settings.any_scopes)] {
            scopes.iter().for_each(|scope| self.check_scope(&at(key), scope));
        }
        for role in settings.roles.iter().filter(|role| !self.grants.roles.contains_key(*role)) {
            let fix = format!("Add {role} = [] to [roles], or name one that is there.");
            self.fault("BFF-RULE-003", at("roles"), role, "There is no such role.", fix);
        }
        for (path, values) in &settings.claims {
            self.check_claim(&at("claims"), path);
            if values.is_empty() || values.contains(&Value::Null) {
                let why = "No claim can have one of these values.";
                self.fault("BFF-CONF-002", at("claims"), path, why, "List the values that are right.");
            }
        }
        self.check_effect(settings);
    }

    /// Options without effect are faults (S-93): who writes them believes that they protect.
    fn check_effect(&mut self, settings: &RuleSettings) {
        let asked = [
            ("scopes", !settings.scopes.is_empty()),
            ("any_scopes", !settings.any_scopes.is_empty()),
            ("roles", !settings.roles.is_empty()),
            ("claims", !settings.claims.is_empty()),
            ("aal", settings.aal.is_some()),
            ("max_age", settings.max_age.is_some()),
            ("anonymous_users", settings.anonymous_users),
            ("live", settings.live && settings.allow == Allow::Public),
            ("bearer", !settings.bearer && settings.allow == Allow::Public),
        ];
        if settings.allow == Allow::User {
            return;
        }
        for (key, _) in asked.into_iter().filter(|(_, asked)| *asked) {
            let place = format!("rules.{}.{key}", settings.name);
            let why = "It has no effect where strangers pass as well.";
            self.fault("BFF-CONF-002", place, key, why, "Set allow = \"user\", or take it out.");
        }
    }

    /// What only the gateway does has no place in a rule for another proxy.
    pub(super) fn check_gateway_keys(&mut self, settings: &RuleSettings) {
        let asked = [
            ("strip", !settings.strip.is_empty()),
            ("csrf", settings.csrf == Switch::Off),
            ("code_guard", settings.code_guard == Switch::Off),
        ];
        for (key, _) in asked.into_iter().filter(|(_, asked)| *asked && settings.to.is_none()) {
            let place = format!("rules.{}.{key}", settings.name);
            let why = "It has no effect in a rule for forward-auth.";
            self.fault("BFF-CONF-002", place, key, why, "Take it out, or add to = \"<upstream>\".");
        }
    }

    fn check_claim(&mut self, place: &str, path: &str) {
        if path.split('.').any(|name| name == "user_metadata") {
            let why = "Every user can write his own user_metadata, so it decides nothing (S-99).";
            self.fault("BFF-RULE-002", place, path, why, "Use app_metadata or a claim of a hook.");
        } else if path.split('.').any(str::is_empty) {
            let fix = "Write it like app_metadata.tenant.";
            self.fault("BFF-CONF-002", place, path, "This is no path of a claim.", fix);
        }
    }

    fn check_scope(&mut self, place: &str, scope: &str) {
        if self.check_scope_form(place, scope) && !self.grants.declares(scope) {
            let fix = format!("Add \"{scope}\" = \"what it allows\" to [scopes].");
            self.fault("BFF-RULE-003", place, scope, "There is no such scope.", fix);
        }
    }

    /// RFC 6749, section 3.3, and no empty step.
    fn check_scope_form(&mut self, place: &str, scope: &str) -> bool {
        let separator = self.grants.claims.scope_separator.as_str();
        let sound = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'*');
        let empty_step = !separator.is_empty() && scope.split(separator).any(str::is_empty);
        let fine = !scope.is_empty() && scope.bytes().all(sound) && !empty_step;
        if !fine {
            let why = "This is no scope; `*` stands for all of them in [roles] alone.";
            self.fault("BFF-CONF-002", place, scope, why, "Write it like items or items:read.");
        }
        fine
    }
}
