//! The `supabase-bff` command.

fn main() {}
