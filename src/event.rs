//! The audit trail: one closed list of events.
