//! The `supabase-bff` command.

/// A request makes and drops many small things, and a few larger ones; this allocator is quick with both.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    supabase_bff::cli::main()
}
