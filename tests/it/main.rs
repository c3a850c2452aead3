//! Stories over HTTP: the BFF, the auth server and an upstream in one process, with a clock that the story moves.

mod browser;
mod client;
mod demo_app;
mod docs;
mod harness;
mod tap;

mod browser_stories;
mod refresh;
mod sign_in;
