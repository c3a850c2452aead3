//! Safe start, keys, files, the administrator, and what strangers may try.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use auth_server::{Algorithm, Database, Defaults, Settings, Smtp, StartError, VARIABLES};
use base::clock::SystemClock;
use base::entropy::SystemEntropy;
use base::secret::Secret;
use base::vars::{Problems, Recording};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, Server};

async fn try_start(settings: Settings) -> Result<auth_server::Handle, StartError> {
    let listener = tokio::net::TcpListener::bind(settings.listen).await.unwrap();
    auth_server::start(settings, Arc::new(SystemClock), Arc::new(SystemEntropy), listener).await
}

fn read(pairs: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
    let vars: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let defaults =
        Defaults { bff_public_url: "http://localhost:8080".parse().unwrap(), data_dir: "data".into() };
    let mut problems = Problems::default();
    let settings = Settings::read(&vars, &defaults, &mut problems);
    let found = problems.list().iter().map(|problem| format!("{} {}", problem.code, problem.place)).collect();
    (settings, found)
}

/// S-77: neither auto-confirmation nor the outbox where others can reach them.
#[tokio::test]
async fn development_settings_do_not_start_off_loopback() {
    let everywhere = Settings { listen: "0.0.0.0:0".parse().unwrap(), ..Settings::for_tests() };
    let refused = |result: Result<auth_server::Handle, StartError>| match result {
        Err(StartError::Unsafe { variable, .. }) => variable,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(try_start(everywhere.clone()).await), "AUTH_CONFIRM_EMAIL");
    assert_eq!(refused(try_start(Settings { confirm_email: true, ..everywhere }).await), "AUTH_LISTEN");
    let public =
        Settings { public_url: Some("https://auth.example.com".parse().unwrap()), ..Settings::for_tests() };
    assert_eq!(refused(try_start(public).await), "AUTH_CONFIRM_EMAIL");

    let (settings, found) =
        read(&[("AUTH_LISTEN", "0.0.0.0:9999"), ("AUTH_PUBLIC_URL", "http://auth.example.com")]);
    assert!(settings.is_none());
    assert_eq!(
        found,
        ["AUTH-SAFE-001 AUTH_CONFIRM_EMAIL", "AUTH-SAFE-002 AUTH_LISTEN", "AUTH-SAFE-003 AUTH_PUBLIC_URL"]
    );
}

/// S-77: with a mail server and confirmation it may be reached by others; then nobody can pretend to be anybody.
#[tokio::test]
async fn with_a_mail_server_it_starts_anywhere() {
    let url = Secret::new("smtps://user:pw@mail.example.com".to_owned());
    let settings = Settings {
        listen: "0.0.0.0:0".parse().unwrap(),
        public_url: Some("https://auth.example.com".parse().unwrap()),
        confirm_email: true,
        smtp: Some(Smtp { url, from: "auth@example.com".to_owned() }),
        ..Settings::for_tests()
    };
    let server = Server::with(|own| *own = settings.clone()).await;
    let at = format!("http://127.0.0.1:{}", server.handle.address().port());
    let external = server.get(&format!("{at}/settings")).await.json["external"].clone();
    assert_eq!((&external["google"], &external["github"]), (&json!(false), &json!(false)));
    let pretend = server.get(&format!("{at}/pretend/google?state=x")).await;
    assert!(pretend.status.is_client_error(), "{pretend:?}");
    assert_eq!(
        server.get(&format!("{at}/authorize?provider=google")).await.refusal(),
        "400 validation_failed"
    );
    assert_eq!(server.get(&format!("{at}/outbox")).await.refusal(), "404 feature_disabled");
    assert!(try_start(Settings { confirm_email: false, ..settings }).await.is_err());

    let mail = [
        ("AUTH_SMTP_URL", "smtps://user:pw@mail.example.com"),
        ("AUTH_MAIL_FROM", "Auth <auth@example.com>"),
    ];
    let gap = |pairs: &[(&str, &str)]| read(pairs).0.unwrap().mail_gap.whole_seconds();
    assert_eq!((gap(&[]), gap(&mail), gap(&[mail[0], mail[1], ("AUTH_MAIL_GAP", "5s")])), (0, 60, 5));
    let open = [("AUTH_SMTP_URL", "smtp://user:pw@mail.example.com"), mail[1]];
    assert_eq!(read(&open).1, ["AUTH-SAFE-003 AUTH_SMTP_URL"]);
}

/// S-77: secrets of the documentation, short ones and one for two purposes are refused, and none is shown.
#[test]
fn sample_secrets_are_refused() {
    let sample = "super-secret-jwt-token-with-at-least-32-characters-long";
    let hs256 = |key| read(&[("AUTH_ALGORITHM", "HS256"), ("AUTH_SECRET_KEY", key)]).1;
    assert_eq!(hs256(sample), ["AUTH-KEY-002 AUTH_SECRET_KEY"]);
    assert_eq!(hs256("abababababababababababababababababab"), ["AUTH-KEY-002 AUTH_SECRET_KEY"]);
    assert_eq!(hs256("short"), ["AUTH-KEY-001 AUTH_SECRET_KEY"]);
    assert_eq!(hs256(""), ["AUTH-KEY-001 AUTH_SECRET_KEY"]);
    let good = "wqpZ3tX1mVb8Kc5Yd0Rf7Ng2Hj4Ls6Au9Ee-Oi_Qk1Tz";
    assert!(hs256(good).is_empty());
    let both = [("AUTH_ALGORITHM", "HS256"), ("AUTH_SECRET_KEY", good), ("AUTH_ADMIN_KEY", good)];
    assert_eq!(read(&both).1, ["AUTH-KEY-002 AUTH_ADMIN_KEY"]);
}

#[test]
fn every_fault_is_found_at_once_and_nothing_is_ignored() {
    let (settings, found) = read(&[
        ("AUTH_SIGN_UP", "maybe"),
        ("AUTH_OTP_LIFETIME", "2h"),
        ("AUTH_SMTP_URL", "smtps://user:secret@mail.example.com"),
        ("AUTH_GOOGLE_CLIENT_ID", "x"),
        ("AUTH_ALGORITHM", "RS512"),
        ("AUTH_GITHUB_CLIENT_ID", "x"),
        ("AUTH_GITHUB_URL", "http://github.example.com"),
        ("AUTH_ACCESS_TOKEN_EXPIRE_MINUTES", "5"),
        ("AUTH_ACCESS_TOKEN_LIFETIME", "5m"),
        ("AUTH_REDIRECT_URLS", "https://*.example.com/cb"),
    ]);
    assert!(settings.is_none());
    insta::assert_snapshot!(found.join("\n"), @r"
    BFF-CONF-002 AUTH_MAIL_FROM
    BFF-CONF-002 AUTH_SIGN_UP
    BFF-CONF-002 AUTH_ALGORITHM
    BFF-CONF-002 AUTH_ACCESS_TOKEN_LIFETIME
    BFF-CONF-002 AUTH_GOOGLE_CLIENT_SECRET
    BFF-CONF-002 AUTH_GITHUB_CLIENT_SECRET
    BFF-CONF-002 AUTH_OTP_LIFETIME
    AUTH-SAFE-003 AUTH_GITHUB_URL
    AUTH-REDIRECT-001 AUTH_REDIRECT_URLS
    ");
    assert!(!format!("{found:?}").contains("secret@"));
}

/// The names in the list are just the names that are asked for.
#[test]
fn the_list_of_variables_is_complete() {
    let recording = Recording::new(Vec::new());
    let defaults =
        Defaults { bff_public_url: "http://localhost:8080".parse().unwrap(), data_dir: "data".into() };
    let mut problems = Problems::default();
    let settings = Settings::read(&recording, &defaults, &mut problems).unwrap();
    assert!(problems.list().is_empty());
    let mut listed: Vec<_> = VARIABLES.iter().map(|name| (*name).to_owned()).collect();
    listed.sort();
    assert_eq!(recording.variables().into_iter().collect::<Vec<_>>(), listed);
    assert_eq!(settings.database, Database::File("data/auth.db".into()));
    assert_eq!(settings.redirect_urls, ["http://localhost:8080/auth/**"]);
    assert!(!settings.confirm_email && settings.password.min_length == 8);
}

/// S-77, S-80: keys are made at first start, for their owner alone, and no two installs share one; a restart keeps
/// sessions and keys.
#[tokio::test]
async fn installs_make_their_own_private_files() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let settings = |folder: &tempfile::TempDir| Settings {
        database: Database::File(folder.path().join("data/auth.db")),
        signing_keys_file: Some(folder.path().join("data/auth-keys.json")),
        ..Settings::for_tests()
    };
    let mut files = Vec::new();
    for folder in &folders {
        let server = Server::with(|own| *own = settings(folder)).await;
        let session = server.sign_up("ada@example.test").await.session();
        for file in std::fs::read_dir(folder.path().join("data")).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.path());
        }
        let clock = server.clock.clone();
        server.handle.shutdown().await.unwrap();
        let again = Server::with(|own| *own = settings(folder)).await;
        assert_eq!(again.get_as("/user", &session.access).await.status, 200);
        again.refresh(&session.refresh).await.session();
        drop(clock);
        let text = |name: &str| std::fs::read_to_string(folder.path().join("data").join(name)).unwrap();
        files.push((text("auth-keys.json"), text("auth-secrets.json")));
    }
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let (one, other) = (value(&files[0].0), value(&files[1].0));
    assert_ne!(one["keys"][0]["d"], other["keys"][0]["d"]);
    assert_ne!(one["keys"][0]["kid"], other["keys"][0]["kid"]);
    let (one, other) = (value(&files[0].1), value(&files[1].1));
    assert_ne!(one["master_key"], other["master_key"]);
    assert_ne!(one["admin_key"], other["admin_key"]);

    // A key file that others can read stops the start.
    let path = folders[0].path().join("data/auth-secrets.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(try_start(settings(&folders[0])).await, Err(StartError::Keys(_))));
}

/// S-80: nothing in the database file would let anybody in.
#[tokio::test]
async fn the_database_holds_no_token_password_or_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.db");
    let server = Server::with(|settings| {
        settings.database = Database::File(path.clone());
        settings.confirm_email = true;
    })
    .await;
    server.sign_up("ada@example.test").await;
    let (link, code) = server.mail("ada@example.test");
    let (other, _) = (server.sign_up("grace@example.test").await, ());
    assert_eq!(other.status, 200);
    let session = server.post("/verify", json!({"type": "signup", "token_hash": link})).await.session();
    server.refresh(&session.refresh).await.session();
    let (open_link, open_code) = server.mail("grace@example.test");
    server.handle.shutdown().await.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(std::fs::read(folder.path().join("auth.db-wal")).unwrap_or_default());
    let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("ada@example.test"), "the search works");
    for secret in [PASSWORD, &link, &open_link, &session.refresh, &session.access] {
        assert!(!contains(secret), "{secret}");
    }
    for digits in [code, open_code] {
        assert!(!contains(&format!("\"{digits}\"")) && !contains(&format!("\0{digits}")));
    }
}

/// S-80: what is published verifies, and has no private member. Also for the other algorithms.
#[tokio::test]
async fn the_key_set_is_public() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let server = Server::with(|settings| settings.algorithm = algorithm).await;
        let set = server.get("/.well-known/jwks.json").await;
        assert_eq!(set.header("cache-control"), "public, max-age=600");
        let key = set.json["keys"][0].as_object().unwrap();
        for private in ["d", "k", "p", "q", "dp", "dq", "qi", "ext"] {
            assert!(!key.contains_key(private), "{private}");
        }
        let session = server.sign_up("ada@example.test").await.session();
        let header = jsonwebtoken::decode_header(&session.access).unwrap();
        assert_eq!(header.kid.as_deref(), key["kid"].as_str());
        let jwk = serde_json::from_value(set.json["keys"][0].clone()).unwrap();
        let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        let mut validation = jsonwebtoken::Validation::new(header.alg);
        validation.validate_exp = false;
        validation.set_audience(&["authenticated"]);
        validation.set_issuer(&[server.handle.issuer()]);
        jsonwebtoken::decode::<Value>(&session.access, &decoding, &validation).unwrap();
    }
    let server = Server::with(|settings| {
        settings.algorithm = Algorithm::Hs256;
        settings.secret_key = Some(Secret::new("wqpZ3tX1mVb8Kc5Yd0Rf7Ng2Hj4Ls6Au9Ee".to_owned()));
    })
    .await;
    assert_eq!(server.get("/.well-known/jwks.json").await.json, json!({"keys": []}));
    let session = server.sign_up("ada@example.test").await.session();
    assert_eq!(server.get_as("/user", &session.access).await.status, 200);
}

/// S-78: the admin key, and nothing else, opens `/admin`; people cannot give themselves what is not theirs.
#[tokio::test]
async fn privileges_are_not_for_the_asking() {
    let server = Server::start().await;
    let body = json!({
        "email": "ada@example.test", "password": PASSWORD, "id": "00000000-0000-4000-8000-000000000001",
        "role": "service_role", "aud": "other", "app_metadata": {"roles": ["admin"]},
        "email_confirmed_at": "2020-01-01T00:00:00Z", "banned_until": null, "factors": [{}], "is_anonymous": true,
    });
    let session = server.post("/signup", body).await.session();
    assert_eq!(session.user["role"], "authenticated");
    assert_eq!(session.user["app_metadata"], json!({"provider": "email", "providers": ["email"]}));
    assert_ne!(session.user["id"], "00000000-0000-4000-8000-000000000001");
    assert_eq!(session.user["is_anonymous"], false);
    assert_eq!(server.get("/admin/users").await.refusal(), "401 no_authorization");
    assert_eq!(server.get_as("/admin/users", &session.access).await.refusal(), "403 not_admin");
    let wrong = format!("{}x", server.handle.admin_key().expose());
    assert_eq!(server.get_as("/admin/users", &wrong).await.refusal(), "403 bad_jwt");
    assert!(server.handle.admin_key().expose().len() >= 43, "256 bits in base64url");
    let list = server.admin(Method::GET, "/admin/users?per_page=1", json!({})).await;
    assert_eq!((list.header("x-total-count"), &list.json["users"][0]["identities"]), ("1", &Value::Null));

    // A ban ends the sessions in the same step.
    let path = format!("/admin/users/{}", session.user["id"].as_str().unwrap());
    server.admin(Method::PUT, &path, json!({"ban_duration": "24h"})).await;
    assert_eq!(server.get_as("/user", &session.access).await.refusal(), "403 user_banned");
    assert_eq!(server.refresh(&session.refresh).await.refusal(), "400 refresh_token_not_found");
    assert_eq!(server.admin(Method::DELETE, &path, json!({})).await.status, 200);
    assert_eq!(server.get_as("/user", &session.access).await.refusal(), "403 user_not_found");
}

/// S-80: quotes, comments, NUL and the like are data in every field. Never a 500, never another row.
#[tokio::test]
async fn sql_in_fields_is_text() {
    let server = Server::start().await;
    let ada = server.sign_up("ada@example.test").await.session();
    let corpus = [
        "' or 1=1 --",
        "\"; drop table users; --",
        "\0",
        "%",
        "_",
        "\\",
        "'||(select password from users)||'",
        "\u{202e}",
    ];
    for text in corpus {
        let address = format!("{text}@example.test");
        for (path, body) in [
            ("/signup", json!({"email": address, "password": PASSWORD})),
            ("/signup", json!({"email": "grace@example.test", "password": text})),
            ("/token?grant_type=password", json!({"email": address, "password": text})),
            ("/token?grant_type=password", json!({"email": "ada@example.test", "password": text})),
            ("/token?grant_type=refresh_token", json!({"refresh_token": text})),
            ("/token?grant_type=pkce", json!({"auth_code": text, "code_verifier": text})),
            ("/verify", json!({"type": text, "token_hash": text})),
            ("/verify", json!({"type": "signup", "email": address, "token": text})),
        ] {
            let reply = server.post(path, body.clone()).await;
            // A quote may stand in an address or a password: such people may sign up. Nothing else may succeed.
            let joined = path == "/signup" && reply.status == 200;
            assert!(reply.status.is_client_error() || joined, "{path} {body}: {reply:?}");
        }
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for path in
            ["/authorize?provider=", "/callback?state=", "/verify?type=signup&token=", "/admin/users/"]
        {
            let reply = server.get(&format!("{path}{encoded}")).await;
            assert!(!reply.status.is_server_error() && reply.status != 200, "{path}{encoded}: {reply:?}");
        }
        let named = json!({"email": format!("n{}@example.test", text.len()), "password": PASSWORD, "data": {text: text}});
        let reply = server.post("/signup", named).await;
        if reply.status == 200 {
            assert_eq!(reply.session().user["user_metadata"][text], text);
        }
    }
    assert_eq!(server.get_as("/user", &ada.access).await.json["email"], "ada@example.test");
}

/// S-72: a password that rests in a weaker string gets today's at the next sign-in, and a string that asks for
/// gigabytes opens nothing.
#[tokio::test]
async fn weaker_password_strings_are_replaced() {
    use argon2::password_hash::PasswordHasher;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.db");
    let server = Server::with(|settings| settings.database = Database::File(path.clone())).await;
    server.sign_up("ada@example.test").await.session();
    let db = rusqlite::Connection::open(&path).unwrap();
    let store = |text: &str| db.execute("update users set password = ?1", [text]).unwrap();
    let stored = || db.query_row("select password from users", [], |row| row.get::<_, String>(0)).unwrap();

    let params = argon2::Params::new(8_192, 1, 1, None).unwrap();
    let weak = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let weak = weak.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]).unwrap().to_string();
    store(&weak);
    server.sign_in("ada@example.test", "wrong").await.refusal();
    assert_eq!(stored(), weak, "a wrong password changes nothing");
    server.sign_in("ada@example.test", PASSWORD).await.session();
    assert!(stored().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored());
    server.sign_in("ada@example.test", PASSWORD).await.session();

    store(&weak.replace("m=8192", "m=4194304"));
    assert_eq!(server.sign_in("ada@example.test", PASSWORD).await.refusal(), "400 invalid_credentials");
}
