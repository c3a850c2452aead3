//! `policy explain`: the same walk and the same decision, told step by step.

use http::Method;
use time::OffsetDateTime;

use super::decide::{Denied, Who};
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
    /// Every rule that was asked, in order.
    pub lines: Vec<Line>,
    /// What [`Policy::decide`] says; the name of the rule stands for its permit.
    pub verdict: Result<String, Denied>,
}

impl Policy {
    /// Finds and decides as for the gateway, and tells about it. Nothing is forwarded: the permit is dropped.
    pub fn explain(
        &self,
        method: &Method,
        host: Option<&str>,
        path: &str,
        who: &Who<'_>,
        now: OffsetDateTime,
    ) -> Explanation {
        let mut lines = Vec::new();
        let found = self.walk(Door::Gateway, host, method, path, |rule, verdict| {
            let reason = match verdict {
                Ok(()) => "matches: it decides".to_owned(),
                Err(miss) => miss.to_string(),
            };
            lines.push(Line { rule: rule.name().to_owned(), hit: verdict.is_ok(), reason });
        });
        let verdict =
            found.and_then(|rule| self.decide(rule, who, now)).map(|permit| permit.rule().to_owned());
        Explanation { lines, verdict }
    }
}
