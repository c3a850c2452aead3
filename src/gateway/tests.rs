//! The gateway against real upstreams on loopback.

mod answers;
mod harness;
mod requests;
mod served;
mod streams;
