//! Roles and scopes as `/auth/session` shows them.

use serde_json::json;

use super::{claims, grants, policy};

#[test]
fn access_shows_roles_as_they_are_and_scopes_expanded() {
    let policy = policy(json!([]));
    let access = |some| {
        let access = policy.access(&claims(some));
        (access.roles.join(" "), access.scopes.join(" "))
    };
    let pair = |roles: &str, scopes: &str| (roles.to_owned(), scopes.to_owned());
    assert_eq!(access(json!({})), pair("", ""));
    assert_eq!(access(json!({"app_metadata": {"roles": ["user", "x"]}})), pair("user x", "items:read"));
    assert_eq!(
        access(
            json!({"app_metadata": {"roles": ["editor"], "role": "user", "scopes": ["b"]}, "user_role": "editor",
            "scope": "a * a"})
        ),
        pair("editor user", "a b items items:read")
    );
    assert_eq!(
        access(json!({"user_role": "admin"})),
        pair("admin", "items items:read items:write notes:read orders"),
        "all that are declared"
    );
    assert_eq!(access(json!({"scopes": ["*", ""], "app_metadata": {"roles": [""]}})), pair("", ""));
}

/// S-101: the separator is what the file says.
#[test]
fn another_separator() {
    let mut dotted = grants();
    dotted.claims.scope_separator = ".".to_owned();
    assert!(dotted.declares("items.read") && dotted.declares("items"));
    assert!(!dotted.declares("items:write:x") && !dotted.declares("items."));
    assert!(grants().declares("orders:delete") && !grants().declares("order"));
}
