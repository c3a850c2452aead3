//! `Bff::from_env`, in a process of its own: what it reads is the environment, and a test must not change that of others.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base::entropy::SystemEntropy;
use base::seal::{KeyId, MasterKey};
use serde_json::json;
use supabase_bff::Bff;
use tokio::net::TcpListener;

use super::{ADA, Notes, application};
use crate::client::{Browser, navigation};
use crate::harness::{Echo, PASSWORD};
use crate::port::Port;
use crate::program::{listens, project};
use crate::tap::bounded;

/// Where the application listens that [`an_application`] is.
const AT: &str = "STORY_LISTENS_AT";

/// The developer's program. Nobody's story: without its variable it does nothing.
#[tokio::test]
#[ignore = "the stories below run it"]
async fn an_application() {
    let Ok(at) = std::env::var(AT) else { return };
    let bff = Bff::from_env().await.unwrap_or_else(|error| panic!("{error}"));
    let router = application(&bff, Notes::default());
    let listener = TcpListener::bind(at).await.unwrap();
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
}

/// Ends with its handle.
struct Application(Child);

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// [`an_application`] in `folder`, with this environment and nothing else.
fn started(folder: &Path, environment: &[(&str, &str)]) -> Application {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["library::from_env::an_application", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    Application(child.unwrap())
}

/// The routes, the mount, the guards and the gateway of an application that has all of its settings from outside: where the
/// project is and where it is mounted from the environment, scopes, roles and rules from `bff.toml`.
#[tokio::test]
async fn an_application_is_set_up_from_outside() {
    base::http::install_tls_provider();
    let (folder, port, echo) = (tempfile::tempdir().unwrap(), Port::take(), Echo::default());
    let base = format!("http://localhost:{}", port.number());
    let (tap, _auth) = project(&base).await;
    let file = format!(
        "[upstreams]\necho = {{ url = \"http://{}\" }}\n[scopes]\n\"items\" = \"Everything about items\"\n\
         [roles]\nuser = [\"items:read\"]\nadmin = [\"*\"]\n[[rules]]\nname = \"api\"\npath = \"/api/**\"\nto = \"echo\"\n",
        echo.start().await
    );
    std::fs::write(folder.path().join("bff.toml"), file).unwrap();
    let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SystemEntropy).to_text();
    let (project, at) = (tap.url(), format!("127.0.0.1:{}", port.number()));
    let _application = started(
        folder.path(),
        &[
            (AT, &at),
            ("SUPABASE_URL", &project),
            ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_outside"),
            ("BFF_PUBLIC_URL", &base),
            ("BFF_SESSION_KEYS", key.expose()),
            ("BFF_SUPABASE_MOUNT", "/db"),
            ("AUTH_WORDS_OF_THE_APPLICATION", "are its own"),
        ],
    );
    bounded("the application", listens(port.number())).await;

    let (browser, stranger) = (Browser::new(&base), Browser::new(&base));
    assert_eq!(stranger.get("/me").await.status, 401);
    let led = stranger.send(http::Method::GET, "/me", &navigation("none"), None).await;
    assert_eq!(led.header("location"), "/auth/login?return_to=%2Fme");
    let made = browser.post("/auth/signup", &json!({ "email": ADA, "password": PASSWORD })).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(tap.seen("/signup")[0].headers["apikey"], "sb_publishable_outside");
    let me = browser.get("/me").await.json();
    assert_eq!((&me["email"], &me["roles"]), (&json!(ADA), &json!(["user"])));
    assert_eq!((&me["may_read"], &me["may_write"]), (&json!(true), &json!(false)));
    assert_eq!(browser.post("/notes", &json!({})).await.code(), "insufficient_scope");
    assert_eq!(browser.get("/db/auth/v1/user").await.json()["email"], ADA);
    assert_eq!(browser.get("/supabase/auth/v1/user").await.status, 404);
    assert_eq!((browser.get("/api/x").await.status, echo.last().line.as_str()), (200, "GET /api/x"));
    assert_eq!(stranger.get("/api/x").await.status, 401);
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    assert_eq!(browser.get("/me").await.status, 401);
}

/// A start that cannot be says every fault of environment and file at once, and listens nowhere.
#[tokio::test]
async fn faults_of_the_environment_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bff.toml"), "[roles]\nuser = [\"items:read\"]\n").unwrap();
    let said = refused(folder.path(), &[("BFF_SESSION_IDEL", "7d"), ("BFF_PUBLIC_URL", "ftp://x")]).await;
    for word in ["BFF_SESSION_IDEL", "BFF-RULE-003", "items:read", "SUPABASE_URL", "BFF_PUBLIC_URL"] {
        assert!(said.contains(word), "{word} is missing: {said}");
    }
    // One fault is enough, though all the rest is sound.
    std::fs::write(folder.path().join("bff.toml"), "").unwrap();
    let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SystemEntropy).to_text();
    let sound = [
        ("SUPABASE_URL", "https://project.example.test"),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_outside"),
        ("BFF_PUBLIC_URL", "http://localhost:8080"),
        ("BFF_SESSION_KEYS", key.expose()),
    ];
    let said = refused(folder.path(), &[&sound[..], &[("BFF_SESSION_IDEL", "7d")]].concat()).await;
    assert!(said.contains("BFF_SESSION_IDEL") && !said.contains("SUPABASE"), "{said}");
}

/// What a start says that does not come to be.
async fn refused(folder: &Path, environment: &[(&str, &str)]) -> String {
    let mut application = started(folder, &[&[(AT, "127.0.0.1:0")], environment].concat());
    let said = application.0.stderr.take().unwrap();
    let said = tokio::task::spawn_blocking(move || std::io::read_to_string(said).unwrap());
    let said = bounded("the end of the start", said).await.unwrap();
    assert!(!application.0.wait().unwrap().success());
    said
}
