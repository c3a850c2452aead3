//! Stories over HTTP: the BFF, the auth server and an upstream in one process, with a clock that the story moves.

mod browser;
mod client;
mod crawl;
mod demo_app;
mod harness;
mod raw;
mod tap;

mod bearer;
mod browser_stories;
mod budget;
mod confirm;
mod contract;
mod cookies;
mod cors;
mod csrf;
mod docs;
mod flows;
mod headers;
mod hooks;
mod hosts;
mod input;
mod limits;
mod logs;
mod metrics;
mod mount;
mod owners;
mod policy;
mod provider;
mod proxy;
mod refresh;
mod sealing;
mod sign_in;
mod sizes;
mod streams;
mod triggers;
