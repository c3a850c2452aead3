//! What may be set, and what may not.

use super::*;

fn read_at(public: &str, pairs: &[(&str, &str)], plain: &[&str]) -> (Option<Settings>, Problems) {
    let vars: Vec<_> = pairs.iter().map(|(k, v)| (format!("BFF_SESSION_{k}"), (*v).to_owned())).collect();
    let plain: Vec<String> = plain.iter().map(|&host| host.to_owned()).collect();
    let mut problems = Problems::default();
    let settings = Settings::read(&vars, &plain, &public.parse().unwrap(), &mut problems);
    assert_eq!(settings.is_none(), problems.has_faults());
    (settings, problems)
}

fn read(pairs: &[(&str, &str)]) -> (Option<Settings>, Problems) {
    read_at("https://app.example.test", pairs, &[])
}

fn codes(problems: &Problems) -> Vec<&'static str> {
    problems.list().iter().map(|problem| problem.code).collect()
}

fn server(settings: Option<Settings>) -> Server {
    match settings {
        Some(Settings::Redis(server)) => *server,
        other => panic!("no Redis but {other:?}"),
    }
}

#[test]
fn the_cookie_is_the_default() {
    assert_eq!(read(&[]).0, Some(Settings::Cookie));
    assert_eq!(read(&[("STORE", "cookie")]).0, Some(Settings::Cookie));
    assert!(!Settings::Cookie.is_store());
}

#[test]
fn a_file_is_named_by_its_path() {
    for (text, path) in [
        ("sqlite:data/sessions.db", "data/sessions.db"),
        ("sqlite:/var/lib/bff/s.db", "/var/lib/bff/s.db"),
        ("sqlite:///var/lib/bff/s.db", "/var/lib/bff/s.db"),
    ] {
        assert_eq!(read(&[("STORE", text)]).0, Some(Settings::Sqlite(path.into())), "{text}");
    }
    for text in ["sqlite", "sqlite:", "sqlite://", "sqlite::memory:"] {
        assert_eq!(codes(&read(&[("STORE", text)]).1), ["BFF-CONF-002"], "{text}");
    }
}

#[test]
fn the_prefix_is_the_public_host_unless_it_is_set() {
    let url = ("STORE", "rediss://bff:secret@redis.example.test/2");
    let (settings, _) = read(&[url]);
    assert_eq!(settings.as_ref().unwrap().to_string(), "rediss://redis.example.test:6379/2");
    assert_eq!(server(settings).prefix, "app.example.test");
    assert_eq!(server(read(&[url, ("PREFIX", "shop-1")]).0).prefix, "shop-1");
    let (settings, _) = read_at("http://localhost:8080", &[("STORE", "redis://[::1]:6380")], &[]);
    let local = server(settings);
    assert_eq!((local.address.as_str(), local.prefix.as_str()), ("redis://[::1]:6380/", "localhost:8080"));
    for prefix in ["a b", "a{b}", "a*", &"x".repeat(65)] {
        assert_eq!(codes(&read(&[url, ("PREFIX", prefix)]).1), ["BFF-CONF-002"], "{prefix}");
    }
}

/// S-93: what has no effect is a fault.
#[test]
fn a_prefix_belongs_to_redis() {
    assert_eq!(codes(&read(&[("PREFIX", "x")]).1), ["BFF-CONF-003"]);
    assert_eq!(codes(&read(&[("PREFIX", "x"), ("STORE", "sqlite:a.db")]).1), ["BFF-CONF-003"]);
}

/// S-90: off this machine TLS, a password, and a prefix that nobody else has.
#[test]
fn a_server_elsewhere_needs_tls_a_password_and_a_prefix() {
    let faults =
        |url: &str, plain: &[&str]| codes(&read_at("https://a.example.test", &[("STORE", url)], plain).1);
    assert_eq!(faults("redis://u:p@10.0.0.5", &[]), ["BFF-STORE-002"]);
    assert_eq!(faults("redis://u:p@10.0.0.5", &["10.0.0.5"]), Vec::<&str>::new());
    assert_eq!(faults("redis://u:p@Redis.internal", &["redis.INTERNAL"]), Vec::<&str>::new());
    assert_eq!(faults("redis://u:p@[fd00::5]", &["fd00::5"]), Vec::<&str>::new());
    assert_eq!(faults("rediss://redis.internal", &[]), ["BFF-STORE-002"]);
    assert_eq!(faults("rediss://u@redis.internal", &[]), ["BFF-STORE-002"]);
    assert_eq!(faults("rediss://u:@redis.internal", &[]), ["BFF-STORE-002"]);
    assert_eq!(faults("redis://redis.internal", &[]), ["BFF-STORE-002", "BFF-STORE-002"]);
    for local in ["redis://127.0.0.1", "redis://localhost:6380/1", "redis://[::1]", "redis://127.8.8.8"] {
        assert_eq!(faults(local, &[]), Vec::<&str>::new(), "{local}");
    }
    assert_eq!(faults("redis://127.0.0.1.example.test", &[]).len(), 2);

    let shared = ("STORE", "rediss://u:p@redis.example.test");
    assert_eq!(codes(&read_at("http://localhost:8080", &[shared], &[]).1), ["BFF-STORE-002"]);
    let (settings, _) = read_at("http://localhost:8080", &[shared, ("PREFIX", "ada")], &[]);
    assert_eq!(server(settings).prefix, "ada");
}

/// S-87: no finding, and nothing else that is printed, repeats the password.
#[test]
fn the_password_of_a_store_is_not_shown() {
    for url in [
        "rediss://user:hunter2@redis.example.test:6379/0",
        "redis://user:hunter2@redis.example.test:6379/0",
        "rediss://user:hunter2@redis.example.test:6379/0?insecure=1",
        "rediss://user:hunter2@redis.example.test/#insecure",
        "rediss://user:hunter2@redis.example.test/sessions",
        "rediss://user:hunter2@:6379",
        "http://user:hunter2@redis.example.test",
        "user:hunter2@redis.example.test",
        "rediss://user:hunter2 @x y",
    ] {
        let (settings, mut problems) = read(&[("STORE", url)]);
        if let Some(settings) = &settings {
            let failure = Failure { operation: "connect", source: "connection refused".into() };
            settings.report(&failure, &mut problems);
            assert_eq!(codes(&problems), ["BFF-STORE-001"]);
        }
        assert!(problems.has_faults(), "{url}");
        let shown = format!("{problems:?} {settings:?} {}", problems.list()[0]);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

/// S-87: a secret comes from the environment or from a file of its owner.
#[test]
fn the_address_may_come_from_a_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    std::fs::write(&path, "rediss://u:p@redis.example.test\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let named = ("STORE_FILE", path.to_str().unwrap());
    assert_eq!(server(read(&[named]).0).address, "rediss://redis.example.test:6379/");
    assert_eq!(codes(&read(&[named, ("STORE", "cookie")]).1), ["BFF-CONF-002"]);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(codes(&read(&[named]).1), ["BFF-CONF-002"]);
}
