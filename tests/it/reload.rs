//! Rules that are read again while requests come, and what is asked of GoTrue by a rule with `live`.

use base::entropy::SystemEntropy;
use base::seal::{KeyId, MasterKey};
use http::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tracing::Level;

use crate::client::{Browser, script};
use crate::harness::{Echo, PASSWORD, Plan, TestApp};
use crate::logs::Log;
use crate::metrics::figures;
use crate::program::Program;
use crate::tap::{Fault, bounded};

const BEFORE: &str = r#"
[scopes]
"notes:read" = "Read notes"

[roles]
user = ["notes:read"]

[[rules]]
name = "notes"
path = "/notes/**"
to = "echo"
scopes = ["notes:read"]
"#;

/// S-98: new rules, scopes and roles hold from the next request on, for sessions and tokens that are known from before
/// too; one event says so.
#[tokio::test]
async fn new_rules_hold_at_once() {
    let (log, _guard) = Log::listen(Level::INFO);
    let app = TestApp::with(Plan { rules: BEFORE.to_owned(), ..Plan::default() }).await;
    let browser = app.signed_in("ada@example.test").await;
    let bearer = app.tokens("ada@example.test", PASSWORD).await;
    let bearer = format!("Bearer {}", bearer["access_token"].as_str().unwrap());
    let program = async |path: &str| {
        app.browser().send(Method::GET, path, &[("authorization", &bearer)], None).await.status
    };
    assert_eq!((browser.get("/notes/1").await.status, program("/notes/1").await), (200, 200));
    assert_eq!(browser.get("/items/1").await.status, 404);
    assert_eq!(browser.get("/auth/session").await.json()["scopes"], json!(["notes:read"]));
    log.events();

    let after = BEFORE.replace("user = [\"notes:read\"]", "user = [\"items\"]").replace(
        "\"notes:read\" = \"Read notes\"",
        "\"notes:read\" = \"Read notes\"\nitems = \"Everything about items\"",
    ) + "\n[[rules]]\nname = \"items\"\npath = \"/items/**\"\nto = \"echo\"\nscopes = [\"items:write\"]\n";
    app.reload(&after).unwrap();
    let events = log.events();
    let reloaded: Vec<_> = events.iter().filter(|line| line["event"] == "config_reloaded").collect();
    assert_eq!(reloaded.len(), 1, "{events:?}");
    assert_eq!(reloaded[0]["event.outcome"], "ok");

    assert_eq!(
        (browser.get("/notes/1").await.code().as_str(), program("/notes/1").await),
        ("insufficient_scope", 403)
    );
    assert_eq!((browser.get("/items/1").await.status, program("/items/1").await), (200, 200));
    for _ in 0..2 {
        assert_eq!(browser.get("/auth/session").await.json()["scopes"], json!(["items"]));
    }
    let counted = r#"bff_http_requests_total{route="items",method="GET",status="200"}"#;
    assert_eq!(figures(&app).await[counted], 2.0, "a new rule has figures of its own");
}

/// S-98: a broken file changes nothing, and the log has every fault of it.
#[tokio::test]
async fn a_broken_file_keeps_the_old_rules() {
    let (log, _guard) = Log::listen(Level::INFO);
    let app = TestApp::with(Plan { rules: BEFORE.to_owned(), ..Plan::default() }).await;
    let browser = app.signed_in("ada@example.test").await;
    for (broken, codes) in [
        (
            "[[rules]]\nname = \"a\"\npath = \"/**\"\nto = \"echo\"\nallow = \"public\"\n\
             [[rules]]\nname = \"b\"\npath = \"/b\"\nto = \"nowhere\"\nscope = [\"x\"]\nclaims = { \"user_metadata.x\" = [1] }",
            &["BFF-CONF-001"][..],
        ),
        (
            "[[rules]]\nname = \"a\"\npath = \"/**\"\nto = \"echo\"\nallow = \"public\"\n\
             [[rules]]\nname = \"b\"\npath = \"/b\"\nto = \"nowhere\"\nclaims = { \"user_metadata.x\" = [1] }",
            &["BFF-RULE-003", "BFF-RULE-002"],
        ),
        ("[[rules]]\nname = ", &["BFF-CONF-002"]),
        ("[session]\nidle = \"soon\"", &["BFF-CONF-002"]),
    ] {
        log.events();
        let problems = app.reload(broken).unwrap_err();
        let found: Vec<_> = problems.list().into_iter().map(|problem| problem.code).collect();
        codes.iter().for_each(|code| assert!(found.contains(code), "{broken}: {found:?}"));
        let text = log.text();
        found.iter().for_each(|code| assert!(text.contains(code), "{code}: {text}"));
        let events = log.events();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(
            (&events[0]["event"], &events[0]["event.outcome"]),
            (&json!("config_reloaded"), &json!("failed"))
        );
        assert_eq!(browser.get("/notes/1").await.status, 200, "{broken}");
        assert_eq!(app.browser().get("/anything").await.status, 404, "{broken}");
    }
    app.reload("").unwrap();
    assert_eq!(browser.get("/notes/1").await.status, 404, "no rules are rules too");
}

/// A rule with `live` asks GoTrue whether the session lives, after the rules have said yes: one that ended elsewhere is over
/// at once; an outage is a 503 and no end.
#[tokio::test]
async fn a_live_rule_asks_gotrue() {
    let rules =
        format!("{BEFORE}live = true\n\n[[rules]]\nname = \"others\"\npath = \"/**\"\nto = \"echo\"\n");
    let app = TestApp::with(Plan { rules, ..Plan::default() }).await;
    let browser = app.signed_in("ada@example.test").await;
    let tokens = app.tokens("ada@example.test", PASSWORD).await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let program =
        async || app.browser().send(Method::GET, "/notes/1", &[("authorization", &bearer)], None).await;
    let calls = || app.auth.calls("GET /auth/v1/user");
    assert_eq!((browser.get("/x").await.status, calls()), (200, 0));
    assert_eq!((app.browser().get("/notes/1").await.status, calls()), (401, 0), "nobody is not asked about");
    app.clock.advance(time::Duration::seconds(11)); // what GoTrue said at the sign-in counts for ten seconds
    assert_eq!(browser.get("/notes/1").await.status, 200);
    assert!(calls() > 0);
    assert_eq!(program().await.status, 200);

    app.clock.advance(time::Duration::seconds(11));
    app.auth.fail("GET /auth/v1/user", Fault::Answer(500, "text/html", "<html>".to_owned()));
    assert_eq!((browser.get("/notes/1").await.status, program().await.status), (503, 503));
    app.auth.heal();
    app.clock.advance(time::Duration::seconds(11));
    assert_eq!((browser.get("/notes/1").await.status, program().await.status), (200, 200));

    app.clock.advance(time::Duration::seconds(11));
    app.auth.fail("GET /auth/v1/user", Fault::code(403, "session_not_found"));
    let over = program().await;
    assert_eq!((over.status, over.header("x-session-ended")), (401, "session_not_found"));
    let over = browser.get("/notes/1").await;
    assert_eq!((over.status, over.code().as_str()), (401, "session_ended"));
    app.auth.heal();
    assert_eq!(program().await.status, 401, "what is over stays over");
    assert_eq!(browser.get("/x").await.status, 401);
}

/// SIGHUP has the program read its file again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_has_the_rules_read_again() {
    base::http::install_tls_provider();
    let echo = Echo::default();
    let upstream = format!("[upstreams]\necho = {{ url = \"http://{}\" }}\n", echo.start().await);
    let rule = |name: &str, to: &str| {
        format!("[[rules]]\nname = \"{name}\"\npath = \"/{name}\"\nto = \"{to}\"\nallow = \"public\"\n")
    };
    let folder = tempfile::tempdir().unwrap();
    let write = |rules: &str| {
        std::fs::write(folder.path().join("bff.toml"), format!("{upstream}{rules}")).unwrap();
    };
    write(&rule("one", "echo"));
    let program = Program::start(folder.path(), &[("BFF_LOG_FORMAT", "json")]).await;
    let browser = Browser::new(&program.base);
    let ask = async |path: &str| browser.send(Method::GET, path, &script(), None).await.status;
    assert_eq!((ask("/one").await, ask("/two").await), (200, 404));

    write(&rule("two", "echo"));
    program.signal("HUP");
    let line = program.says(r#""event":"config_reloaded""#).await;
    assert!(line.contains(r#""event.outcome":"ok""#), "{line}");
    assert_eq!((ask("/one").await, ask("/two").await), (404, 200));

    write(&rule("three", "nowhere"));
    program.signal("HUP");
    let line = program.says("BFF-RULE-003").await;
    assert!(line.contains("rules.three.to"), "{line}");
    program.says(r#""event.outcome":"failed""#).await;
    assert_eq!((ask("/one").await, ask("/two").await), (404, 200));
}

/// A signal that comes while the program still waits for its project does not end it, and is obeyed afterwards.
#[tokio::test]
async fn a_signal_during_the_start_is_heard() {
    base::http::install_tls_provider();
    let folder = tempfile::tempdir().unwrap();
    let project = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", project.local_addr().unwrap());
    let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SystemEntropy).to_text();
    let environment = [
        ("SUPABASE_URL", url.as_str()),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_test"),
        ("BFF_SESSION_KEYS", key.expose()),
        ("BFF_LOG_FORMAT", "json"),
    ];
    let program = Program::start(folder.path(), &environment).await;
    let asked = bounded("asks its project", project.accept()).await.unwrap();
    program.signal("HUP");
    drop((asked, project)); // nobody answers
    program.says(r#""event":"config_reloaded""#).await;
    assert_eq!(Browser::new(&program.base).get("/auth/session").await.status, 200);
}
