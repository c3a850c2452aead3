//! Stories over HTTP, each against a server of its own, in memory, whose clock the test moves.

mod accounts;
mod address;
mod admin;
mod closed;
mod factors;
mod google;
mod harness;
mod linking;
mod links;
mod logs;
mod mails;
mod providers;
mod rotation;
mod safety;
mod smtp;
mod surface;
mod update;
