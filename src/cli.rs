//! Commands and flags.
//!
//! Results go to standard output, everything about them to standard error. Secrets are never arguments: they come from
//! the environment or from files.

#[cfg(feature = "embedded")]
mod auth;
mod check;
mod doctor;
mod init;
mod load;
mod mint;
mod policy;
mod retired;
mod serve;
pub mod telemetry;
mod tools;

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use base::vars::Problems;
use clap::{Args, Parser, Subcommand};
use tokio::runtime::Builder;

pub use load::{Loaded, Start};

#[derive(Debug, Parser)]
#[command(name = "supabase-bff", version, about = "Keeps Supabase tokens out of the browser.")]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Settings that are worth a flag; they are stronger than the environment.
#[derive(Debug, Clone, Default, Args)]
struct Flags {
    /// The settings file [default: bff.toml, which may be absent]
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The origin that browsers use [default: http://localhost and the port listened on]
    #[arg(long, global = true, value_name = "URL")]
    public_url: Option<String>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run; this is what happens without a command
    Serve,
    /// Write .env with fresh secrets and a commented bff.toml; overwrites nothing
    Init,
    /// List every fault of the configuration; makes no connection
    Check {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Try the live project and each dependency once
    Doctor {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Ask the rules
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Keys that seal sessions
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Print the hash under which logs show a user or a session
    LogId {
        /// Its id
        uuid: uuid::Uuid,
    },
    /// Print the triggers that tell this program of ended sessions, for the project's database
    Sql {
        /// Print what takes them away again
        #[arg(long)]
        uninstall: bool,
    },
    /// Print the description of the paths, as /auth/openapi.json
    #[command(name = "openapi")]
    OpenApi,
    /// For load tests: Supabase sessions as JSON lines in, `Cookie` header values out
    MintSession,
    /// The embedded auth server alone, and its people
    #[cfg(feature = "embedded")]
    #[command(subcommand)]
    Auth(auth::AuthCommand),
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Which rule decides about a request, and why
    Explain(policy::Question),
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Print a fresh line for BFF_SESSION_KEYS
    New,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Fine; there may be warnings.
    Fine = 0,
    /// `doctor` found what has to be mended.
    Findings = 4,
    /// `policy explain` says no.
    Refused = 5,
}

/// The configuration is refused: exit status 3.
#[derive(Debug)]
struct Misconfigured(Problems);

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.0.list() {
            writeln!(f, "{problem}")?;
        }
        f.write_str("The configuration is refused; nothing was started.")
    }
}

impl std::error::Error for Misconfigured {}

/// A store that cannot be used is a finding like those of the configuration.
fn refused(error: crate::app::Error) -> anyhow::Error {
    match error {
        crate::app::Error::Store(problems) => Misconfigured(problems).into(),
        other => other.into(),
    }
}

/// Runs the command of this process. The exit status is 0 if all is fine, 1 if it failed while running, 2 for a wrong
/// command line, 3 for a refused configuration, 4 for faults that `doctor` found and 5 if `policy explain` says no.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print(); // to a closed pipe: nothing is left to tell
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    base::http::install_tls_provider();
    match run(cli) {
        Ok(end) => ExitCode::from(end as u8),
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "{}", chain(&error));
            ExitCode::from(if error.is::<Misconfigured>() { 3 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<End> {
    let flags = cli.flags;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&flags)?,
        Command::Init => init::run(&std::env::current_dir()?)?,
        Command::Check { json } => check::run(&flags, json)?,
        Command::Doctor { json } => return doctor::run(&flags, json),
        Command::Policy(PolicyCommand::Explain(question)) => return policy::explain(&flags, &question),
        Command::Keys(KeysCommand::New) => tools::new_key()?,
        Command::LogId { uuid } => tools::log_id(&flags, uuid)?,
        Command::Sql { uninstall } => tools::sql(&flags, uninstall)?,
        Command::OpenApi => tools::openapi(&flags)?,
        Command::MintSession => mint::run(&flags)?,
        #[cfg(feature = "embedded")]
        Command::Auth(command) => auth::run(&flags, command)?,
    }
    Ok(End::Fine)
}

/// An error and what caused it, on one line each.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        text.push_str("\n  because: ");
        text.push_str(&cause.to_string());
    }
    text
}

/// Writes a result to standard output.
fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes a word about the result to standard error.
fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}"); // nobody is there to read it: then so be it
}

/// As many threads as cores. With one core that is this thread, which has nobody to share its work with.
fn runtime() -> Builder {
    match std::thread::available_parallelism() {
        Ok(cores) if cores.get() == 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    }
}

#[cfg(test)]
mod tests;
