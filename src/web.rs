//! Every path of the public port.
