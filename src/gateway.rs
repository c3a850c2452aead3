//! Forwards what a permit allows.
