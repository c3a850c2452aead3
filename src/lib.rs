//! supabase-bff keeps Supabase tokens out of the browser.
//!
//! For an axum application: `Bff`, [`Require`] and `User` (feature `axum`), `testing::TestBff` for its tests (feature
//! `embedded`). For an API that only receives tokens: [`Verifier`].
//!
//! In reading order: [`token`] verifies JWTs, [`policy`] decides, `gateway` forwards what was decided; `gotrue` asks
//! Supabase Auth, `session` keeps and refreshes what it answered, `store` is where that rests in store mode, `flow`
//! is what a person does with both, `web` gives it paths and pages, `app` joins the parts from the settings of
//! `config`.

pub mod policy;
pub mod token;

#[cfg(feature = "axum")]
pub mod event;
#[cfg(feature = "axum")]
pub mod flow;
#[cfg(feature = "axum")]
pub mod gateway;
#[cfg(feature = "axum")]
pub mod gotrue;
#[cfg(feature = "axum")]
pub mod limit;
#[cfg(feature = "axum")]
pub mod pkce;
#[cfg(feature = "axum")]
pub mod session;
#[cfg(feature = "axum")]
pub mod store;
#[cfg(feature = "axum")]
pub mod web;

#[cfg(feature = "axum")]
pub mod app;
#[cfg(feature = "axum")]
pub mod config;

pub use policy::Require;
pub use token::{Claims, Invalid, Verifier};

#[cfg(feature = "axum")]
pub use app::Bff;
/// Time and randomness, for tests that bring their own: [`Builder::clock`](app::Builder::clock).
#[cfg(feature = "axum")]
pub use base::{clock, entropy};
#[cfg(feature = "axum")]
pub use web::{Ended, within::User};

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod demo;
#[cfg(feature = "embedded")]
pub mod testing;

/// Compiles what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// Compiles and runs what `docs/library.md` shows.
#[cfg(all(doctest, feature = "embedded"))]
#[doc = include_str!("../docs/library.md")]
mod library {}
