//! From settings to a store, as a start does it.

use std::path::PathBuf;
use std::sync::Arc;

use base::clock::{SharedClock, SystemClock};
use base::vars::Problems;
use supabase_bff::session::store::Failure;
use supabase_bff::store::{Settings, Store};

use crate::redis_server::{Server, Setup};

async fn open(settings: &Settings) -> Result<Option<Store>, Failure> {
    let clock: SharedClock = Arc::new(SystemClock);
    supabase_bff::store::open(settings, clock).await
}

fn settings(store: &str) -> Settings {
    let vars = vec![("BFF_SESSION_STORE".to_owned(), store.to_owned())];
    let public = "https://app.example.test".parse().unwrap();
    Settings::read(&vars, &[], &public, &mut Problems::default()).unwrap()
}

#[tokio::test]
async fn each_setting_opens_its_store() {
    let folder = tempfile::tempdir().unwrap();
    assert!(open(&settings("cookie")).await.unwrap().is_none());

    let path = folder.path().join("sessions.db");
    let store = open(&settings(&format!("sqlite:{}", path.display()))).await.unwrap().unwrap();
    store.sessions.probe().await.unwrap();
    assert!(path.is_file());

    let server = Server::start(Setup::User, folder.path());
    let store = open(&settings(&server.url())).await.unwrap().unwrap();
    store.sessions.probe().await.unwrap();
    store
        .revocations
        .publish(b"x", base::clock::Clock::now(&SystemClock) + time::Duration::HOUR)
        .await
        .unwrap();
    let names: Vec<String> = server.run(&["KEYS", "*"]).await;
    assert_eq!(names, ["{app.example.test}:revocations"]);
}

/// BFF-STORE-001: one plain message, without the password.
#[tokio::test]
async fn what_cannot_be_opened_is_told_plainly() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "no database").unwrap();
    let closed: PathBuf = text.join("below/a/file");
    for (store, why) in [
        ("redis://bff:hunter2@127.0.0.1:1".to_owned(), "onnection refused"),
        (format!("sqlite:{}", text.display()), "not a database"),
        (format!("sqlite:{}", closed.display()), "cannot be made or opened: Not a directory"),
    ] {
        let settings = settings(&store);
        let failure = open(&settings).await.unwrap_err();
        let mut problems = Problems::default();
        settings.report(&failure, &mut problems);
        let told = problems.list()[0].to_string();
        assert!(told.starts_with("error[BFF-STORE-001] BFF_SESSION_STORE = "), "{told}");
        assert!(told.contains(why) && told.contains("hint: ") && !told.contains("hunter2"), "{told}");
    }
}
