//! Stories over HTTP: the BFF, the auth server and an upstream in one process, with a clock that the story moves.

mod client;
mod crawl;
mod docs;
mod harness;
mod raw;
mod tap;

mod cookies;
mod csrf;
mod headers;
mod hosts;
mod input;
mod refresh;
mod sign_in;
