//! S-98: what is forwarded is what `explain` says, and what a second, simpler reading of the rules says.

use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NOW, claims, grants, policy};
use crate::policy::{Denied, Door, Policy, Via, Who};

const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "DELETE", "TRACE"];
const SEGMENTS: [&str; 4] = ["a", "b", "A", "auth"];

fn path() -> impl Strategy<Value = String> {
    let segment = proptest::sample::select(&SEGMENTS[..]);
    proptest::collection::vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn pattern() -> impl Strategy<Value = String> {
    (proptest::collection::vec(proptest::sample::select(vec!["a", "b", "*"]), 0..3), any::<bool>()).prop_map(
        |(mut segments, rest)| {
            if rest {
                segments.push("**");
            }
            format!("/{}", segments.join("/"))
        },
    )
}

fn rule() -> impl Strategy<Value = Value> {
    let methods = proptest::collection::vec(proptest::sample::select(vec!["GET", "POST", "DELETE"]), 0..3);
    let needs = proptest::sample::select(vec![
        json!({"allow": "public"}),
        json!({"allow": "optional"}),
        json!({}),
        json!({"anonymous_users": true}),
        json!({"scopes": ["items:read"]}),
        json!({"roles": ["admin"]}),
        json!({"aal": 2}),
        json!({"max_age": "5m"}),
        json!({"bearer": false}),
    ]);
    (methods, pattern(), needs).prop_map(|(methods, path, mut rule)| {
        let members = rule.as_object_mut().unwrap();
        members.insert("methods".to_owned(), json!(methods));
        members.insert("path".to_owned(), json!(path));
        members.insert("to".to_owned(), json!("api"));
        rule
    })
}

fn person() -> impl Strategy<Value = Value> {
    let granted = proptest::sample::select(vec![
        json!({}),
        json!({"scope": "items"}),
        json!({"scope": "items:reader"}),
        json!({"user_role": "admin"}),
        json!({"user_metadata": {"role": "admin"}}),
        json!({"aal": "aal2"}),
    ]);
    (granted, any::<bool>()).prop_map(|(mut claims, anonymous)| {
        claims["is_anonymous"] = json!(anonymous);
        claims
    })
}

/// Drops rules that are refused, so that every list makes a policy.
fn sound(rules: Vec<Value>) -> (Policy, Vec<Value>) {
    let mut kept: Vec<Value> = Vec::new();
    for (at, mut rule) in rules.into_iter().enumerate() {
        rule["name"] = json!(format!("r{at}"));
        kept.push(rule);
        if super::build(json!(kept)).is_err() {
            kept.pop();
        }
    }
    (policy(json!(kept)), kept)
}

/// The rule as a reader of the documentation would find it.
fn by_hand<'a>(rules: &'a [Value], method: &str, path: &str) -> Option<&'a Value> {
    if path == "/auth" || path.starts_with("/auth/") || method == "TRACE" {
        return None;
    }
    let method = if method == "HEAD" { "GET" } else { method };
    rules.iter().find(|rule| {
        let methods = rule["methods"].as_array().unwrap();
        (methods.is_empty() || methods.iter().any(|m| m == method))
            && fits(rule["path"].as_str().unwrap(), path)
    })
}

fn fits(pattern: &str, path: &str) -> bool {
    if let Some(prefix) = pattern.strip_suffix("/**") {
        let pieces = prefix.split('/').count();
        let head = path.split('/').take(pieces).collect::<Vec<_>>().join("/");
        return prefix.is_empty() || fits(prefix, &head);
    }
    let (asked, wanted): (Vec<_>, Vec<_>) = (path.split('/').collect(), pattern.split('/').collect());
    let same = |(a, w): (&&str, &&str)| a == w || (*w == "*" && !a.is_empty());
    asked.len() == wanted.len() && asked.iter().zip(&wanted).all(same)
}

proptest! {
    #[test]
    fn explain_and_decide_agree(
        rules in proptest::collection::vec(rule(), 0..6),
        method in proptest::sample::select(&METHODS[..]),
        path in path(),
        caller in proptest::option::of(person()),
        bearer in any::<bool>(),
        limited in any::<bool>(),
    ) {
        let (policy, rules) = sound(rules);
        let claims = caller.map(claims);
        let via = if bearer { Via::Bearer } else { Via::Cookie };
        let who = claims.as_ref().map_or(Who::Nobody, |claims| Who::User { claims, via, auth_time: None, limited });
        let verb = Method::from_bytes(method.as_bytes()).unwrap();

        let live = policy.find(None, &verb, &path).and_then(|rule| policy.decide(rule, &who, NOW));
        let told = policy.explain(Door::Gateway, &verb, None, &path, &who, NOW);
        prop_assert_eq!(&live.as_ref().map(|permit| permit.rule().to_owned()).map_err(Clone::clone), &told.verdict);
        let names: Vec<_> = told.lines.iter().map(|line| line.rule.as_str()).collect();
        let all: Vec<_> = policy.rules().iter().map(|rule| rule.name()).collect();
        prop_assert_eq!(names, all, "each rule is told about, in order");
        if let Ok(rule) = &told.verdict {
            let hits: Vec<_> = told.lines.iter().filter(|line| line.hit).map(|line| &line.rule).collect();
            prop_assert_eq!(hits, [rule], "one rule decides");
        }

        let no_rule = matches!(live, Err(Denied::NotFound | Denied::MethodNotAllowed { .. }));
        match by_hand(&rules, method, &path) {
            None => prop_assert!(no_rule),
            Some(rule) => {
                prop_assert!(!no_rule);
                let stranger_passes = matches!(rule["allow"].as_str(), Some("public" | "optional"));
                if claims.is_none() {
                    prop_assert_eq!(live.is_ok(), stranger_passes);
                }
                if let Ok(permit) = &live {
                    prop_assert_eq!(permit.rule(), rule["name"].as_str().unwrap());
                }
            }
        }
    }

    /// S-98: without a rule nothing passes, whoever asks for whatever.
    #[test]
    fn no_rules_no_way(path in "(/[ -~]{0,20}){0,4}", caller in person()) {
        let site = crate::policy::Site { services: Vec::new(), ..super::site() };
        let policy = Policy::build(Vec::new(), grants(), &site).unwrap();
        let claims = claims(caller);
        let told = policy.explain(Door::Gateway, &Method::GET, None, &path, &super::user(&claims), NOW);
        prop_assert_eq!(told.verdict, Err(Denied::NotFound));
        prop_assert!(told.lines.is_empty());
    }
}
