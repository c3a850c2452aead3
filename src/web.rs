//! Every path of the public port.

pub mod assets;
pub mod templates;
pub mod views;
