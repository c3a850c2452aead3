//! `kill -9` of the real program between GoTrue's answer to a refresh and our write: the session survives (S-42).

use base::entropy::SystemEntropy;
use base::seal::{KeyId, MasterKey};
use serde_json::json;

use crate::client::Browser;
use crate::harness::PASSWORD;
use crate::port::Port;
use crate::program::{Program, project};
use crate::redis_server::{Server, Setup};
use crate::tap::{Fault, bounded};

const REFRESH: &str = "grant_type=refresh_token";

/// S-42, S-44: in every mode GoTrue has rotated the token, the process that asked for it is dead, and the one after it goes
/// on with the old token.
async fn a_killed_process_ends_no_session(store: &str) {
    base::http::install_tls_provider();
    let folder = tempfile::tempdir().unwrap();
    let port = Port::take();
    let base = format!("http://localhost:{}", port.number());
    let (tap, _auth) = project(&base).await;
    let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SystemEntropy).to_text();
    let project = tap.url();
    let env = [
        ("SUPABASE_URL", project.as_str()),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_test"),
        ("BFF_SESSION_KEYS", key.expose()),
        ("BFF_SESSION_STORE", store),
        ("BFF_SESSION_REFRESH_COOLDOWN", "1ms"),
    ];
    let program = Program::start_at(&port, folder.path(), &env).await;
    let browser = Browser::new(&base);
    let made =
        browser.post("/auth/signup", &json!({ "email": "ada@example.test", "password": PASSWORD })).await;
    assert_eq!(made.status, 200, "{}", made.body);

    tap.fail_once(REFRESH, Fault::HoldAnswer);
    let tab = browser.clone();
    let asking = tokio::spawn(async move { tab.post("/auth/refresh", &json!({})).await });
    tap.holding().await;
    drop(program); // as `kill -9` does
    assert!(asking.await.is_err(), "nobody answers any more");
    tap.release();

    let _program = Program::start_at(&port, folder.path(), &env).await;
    let refreshed = async {
        loop {
            let answer = browser.post("/auth/refresh", &json!({})).await;
            assert!(matches!(answer.status, 200 | 204 | 503), "{store}: {} {}", answer.status, answer.body);
            if answer.status != 503 {
                return;
            }
        }
    };
    bounded("a refresh by the next process", refreshed).await;
    assert_eq!(tap.calls(REFRESH), 2, "{store}");
    let told = browser.get("/auth/session").await.json();
    assert_eq!((&told["authenticated"], &told["user"]["email"]), (&json!(true), &json!("ada@example.test")));
}

#[tokio::test]
async fn a_killed_process_ends_no_session_in_a_cookie() {
    a_killed_process_ends_no_session("cookie").await;
}

#[tokio::test]
async fn a_killed_process_ends_no_session_in_a_file() {
    a_killed_process_ends_no_session("sqlite:sessions.db").await;
}

#[tokio::test]
async fn a_killed_process_ends_no_session_in_redis() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Setup::Password, folder.path());
    a_killed_process_ends_no_session(&server.url()).await;
}
