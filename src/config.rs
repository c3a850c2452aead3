//! All settings side by side.

mod file;
pub mod known;
pub mod sources;
