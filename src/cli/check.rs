//! `check`: every fault of the configuration in one list, without a connection.

use std::path::Path;

use base::clock::{Clock, SystemClock};
use base::vars::{Problem, Problems, Weight};
use serde_json::json;

use super::load::{self, Loaded};
use super::{Flags, Misconfigured, Start, remark, retired, say};
use crate::policy::Switch;

/// Prints all findings; fails if one of them would end the start.
pub(super) fn run(flags: &Flags, as_json: bool) -> anyhow::Result<()> {
    let mut problems = Problems::default();
    let loaded = load::read(&flags.inputs(), Start::Looking, &mut problems)?;
    let relaxed = match &loaded {
        Some(loaded) => {
            folder(&loaded.settings.network.data_dir, &mut problems);
            retired::findings(&loaded.settings, SystemClock.now(), &mut problems);
            relaxations(loaded)
        }
        None => Vec::new(),
    };
    if as_json {
        let findings: Vec<_> = problems.list().into_iter().map(finding).collect();
        let all = json!({ "ok": !problems.has_faults(), "findings": findings, "relaxed": relaxed });
        say(&serde_json::to_string_pretty(&all)?)?;
        return if problems.has_faults() { Err(Misconfigured(Problems::default()).into()) } else { Ok(()) };
    }
    for line in &relaxed {
        say(line)?;
    }
    if problems.has_faults() {
        return Err(Misconfigured(problems).into());
    }
    for warning in problems.list() {
        remark(&warning.to_string());
    }
    let count = problems.list().len();
    say(&format!("No faults, {count} warning{}.", if count == 1 { "" } else { "s" }))?;
    Ok(())
}

pub(super) fn finding(problem: &Problem) -> serde_json::Value {
    json!({
        "weight": if problem.weight == Weight::Fault { "fault" } else { "warning" },
        "code": problem.code,
        "place": problem.place,
        "seen": problem.seen,
        "why": problem.why,
        "fix": problem.fix,
    })
}

/// What is allowed and shall be seen: opt-outs of single rules (S-14, S-27), changes that pass as GoTrue allows them (S-46).
fn relaxations(loaded: &Loaded) -> Vec<String> {
    let mut lines = Vec::new();
    let site = &loaded.settings.site;
    if site.services.iter().any(|service| service == "auth") {
        lines.push(format!(
            "supabase.services: auth, what people change below {}/auth/v1 takes no fresh proof but the project's own",
            site.mount
        ));
    }
    for rule in &loaded.settings.rules {
        if rule.csrf == Switch::Off {
            lines.push(format!("rules.{}: csrf = \"off\", requests need no X-CSRF header", rule.name));
        }
        if rule.code_guard == Switch::Off {
            lines
                .push(format!("rules.{}: code_guard = \"off\", a code in the query is passed on", rule.name));
        }
    }
    for (name, upstream) in &loaded.settings.upstreams {
        if !upstream.pass_cookies.is_empty() {
            lines.push(format!("upstreams.{name}: passes the cookies {}", upstream.pass_cookies.join(", ")));
        }
    }
    lines
}

/// BFF-DATA-001: a data folder that cannot be written is a warning; key sets are then kept in memory alone. What is
/// tried is a file that goes again at once, in the folder or in the nearest one above that exists.
fn folder(data_dir: &Path, problems: &mut Problems) {
    let near =
        |path: &Path| if path.as_os_str().is_empty() { Path::new(".").to_owned() } else { path.to_owned() };
    let Some(folder) = data_dir.ancestors().map(near).find(|path| path.exists()) else { return };
    let file = folder.join(format!(".supabase-bff-check-{}", std::process::id()));
    let tried = std::fs::OpenOptions::new().write(true).create_new(true).open(&file);
    if let Err(error) = tried {
        let seen = data_dir.display().to_string();
        let why = format!("This user cannot write there: {error}. Key sets are kept in memory alone.");
        problems.warning(
            "BFF-DATA-001",
            "data_dir",
            Some(&seen),
            why,
            "Name a folder that this user can write.",
        );
        return;
    }
    let _ = std::fs::remove_file(&file); // it was made just now; if it stays, it is empty
}
