//! Stories over HTTP: the BFF, the auth server and an upstream in one process, with a clock that the story moves.

mod browser;
mod client;
mod crawl;
mod demo_app;
mod harness;
mod modes;
mod raw;
#[path = "../stores/redis_server.rs"]
#[expect(dead_code, reason = "the suite of the stores uses the rest")]
mod redis_server;
mod tap;
mod weather;

mod bearer;
mod browser_stories;
mod budget;
mod confirm;
mod contract;
mod cookies;
mod cors;
mod csrf;
mod devices;
mod docs;
mod environment;
mod factors;
mod flows;
mod headers;
mod hooks;
mod hosts;
mod input;
mod limited;
mod limits;
mod logs;
mod matrix;
mod metrics;
mod mfa;
mod model;
mod mount;
mod nodes;
mod owners;
mod panics;
mod policy;
mod proof;
mod provider;
mod proxy;
mod refresh;
mod revocations;
mod sealing;
mod sign_in;
mod sizes;
mod store_matrix;
mod store_outages;
mod stores;
mod streams;
mod triggers;
