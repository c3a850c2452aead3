//! Stories over HTTP: the BFF, the auth server and an upstream in one process, with a clock that the story moves.

mod client;
mod contract;
mod docs;
mod harness;
mod tap;

mod refresh;
mod sign_in;
