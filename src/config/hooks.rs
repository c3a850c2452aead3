//! What proves a call of a hook: `BFF_HOOKS_SECRETS`.

use base::vars::{self, Problems, REDACTED, Vars};
use base::webhook::Secrets;

const NAME: &str = "BFF_HOOKS_SECRETS";

/// Reads `v1,whsec_…|v1,whsec_…`, or the file with that in it. Absent: there is no hook endpoint.
pub(super) fn read(vars: &dyn Vars, problems: &mut Problems) -> Option<Secrets> {
    let text = vars::secret(vars, NAME, problems)?;
    match Secrets::parse(&text) {
        Ok(secrets) => Some(secrets),
        Err(bad) => {
            let why = format!("No call could be checked with it: {bad}.");
            let fix = "Write v1,whsec_ and the base64 of 32 random bytes; join several with |.";
            problems.fault("BFF-CONF-002", NAME, Some(REDACTED), why, fix);
            None
        }
    }
}
