//! The auth server alone, and its people, from the command line.

use std::fmt::Write as _;
use std::io::{IsTerminal, Read};
use std::sync::Arc;

use anyhow::{Context, bail};
use auth_server::{Account, Users};
use base::clock::SystemClock;
use base::entropy::SystemEntropy;
use base::secret::Secret;
use base::vars::{Problems, Vars, duration};
use clap::Subcommand;

use super::load::bind;
use super::{Flags, Misconfigured, remark, say, telemetry};
use crate::config::{Log, Network, Sources};

#[derive(Debug, Subcommand)]
pub(super) enum AuthCommand {
    /// Run the auth server alone
    Serve,
    /// Its people
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make a confirmed account; a password is read from standard input, if there is one
    Add {
        /// The address
        email: String,
        /// The only role in app_metadata.roles
        #[arg(long)]
        role: Option<String>,
    },
    /// Show accounts, the newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Leave out so many
        #[arg(long, default_value_t = 0)]
        offset: u64,
    },
    /// Make a role the only one of an account, or take its role away
    SetRole {
        /// The address
        email: String,
        /// Absent: no role
        role: Option<String>,
    },
    /// Ban an account and end its sessions
    Ban {
        /// The address
        email: String,
        /// How long, such as 7d; absent: without end
        #[arg(long = "for", value_name = "DURATION")]
        length: Option<String>,
        /// End the ban instead
        #[arg(long, conflicts_with = "length")]
        lift: bool,
    },
    /// Forget an account with its identities and sessions
    Delete {
        /// The address
        email: String,
    },
}

pub(super) fn run(flags: &Flags, command: AuthCommand) -> anyhow::Result<()> {
    let (settings, log) = settings(flags)?;
    match command {
        AuthCommand::Serve => serve(settings, &log),
        AuthCommand::User(command) => user(&settings, command),
    }
}

fn settings(flags: &Flags) -> anyhow::Result<(auth_server::Settings, Log)> {
    let mut problems = Problems::default();
    let sources = Sources::read(&flags.inputs(), &mut problems);
    let log = Log::read(&sources, &mut problems);
    let settings = Network::read(&sources, &mut problems).and_then(|network| {
        let defaults = auth_server::Defaults {
            bff_public_url: network.canonical().clone(),
            data_dir: network.data_dir.clone(),
        };
        auth_server::Settings::read(&sources, &defaults, &mut problems)
    });
    if sources.get("SUPABASE_URL").is_some() {
        remark("SUPABASE_URL is set: the BFF uses that project and not this server.");
    }
    match settings {
        Some(settings) if !problems.has_faults() => Ok((settings, log)),
        _ => Err(Misconfigured(problems).into()),
    }
}

fn serve(settings: auth_server::Settings, log: &Log) -> anyhow::Result<()> {
    telemetry::install(log)?;
    let listener = bind(settings.listen)?;
    let runtime = super::runtime().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let server =
            auth_server::start(settings, Arc::new(SystemClock), Arc::new(SystemEntropy), listener).await?;
        let url = server.url();
        let outbox = if server.has_outbox() { format!(", outbox at {url}/outbox") } else { String::new() };
        remark(&format!("auth server on {url}{outbox}"));
        until_told_to_end().await?;
        server.shutdown().await.context("the auth server did not end well")
    })
}

/// Waits for SIGTERM or Ctrl-C.
async fn until_told_to_end() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be heard")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        heard = tokio::signal::ctrl_c() => heard.context("signals cannot be heard"),
    }
}

fn user(settings: &auth_server::Settings, command: UserCommand) -> anyhow::Result<()> {
    let users = Users::open(settings, Arc::new(SystemClock), Arc::new(SystemEntropy))?;
    match command {
        UserCommand::Add { email, role } => {
            let password = password()?;
            let account = users.add(&email, password.as_ref(), role.as_deref())?;
            say(&line(&account))?;
        }
        UserCommand::List { limit, offset } => {
            for account in users.list(limit, offset)? {
                say(&line(&account))?;
            }
        }
        UserCommand::SetRole { email, role } => say(&line(&users.set_role(&email, role.as_deref())?))?,
        UserCommand::Ban { email, lift: true, .. } => say(&line(&users.unban(&email)?))?,
        UserCommand::Ban { email, length, .. } => {
            let length = match length.as_deref() {
                None => None,
                Some(text) => match duration(text) {
                    Some(length) => Some(length),
                    None => bail!("`{text}` is no duration such as 12h or 7d"),
                },
            };
            say(&line(&users.ban(&email, length)?))?;
        }
        UserCommand::Delete { email } => users.delete(&email)?,
    }
    Ok(())
}

/// The first line of standard input, unless that is a terminal: there a password would be seen while it is typed.
fn password() -> anyhow::Result<Option<Secret<String>>> {
    let mut input = std::io::stdin().lock();
    if input.is_terminal() {
        remark("No password on standard input: the account comes in by mail or by a provider.");
        return Ok(None);
    }
    let mut text = String::new();
    input.by_ref().take(4096).read_to_string(&mut text).context("the password is not readable text")?;
    let text = Secret::new(text);
    let first = text.expose().lines().next().unwrap_or_default();
    Ok((!first.is_empty()).then(|| Secret::new(first.to_owned())))
}

fn line(account: &Account) -> String {
    let mut text = format!("{}  {}", account.id, account.email.as_deref().unwrap_or("(anonymous)"));
    if !account.roles.is_empty() {
        let _ = write!(text, "  {}", account.roles.join(",")); // a String takes everything
    }
    if !account.confirmed {
        text.push_str("  unconfirmed");
    }
    if let Some(until) = account.banned_until {
        let _ = write!(text, "  banned until {}", until.date());
    }
    text
}
