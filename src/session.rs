//! Sessions: begin, keep, refresh, end.

mod settings;

pub use settings::{Remember, SameSite, Settings};
