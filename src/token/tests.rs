//! The rules of tokens, each by its number.

mod claims;
mod keys;
mod outage;
mod settings;
mod shape;
