//! The client against listeners on loopback that answer as GoTrue, gateways and broken networks do.

mod calls;
mod mail;
mod refusals;
mod stand_in;
