//! `doctor`: tries the live project and each dependency once.

use std::sync::Arc;

use anyhow::Context;
use base::clock::SystemClock;
use serde_json::json;

use super::check::finding;
use super::load::Loaded;
use super::{End, Flags, Start, remark, say};
use crate::app::doctor;

/// Prints what was tried, then what should be mended. A fault is exit status 4; a configuration that `check` refuses is not
/// tried at all.
pub(super) fn run(flags: &Flags, as_json: bool) -> anyhow::Result<End> {
    let loaded = Loaded::read(&flags.inputs(), Start::Looking)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let examined = runtime.block_on(doctor::examine(&loaded.settings, Arc::new(SystemClock)));
    let examined = examined.context("the HTTP client cannot be made")?;
    let findings = examined.problems.list();
    let ok = !examined.problems.has_faults();
    if as_json {
        let looks = examined.looks.iter().map(|(name, result)| json!({ "name": name, "result": result }));
        let findings = findings.into_iter().map(finding);
        let all = json!({
            "ok": ok,
            "looks": looks.collect::<Vec<_>>(),
            "findings": findings.collect::<Vec<_>>(),
        });
        say(&serde_json::to_string_pretty(&all)?)?;
    } else {
        let width = examined.looks.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        for (name, result) in &examined.looks {
            say(&format!("{name:<width$}  {result}"))?;
        }
        for finding in findings {
            remark(&finding.to_string());
        }
    }
    Ok(if ok { End::Fine } else { End::Findings })
}
