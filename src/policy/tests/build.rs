//! Findings about the rules: S-93, S-98, S-99.

use serde_json::{Value, json};

use super::{build, grants, settings, site};
use crate::policy::{Grants, Policy, Site};

/// The findings about one rule at `/api/x`, as `code place`.
fn findings(mut rule: Value) -> Vec<String> {
    let members = rule.as_object_mut().unwrap();
    for (key, value) in [("name", json!("r")), ("path", json!("/api/x")), ("to", json!("api"))] {
        members.entry(key).or_insert(value);
    }
    members.retain(|_, value| !value.is_null());
    list(build(json!([rule])))
}

fn list(built: Result<Policy, Vec<crate::policy::Finding>>) -> Vec<String> {
    built.err().unwrap_or_default().iter().map(|f| format!("{} {}", f.code, f.place)).collect()
}

#[test]
fn sound_rules_have_no_findings() {
    for rule in [
        json!({}),
        json!({"methods": ["GET", "HEAD", "PURGE"], "strip": "/api"}),
        json!({"path": "/api/*/y/**", "strip": "/api"}),
        json!({"scopes": ["items:read", "orders:delete"], "any_scopes": ["items"], "roles": ["admin"]}),
        json!({"claims": {"app_metadata.tenant": ["acme", 7, true]}, "aal": 2, "max_age": "5m", "live": true}),
        json!({"allow": "public", "csrf": "off", "code_guard": "off"}),
        json!({"to": null, "host": "app.example.test"}),
    ] {
        assert_eq!(findings(rule.clone()), Vec::<String>::new(), "{rule}");
    }
}

/// BFF-RULE-002 (S-99): a rule or a claim path that names `user_metadata` stops the start.
#[test]
fn user_metadata_is_refused() {
    for path in ["user_metadata.role", "user_metadata", "app_metadata.user_metadata.x"] {
        assert_eq!(findings(json!({"claims": { path: ["x"] }})), ["BFF-RULE-002 rules.r.claims"], "{path}");
        for key in ["roles", "scopes"] {
            let mut grants = grants();
            let paths = if key == "roles" { &mut grants.claims.roles } else { &mut grants.claims.scopes };
            paths.push(path.to_owned());
            assert_eq!(
                list(Policy::build(Vec::new(), grants, &site())),
                [format!("BFF-RULE-002 claims.{key}")]
            );
        }
    }
}

/// BFF-RULE-003: upstreams, scopes and roles that nobody declared.
#[test]
fn unknown_names_are_refused() {
    for (rule, place) in [
        (json!({"to": "nowhere"}), "to"),
        (json!({"scopes": ["items", "itemz:read"]}), "scopes"),
        (json!({"any_scopes": ["notes"]}), "any_scopes"),
        (json!({"roles": ["admin", "root"]}), "roles"),
    ] {
        assert_eq!(findings(rule.clone()), [format!("BFF-RULE-003 rules.r.{place}")], "{rule}");
    }
    let mut grants = grants();
    grants.roles.insert("odd".to_owned(), vec!["itemz".to_owned(), "*".to_owned()]);
    assert_eq!(list(Policy::build(Vec::new(), grants, &site())), ["BFF-RULE-003 roles.odd"]);
}

/// BFF-RULE-001: rules that never decide.
#[test]
fn unreachable_rules_are_refused() {
    for (first, second, reached) in [
        (json!({"path": "/api/**"}), json!({"path": "/api/x"}), false),
        (json!({"path": "/api/**"}), json!({"path": "/api"}), false),
        (json!({"path": "/api/**"}), json!({"path": "/api/x/**"}), false),
        (json!({"path": "/api/*"}), json!({"path": "/api/x"}), false),
        (json!({"path": "/api/x"}), json!({"path": "/api/%78"}), false),
        (
            json!({"path": "/**", "methods": ["GET", "POST"]}),
            json!({"path": "/a", "methods": ["POST"]}),
            false,
        ),
        (json!({"path": "/**"}), json!({"path": "/a", "host": "a.example.test"}), false),
        (json!({"path": "/**", "host": "a.test"}), json!({"path": "/a", "host": "A.test"}), false),
        (json!({"path": "/**", "host": "a.test"}), json!({"path": "/a", "host": "b.test"}), true),
        (json!({"path": "/api/*"}), json!({"path": "/api/**"}), true),
        (json!({"path": "/api/*"}), json!({"path": "/api/"}), true),
        (json!({"path": "/api/x"}), json!({"path": "/api/*"}), true),
        (json!({"path": "/api/x"}), json!({"path": "/api/X"}), true),
        (json!({"path": "/**", "methods": ["GET"]}), json!({"path": "/a"}), true),
        (json!({"path": "/**", "host": "a.example.test"}), json!({"path": "/a"}), true),
        (json!({"path": "/**", "host": "a.example.test", "to": null}), json!({"path": "/a"}), true),
    ] {
        let named = |mut rule: Value, name: &str| {
            let members = rule.as_object_mut().unwrap();
            members.insert("name".to_owned(), json!(name));
            members.entry("to").or_insert(json!("api"));
            members.retain(|_, value| !value.is_null());
            rule
        };
        let found = list(build(json!([named(first.clone(), "one"), named(second.clone(), "two")])));
        let expected: &[&str] = if reached { &[] } else { &["BFF-RULE-001 rules.two"] };
        assert_eq!(found, expected, "{first} {second}");
    }
    let rule = |name: &str, methods: &[&str], path: &str| json!({ "name": name, "path": path, "methods": methods, "to": "api" });
    let (get, post) = (rule("get", &["GET"], "/a/**"), rule("post", &["POST"], "/**"));
    let both = list(build(json!([get, post, rule("both", &["GET", "POST"], "/a/x")])));
    assert_eq!(both, ["BFF-RULE-001 rules.both"], "one rule takes one method, another the other");
    for open in
        [rule("more", &["GET", "PUT"], "/a/x"), rule("all", &[], "/a/x"), rule("out", &["GET", "POST"], "/b")]
    {
        assert_eq!(list(build(json!([get, post, open]))), Vec::<String>::new(), "{open}");
    }
    for path in ["/auth", "/auth/login", "/auth/**", "/supabase/rest/v1/x", "/supabase/**", "/%61uth/x"] {
        assert_eq!(findings(json!({ "path": path })), ["BFF-RULE-001 rules.r"], "{path}");
    }
    for path in ["/a//b", "/a/../b", "/a/./b", "/a?b", "/a#b", "/a b", "/ä", "/a\\b", "/a%2", "/a%zz"] {
        assert_eq!(findings(json!({ "path": path })), ["BFF-RULE-001 rules.r.path"], "{path}");
    }
    for method in ["HEAD", "TRACE", "CONNECT"] {
        assert_eq!(findings(json!({"methods": [method]})), ["BFF-RULE-001 rules.r.methods"], "{method}");
    }
}

/// S-93: unreadable values, and options without effect.
#[test]
fn other_faults_are_listed_too() {
    for (rule, place) in [
        (json!({"path": "api"}), "path"),
        (json!({"path": "/a/**/b"}), "path"),
        (json!({"path": "/a*"}), "path"),
        (json!({"path": ""}), "path"),
        (json!({"methods": ["get"]}), "methods"),
        (json!({"methods": ["G T"]}), "methods"),
        (json!({"strip": "/ap"}), "strip"),
        (json!({"strip": "api"}), "strip"),
        (json!({"strip": "/other"}), "strip"),
        (json!({"to": null}), "to"),
        (json!({"host": "a.example.test:443"}), "host"),
        (json!({"aal": 3}), "aal"),
        (json!({"max_age": "soon"}), "max_age"),
        (json!({"max_age": "0s"}), "max_age"),
        (json!({"scopes": ["*"]}), "scopes"),
        (json!({"scopes": [""]}), "scopes"),
        (json!({"scopes": ["items:"]}), "scopes"),
        (json!({"scopes": ["items read"]}), "scopes"),
        (json!({"claims": {"app_metadata.tenant": []}}), "claims"),
        (json!({"claims": {"app_metadata.tenant": [null]}}), "claims"),
        (json!({"claims": {"app_metadata..tenant": ["x"]}}), "claims"),
        (json!({"allow": "public", "scopes": ["items"]}), "scopes"),
        (json!({"allow": "optional", "aal": 2}), "aal"),
        (json!({"allow": "optional", "anonymous_users": true}), "anonymous_users"),
        (json!({"allow": "public", "live": true}), "live"),
    ] {
        assert_eq!(findings(rule.clone()), [format!("BFF-CONF-002 rules.r.{place}")], "{rule}");
    }
    let twice = json!([{"name": "r", "path": "/a", "to": "api"}, {"name": "r", "path": "/b", "to": "api"}]);
    assert_eq!(list(build(twice)), ["BFF-CONF-002 rules.r.name"]);
    let taken = json!([{"name": "rest", "path": "/a", "to": "api"}]);
    assert_eq!(list(build(taken)), ["BFF-CONF-002 rules.rest.name"]);
    for mount in ["", "/", "supabase", "/auth", "/auth/x", "/a/*", "/a/", "/a b"] {
        let site = Site { mount: mount.to_owned(), ..site() };
        let found = list(Policy::build(Vec::new(), Grants::default(), &site));
        assert_eq!(found, ["BFF-CONF-002 supabase.mount"], "{mount:?}");
    }
    for separator in ["", "::", "a", " ", "*", "\\"] {
        let mut grants = Grants::default();
        grants.claims.scope_separator = separator.to_owned();
        let found = list(Policy::build(Vec::new(), grants, &site()));
        assert_eq!(found, ["BFF-CONF-002 claims.scope_separator"], "{separator:?}");
    }
}

/// S-93: one reading lists all of them.
#[test]
fn all_faults_come_at_once() {
    let found = list(build(json!([
        {"name": "a", "path": "/api/**", "to": "nowhere", "scopes": ["itemz"], "claims": {"user_metadata.x": [1]}},
        {"name": "b", "path": "/web/**", "to": "web"},
        {"name": "c", "path": "/web/x", "to": "web"}
    ])));
    assert_eq!(
        found,
        [
            "BFF-RULE-003 rules.a.to",
            "BFF-RULE-003 rules.a.scopes",
            "BFF-RULE-002 rules.a.claims",
            "BFF-RULE-001 rules.c"
        ]
    );
}

/// S-93: a misspelt key of a rule is no rule.
#[test]
fn unknown_keys_are_refused() {
    for key in ["scope", "allows", "Methods", "anonymous"] {
        let rule = json!({"name": "r", "path": "/x", "to": "api", key: true});
        assert!(serde_json::from_value::<crate::policy::RuleSettings>(rule).is_err(), "{key}");
    }
    for allow in ["", "Public", "users", "none"] {
        let rule = json!({"name": "r", "path": "/x", "to": "api", "allow": allow});
        assert!(serde_json::from_value::<crate::policy::RuleSettings>(rule).is_err(), "{allow}");
    }
    assert_eq!(settings(json!([{"name": "r", "path": "/x"}]))[0].allow, crate::policy::Allow::User);
}

/// A rule as it stands in `bff.toml`.
#[cfg(feature = "axum")]
#[test]
fn a_rule_reads_from_toml() {
    #[derive(serde::Deserialize)]
    struct File {
        rules: Vec<crate::policy::RuleSettings>,
    }
    let text = r#"
        [[rules]]
        name = "orders-delete"
        methods = ["DELETE"]
        path = "/api/orders/**"
        to = "api"
        strip = "/api"
        allow = "user"
        scopes = ["orders:delete"]
        roles = ["admin"]
        claims = { "app_metadata.tenant" = ["acme", 7] }
        aal = 2
        max_age = "5m"
        bearer = false
        csrf = "off"
    "#;
    let file: File = toml::from_str(text).unwrap();
    let policy = Policy::build(file.rules, grants(), &site()).unwrap();
    let rule = policy.rules().last().unwrap();
    assert_eq!((rule.name(), rule.upstream(), rule.strip()), ("orders-delete", Some("api"), "/api"));
    assert_eq!(
        (rule.csrf_off(), rule.bearer_allowed(), rule.code_guard_off(), rule.live()),
        (true, false, false, false)
    );
    assert_eq!(rule.paths().collect::<Vec<_>>(), ["/api/orders/**"]);
}
