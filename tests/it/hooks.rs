//! Hooks: the project's database says that sessions are over.

use base::secret::Secret;
use base::webhook::Secrets;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::client::{Answer, Browser};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::modes::Mode;

pub const PATH: &str = "/auth/hooks/revoke";

/// A secret of `fill` and its number.
pub fn secret(fill: u8) -> String {
    let bytes: Vec<u8> = (0..32).map(|n| n ^ fill).collect();
    format!("v1,whsec_{}", STANDARD.encode(bytes))
}

fn secrets(text: &str) -> Secrets {
    Secrets::parse(&Secret::new(text.to_owned())).unwrap()
}

async fn start() -> TestApp {
    TestApp::with(Plan::default().with("BFF_HOOKS_SECRETS", &secret(1))).await
}

/// A message as a sender makes it, to be changed by a story.
#[derive(Clone)]
struct Message {
    id: String,
    timestamp: String,
    signature: String,
    kind: &'static str,
    body: String,
}

impl Message {
    fn signed(body: &Value, secret: &str, at: OffsetDateTime) -> Self {
        Self::of("msg_1", body.to_string(), secret, at)
    }

    fn of(id: &str, body: String, secret: &str, at: OffsetDateTime) -> Self {
        Self {
            id: id.to_owned(),
            timestamp: at.unix_timestamp().to_string(),
            signature: secrets(secret).sign(id, at, body.as_bytes()),
            kind: "application/json",
            body,
        }
    }

    async fn send(&self, app: &TestApp) -> Answer {
        self.send_by(&app.browser()).await
    }

    async fn send_by(&self, program: &Browser) -> Answer {
        let headers = [
            ("webhook-id", self.id.as_str()),
            ("webhook-timestamp", &self.timestamp),
            ("webhook-signature", &self.signature),
            ("content-type", self.kind),
        ];
        let headers: Vec<_> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        program.send(Method::POST, PATH, &headers, Some(self.body.clone())).await
    }
}

fn now(app: &TestApp) -> OffsetDateTime {
    base::clock::Clock::now(&app.clock)
}

/// The user and the session of GoTrue's behind a browser, as its upstream sees them.
pub async fn behind(app: &TestApp, browser: &Browser) -> (String, String) {
    assert_eq!(browser.get("/api/notes").await.status, 200);
    let bearer = app.echo.last().bearer().to_owned();
    let claims = URL_SAFE_NO_PAD.decode(bearer.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    (claims["sub"].as_str().unwrap().to_owned(), claims["session_id"].as_str().unwrap().to_owned())
}

/// The status of a request, and why the session ended if it did.
pub async fn state(browser: &Browser) -> (u16, String) {
    let answer = browser.get("/api/notes").await;
    (answer.status, answer.header("x-session-ended").to_owned())
}

async fn tell(app: &TestApp, kind: &str, user: &str, session: Option<&str>) {
    let mut body = json!({ "type": kind, "user_id": user });
    if let Some(session) = session {
        body["session_id"] = session.into();
    }
    let answer = Message::signed(&body, &secret(1), now(app)).send(app).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{kind}");
}

async fn sign_in(app: &TestApp, email: &str) -> Browser {
    let browser = app.browser();
    let body = json!({ "email": email, "password": PASSWORD });
    assert_eq!(browser.post("/auth/login", &body).await.status, 200);
    browser
}

/// S-45: a session that was deleted in the project is refused at once, in a copied cookie and as a bearer token too;
/// the person's other session goes on.
#[tokio::test]
async fn a_deleted_session_is_over_at_once() {
    let app = start().await;
    let browser = app.signed_in("ada@example.test").await;
    let other = sign_in(&app, "ada@example.test").await;
    let (user, session) = behind(&app, &browser).await;
    let bearer = app.echo.last().bearer().to_owned();
    let copy = browser.stolen();

    tell(&app, "session.deleted", &user, Some(&session)).await;
    assert_eq!(state(&browser).await, (401, "hook".to_owned()));
    assert_eq!(state(&copy).await, (401, "hook".to_owned()));
    let program = app.browser().send(Method::GET, "/api/notes", &[("authorization", &bearer)], None).await;
    assert_eq!((program.status, program.code().as_str()), (401, "invalid_token"));
    assert_eq!(state(&other).await, (200, String::new()));
    let told = browser.get("/auth/session").await.json();
    assert_eq!((told["authenticated"].as_bool(), told["reason"].as_str()), (Some(false), Some("hook")));
    assert_eq!(app.auth.calls("/logout"), 0, "GoTrue has forgotten it already");
}

/// S-45: a ban ends every session that the person has, tokens in programs' hands included, and nobody else's; what
/// begins after the ban was lifted is good.
#[tokio::test]
async fn a_ban_ends_what_began_before_it() {
    let app = start().await;
    let one = app.signed_in("ada@example.test").await;
    let two = sign_in(&app, "ada@example.test").await;
    let neighbour = app.signed_in("grace@example.test").await;
    let (user, _) = behind(&app, &one).await;
    let bearer = app.echo.last().bearer().to_owned();

    app.clock.advance(Duration::minutes(5));
    tell(&app, "user.banned", &user, None).await;
    for browser in [&one, &two] {
        assert_eq!(state(browser).await, (401, "user_banned".to_owned()));
    }
    let program = app.browser().send(Method::GET, "/api/notes", &[("authorization", &bearer)], None).await;
    assert_eq!((program.status, program.code().as_str()), (401, "invalid_token"));
    assert_eq!(state(&neighbour).await, (200, String::new()));

    app.clock.advance(Duration::seconds(1));
    let again = sign_in(&app, "ada@example.test").await;
    assert_eq!(state(&again).await, (200, String::new()));
    app.past_expiry();
    assert_eq!(state(&two.stolen()).await.0, 401);
    assert_eq!(state(&again).await.0, 200, "a refresh is no older than its session");
}

/// S-45: with the person go the sessions; each is told of once, for one reason.
#[tokio::test]
async fn a_deleted_person_has_no_session() {
    let app = start().await;
    let browser = app.signed_in("ada@example.test").await;
    let (user, session) = behind(&app, &browser).await;
    tell(&app, "session.deleted", &user, Some(&session)).await;
    tell(&app, "user.deleted", &user, None).await;
    assert_eq!(state(&browser).await, (401, "hook".to_owned()));
    let ended = crate::metrics::ended(&app).await;
    assert_eq!(ended, [("hook".to_owned(), 1.0)], "the cascade and the person are one end");
}

/// S-11, S-45: the echo of our own sign-out changes nothing.
#[tokio::test]
async fn a_sign_out_keeps_its_reason() {
    let app = start().await;
    let browser = app.signed_in("ada@example.test").await;
    let copy = browser.stolen();
    let (user, session) = behind(&app, &browser).await;
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    tell(&app, "session.deleted", &user, Some(&session)).await;
    assert_eq!(state(&copy).await, (401, "user".to_owned()));
    assert_eq!(crate::metrics::ended(&app).await, [("user".to_owned(), 1.0)]);
}

/// S-47: whatever is wrong with a call, the answer is the same and nothing happens.
#[tokio::test]
async fn every_failure_is_the_same_refusal() {
    let app = start().await;
    let browser = app.signed_in("ada@example.test").await;
    let (user, session) = behind(&app, &browser).await;
    let body = json!({ "type": "session.deleted", "user_id": user, "session_id": session });
    let good = Message::signed(&body, &secret(1), now(&app));
    let with = |change: &dyn Fn(&mut Message)| {
        let mut message = good.clone();
        change(&mut message);
        message
    };
    let signed = |body: Value| Message::signed(&body, &secret(1), now(&app));
    let late = now(&app) - Duration::seconds(301);
    let early = now(&app) + Duration::seconds(301);
    let long = json!({ "type": "session.deleted", "user_id": user, "session_id": session, "x": "x".repeat(256 << 10) });
    let calls = [
        ("no id", with(&|m| m.id.clear())),
        ("no time", with(&|m| m.timestamp.clear())),
        ("no signature", with(&|m| m.signature.clear())),
        ("another id", with(&|m| m.id.push('x'))),
        ("another time", with(&|m| m.timestamp = (now(&app).unix_timestamp() + 1).to_string())),
        ("another body", with(&|m| m.body.push(' '))),
        ("cut signature", with(&|m| m.signature.truncate(20))),
        ("another secret", Message::signed(&body, &secret(2), now(&app))),
        ("too old", Message::signed(&body, &secret(1), late)),
        ("from the future", Message::signed(&body, &secret(1), early)),
        ("too long", signed(long)),
        ("no JSON", Message::of("msg_1", "session.deleted".into(), &secret(1), now(&app))),
        ("no object", signed(json!(["session.deleted", user, session]))),
        (
            "another type",
            signed(json!({ "type": "session.created", "user_id": user, "session_id": session })),
        ),
        ("no session", signed(json!({ "type": "session.deleted", "user_id": user }))),
        ("no user", signed(json!({ "type": "user.banned" }))),
        ("no id of a user", signed(json!({ "type": "user.banned", "user_id": "ada" }))),
    ];
    let mut answers = Vec::new();
    for (what, call) in calls {
        let answer = call.send(&app).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "hook_refused"), "{what}");
        let mut body = answer.json();
        body["request_id"] = Value::Null;
        let headers: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"))
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        answers.push((body, headers));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer for all: {answers:#?}");
    assert_eq!(state(&browser).await, (200, String::new()), "nothing happened");
    assert_eq!(good.send(&app).await.status, 204, "the good one passes");
}

/// S-47: the same bytes at the same time are good once, under whatever id they come again.
#[tokio::test]
async fn a_replay_is_refused() {
    let app = start().await;
    let browser = app.signed_in("ada@example.test").await;
    let (user, _) = behind(&app, &browser).await;
    let body = json!({ "type": "user.banned", "user_id": user });
    let at = now(&app);
    assert_eq!(Message::signed(&body, &secret(1), at).send(&app).await.status, 204);
    assert_eq!(state(&browser).await.0, 401);

    app.clock.advance(Duration::seconds(1));
    let again = sign_in(&app, "ada@example.test").await;
    app.clock.advance(Duration::seconds(1));
    assert_eq!(Message::signed(&body, &secret(1), at).send(&app).await.status, 401);
    let renamed = Message::of("msg_2", body.to_string(), &secret(1), at);
    assert_eq!(renamed.send(&app).await.status, 401);
    assert_eq!(state(&again).await.0, 200, "a replayed ban would have ended this one");
    app.clock.advance(Duration::seconds(298));
    assert_eq!(Message::signed(&body, &secret(1), at).send(&app).await.status, 401, "the last second");
    app.clock.advance(Duration::seconds(1));
    assert_eq!(Message::signed(&body, &secret(1), at).send(&app).await.status, 401, "too old by itself");
    assert_eq!(Message::signed(&body, &secret(1), now(&app)).send(&app).await.status, 204, "a new one");
}

/// S-47: another node has not seen the message, nor has one that was restarted. It says there what it said: what began after
/// it goes on, in every mode.
#[tokio::test]
async fn a_replay_at_another_node_is_harmless() {
    for mode in [Mode::Cookie, Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let app = TestApp::with(mode.plan().with("BFF_HOOKS_SECRETS", &secret(1))).await;
        let second = app.node(&[]).await;
        let browser = app.signed_in("ada@example.test").await;
        let (user, session) = behind(&app, &browser).await;
        let at = now(&app);
        let mut messages = Vec::new();
        for kind in ["session.deleted", "user.banned", "user.deleted"] {
            let body = json!({ "type": kind, "user_id": user, "session_id": session });
            let message = Message::signed(&body, &secret(1), at);
            assert_eq!(message.send(&app).await.status, 204);
            messages.push(message);
        }
        assert_eq!(state(&browser).await.0, 401);
        app.clock.advance(Duration::seconds(12));
        let again = sign_in(&app, "ada@example.test").await;
        app.clock.advance(Duration::seconds(200));
        for message in messages {
            assert_eq!(message.send_by(&app.browser().at(&second)).await.status, 204);
        }
        for node in [&app.base, &second] {
            assert_eq!(state(&again.at(node)).await.0, 200);
            assert_eq!(state(&browser.stolen().at(node)).await.0, 401);
        }
    }
}

/// S-45: a sender whose clock is behind ours still ends what began before its word.
#[tokio::test]
async fn a_clock_that_is_behind_misses_nobody() {
    let app = start().await;
    let browser = app.signed_in("ada@example.test").await;
    let (user, _) = behind(&app, &browser).await;
    let body = json!({ "type": "user.banned", "user_id": user });
    let behind = now(&app) - Duration::seconds(9);
    assert_eq!(Message::signed(&body, &secret(1), behind).send(&app).await.status, 204);
    assert_eq!(state(&browser).await, (401, "user_banned".to_owned()));
}

/// S-47: while a new secret comes in, both are good; a signature by either among others is enough.
#[tokio::test]
async fn secrets_roll_over() {
    let both = format!("{}|{}", secret(2), secret(1));
    let app = TestApp::with(Plan::default().with("BFF_HOOKS_SECRETS", &both)).await;
    let user = "00000000-0000-4000-8000-000000000000";
    for (n, known) in [(1, true), (2, true), (3, false)] {
        let body = json!({ "type": "user.deleted", "user_id": user, "n": n });
        let answer = Message::signed(&body, &secret(n), now(&app)).send(&app).await;
        assert_eq!(answer.status, if known { 204 } else { 401 }, "{n}");
    }
    let body = json!({ "type": "user.deleted", "user_id": user, "n": 4 });
    let mut message = Message::signed(&body, &secret(1), now(&app));
    message.signature = format!("v1,{} {}", STANDARD.encode([0; 32]), message.signature);
    assert_eq!(message.send(&app).await.status, 204);
}

/// S-13, S-19, S-47: a page of another site cannot bring a message, good or not, and cookies give it no weight.
#[tokio::test]
async fn only_programs_come_this_way() {
    let app = start().await;
    let browser = app.signed_in("ada@example.test").await;
    let (user, session) = behind(&app, &browser).await;
    let body = json!({ "type": "session.deleted", "user_id": user, "session_id": session });
    let good = Message::signed(&body, &secret(1), now(&app));
    let headers = [
        ("webhook-id", good.id.as_str()),
        ("webhook-timestamp", &good.timestamp),
        ("webhook-signature", &good.signature),
        ("content-type", "application/json"),
    ];
    for extra in [("origin", "https://elsewhere.test"), ("sec-fetch-site", "cross-site")] {
        let headers: Vec<_> = headers.into_iter().chain([extra]).collect();
        let answer = app.browser().send(Method::POST, PATH, &headers, Some(good.body.clone())).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "cross_origin"), "{extra:?}");
    }
    let own = browser.json(Method::POST, PATH, &body).await;
    assert_eq!((own.status, own.code().as_str()), (401, "hook_refused"), "a session is no signature");
    assert_eq!(app.browser().get(PATH).await.status, 405);
    assert_eq!(state(&browser).await.0, 200);
}

/// Off unless there are secrets: then nothing is there.
#[tokio::test]
async fn without_secrets_there_is_no_endpoint() {
    let app = TestApp::start().await;
    let body = json!({ "type": "user.deleted", "user_id": "00000000-0000-4000-8000-000000000000" });
    let answer = Message::signed(&body, &secret(1), now(&app)).send(&app).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

/// S-45: with a store the node that was called ends the record, so the cookie opens nothing on any node; a ban does the
/// same to every session of its person, and each end is told of once.
#[tokio::test]
async fn every_node_hears_of_it() {
    let plan = Plan::in_memory().with("BFF_HOOKS_SECRETS", &secret(1));
    let (app, here, there) = crate::nodes::two_nodes(plan).await;
    let other = sign_in(&app, "ada@example.test").await;
    let neighbour = app.signed_in("grace@example.test").await;
    let (user, session) = behind(&app, &here).await;
    tell(&app, "session.deleted", &user, Some(&session)).await;
    assert_eq!(state(&there).await, (401, "hook".to_owned()));
    assert_eq!(state(&other).await, (200, String::new()));
    tell(&app, "user.banned", &user, None).await;
    assert_eq!(state(&other).await, (401, "user_banned".to_owned()));
    assert_eq!(state(&neighbour).await, (200, String::new()));
    let ended = crate::metrics::ended(&app).await;
    assert_eq!(ended, [("hook".to_owned(), 1.0), ("user_banned".to_owned(), 1.0)]);
}

/// S-47: a message that the store did not take is no replay when it comes again.
#[tokio::test]
async fn a_store_that_is_away_is_asked_again() {
    let (store, plan) = crate::weather::Weather::plan();
    let app = TestApp::with(plan.with("BFF_HOOKS_SECRETS", &secret(1))).await;
    let browser = app.signed_in("ada@example.test").await;
    let (user, session) = behind(&app, &browser).await;
    let body = json!({ "type": "session.deleted", "user_id": user, "session_id": session });
    let message = Message::signed(&body, &secret(1), now(&app));
    store.turn(crate::weather::Mood::Down);
    let answer = message.send(&app).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    store.turn(crate::weather::Mood::Well);
    assert_eq!(message.send(&app).await.status, 204);
    assert_eq!(message.send(&app).await.status, 401);
    assert_eq!(state(&browser).await, (401, "hook".to_owned()));
}
