//! The policy that decides now, which a reload replaces as a whole.

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{Inner, Policy};

/// Hands out the policy in use. Whoever holds one goes on by it: one request is judged by one policy (S-98).
#[derive(Debug)]
pub struct InUse {
    policy: ArcSwap<Inner>,
    replaced: watch::Sender<()>,
}

impl InUse {
    /// Begins with `policy`.
    pub fn new(policy: Policy) -> Self {
        Self { policy: ArcSwap::new(policy.0), replaced: watch::Sender::new(()) }
    }

    /// The policy of this moment.
    pub fn get(&self) -> Policy {
        Policy(self.policy.load_full())
    }

    /// From now on `policy` decides.
    pub fn replace(&self, policy: Policy) {
        self.policy.store(policy.0);
        self.replaced.send_replace(());
    }

    /// Changes whenever another policy decides: for what was let in once and goes on.
    pub fn replacements(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }
}
