//! The client against listeners on loopback that answer as GoTrue, gateways and broken networks do.

mod calls;
mod refusals;
mod stand_in;
