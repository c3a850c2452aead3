//! What scripts and programs ask.

pub(super) mod hooks;
pub(super) mod openapi;
pub(super) mod session;
pub(super) mod token;
pub(super) mod verify;
