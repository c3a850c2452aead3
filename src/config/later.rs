//! Settings of features that this version does not have: read, and refused unless they ask for nothing (S-93).

use base::vars::Problems;

use super::sources::Entry;
use crate::policy::RuleSettings;

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
    }
}
