//! Forwards what a permit allows.

mod body;
pub mod path;
pub mod settings;
mod target;
pub mod upstream;
