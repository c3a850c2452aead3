//! Verifies Supabase access tokens.
