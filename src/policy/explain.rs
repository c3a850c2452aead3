//! `policy explain`: the same walk and the same decision, told step by step.

use http::Method;
use time::OffsetDateTime;

use super::decide::{Denied, Who};
use super::rules::{Miss, Rule};
use super::{Door, Policy};

/// What one rule said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub rule: String,
    /// Whether it is about the request: then it decides, and no later rule is asked.
    pub hit: bool,
    /// Why, or why not.
    pub reason: String,
}

/// The way to a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Every rule, in order; those below the one that decides were not asked.
    pub lines: Vec<Line>,
    /// What [`Policy::decide`] says; the name of the rule stands for its permit.
    pub verdict: Result<String, Denied>,
}

impl Policy {
    /// Finds and decides as for a request at `door`, and tells about it. Nothing is forwarded: the permit is dropped.
    pub fn explain(
        &self,
        door: Door,
        method: &Method,
        host: Option<&str>,
        path: &str,
        who: &Who<'_>,
        now: OffsetDateTime,
    ) -> Explanation {
        let mut lines = Vec::new();
        let found = self.walk(door, host, method, path, |rule, verdict| {
            let reason = match verdict {
                Ok(()) => "matches: it decides".to_owned(),
                Err(miss) => reason(rule, miss),
            };
            lines.push(Line { rule: rule.name().to_owned(), hit: verdict.is_ok(), reason });
        });
        let below = self.rules().iter().skip(lines.len());
        lines.extend(below.map(|rule| Line {
            rule: rule.name().to_owned(),
            hit: false,
            reason: "not asked: a rule above it decides".to_owned(),
        }));
        let verdict =
            found.and_then(|rule| self.decide(rule, who, now)).map(|permit| permit.rule().to_owned());
        Explanation { lines, verdict }
    }
}

/// Why `rule` is about other requests.
fn reason(rule: &Rule, miss: Miss) -> String {
    let paths = || rule.paths().collect::<Vec<_>>().join(", ");
    match miss {
        Miss::Reserved => miss.to_string(),
        Miss::Door if rule.upstream().is_some() => {
            "not asked: it has an upstream, this is for another proxy".to_owned()
        }
        Miss::Door => "not asked: it has no upstream, so it is for another proxy".to_owned(),
        Miss::Host => format!("{miss}: it is for {}", rule.host().unwrap_or_default()),
        Miss::Path => format!("{miss}: it is for {}", paths()),
        Miss::Method => format!("{miss}: it takes {}", rule.listed_methods().join(", ")),
    }
}
