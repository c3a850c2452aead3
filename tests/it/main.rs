//! Stories over HTTP: the BFF, the auth server and an upstream in one process, with a clock that the story moves.

#![expect(missing_docs, reason = "a test binary has no readers of its API")]

mod client;
mod harness;
mod tap;

mod refresh;
mod sign_in;
