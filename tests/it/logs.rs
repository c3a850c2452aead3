//! What is written down, and what never is.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};
use tracing_subscriber::util::SubscriberInitExt;

use crate::client::{navigation, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::provider::up_to_callback;
use crate::tap::Fault;

/// Everything that this thread logs; a story runs on one thread.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// While one subscriber is alone, `tracing` asks only the thread that meets a line first whether anybody wants it, and
/// other stories, which listen to nothing, say no for all. A second one, which lives as long as the process, ends that.
static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();

impl Log {
    pub fn listen(level: tracing::Level) -> (Self, tracing::subscriber::DefaultGuard) {
        SECOND.get_or_init(|| {
            let silent = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR);
            tracing::Dispatch::new(silent.with_writer(std::io::sink).finish())
        });
        let log = Self::default();
        let sink = log.clone();
        let lines = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(level);
        let guard = lines.with_writer(move || sink.clone()).finish().set_default();
        (log, guard)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of the audit trail since the last call.
    pub fn events(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let lines =
            text.lines().map(|line| serde_json::from_str::<Value>(line).expect("one line, one object"));
        lines.filter(|line| line.get("event").is_some()).collect()
    }
}

/// The begin of a JWT, by either order of its first members. Shorter ones are met by chance in ids.
pub fn holds_a_jwt(text: &str) -> bool {
    [r#"{"alg""#, r#"{"typ""#].iter().any(|begin| text.contains(&URL_SAFE_NO_PAD.encode(begin)))
}

/// S-86: canaries in every place that could hold a secret, through every flow, at the finest level, GoTrue's own
/// faults included: none is written down, by us or by a library.
#[tokio::test]
async fn no_secret_is_written_down() {
    let (log, _guard) = Log::listen(tracing::Level::TRACE);
    let app = TestApp::start().await;
    let browser = app.signed_in("canary-mail@example.test").await;
    let mut secrets = vec!["canary".to_owned(), PASSWORD.to_owned(), "plover".to_owned()];
    let mut headers = script().to_vec();
    headers.extend([
        ("origin", app.base.as_str()),
        ("content-type", "application/json"),
        ("referer", "https://canary-referer.test/"),
        ("x-forwarded-user", "canary-user"),
        ("cookie2", "canary-cookie"),
        ("x-own", "canary-own"),
    ]);
    for path in
        ["/api/notes?canary-query=canary-value", "/api/canary-path", "/canary-nowhere", "/api/items/x"]
    {
        browser.send(Method::POST, path, &headers, Some(r#"{"canary-body":"canary-body"}"#.into())).await;
    }
    for authorization in ["Bearer canary-token", "Basic canary-basic", "canary-scheme"] {
        app.browser().send(Method::GET, "/api/notes", &[("authorization", authorization)], None).await;
        app.browser().send(Method::GET, "/auth/session", &[("authorization", authorization)], None).await;
    }
    app.past_expiry();
    browser.get("/api/notes").await;
    assert!(holds_a_jwt(app.echo.last().bearer()));
    secrets.push(app.echo.last().bearer().trim_start_matches("Bearer ").to_owned());
    for (status, code) in [(400, "canary-code-text"), (500, "canary")] {
        let body = format!(r#"{{"code":"{code}","message":"canary-message"}}"#);
        let fault = Fault::Answer(
            status,
            "application/json",
            if status == 400 {
                r#"{"code":"invalid_credentials","message":"canary-message"}"#.into()
            } else {
                body
            },
        );
        app.auth.fail_once("grant_type=password", fault);
        let wrong = json!({ "email": "canary-mail@example.test", "password": "canary-password", "captcha_token": "canary-captcha" });
        app.browser().post("/auth/login", &wrong).await;
    }
    app.auth.fail_once("grant_type=password", Fault::Answer(200, "text/html", "<h1>canary-html</h1>".into()));
    let right = json!({ "email": "canary-mail@example.test", "password": PASSWORD });
    app.browser().post("/auth/login", &right).await;
    app.browser().post("/auth/login", &right).await;
    app.echo.answer(
        302,
        &[("location", "https://canary-location.test/"), ("set-cookie", "canary=canary")],
        "canary-answer",
    );
    browser.get("/api/notes").await;

    let guest = app.browser();
    let callback = up_to_callback(
        &guest,
        "/auth/start/google?login_hint=canary-hint&return_to=/canary-target",
        "canary-guest@example.test",
    )
    .await;
    secrets.push(callback.split_once("code=").unwrap().1.to_owned());
    app.auth.fail_once("grant_type=pkce", Fault::Reset);
    guest.stolen().navigate_from("cross-site", &callback).await;
    guest.navigate_from("cross-site", &callback).await;
    guest.navigate("/?code=0b7f9c1e-5d2a-4c3b-8e6f-0000000000ca").await;
    secrets.push("0b7f9c1e-5d2a-4c3b-8e6f-0000000000ca".to_owned());
    guest.navigate("/auth/confirm?token_hash=canary-hash&type=signup").await;
    guest.post("/auth/confirm", &json!({ "token_hash": "canary-hash", "type": "signup" })).await;
    guest.post("/auth/otp", &json!({ "email": "canary-mail@example.test", "code": "424242" })).await;
    guest
        .submit(
            "/auth/login",
            &[("form_token", "canary-form"), ("email", "canary@example.test"), ("password", "canary")],
        )
        .await;
    for name in ["sb_session_", "sb_form_"] {
        secrets.extend([&browser, &guest].iter().filter_map(|who| who.cookie(name)));
    }
    browser.post("/auth/logout", &json!({})).await;

    for call in app.auth.seen("/token") {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        let fields = ["refresh_token", "auth_code", "code_verifier", "password"];
        secrets.extend(fields.iter().filter_map(|field| body[*field].as_str().map(str::to_owned)));
    }
    secrets.push(app.variable("BFF_SESSION_KEYS").split_once(':').unwrap().1.to_owned());
    secrets.push("sb_publishable_test".to_owned());
    let text = log.text();
    assert!(text.lines().count() > 200, "the log was caught: {} lines", text.lines().count());
    assert!(secrets.len() > 12, "{secrets:?}");
    for line in text.lines() {
        for secret in &secrets {
            assert!(!line.contains(secret.as_str()), "{secret} in {line}");
        }
        assert!(!holds_a_jwt(line), "{line}");
    }
}

/// S-88: each refusal leaves exactly one event, with its code, the request's id and the client's address.
#[tokio::test]
async fn each_refusal_is_one_event() {
    let (log, _guard) = Log::listen(tracing::Level::INFO);
    let app = TestApp::with(Plan::default().with("BFF_TRUSTED_PROXIES", "127.0.0.1/32")).await;
    let browser = app.signed_in("ada@example.test").await;
    let stranger = app.browser();
    let own = script().to_vec();
    let with = |more: &[(&'static str, &'static str)]| {
        own.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>()
    };
    let no_header = vec![("sec-fetch-site", "none"), ("sec-fetch-mode", "cors")];
    let cross = vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    let frame =
        vec![("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    let bad = vec![("authorization", "Bearer x")];
    let form = vec![("sec-fetch-site", "same-origin"), ("content-type", "application/x-www-form-urlencoded")];
    let body = "form_token=x&email=ada%40example.test&password=x";
    let both = with(&[("authorization", "Bearer x")]);
    let nobody: Vec<(&str, &str)> = Vec::new();
    log.events();
    for (who, method, path, headers, event, code) in [
        (&browser, Method::POST, "/api/notes", &cross, "csrf_refused", "cross_origin"),
        (&browser, Method::GET, "/api/notes", &no_header, "csrf_refused", "csrf_header"),
        (&stranger, Method::POST, "/auth/login", &form, "csrf_refused", "csrf_form"),
        (&stranger, Method::POST, "/auth/signup", &form, "csrf_refused", "csrf_form"),
        (&stranger, Method::POST, "/auth/confirm", &form, "csrf_refused", "csrf_form"),
        (&stranger, Method::POST, "/auth/logout", &form, "csrf_refused", "csrf_form"),
        (&browser, Method::GET, "/api/notes", &frame, "csrf_refused", "fetch_context"),
        (&stranger, Method::GET, "/auth/callback/x", &frame, "csrf_refused", "fetch_context"),
        (&stranger, Method::GET, "/api/notes", &nobody, "policy_refused", "session_missing"),
        (&stranger, Method::GET, "/api/notes", &bad, "policy_refused", "invalid_token"),
        (&stranger, Method::GET, "/auth/session", &bad, "policy_refused", "invalid_token"),
        (&browser, Method::GET, "/api/notes", &both, "policy_refused", "ambiguous_credentials"),
        (&browser, Method::POST, "/api/items/1", &own, "policy_refused", "insufficient_scope"),
        (&browser, Method::GET, "/api/admin/1", &own, "policy_refused", "forbidden"),
        (&browser, Method::GET, "/api/vault", &own, "policy_refused", "insufficient_user_authentication"),
        (&browser, Method::GET, "/api/a%5cb", &own, "policy_refused", "bad_path"),
        (
            &stranger,
            Method::GET,
            "/auth/callback/abcdefghijklmnopqrstuv?code=x",
            &nobody,
            "sign_in",
            "flow_invalid",
        ),
    ] {
        let mut headers = headers.clone();
        headers.push(("x-forwarded-for", "198.51.100.1, 203.0.113.9"));
        let sent = (method == Method::POST).then(|| body.to_owned());
        let answer = who.send(method.clone(), path, &headers, sent).await;
        let events = log.events();
        assert_eq!(events.len(), 1, "{method} {path} {code}: {} {events:#?}", answer.status);
        assert_eq!(
            (events[0]["event"].as_str(), events[0]["error.code"].as_str()),
            (Some(event), Some(code)),
            "{path}"
        );
        let request = &events[0]["spans"][0];
        assert_eq!(request["request_id"], answer.header("x-request-id"), "{}", events[0]);
        assert_eq!(request["client.address"], "203.0.113.9", "S-83: {}", events[0]);
    }
    let wrong = json!({ "email": "ada@example.test", "password": "wrong horse" });
    for n in 0..11 {
        browser.stolen().post("/auth/login", &wrong).await;
        let events = log.events();
        let expected =
            if n < 10 { ("sign_in", "invalid_credentials") } else { ("rate_limited", "rate_limited") };
        let got: Vec<_> = events
            .iter()
            .map(|e| (e["event"].as_str().unwrap(), e["error.code"].as_str().unwrap()))
            .collect();
        assert_eq!(got, [expected], "{n}");
    }
    browser.navigate("/auth/login?code=0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f").await;
    let events = log.events();
    assert_eq!((events.len(), events[0]["event"].as_str()), (1, Some("code_at_wrong_url")));
}

/// S-88: a session's life in the audit trail, under the same hashes, with a reason for its end.
#[tokio::test]
async fn a_session_is_told_from_its_start_to_its_end() {
    let (log, _guard) = Log::listen(tracing::Level::INFO);
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let names =
        |events: &[Value]| events.iter().map(|e| e["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let started = log.events();
    assert_eq!(names(&started), ["session_started", "sign_up"]);
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    let ended = log.events();
    assert_eq!(names(&ended), ["session_ended", "sign_out"]);
    assert_eq!(ended[0]["event.reason"], "user");
    assert_eq!(ended[0]["session.hash"], started[0]["session.hash"]);
    assert_eq!(ended[0]["user.hash"], started[0]["user.hash"]);

    let browser = app.browser();
    browser.post("/auth/login", &json!({ "email": "ada@example.test", "password": PASSWORD })).await;
    assert_eq!(names(&log.events()), ["session_started", "sign_in"]);
    app.past_expiry();
    app.auth.fail("grant_type=refresh_token", Fault::code(400, "refresh_token_already_used"));
    let answer = browser.get("/api/notes").await;
    assert_eq!(answer.status, 401);
    let events = log.events();
    assert_eq!(names(&events), ["token_reuse", "session_ended", "policy_refused"]);
    assert_eq!(
        (&events[1]["event.reason"], &events[2]["error.code"]),
        (&json!("refresh_reused"), &json!("session_ended"))
    );
    let _ = browser.send(Method::GET, "/auth/login", &navigation("none"), None).await;
}

/// S-47, S-88: a refused hook call is one event, which tells nothing of the message.
#[tokio::test]
async fn a_refused_hook_is_an_event() {
    let (log, _guard) = Log::listen(tracing::Level::INFO);
    let app = TestApp::with(Plan::default().with("BFF_HOOKS_SECRETS", &crate::hooks::secret(1))).await;
    let headers = [
        ("webhook-id", "msg_canary"),
        ("webhook-timestamp", "1767225600"),
        ("webhook-signature", "v1,canary"),
        ("content-type", "application/json"),
    ];
    log.events();
    let body = r#"{"type":"user.banned","user_id":"canary"}"#.to_owned();
    app.browser().send(Method::POST, crate::hooks::PATH, &headers, Some(body)).await;
    assert!(!log.text().contains("canary"));
    let events = log.events();
    let [event] = &events[..] else { panic!("one event: {events:?}") };
    assert_eq!((&event["event"], &event["event.method"]), (&json!("hook_refused"), &json!("revoke")));
    assert_eq!((&event["event.outcome"], &event["error.code"]), (&json!("refused"), &json!("hook_refused")));
}
