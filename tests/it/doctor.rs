//! `doctor`, the real program: what it says of a project that is sound, away, or not as it should be.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::harness::{Plan, TestApp};
use crate::port::Port;
use crate::tap::Fault;

/// Its exit status and what it wrote to either output, with `changes` to the environment of `app`.
async fn doctor(app: &TestApp, arguments: &[&str], changes: &[(&str, &str)]) -> (i32, String, String) {
    let own = app.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let run = Command::new(env!("CARGO_BIN_EXE_supabase-bff"))
        .arg("doctor")
        .args(arguments)
        .env_clear()
        .envs(own.chain(changes.iter().copied()))
        .current_dir(app.folder.path())
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (run.status.code().unwrap(), text(run.stdout), text(run.stderr))
}

/// Every look at a sound project comes out well; no account is made and no mail goes out.
#[tokio::test]
async fn a_sound_project_is_found_sound() {
    let app = TestApp::start().await;
    let (status, said, remarks) = doctor(&app, &[], &[]).await;
    assert_eq!(status, 0, "{said}{remarks}");
    let said = said.replace(&app.base, "http://localhost:8080");
    insta::assert_snapshot!(said, @"
    project         answers; sign-up is open
    key             is accepted
    clock           agrees with the project's
    signing keys    are published
    issuer          is not told by this project
    redirect list   has http://localhost:8080/auth/callback/*
    mail templates  cannot be seen from outside: their links lead to /auth/confirm (docs/supabase.md)
    store           none: sessions are in cookies
    upstream echo   takes connections
    ");
    assert_eq!(app.outbox().await.len(), 0);
    assert_eq!(app.auth.calls("POST ") + app.auth.calls("PUT "), 0);
    let (status, said, _) = doctor(&app, &["--json"], &[]).await;
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &told["ok"], &told["findings"]), (0, &json!(true), &json!([])));
    assert_eq!(told["looks"][1], json!({ "name": "key", "result": "is accepted" }));
}

/// S-87: each dependency that does not answer is told by its code, with the fix, and no secret.
#[tokio::test]
async fn what_does_not_answer_is_told() {
    let app = TestApp::with(Plan::default().with("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_canary")).await;
    app.auth.fail("/auth/v1/settings", Fault::Answer(401, "application/json", r#"{"message":"x"}"#.into()));
    let (status, said, remarks) = doctor(&app, &[], &[]).await;
    assert_eq!(status, 4, "{said}{remarks}");
    assert!(said.contains("is refused with 401"), "{said}");
    assert!(
        remarks.contains("error[BFF-KEY-003] SUPABASE_PUBLISHABLE_KEY") && remarks.contains("hint:"),
        "{remarks}"
    );
    assert!(!format!("{said}{remarks}").contains("canary"));
    app.auth.heal();
    app.auth.fail("/auth/v1/settings", Fault::Answer(200, "text/html", "<h1>hello</h1>".into()));
    let (status, _, remarks) = doctor(&app, &[], &[]).await;
    assert!(status == 4 && remarks.contains("error[BFF-LIVE-005] SUPABASE_URL"), "{remarks}");
    app.auth.heal();
    for (variable, value, exit, code) in [
        ("SUPABASE_URL", "http://127.0.0.1:1", 4, "error[BFF-LIVE-005] SUPABASE_URL"),
        ("BFF_SESSION_STORE", "redis://127.0.0.1:1/0", 4, "error[BFF-STORE-001]"),
        ("BFF_SESSION_IDLE", "soon", 3, "error[BFF-CONF-002]"),
    ] {
        let (status, said, remarks) = doctor(&app, &[], &[(variable, value)]).await;
        assert_eq!(status, exit, "{variable}: {said}{remarks}");
        assert!(remarks.contains(code), "{variable}: {remarks}");
    }
    assert_eq!(app.auth.calls("POST "), 0);
}

/// A project that answers and is not set up for this site: each fault by its code, all in one run.
#[tokio::test]
async fn a_project_that_does_not_fit_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = || async {
        let date = [("date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("content-type", "application/json")];
        (date, json!({ "external": {}, "disable_signup": true }).to_string())
    };
    let discovery = || async { axum::Json(json!({ "issuer": "https://other.example.test/auth/v1" })) };
    let verify = || async {
        (StatusCode::SEE_OTHER, [("location", "https://site.example.test/?error=x#error=x")]).into_response()
    };
    let router = Router::new()
        .route("/auth/v1/settings", get(settings))
        .route("/auth/v1/.well-known/jwks.json", get(|| async { axum::Json(json!({ "keys": [] })) }))
        .route("/auth/v1/.well-known/openid-configuration", get(discovery))
        .route("/auth/v1/verify", get(verify));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let away = Port::take();
    let rules = format!(
        "away = {{ url = \"http://127.0.0.1:{}\" }}\n[[rules]]\nname = \"x\"\npath = \"/x\"\nto = \"away\"\nallow = \"public\"\n",
        away.number()
    );
    let app = TestApp::with(Plan { rules, ..Plan::default() }).await;
    let project = [("SUPABASE_URL", url.as_str()), ("SUPABASE_PUBLIC_URL", url.as_str())];
    let (status, said, remarks) = doctor(&app, &[], &project).await;
    assert_eq!(status, 4, "{said}{remarks}");
    for code in ["BFF-LIVE-001", "BFF-JWT-003", "BFF-JWT-004", "BFF-LIVE-002"] {
        assert!(remarks.contains(&format!("error[{code}]")), "{code}: {remarks}");
    }
    assert!(said.contains("sign-up is closed") && said.contains("lacks "), "{said}");
    assert!(remarks.contains(&format!("hint: Add {}/auth/callback/*", app.base)), "{remarks}");
    assert!(said.contains("upstream away") && said.contains("takes no connection"), "{said}");
    assert!(remarks.contains("warning[BFF-UP-002] upstreams.away.url"), "{remarks}");
    let (status, said, _) = doctor(&app, &["--json"], &project).await;
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &told["ok"], told["findings"].as_array().unwrap().len()), (4, &json!(false), 5));
}
