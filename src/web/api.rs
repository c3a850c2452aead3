//! What the page's script asks, and what other programs do.

pub(super) mod hooks;
pub(super) mod session;
pub(super) mod verify;
