//! Verifier and challenge (RFC 7636).
