//! Stories over HTTP: the BFF, the auth server and an upstream in one process, with a clock that the story moves.

mod browser;
mod client;
mod contract;
mod crawl;
mod demo_app;
mod docs;
mod harness;
mod raw;
mod tap;

mod browser_stories;
mod cookies;
mod cors;
mod csrf;
mod flows;
mod headers;
mod hosts;
mod input;
mod provider;
mod refresh;
mod sealing;
mod sign_in;
mod sizes;
