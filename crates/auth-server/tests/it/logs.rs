//! What is written down.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::{CHALLENGE, PASSWORD, Server, VERIFIER, parameter};

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// S-86: no token, code, verifier, password or address reaches the log, at its most talkative, on good ways or bad.
#[tokio::test]
async fn secrets_are_not_written_down() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    // A lone dispatcher would let threads without one switch call sites off for everybody (tracing's cache of interest).
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::with(|settings| settings.confirm_email = true).await;

    let pkce = json!({"email": "ada@example.test", "password": PASSWORD, "code_challenge": CHALLENGE, "code_challenge_method": "s256"});
    server.post("/signup", pkce).await;
    let (link, digits) = server.mail("ada@example.test");
    let landed = server.get(&format!("/verify?type=signup&token={link}")).await.location();
    let code = parameter(&landed, "code").unwrap();
    let session = server.exchange(&code, VERIFIER).await.session();
    let next = server.refresh(&session.refresh).await.session();
    server.get_as("/user", &next.access).await;
    server.sign_in("ada@example.test", PASSWORD).await.session();
    server.sign_in("ada@example.test", "a-wrong-password").await.refusal();
    server.post("/token?grant_type=password", json!("a-wrong-password")).await.refusal();
    server
        .post("/verify", json!({"type": "email", "email": "ada@example.test", "token": digits}))
        .await
        .refusal();
    server.refresh("a-wrong-refresh-token").await.refusal();
    server.get_as("/user", "a-wrong-access-token").await.refusal();
    server.get("/callback?state=00000000-0000-4000-8000-000000000001&code=a-wrong-code").await.location();

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let own: String = text.lines().filter(|line| line.contains("auth_server")).collect::<Vec<_>>().join("\n");
    assert!(own.contains("http.route=\"/token\"") && own.contains("http.status=400"), "{own}");
    let wrong = ["a-wrong-password", "a-wrong-refresh-token", "a-wrong-access-token", "a-wrong-code"];
    let good =
        [PASSWORD, VERIFIER, CHALLENGE, &link, &code, &session.access, &session.refresh, &next.refresh];
    for secret in wrong.iter().chain(&good).chain(&["ada@example.test", server.handle.admin_key().expose()]) {
        assert!(!own.contains(secret), "{secret} in\n{own}");
    }
}
