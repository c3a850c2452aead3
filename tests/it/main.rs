//! Stories over HTTP: the BFF, the auth server and an upstream in one process, with a clock that the story moves.

mod client;
mod contract;
mod crawl;
mod docs;
mod harness;
mod raw;
mod tap;

mod cookies;
mod csrf;
mod flows;
mod provider;
mod refresh;
mod sign_in;
