//! What the page's script asks.

pub(super) mod hooks;
pub(super) mod session;
