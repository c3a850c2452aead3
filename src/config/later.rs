//! Settings of features that this version does not have: read, and refused unless they ask for nothing (S-93).

use base::vars::{self, Problems, Vars};

use super::place;

/// Adds a fault for every setting that could not be honoured.
pub(super) fn refuse(vars: &dyn Vars, problems: &mut Problems) {
    if vars::parsed::<u32>(vars, "limits.sockets_per_session", "a whole number", problems)
        .is_some_and(|n| n != 20)
    {
        fault(vars, "limits.sockets_per_session", None, "Realtime", "Remove the key.", problems);
    }
}

fn fault(vars: &dyn Vars, name: &str, seen: Option<&str>, what: &str, fix: &str, problems: &mut Problems) {
    let why = format!("{what} is not available in this version.");
    problems.fault("BFF-CONF-003", place(vars, name), seen, why, fix);
}
