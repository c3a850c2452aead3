//! The `supabase-bff` command.

fn main() -> std::process::ExitCode {
    supabase_bff::cli::main()
}
