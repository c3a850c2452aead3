//! Tokens and key sets for tests.
