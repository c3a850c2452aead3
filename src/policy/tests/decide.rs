//! Whether a person satisfies a rule: S-98 to S-101.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{NOW, claims, one, policy, rule, user};
use crate::policy::{Allow, Denied, Permit, Via, Who};
use crate::token::Claims;

fn ask(rule: Value, who: &Who<'_>) -> Result<(), Denied> {
    one(rule, who, NOW).map(|_| ())
}

fn scope(needed: &str) -> Result<(), Denied> {
    Err(Denied::Scope { needed: needed.to_owned() })
}

/// S-98, S-32, S-39, S-100: kind of rule against kind of caller.
#[test]
fn who_passes_which_kind_of_rule() {
    let (person, anonymous) = (claims(json!({})), claims(json!({"is_anonymous": true})));
    let bearer = |claims| Who::User { claims, via: Via::Bearer, auth_time: None, limited: false };
    let limited = |claims| Who::User { claims, via: Via::Cookie, auth_time: None, limited: true };
    let callers = [Who::Nobody, user(&person), bearer(&person), user(&anonymous), limited(&person)];
    let (ok, sign_in, limited) = (Ok(()), Err(Denied::SignIn), Err(Denied::Limited));
    let no_anonymous = Err(Denied::AnonymousNotAllowed);
    for (rule, verdicts) in [
        (json!({"allow": "public"}), [&ok, &ok, &ok, &ok, &ok]),
        (json!({"allow": "optional"}), [&ok, &ok, &ok, &ok, &limited]),
        (json!({"allow": "optional", "bearer": false}), [&ok, &ok, &ok, &ok, &limited]),
        (json!({"allow": "user"}), [&sign_in, &ok, &ok, &no_anonymous, &limited]),
        (json!({}), [&sign_in, &ok, &ok, &no_anonymous, &limited]),
        (json!({"anonymous_users": true}), [&sign_in, &ok, &ok, &ok, &limited]),
        (json!({"bearer": false}), [&sign_in, &ok, &sign_in, &no_anonymous, &limited]),
    ] {
        for (at, (caller, verdict)) in callers.iter().zip(verdicts).enumerate() {
            assert_eq!(&ask(rule.clone(), caller), verdict, "{rule}, caller {at}");
        }
    }
}

/// S-98: the permit says what was decided, and names the person where he has a part in it.
#[test]
fn the_permit_tells_rule_and_person() {
    let person = claims(json!({
        "email": "ada@example.test", "user_metadata": {"full_name": " Ada ", "role": "admin"},
        "app_metadata": {"roles": ["editor"]}
    }));
    let permit = |allow: &str, who: &Who<'_>| -> Permit { one(json!({"allow": allow}), who, NOW).unwrap() };
    let seen = permit("user", &user(&person));
    assert_eq!(
        (seen.rule(), seen.upstream(), seen.strip(), seen.allow()),
        ("x", Some("api"), "", Allow::User)
    );
    let identity = seen.identity().unwrap();
    assert_eq!((identity.user_id, identity.email.as_str()), (person.sub, "ada@example.test"));
    assert_eq!(
        (identity.name.as_deref(), identity.groups.as_slice()),
        (Some("Ada"), &["editor".to_owned()][..])
    );
    assert!(!format!("{seen:?}").contains("ada@"), "S-86: nothing of it is printed");
    assert!(permit("public", &user(&person)).identity().is_none());
    assert!(permit("optional", &user(&person)).identity().is_some());
    assert!(permit("optional", &Who::Nobody).identity().is_none());
    let odd = claims(json!({"user_metadata": {"full_name": "a\r\nX-Forwarded-User: b", "name": "Ada"}}));
    assert_eq!(permit("user", &user(&odd)).identity().unwrap().name.as_deref(), Some("Ada"));
}

/// S-101: whole strings, hierarchy at the separator alone, all of several.
#[test]
fn scopes_are_compared_step_by_step() {
    for (granted, needed, passes) in [
        (json!(["items:read"]), "items:read", true),
        (json!(["items"]), "items:read", true),
        (json!(["items"]), "items", true),
        (json!("notes:read items:read"), "items:read", true),
        (json!("items:read"), "items:read", true),
        (json!(["items:readall"]), "items:read", false),
        (json!(["items:rea"]), "items:read", false),
        (json!(["item"]), "items:read", false),
        (json!(["items:"]), "items:read", false),
        (json!(["items:read:"]), "items:read", false),
        (json!(["items:read"]), "items", false),
        (json!(["items:read:own"]), "items:read", false),
        (json!(["Items:read"]), "items:read", false),
        (json!(["items:Read"]), "items:read", false),
        (json!(["items：read"]), "items:read", false),
        (json!(["іtems:read"]), "items:read", false),
        (json!([" items:read"]), "items:read", false),
        (json!(["items:read notes:read"]), "items:read", false),
        (json!("items:read,notes:read"), "items:read", false),
        (json!("notes:read\titems:read"), "items:read", false),
        (json!(["*"]), "items:read", false),
        (json!("*"), "items:read", false),
        (json!([""]), "items:read", false),
        (json!(""), "items:read", false),
        (json!(["items:read", 1]), "items:read", false),
        (json!({"items:read": true}), "items:read", false),
        (json!(null), "items:read", false),
    ] {
        for claim in ["scope", "scopes"] {
            let person = claims(json!({ claim: granted.clone() }));
            let verdict = ask(json!({"scopes": [needed]}), &user(&person));
            assert_eq!(verdict, if passes { Ok(()) } else { scope(needed) }, "{granted} for {needed}");
        }
    }
    let person = claims(json!({"scope": "items notes:read"}));
    assert_eq!(ask(json!({"scopes": ["items:read", "notes:read"]}), &user(&person)), Ok(()));
    let both = json!({"scopes": ["items:write", "orders"]});
    assert_eq!(ask(both, &user(&person)), scope("items:write orders"), "all of them");
    assert_eq!(ask(json!({"any_scopes": ["orders", "notes:read"]}), &user(&person)), Ok(()));
    let neither = json!({"any_scopes": ["orders:x", "orders:y"]});
    assert_eq!(ask(neither, &user(&person)), scope("orders:x orders:y"));
}

/// S-101: roles bring scopes; `*` is all of them, in `[roles]` alone.
#[test]
fn roles_expand() {
    for (role, read, write, orders) in [
        ("user", true, false, false),
        ("editor", true, true, false),
        ("admin", true, true, true),
        ("x", false, false, false),
    ] {
        let person = claims(json!({"app_metadata": {"roles": [role]}}));
        for (needed, passes) in [("items:read", read), ("items:write", write), ("orders", orders)] {
            assert_eq!(ask(json!({"scopes": [needed]}), &user(&person)).is_ok(), passes, "{role} {needed}");
        }
        assert_eq!(ask(json!({"roles": ["admin", "editor"]}), &user(&person)).is_ok(), write, "{role}");
    }
}

/// S-99: what users write themselves, and claims of another type, fail the rule.
#[test]
fn untrustworthy_and_mistyped_claims_fail() {
    let denied = Err(Denied::Forbidden);
    let wants_role = || json!({"roles": ["admin"]});
    for granted in [
        json!({"user_metadata": {"role": "admin", "roles": ["admin"], "app_metadata": {"role": "admin"}}}),
        json!({"app_metadata": {"roles": "admin"}}),
        json!({"app_metadata": {"roles": [["admin"]]}}),
        json!({"app_metadata": {"roles": ["admin", 1]}}),
        json!({"app_metadata": {"role": ["admin"]}}),
        json!({"app_metadata": {"role": "Admin"}}),
        json!({"app_metadata": {"role": "admin user"}}),
        json!({"app_metadata": [{"role": "admin"}]}),
        json!({"app_metadata": "admin"}),
        json!({"user_role": true}),
        json!({"role": "authenticated", "roles": ["admin"]}),
        json!({}),
    ] {
        assert_eq!(ask(wants_role(), &user(&claims(granted.clone()))), denied, "{granted}");
    }
    for granted in [
        json!({"app_metadata": {"roles": ["user", "admin"]}}),
        json!({"app_metadata": {"role": "admin"}}),
        json!({"user_role": "admin"}),
    ] {
        assert_eq!(ask(wants_role(), &user(&claims(granted.clone()))), Ok(()), "{granted}");
    }
}

/// S-99: a claim is compared with its exact type; each named one must have one of its values.
#[test]
fn claims_are_compared_exactly() {
    let wants = |values: Value| json!({"claims": {"app_metadata.tenant": values}});
    for (values, claim, passes) in [
        (json!(["acme"]), json!("acme"), true),
        (json!(["other", "acme"]), json!("acme"), true),
        (json!([7]), json!(7), true),
        (json!([true]), json!(true), true),
        (json!([["acme"]]), json!(["acme"]), true),
        (json!(["acme"]), json!(["acme"]), false),
        (json!([["acme"]]), json!("acme"), false),
        (json!(["acme"]), json!("Acme"), false),
        (json!(["acme"]), json!("acme "), false),
        (json!(["7"]), json!(7), false),
        (json!([7]), json!("7"), false),
        (json!([7]), json!(7.0), false),
        (json!([true]), json!("true"), false),
        (json!([true]), json!(1), false),
        (json!(["acme"]), json!(null), false),
    ] {
        let person = claims(json!({"app_metadata": {"tenant": claim}}));
        let verdict = ask(wants(values.clone()), &user(&person));
        assert_eq!(verdict, if passes { Ok(()) } else { Err(Denied::Forbidden) }, "{values} {claim}");
    }
    let two = json!({"claims": {"app_metadata.tenant": ["acme"], "role": ["authenticated"]}});
    assert_eq!(ask(two.clone(), &user(&claims(json!({"app_metadata": {"tenant": "acme"}})))), Ok(()));
    assert_eq!(ask(two, &user(&claims(json!({})))), Err(Denied::Forbidden));
}

/// S-100: a missing level is the first one; the proof ages, and a refresh does not renew it.
#[test]
fn strength_and_age() {
    let aal2 = || json!({"aal": 2});
    let step_up = |aal2, max_age| Err(Denied::StepUp { aal2, max_age });
    assert_eq!(ask(aal2(), &user(&claims(json!({})))), step_up(true, None));
    assert_eq!(ask(aal2(), &user(&claims(json!({"aal": "aal1"})))), step_up(true, None));
    assert_eq!(ask(aal2(), &user(&claims(json!({"aal": "aal2"})))), Ok(()));
    assert_eq!(ask(json!({"aal": 1}), &user(&claims(json!({})))), Ok(()));

    let five = Duration::minutes(5);
    let fresh = |auth_time: Option<OffsetDateTime>, claims: &Claims| {
        ask(json!({"max_age": "5m"}), &Who::User { claims, via: Via::Cookie, auth_time, limited: false })
    };
    let none = claims(json!({}));
    let proved =
        |ago: i64| claims(json!({"amr": [{"method": "password", "timestamp": NOW.unix_timestamp() - ago}]}));
    assert_eq!(fresh(Some(NOW - five), &none), Ok(()));
    assert_eq!(fresh(Some(NOW - five - Duration::SECOND), &none), step_up(false, Some(five)));
    assert_eq!(fresh(Some(NOW + Duration::minutes(2)), &none), step_up(false, Some(five)), "from the future");
    assert_eq!(fresh(None, &none), step_up(false, Some(five)), "never proved");
    assert_eq!(fresh(None, &proved(300)), Ok(()), "a bearer's own proofs count");
    assert_eq!(fresh(None, &proved(301)), step_up(false, Some(five)));
    assert_eq!(
        fresh(Some(NOW - Duration::HOUR), &proved(1)),
        step_up(false, Some(five)),
        "the session knows better"
    );
}

/// S-100: nobody is sent to a step-up that would not help him.
#[test]
fn the_lasting_no_comes_first() {
    let person = claims(json!({}));
    assert_eq!(ask(json!({"scopes": ["items"], "aal": 2}), &user(&person)), scope("items"));
    assert_eq!(ask(json!({"roles": ["admin"], "max_age": "5m"}), &user(&person)), Err(Denied::Forbidden));
    let anonymous = claims(json!({"is_anonymous": true}));
    assert_eq!(ask(json!({"scopes": ["items"]}), &user(&anonymous)), Err(Denied::AnonymousNotAllowed));
}

/// S-40, S-98: a token that one rule lets through is judged anew by the next.
#[test]
fn every_rule_judges_for_itself() {
    let policy = policy(json!([
        {"name": "read", "path": "/read", "to": "api", "scopes": ["items:read"]},
        {"name": "write", "path": "/write", "to": "api", "scopes": ["items:write"]}
    ]));
    let person = claims(json!({"scope": "items:read"}));
    for _ in 0..2 {
        assert!(policy.decide(&rule(&policy, "/read"), &user(&person), NOW).is_ok());
        assert!(policy.decide(&rule(&policy, "/write"), &user(&person), NOW).is_err());
    }
}
