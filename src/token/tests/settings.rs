//! What the verifier is told, and what is refused at start.

use base::vars::{Problems, Weight};
use time::Duration;
use url::Url;

use crate::token::Settings;

fn read(pairs: &[(&str, &str)], supabase: &str) -> (Option<Settings>, Vec<(Weight, &'static str, String)>) {
    let vars: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let supabase = Url::parse(supabase).unwrap();
    let public = Url::parse("https://auth.example.test").unwrap();
    let mut problems = Problems::default();
    let settings = Settings::read(&vars, &supabase, &public, &mut problems);
    assert!(!format!("{settings:?} {problems:?}").contains("canary"), "S-87: no secret is printed");
    let list = problems.list().iter().map(|p| (p.weight, p.code, p.place.clone())).collect();
    (settings, list)
}

#[test]
fn defaults_follow_from_the_addresses() {
    let (settings, problems) = read(&[], "https://project.example.test");
    let settings = settings.unwrap();
    assert!(problems.is_empty());
    assert_eq!(settings.issuer, "https://auth.example.test/auth/v1");
    assert_eq!(
        settings.jwks_url.unwrap().as_str(),
        "https://project.example.test/auth/v1/.well-known/jwks.json"
    );
    assert_eq!(
        (settings.audience.as_str(), settings.user_roles),
        ("authenticated", vec!["authenticated".to_owned()])
    );
    assert_eq!((settings.leeway, settings.jwks_max_stale), (Duration::seconds(10), Duration::DAY));
}

/// S-33, S-87: a weak, copied or public "secret" stops the start.
#[test]
fn weak_secrets_stop_the_start() {
    let remote = "https://project.example.test";
    let (_, fine) = read(&[("SUPABASE_JWT_SECRET", "canary: of this project, in over 32 bytes")], remote);
    assert!(fine.is_empty(), "{fine:?}");
    let sample = "super-secret-jwt-token-with-at-least-32-characters-long";
    for (secret, code) in [
        ("canary: in 31 bytes, one short.", "BFF-JWT-001"),
        ("-----BEGIN PUBLIC KEY----- canary", "BFF-JWT-001"),
        (r#"{"kty":"EC","crv":"P-256","x":"canary","y":""}"#, "BFF-JWT-001"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2VjcmV0", "BFF-JWT-001"),
        (sample, "BFF-JWT-002"),
    ] {
        let (settings, problems) = read(&[("SUPABASE_JWT_SECRET", secret)], remote);
        assert!(settings.is_none());
        assert_eq!(problems, [(Weight::Fault, code, "SUPABASE_JWT_SECRET".to_owned())], "{secret}");
    }
    let (settings, problems) = read(&[("SUPABASE_JWT_SECRET", sample)], "http://127.0.0.1:54321");
    assert!(settings.is_some());
    assert_eq!(problems, [(Weight::Warning, "BFF-JWT-002", "SUPABASE_JWT_SECRET".to_owned())]);
}

/// S-34, S-35, S-36: no more than a minute of leeway, no key's role, no keys over plain http.
#[test]
fn unsafe_values_stop_the_start() {
    let remote = "https://project.example.test";
    for (name, value, code) in [
        ("BFF_SUPABASE_LEEWAY", "61s", "BFF-CONF-002"),
        ("BFF_SUPABASE_USER_ROLES", "authenticated,anon", "BFF-CONF-002"),
        ("BFF_SUPABASE_USER_ROLES", "service_role", "BFF-CONF-002"),
        ("SUPABASE_JWKS_URL", "http://project.example.test/jwks.json", "BFF-URL-001"),
        ("SUPABASE_JWKS_URL", "ftp://localhost/jwks.json", "BFF-URL-001"),
        ("SUPABASE_JWKS_URL", "nonsense", "BFF-CONF-002"),
    ] {
        let (settings, problems) = read(&[(name, value)], remote);
        assert!(settings.is_none() && problems.len() == 1, "{name}={value}: {problems:?}");
        assert_eq!(problems[0].1, code, "{name}={value}");
    }
    for pairs in [
        vec![("SUPABASE_JWKS_URL", "http://127.0.0.1:9999/jwks.json")],
        vec![("SUPABASE_JWKS_URL", "http://auth/jwks.json"), ("BFF_DANGER_PLAIN_HTTP", "auth")],
        vec![("BFF_SUPABASE_LEEWAY", "60s"), ("BFF_SUPABASE_USER_ROLES", "authenticated,member")],
    ] {
        assert!(read(&pairs, remote).0.is_some(), "{pairs:?}");
    }
}

/// A program that only verifies hears of everything that is missing.
#[test]
fn the_environment_alone_is_enough() {
    let vars = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let missing = Settings::from_env(&vars(&[])).unwrap_err();
    assert!(missing.to_string().contains("BFF-URL-001") && missing.to_string().contains("SUPABASE_URL"));
    let fine = Settings::from_env(&vars(&[("SUPABASE_URL", "https://project.example.test")])).unwrap();
    assert_eq!(fine.issuer, "https://project.example.test/auth/v1");
    let wrong = vars(&[("SUPABASE_URL", "https://project.example.test"), ("BFF_SUPABASE_LEEWAY", "2h")]);
    assert_eq!(Settings::from_env(&wrong).unwrap_err().problems().list().len(), 1);
}
