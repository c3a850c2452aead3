//! Stories over HTTP: the BFF, the auth server and an upstream in one process, with a clock that the story moves.

mod client;
mod harness;
mod tap;

mod bearer;
mod confirm;
mod flows;
mod limits;
mod provider;
mod refresh;
mod sign_in;
