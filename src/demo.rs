//! The demo page and its small API.
