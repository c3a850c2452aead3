//! The admin listener: probes on a port of their own (S-94).
