//! Forwards what a permit allows.

pub mod path;
