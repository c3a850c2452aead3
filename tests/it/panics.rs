//! A handler that panics: what its caller, its neighbours and the log see of it.

use std::panic::{set_hook, take_hook};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::entropy::{Entropy, SystemEntropy};
use serde_json::{Value, json};
use supabase_bff::cli::telemetry::report_panic;

use crate::harness::{PASSWORD, Plan, TestApp};
use crate::logs::Log;

/// Runs dry when it is told to, and blurts out what a panic's message may well hold.
#[derive(Debug, Default)]
struct Dry(AtomicUsize);

/// The bytes that ids of sessions and of forms are drawn from; ids of requests are shorter.
const ID: usize = 16;

impl Entropy for Dry {
    fn fill(&self, bytes: &mut [u8]) {
        let due = |left: usize| left.checked_sub(1);
        if bytes.len() == ID && self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, due).is_ok() {
            panic!("canary-panic: no randomness for canary@example.test");
        }
        SystemEntropy.fill(bytes);
    }
}

/// S-86, S-89: a panic ends its request with a 500 that says nothing, and no other; the log says where it was and
/// nothing of what was at hand.
#[tokio::test]
async fn a_panic_ends_its_request_alone() {
    let here = std::thread::current().id();
    let other_stories = take_hook();
    set_hook(Box::new(move |panic| {
        if std::thread::current().id() == here { report_panic(panic) } else { other_stories(panic) }
    }));
    let (log, _guard) = Log::listen(tracing::Level::TRACE);
    let dry = Arc::new(Dry::default());
    let app = TestApp::with(Plan { entropy: dry.clone(), ..Plan::default() }).await;
    let neighbour = app.signed_in("ada@example.test").await;
    let canary = "canary@example.test";
    app.signed_in(canary).await;
    let browser = app.browser();
    let right = json!({ "email": canary, "password": PASSWORD });

    let panics = 3;
    dry.0.store(panics, Ordering::SeqCst);
    let answers = [
        browser.post("/auth/login?canary=canary", &right).await, // the id of the session
        browser.navigate("/auth/login").await,                   // the id of the form
        browser.navigate("/auth/start/google").await,            // the id of the flow
    ];
    assert_eq!(dry.0.load(Ordering::SeqCst), 0, "each of them met the panic");
    for answer in &answers {
        assert_eq!((answer.status, answer.code().as_str()), (500, "internal"), "{}", answer.body);
        assert!(!answer.body.contains("canary"), "{}", answer.body);
        assert!(answer.set_cookies().is_empty(), "{:?}", answer.headers);
        assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
    }
    assert_eq!(neighbour.get("/api/notes").await.status, 200);
    assert_eq!(browser.post("/auth/login", &right).await.status, 200, "the process goes on");

    let text = log.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines.iter().filter(|line| line.get("code.line").is_some()).collect();
    assert_eq!(told.len(), panics, "{told:#?}");
    for (line, answer) in told.iter().zip(&answers) {
        assert!(line["code.file"].as_str().unwrap().ends_with("panics.rs"), "{line}");
        assert_eq!(line["spans"][0]["request_id"], answer.header("x-request-id"), "{line}");
    }
    for secret in ["canary", PASSWORD] {
        let found: Vec<_> = text.lines().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{secret}: {found:#?}");
    }
}
