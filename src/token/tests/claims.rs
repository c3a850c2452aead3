//! S-34 and S-35: what a token must say, and who is a user.

use serde_json::{Value, json};
use time::Duration;

use crate::token::testing::{HS, ISSUER, NOW, all_keys, claims, claims_with, expectations};
use crate::token::{Claims, Expectations, Invalid, verify};

fn check(text: &str) -> Result<Claims, Invalid> {
    verify(&HS.raw(r#"{"alg":"HS256","typ":"JWT"}"#, text), &all_keys(), &expectations(), NOW)
}

/// The usual claims as JSON, with `name` written as `raw`; `None` leaves it out.
fn with(name: &str, raw: Option<&str>) -> String {
    let mut all = claims().as_object().unwrap().clone();
    all.remove(name);
    let rest = Value::Object(all).to_string();
    match raw {
        None => rest,
        Some(raw) => format!("{{\"{name}\":{raw},{}", &rest[1..]),
    }
}

/// S-34: each claim absent, null, of every other type, negative, out of range.
#[test]
fn a_wrong_type_is_invalid_not_absent() {
    assert!(check(&claims().to_string()).is_ok());
    let wrong = [
        ("null", "null"),
        ("a text", "\"1767225600\""),
        ("a float", "1767229200.0"),
        ("a float with a fraction", "1767229200.5"),
        ("a list", "[1767229200]"),
        ("an object", "{\"v\":1767229200}"),
        ("true", "true"),
        ("negative", "-1"),
        ("huge", "1e300"),
        ("beyond i64", "18446744073709551615"),
        ("beyond the year 9999", "253402300800"),
    ];
    for name in ["exp", "iat", "nbf"] {
        let absent = check(&with(name, None)).map(|_| ());
        assert_eq!(absent, if name == "nbf" { Ok(()) } else { Err(Invalid::Claims(name)) }, "{name} absent");
        for (what, raw) in wrong {
            assert_eq!(check(&with(name, Some(raw))), Err(Invalid::Claims(name)), "{name}: {what}");
        }
    }
    for name in ["iss", "sub", "session_id", "role", "aud"] {
        assert_eq!(check(&with(name, None)), Err(Invalid::Claims(name)), "{name} absent");
        for raw in ["null", "1", "1.5", "-1", "1e300", "[1]", "[null]", "{\"v\":\"x\"}", "false", "[[\"x\"]]"]
        {
            assert_eq!(check(&with(name, Some(raw))), Err(Invalid::Claims(name)), "{name}: {raw}");
        }
    }
    for (name, wrong) in [
        ("email", ["null", "1", "[\"a\"]"]),
        ("phone", ["null", "1", "{}"]),
        ("is_anonymous", ["null", "\"true\"", "1"]),
        ("aal", ["null", "2", "\"aal3\""]),
        ("amr", ["null", "\"password\"", "[1]"]),
        ("amr", ["[{}]", "[{\"method\":1}]", "[{\"method\":\"otp\",\"timestamp\":\"1\"}]"]),
    ] {
        for raw in wrong {
            assert_eq!(check(&with(name, Some(raw))), Err(Invalid::Claims(name)), "{name}: {raw}");
        }
        assert!(check(&with(name, None)).is_ok(), "{name} may be absent");
    }
}

/// S-34: a member that occurs twice makes the token worthless, wherever and with whatever values.
#[test]
fn nothing_may_be_said_twice() {
    let usual = claims();
    for (name, value) in usual.as_object().unwrap() {
        let twice = format!("{{\"{name}\":{value},{}", &usual.to_string()[1..]);
        assert_eq!(check(&twice), Err(Invalid::Shape), "{name}");
    }
    let inside = with("app_metadata", Some(r#"{"role":"user","role":"admin"}"#));
    assert_eq!(check(&inside), Err(Invalid::Shape));
    let escaped = format!("{{\"r\\u006fle\":\"authenticated\",{}", &usual.to_string()[1..]);
    assert_eq!(check(&escaped), Err(Invalid::Shape));
}

/// S-34: issuer byte for byte, audience one of several, ids in their one spelling.
#[test]
fn values_must_be_the_expected_ones() {
    for iss in
        ["", "https://project.example.test/auth/v1/", "HTTPS://project.example.test/auth/v1", "supabase"]
    {
        assert_eq!(
            check(&claims_with(json!({"iss": iss})).to_string()),
            Err(Invalid::Claims("iss")),
            "{iss}"
        );
    }
    for aud in [json!("anon"), json!(""), json!([]), json!(["a", "b"]), json!("authenticated ")] {
        assert_eq!(
            check(&claims_with(json!({"aud": aud})).to_string()),
            Err(Invalid::Claims("aud")),
            "{aud}"
        );
    }
    // Contract, section 6: after a hook it may be a list.
    let listed = check(&claims_with(json!({"aud": ["x", "authenticated"]})).to_string()).unwrap();
    assert_eq!(listed.aud, ["x", "authenticated"]);
    for id in ["", "1", "0b3f1c9e5d534f8e9d0a6a1f0a3c2b11", "{0b3f1c9e-5d53-4f8e-9d0a-6a1f0a3c2b11}"] {
        assert_eq!(check(&claims_with(json!({"sub": id})).to_string()), Err(Invalid::Claims("sub")), "{id}");
    }
}

/// S-34: every border of time, with the leeway and without.
#[test]
fn times_have_sharp_borders() {
    let read = |changes: Value| Claims::read(claims_with(changes).as_object().unwrap().clone()).unwrap();
    let expect = expectations();
    let now = NOW.unix_timestamp();
    for (changes, verdict) in [
        (json!({"iat": now - 60, "exp": now - 9}), Ok(())),
        (json!({"iat": now - 60, "exp": now - 10}), Err(Invalid::Expired)),
        (json!({"iat": now + 10}), Ok(())),
        (json!({"iat": now + 11}), Err(Invalid::NotYet)),
        (json!({"nbf": now + 10}), Ok(())),
        (json!({"nbf": now + 11}), Err(Invalid::NotYet)),
        (json!({"nbf": 0, "iat": now + 11}), Err(Invalid::NotYet)),
    ] {
        assert_eq!(expect.in_time(&read(changes.clone()), NOW), verdict, "{changes}");
    }
    let generous = Expectations { leeway: Duration::hours(2), ..expectations() };
    let expired = read(json!({"exp": now - 60}));
    assert_eq!(generous.in_time(&expired, NOW), Err(Invalid::Expired), "never more than a minute");
    assert_eq!(generous.in_time(&read(json!({"exp": now - 59})), NOW), Ok(()));
}

/// S-35: keys and other things that the same secret signs are not people.
#[test]
fn only_access_tokens_of_users_count() {
    for role in ["anon", "service_role", "supabase_admin"] {
        let token = HS.token("x", &claims_with(json!({"role": role})));
        let listed = Expectations { user_roles: vec![role.to_owned()], ..expectations() };
        for expect in [&expectations(), &listed] {
            assert_eq!(verify(&token, &all_keys(), expect, NOW), Err(Invalid::NotAUser), "{role}");
        }
    }
    for role in ["", "Authenticated", "authenticated ", "postgres"] {
        assert_eq!(check(&claims_with(json!({"role": role})).to_string()), Err(Invalid::NotAUser), "{role}");
    }
    let (iat, exp) = (NOW.unix_timestamp(), NOW.unix_timestamp() + 3600);
    for other in [
        json!({"iss": "supabase", "ref": "project", "role": "anon", "iat": iat, "exp": exp}),
        json!({"iss": "supabase", "ref": "project", "role": "service_role", "iat": iat, "exp": exp}),
        json!({"url": "bucket/picture.png", "iat": iat, "exp": exp}),
        json!({"iss": ISSUER, "aud": "client", "sub": "0b3f1c9e-5d53-4f8e-9d0a-6a1f0a3c2b11", "iat": iat, "exp": exp}),
        json!({"iss": ISSUER, "aud": "authenticated", "sub": "0b3f1c9e-5d53-4f8e-9d0a-6a1f0a3c2b11",
            "role": "authenticated", "iat": iat, "exp": exp}),
        json!({"metadata": {"uuid": "x", "name": "custom-access-token"}, "user_id": "x", "claims": claims()}),
    ] {
        assert!(check(&other.to_string()).is_err(), "{other}");
    }
}

/// Contract, sections 5.1 and 6: what may be absent or take two forms.
#[test]
fn hooks_may_shape_the_rest() {
    let amr = json!(["password", {"method": "totp", "timestamp": 7, "provider": "x"}, {"method": "otp"}]);
    let claims =
        check(&claims_with(json!({"amr": amr, "aal": "aal2", "user_role": "editor"})).to_string()).unwrap();
    let methods: Vec<_> = claims.amr.iter().map(|proof| (proof.method.as_str(), proof.timestamp)).collect();
    assert_eq!(methods, [("password", None), ("totp", Some(7)), ("otp", None)]);
    assert_eq!(claims.auth_time().unwrap().unix_timestamp(), 7);
    assert_eq!((claims.aal, claims.set().at("user_role").cloned()), (2, Some(json!("editor"))));
    assert_eq!(claims.set().at("app_metadata.provider"), Some(&json!("email")));
    assert_eq!(claims.set().app_metadata().unwrap()["provider"], "email");
    let bare = Claims::suppose(serde_json::Map::new(), NOW).unwrap();
    assert_eq!((bare.aal, bare.amr.len(), bare.email.as_str(), bare.is_anonymous), (1, 0, "", false));
}

/// S-99: no path leads into what users write themselves. S-86: nor does printing show it.
#[test]
fn user_metadata_is_out_of_reach() {
    let claims = check(&claims().to_string()).unwrap();
    assert_eq!(claims.set().user_metadata().unwrap()["name"], "Ada");
    for path in ["user_metadata", "user_metadata.name", "", ".user_metadata", "iss.x", "app_metadata."] {
        assert_eq!(claims.set().at(path), None, "{path}");
    }
    let printed = format!("{claims:?}");
    assert!(!printed.contains("ada@") && !printed.contains("Ada"), "{printed}");
}
