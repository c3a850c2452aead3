//! The policy that decides now, which a reload replaces as a whole.

use arc_swap::ArcSwap;

use super::{Inner, Policy};

/// Hands out the policy in use. Whoever holds one goes on by it: one request is judged by one policy (S-98).
#[derive(Debug)]
pub struct InUse(ArcSwap<Inner>);

impl InUse {
    /// Begins with `policy`.
    pub fn new(policy: Policy) -> Self {
        Self(ArcSwap::new(policy.0))
    }

    /// The policy of this moment.
    pub fn get(&self) -> Policy {
        Policy(self.0.load_full())
    }

    /// From now on `policy` decides.
    pub fn replace(&self, policy: Policy) {
        self.0.store(policy.0);
    }
}
