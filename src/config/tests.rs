//! Whole configurations: what is read, and what is refused.

use std::os::unix::fs::PermissionsExt;

use base::entropy::{SeededEntropy, SystemEntropy};
use base::seal::{KeyId, MasterKey};
use base::vars::Weight;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// A folder with the files given, and what a start in it would find.
struct Try {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Try {
    /// Nothing set: the embedded server, on loopback.
    fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").display().to_string();
        Self { folder, environment: vec![("BFF_DATA_DIR".to_owned(), data)] }
    }

    /// A hosted project behind a proxy, as in production.
    fn hosted() -> Self {
        let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SystemEntropy).to_text();
        Self::bare()
            .set("SUPABASE_URL", "https://abc.supabase.co")
            .set("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_1")
            .set("BFF_PUBLIC_URL", "https://app.example.test")
            .set("BFF_TRUSTED_PROXIES", "10.0.0.0/8")
            .set("BFF_SESSION_KEYS", key.expose())
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    fn toml(self, text: &str) -> Self {
        std::fs::write(self.folder.path().join("bff.toml"), text).unwrap();
        self
    }

    fn sources(&self, problems: &mut Problems) -> Sources {
        let inputs = Inputs {
            environment: self.environment.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            folder: self.folder.path().to_owned(),
            ..Inputs::default()
        };
        Sources::read(&inputs, problems)
    }

    fn read_with(&self, sources: &Sources, problems: &mut Problems) -> Option<Settings> {
        let network = Network::read(sources, problems)?;
        let url: url::Url = "http://127.0.0.1:9999".parse().unwrap();
        let embedded = Embedded { url: url.clone(), public_url: url };
        let embedded = sources.get("SUPABASE_URL").is_none().then_some(&embedded);
        Settings::read(sources, network, embedded, problems)
    }

    fn read(&self) -> (Option<Settings>, Problems) {
        let mut problems = Problems::default();
        let sources = self.sources(&mut problems);
        let settings = self.read_with(&sources, &mut problems);
        (settings, problems)
    }

    /// Codes and places of all findings.
    fn findings(&self) -> Vec<String> {
        self.read().1.list().iter().map(|p| format!("{} {}", p.code, p.place)).collect()
    }
}

fn jwt(claims: &str) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode("{\"alg\":\"HS256\"}"), URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn with_nothing_set_the_embedded_server_and_the_demo_run_on_loopback() {
    let bare = Try::bare();
    let (settings, problems) = bare.read();
    assert_eq!(problems.list(), Vec::<&base::vars::Problem>::new());
    let settings = settings.unwrap();
    assert!(settings.demo && settings.project.embedded && settings.bearer && settings.token_grants);
    assert_eq!(settings.network.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.network.admin_listen.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.network.canonical().as_str(), "http://localhost:8080/");
    assert_eq!(settings.gotrue.base.as_str(), "http://127.0.0.1:9999/auth/v1");
    assert_eq!(settings.token.issuer, "http://127.0.0.1:9999/auth/v1");
    assert_eq!((settings.password.max_bytes, settings.limits.gotrue_sign_ins), (1024, None));
    assert!(matches!(settings.keys, SessionKeys::ToMake(_)));
}

#[test]
fn a_project_is_read_from_its_two_variables() {
    let (settings, problems) = Try::hosted().read();
    assert_eq!(problems.list(), Vec::<&base::vars::Problem>::new());
    let settings = settings.unwrap();
    assert!(!settings.demo && !settings.project.embedded && !settings.token_grants);
    assert_eq!(settings.gotrue.public_base.as_str(), "https://abc.supabase.co/auth/v1");
    assert_eq!(settings.token.issuer, "https://abc.supabase.co/auth/v1");
    assert_eq!((settings.session.memory_of_sessions(), settings.token.memory), (384 << 20, 128 << 20));
    assert_eq!((settings.password.max_bytes, settings.limits.gotrue_sign_ins.unwrap().count), (72, 15));
    assert_eq!(
        Try::hosted().without("SUPABASE_PUBLISHABLE_KEY").set("SUPABASE_KEY", "k").findings(),
        [""; 0]
    );
}

/// Every documented name is read, and every name that is read is documented.
#[test]
fn known_names_are_exactly_those_that_are_read() {
    for given in [Try::hosted(), Try::bare()] {
        let mut problems = Problems::default();
        let sources = given.sources(&mut problems);
        given.read_with(&sources, &mut problems).unwrap();
        let read = sources.asked();
        let known: std::collections::BTreeSet<String> = known::KEYS
            .iter()
            .map(|key| variable(key))
            .chain(known::VARIABLES.iter().map(|v| (*v).into()))
            .collect();
        let unread: Vec<_> = known.difference(&read).filter(|name| !name.starts_with("SUPABASE_")).collect();
        assert_eq!(unread, Vec::<&String>::new());
        assert_eq!(read.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
        if given.environment.iter().any(|(name, _)| name == "SUPABASE_URL") {
            assert_eq!(known.difference(&read).collect::<Vec<_>>(), Vec::<&String>::new());
        }
    }
}

/// S-93: one fault each, with its code and its place; nothing starts.
#[test]
fn seeded_faults_are_refused() {
    let service = jwt("{\"role\":\"service_role\",\"ref\":\"abc\"}");
    let other = jwt("{\"role\":\"anon\",\"ref\":\"xyz\"}");
    let cases = [
        ("SUPABASE_URL", "abc.supabase.co", "BFF-URL-001"),
        ("SUPABASE_URL", "https://abc.supabase.co/auth/v1", "BFF-URL-002"),
        ("SUPABASE_URL", "https://user@abc.supabase.co", "BFF-URL-002"),
        ("SUPABASE_URL", "http://supabase.internal:8000", "BFF-UP-001"),
        ("SUPABASE_URL", "http://169.254.169.254", "BFF-UP-003"),
        ("SUPABASE_PUBLIC_URL", "http://auth.example.test", "BFF-URL-003"),
        ("SUPABASE_PUBLISHABLE_KEY", "", "BFF-KEY-002"),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_secret_abc", "BFF-KEY-001"),
        ("SUPABASE_PUBLISHABLE_KEY", &service, "BFF-KEY-001"),
        ("SUPABASE_PUBLISHABLE_KEY", &other, "BFF-KEY-003"),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable 1", "BFF-CONF-002"),
        ("SUPABASE_SECRET_KEY", &service, "BFF-CONF-002"),
        ("SUPABASE_JWT_SECRET", "too-short", "BFF-JWT-001"),
        ("SUPABASE_JWT_SECRET", "super-secret-jwt-token-with-at-least-32-characters-long", "BFF-JWT-002"),
        ("BFF_PUBLIC_URL", "http://app.example.test", "BFF-URL-003"),
        ("BFF_PUBLIC_URL", "https://app.example.test/app", "BFF-URL-001"),
        ("BFF_PUBLIC_URL", "https://app.example.test,http://localhost:8080", "BFF-URL-003"),
        ("BFF_PUBLIC_URL", "ftp://app.example.test", "BFF-URL-001"),
        ("BFF_TRUSTED_PROXIES", "0.0.0.0/0", "BFF-PROXY-001"),
        ("BFF_SESSION_KEYS", "", "BFF-COOKIE-001"),
        ("BFF_SESSION_KEYS", "k1:c2hvcnQ=", "BFF-COOKIE-001"),
        ("BFF_SESSION_KEYS", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "BFF-COOKIE-002"),
        ("BFF_SESSION_STORE", "postgres://user:secret@db", "BFF-CONF-002"),
        ("BFF_SESSION_STORE", "redis://user:secret@redis.internal", "BFF-STORE-002"),
        ("BFF_SESSION_STORE", "rediss://redis.internal", "BFF-STORE-002"),
        ("BFF_SESSION_PREFIX", "x", "BFF-CONF-003"),
        ("BFF_FORWARD_AUTH_HOSTS", "app.example.test", "BFF-CONF-002"),
        ("BFF_FORWARD_AUTH_FAMILY", "x-original", "BFF-CONF-002"),
        ("BFF_FORWARD_AUTH_PASS_TOKEN", "true", "BFF-CONF-002"),
        ("BFF_HOOKS_SECRETS", "v1,whsec_x", "BFF-CONF-002"),
        ("BFF_TOKEN_ENABLED", "sometimes", "BFF-CONF-002"),
        ("BFF_MFA_ENFORCE", "always", "BFF-CONF-002"),
        ("BFF_LIMITS_SOCKETS_PER_SESSION", "0", "BFF-CONF-002"),
        ("BFF_LOG_LEVEL", "loud", "BFF-CONF-002"),
        ("BFF_CORS_ORIGINS", "*", "BFF-CONF-002"),
        ("BFF_CORS_ORIGINS", "https://app.example.test/x", "BFF-CONF-002"),
        ("BFF_ADMIN_LISTEN", "127.0.0.1:8080", "BFF-CONF-002"),
        ("BFF_SUPABASE_SERVICES", "rest,everything", "BFF-CONF-002"),
        ("BFF_PAGES_ACCENT", "#ffff00", "BFF-PAGE-001"),
        ("BFF_COOKIE_DOMAIN", "example.test", "BFF-COOKIE-003"),
        ("BFF_NONSENSE", "1", "BFF-CONF-001"),
    ];
    for (name, value, code) in cases {
        let (settings, problems) = Try::hosted().set(name, value).read();
        let faults: Vec<_> = problems.list().into_iter().filter(|p| p.weight == Weight::Fault).collect();
        assert_eq!(faults.iter().map(|p| p.code).collect::<Vec<_>>(), [code], "{name}={value}: {faults:?}");
        assert!(faults[0].place.starts_with(name), "{name}: {}", faults[0].place);
        assert!(!faults[0].why.is_empty() && !faults[0].fix.is_empty());
        drop(settings);
    }
}

/// S-93: rules, upstreams and providers of the file, each with its line.
#[test]
fn faults_of_the_file_name_their_line() {
    let cases = [
        (
            "[session]\nstore = 'rediss://user:hunter2@redis.example.test'",
            "BFF-CONF-002 bff.toml line 2: session.store",
        ),
        ("[[rules]]\nname = 'a'\npath = '/a'\nto = 'nowhere'", "BFF-RULE-003 bff.toml line 1: rules.a.to"),
        ("[[rules]]\nname = 'a'\npath = '/a'\nrole = ['x']", "BFF-CONF-001 bff.toml line 4: rules.a.role"),
        (
            "[upstreams]\nweb = { url = 'http://web.internal', token = 'user' }",
            "BFF-UP-001 bff.toml: upstreams.web.url",
        ),
        ("[upstreams]\nweb = { uri = 'x' }", "BFF-CONF-001 bff.toml line 2: upstreams.web.uri"),
        ("[upstreams]\nsupabase = { url = 'https://x' }", "BFF-CONF-002 bff.toml line 2: upstreams.supabase"),
        ("[providers]\nGitHub = {}", "BFF-PROV-001 bff.toml line 2: providers.GitHub"),
        ("[providers]\ngithub = { scope = '' }", "BFF-PROV-001 bff.toml line 2: providers.github.scope"),
        (
            "[providers]\ngithub = { params = { State = 'x' } }",
            "BFF-PROV-001 bff.toml line 2: providers.github",
        ),
        (
            "[providers]\ngithub = { allow_params = ['scopes', 'redirect_to'] }",
            "BFF-PROV-001 bff.toml line 2: providers.github",
        ),
        (
            "[providers]\ngithub = { params = { scopes = 'repo' } }",
            "BFF-PROV-001 bff.toml line 2: providers.github",
        ),
        (
            "[[rules]]\nname = 'a'\npath = '/a'\nhost = 'app.example.test'",
            "BFF-RULE-001 bff.toml line 1: rules.a.host",
        ),
        ("[session]\nkeys = 'k1:x'", "BFF-CONF-001 bff.toml line 2: session.keys"),
    ];
    for (toml, expected) in cases {
        assert_eq!(Try::hosted().toml(toml).findings(), [expected], "{toml}");
    }
    let user_metadata = "[[rules]]\nname = 'a'\npath = '/a'\nclaims = { 'user_metadata.role' = ['admin'] }";
    let found = Try::hosted().toml(user_metadata).findings();
    assert!(found.iter().any(|f| f.starts_with("BFF-RULE-002 bff.toml line 1: rules.a")), "{found:?}");
}

/// S-62: another proxy may ask only if one is listed and sessions rest in a store, about hosts that are served here.
#[test]
fn forward_auth_needs_proxies_and_a_store() {
    let asked = |hosts: &str| {
        Try::hosted()
            .set("BFF_SESSION_STORE", "sqlite:data/sessions.db")
            .set("BFF_FORWARD_AUTH_ENABLED", "true")
            .set("BFF_FORWARD_AUTH_HOSTS", hosts)
            .toml("[[rules]]\nname = 'a'\npath = '/a'\nhost = 'App.example.test'")
    };
    assert_eq!(asked("app.example.test").findings(), Vec::<String>::new());
    assert_eq!(
        asked("app.example.test").set("BFF_SESSION_STORE", "cookie").findings(),
        ["BFF-FWD-002 BFF_FORWARD_AUTH_ENABLED"]
    );
    assert_eq!(
        asked("app.example.test").without("BFF_TRUSTED_PROXIES").findings(),
        ["BFF-FWD-001 BFF_FORWARD_AUTH_ENABLED", "BFF-PROXY-003 BFF_TRUSTED_PROXIES"]
    );
    let other = ["BFF-CONF-002 BFF_FORWARD_AUTH_HOSTS", "BFF-RULE-001 bff.toml line 1: rules.a.host"];
    assert_eq!(asked("other.example.test").findings(), other);
    assert_eq!(asked("").findings(), other);
    for (key, value) in [("strip", "'/a'"), ("csrf", "'off'"), ("code_guard", "'off'")] {
        let toml =
            format!("[[rules]]\nname = 'a'\npath = '/a/**'\nhost = 'app.example.test'\n{key} = {value}");
        let place = format!("BFF-CONF-002 bff.toml line 1: rules.a.{key}");
        assert_eq!(asked("app.example.test").toml(&toml).findings(), [place]);
    }
    let toml = "[upstreams]\nweb = { url = 'https://a' }\n[[rules]]\nname = 'a'\npath = '/a'\nto = 'web'\nhost = 'b.test'";
    assert_eq!(Try::hosted().toml(toml).findings(), ["BFF-RULE-001 bff.toml line 3: rules.a.host"]);
}

/// S-93: what is set and read by nobody is a fault, not silence.
#[test]
fn a_key_without_its_project_is_refused() {
    let lone = Try::bare().set("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_1");
    assert_eq!(lone.findings(), ["BFF-CONF-003 SUPABASE_PUBLISHABLE_KEY"]);
}

/// S-90, S-48: relaxations hold and are said at every start.
#[test]
fn dangerous_settings_warn() {
    let relaxed = Try::hosted()
        .set("SUPABASE_URL", "http://supabase.internal:8000")
        .set("SUPABASE_PUBLIC_URL", "https://auth.example.test")
        .set("BFF_DANGER_PLAIN_HTTP", "supabase.internal");
    let (settings, problems) = relaxed.read();
    assert!(settings.is_some() && !problems.has_faults(), "{:?}", problems.list());
    assert_eq!(relaxed.findings(), ["BFF-DANGER-001 BFF_DANGER_PLAIN_HTTP"]);
    let unlisted = Try::hosted().without("BFF_TRUSTED_PROXIES");
    assert_eq!(unlisted.findings(), ["BFF-PROXY-003 BFF_TRUSTED_PROXIES"]);
}

/// S-77, S-87: on loopback a key is made once, in a file that nobody else opens, and found again.
#[test]
fn session_keys_are_made_once_and_kept() {
    let bare = Try::bare();
    let made = bare.read().0.unwrap().keys;
    let ring = made.open(&SystemEntropy).unwrap();
    let file = bare.folder.path().join("data/session-keys");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let sealed = ring.purpose("t").seal(&[], b"x", &SeededEntropy::new(1));
    let again = made.open(&SeededEntropy::new(2)).unwrap();
    assert!(again.purpose("t").open(&[], &sealed).is_ok(), "a start at the same time uses the same key");
    let next = bare.read().0.unwrap().keys;
    assert!(matches!(next, SessionKeys::Given { made_here: true, .. }));
    assert!(next.open(&SystemEntropy).unwrap().purpose("t").open(&[], &sealed).is_ok());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(bare.findings(), [format!("BFF-COOKIE-001 {}", file.display())]);
    let elsewhere = Try::bare().set("BFF_PUBLIC_URL", "https://app.example.test");
    assert!(elsewhere.findings().contains(&"BFF-COOKIE-001 BFF_SESSION_KEYS".to_owned()));
}

/// S-12, S-87: two keys of one name, and one key twice, are refused; two of their own are a ring.
#[test]
fn doubled_session_keys_are_refused() {
    let key = |id: &str, seed| {
        MasterKey::generate(KeyId::parse(id).unwrap(), &SeededEntropy::new(seed)).to_text().expose().clone()
    };
    let codes = |keys: String| Try::hosted().set("BFF_SESSION_KEYS", &keys).findings();
    assert_eq!(codes(format!("{}, {}", key("k2", 2), key("k1", 1))), [""; 0]);
    assert_eq!(codes(format!("{},{}", key("k1", 2), key("k1", 1))), ["BFF-COOKIE-002 BFF_SESSION_KEYS"]);
    assert_eq!(codes(format!("{},{}", key("k2", 1), key("k1", 1))), ["BFF-COOKIE-002 BFF_SESSION_KEYS"]);
}

/// S-87: nothing that is printed, of the settings or of what is wrong with them, holds a secret.
#[test]
fn secrets_are_never_printed() {
    let secrets = [
        ("BFF_SESSION_KEYS", "k1:canary"),
        ("SUPABASE_JWT_SECRET", "canary-secret"),
        ("SUPABASE_SECRET_KEY", "canary-key"),
        ("BFF_HOOKS_SECRETS", "canary-hook"),
    ];
    let all = secrets.into_iter().fold(Try::hosted(), |given, (name, value)| given.set(name, value));
    let (_, problems) = all.read();
    assert_eq!(problems.list().len(), 4, "{:?}", problems.list());
    let printed: String = problems.list().iter().map(|p| format!("{p} {p:?}")).collect();
    assert!(!printed.contains("canary"), "{printed}");

    let sound = Try::hosted()
        .set("SUPABASE_SECRET_KEY", "sb_secret_canary")
        .set("SUPABASE_JWT_SECRET", "canary-canary-canary-canary-canary-canary");
    let settings = sound.read().0.unwrap();
    let key = sound.environment.iter().find(|(name, _)| name == "BFF_SESSION_KEYS").unwrap().1.clone();
    let printed = format!("{settings:?}");
    assert!(!printed.contains("canary") && !printed.contains(&key[3..]), "{printed}");
}

/// S-94: probes have a port of their own, and it is on loopback unless said otherwise.
#[test]
fn the_start_says_what_it_found() {
    let settings = Try::bare().read().0.unwrap();
    insta::assert_snapshot!(table(&settings, &Live::default(), &[]), @r"
      site          http://localhost:8080
      listening on  127.0.0.1:8080
      probes on     127.0.0.1:9090
      project       embedded auth server, http://127.0.0.1:9999
      sign-up       unknown, the project does not answer yet
      providers     unknown, the project does not answer yet
      signing keys  unknown, the project does not answer yet
      sessions      sealed cookies, SameSite=Strict, at most 30 days; a sign-out reaches other nodes at the token's expiry
      behind it     the demo

      Not for production as it is:
      - The site is served over plain http on loopback; cookies are not Secure.
          BFF_PUBLIC_URL=https://app.example.com
      - The embedded auth server stands in for a Supabase project.
          SUPABASE_URL=https://<ref>.supabase.co and SUPABASE_PUBLISHABLE_KEY=sb_publishable_…
      - Session keys were made here and rest in the data folder; a second node would not know them.
          BFF_SESSION_KEYS=<the line that `supabase-bff keys new` prints>
    ");
    let (settings, problems) = Try::hosted().without("BFF_TRUSTED_PROXIES").read();
    let live = Live {
        sign_up: Some(true),
        providers: Some(vec!["google".to_owned(), "github".to_owned()]),
        keys: Some("2 keys (ES256)".to_owned()),
    };
    insta::assert_snapshot!(table(&settings.unwrap(), &live, &problems.list()), @r"
      site          https://app.example.test
      listening on  127.0.0.1:8080
      probes on     127.0.0.1:9090
      project       https://abc.supabase.co
      sign-up       open
      providers     google, github
      signing keys  2 keys (ES256)
      sessions      sealed cookies, SameSite=Strict, at most 30 days; a sign-out reaches other nodes at the token's expiry
      behind it     /supabase (Supabase)

      Not for production as it is:
      - TLS ends at a proxy in front, but no proxy is trusted: every request looks like plain http. (BFF_TRUSTED_PROXIES, BFF-PROXY-003)
          Name the proxy's network in trusted_proxies.
    ");
}
