//! `policy explain`: the rule hits of one request.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base::clock::{Clock, SystemClock};
use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use super::{End, Flags, Loaded, Start, say};
use crate::app::tools::{Asked, Explainer};
use crate::policy::{Denied, Door, Explanation, Via};

/// What is asked on the command line.
#[derive(Debug, Args)]
pub(super) struct Question {
    /// Such as GET
    method: String,
    /// Such as /api/orders/7
    path: String,
    /// Claims of the user who asks, as a JSON object; nobody is signed in without it
    #[arg(long = "as", value_name = "CLAIMS.JSON")]
    claims: Option<PathBuf>,
    /// The host asked for, without port; the canonical one without it
    #[arg(long)]
    host: Option<String>,
    /// As another proxy asks: only rules without an upstream count
    #[arg(long)]
    forward_auth: bool,
    /// The user is a program with a bearer token, not a browser with a session
    #[arg(long)]
    bearer: bool,
}

/// Prints what every rule said; [`End::Refused`] if the answer is no.
pub(super) fn explain(flags: &Flags, question: &Question) -> anyhow::Result<End> {
    let mut settings = Loaded::read(&flags.inputs(), Start::Looking)?.settings;
    if settings.demo {
        let demo = crate::demo::Rules::read()?;
        settings.stand_in_demo("http://127.0.0.1".to_owned(), demo.rules, demo.scopes, demo.roles);
    }
    let method = question.method.to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes()).context("this is no method")?;
    let claims = question.claims.as_deref().map(read_claims).transpose()?;
    let asked = Asked {
        method: &method,
        path: &question.path,
        host: question.host.as_deref(),
        door: if question.forward_auth { Door::ForwardAuth } else { Door::Gateway },
        via: if question.bearer { Via::Bearer } else { Via::Cookie },
    };
    let explanation = Explainer::new(settings)?.explain(asked, claims, SystemClock.now())?;
    say(told(&explanation).trim_end())?;
    Ok(if explanation.verdict.is_ok() { End::Fine } else { End::Refused })
}

fn read_claims(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not a JSON object", file.display()))
}

fn told(explanation: &Explanation) -> String {
    let mut text = String::new();
    let width = explanation.lines.iter().map(|line| line.rule.len()).max().unwrap_or_default();
    for line in &explanation.lines {
        let mark = if line.hit { ">" } else { " " };
        let _ = writeln!(text, "{mark} {:<width$}  {}", line.rule, line.reason); // a String takes everything
    }
    let _ = match &explanation.verdict {
        Ok(rule) => writeln!(text, "allowed by {rule}"),
        Err(denied) => writeln!(text, "refused: {}", sentence(denied)),
    };
    text
}

fn sentence(denied: &Denied) -> String {
    match denied {
        Denied::NotFound => "404, no rule is about this path".to_owned(),
        Denied::MethodNotAllowed { allow } => format!("405, this path takes {allow} alone"),
        Denied::SignIn => "401, nobody is signed in".to_owned(),
        Denied::AnonymousNotAllowed => "403, anonymous users are not admitted".to_owned(),
        Denied::Limited => "403, the session is limited to one unfinished step".to_owned(),
        Denied::Scope { needed } => format!("403, these scopes are needed: {needed}"),
        Denied::Forbidden => "403, a role or a claim is missing".to_owned(),
        Denied::StepUp { aal2, max_age } => {
            let age = max_age.map(|age| format!("a proof not older than {} s", age.whole_seconds()));
            let factor = aal2.then(|| "a second factor".to_owned());
            let needed: Vec<_> = factor.into_iter().chain(age).collect();
            format!("401, this needs {}", needed.join(" and "))
        }
    }
}
