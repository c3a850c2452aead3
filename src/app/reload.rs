//! New rules without a new start, all or nothing (S-98).

use base::vars::Problems;

use super::{Bff, routes};
use crate::config::Settings;
use crate::event::{Event, Outcome, Record};
use crate::policy::Policy;

impl Bff {
    /// Puts rules, scopes, roles and claim paths of `settings`, which were read anew with these `problems`, in the place of
    /// those in use. Everything else in them holds from the next start on, new upstreams and hosts included.
    ///
    /// # Errors
    ///
    /// Every fault, which the log has by then: the old rules stay, all of them.
    pub fn reload(&self, settings: Option<Settings>, mut problems: Problems) -> Result<(), Problems> {
        let policy = settings.filter(|_| !problems.has_faults()).and_then(|settings| {
            match Policy::build(settings.rules, settings.grants, &self.site) {
                Ok(policy) => Some(policy),
                Err(findings) => {
                    findings.into_iter().for_each(|finding| finding.report(&mut problems));
                    None
                }
            }
        });
        let trail = &self.state.trail;
        let Some(policy) = policy else {
            for problem in problems.list() {
                tracing::error!(error.code = problem.code, "{problem}");
            }
            trail.emit(&Record::of(Event::ConfigReloaded, Outcome::Failed));
            return Err(problems);
        };
        trail.metrics().requests().add(routes(&policy));
        self.state.policy.replace(policy);
        trail.emit(&Record::of(Event::ConfigReloaded, Outcome::Ok));
        Ok(())
    }
}
