//! What the page's script asks.

pub(super) mod session;
