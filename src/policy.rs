//! Who may do what: one pure decision.
