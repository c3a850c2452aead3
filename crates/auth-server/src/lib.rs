//! The GoTrue-compatible server.
