//! All settings side by side.
