//! What the demo puts in the place of upstreams and rules, while none are configured.

use std::collections::BTreeMap;

use super::Settings;
use crate::gateway::settings::{TokenKind, UpstreamSettings};
use crate::policy::RuleSettings;

impl Settings {
    /// From now on the upstream `demo` is the API at `url`, with its own rules, scopes and roles.
    pub fn stand_in_demo(
        &mut self,
        url: String,
        rules: Vec<RuleSettings>,
        scopes: BTreeMap<String, String>,
        roles: BTreeMap<String, Vec<String>>,
    ) {
        let upstream = UpstreamSettings::api(url, TokenKind::User);
        self.upstreams.push(("demo".to_owned(), upstream));
        self.site.upstreams.insert("demo".to_owned());
        self.grants.scopes.extend(scopes);
        self.grants.roles.extend(roles);
        self.rules.extend(rules);
    }
}
