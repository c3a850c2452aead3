//! The client of Supabase Auth.
