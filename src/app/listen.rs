//! Sockets: time limits, caps, drain.
