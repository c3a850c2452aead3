//! Second factors: enrolling, aal2, and what is refused.

use std::sync::Arc;

use auth_server::Database;
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;
use totp_rs::{Builder, Secret, Totp};

use crate::harness::{PASSWORD, Reply, Server, Session, successes};

/// An authenticator app.
struct App {
    factor: String,
    totp: Totp,
}

impl App {
    async fn enroll(server: &Server, session: &Session, name: &str) -> Self {
        let body = json!({"factor_type": "totp", "friendly_name": name});
        let made = server.post_as("/factors", &session.access, body).await;
        assert_eq!(made.status, 200, "{made:?}");
        let secret = Secret::try_from_base32(made.json["totp"]["secret"].as_str().unwrap()).unwrap();
        let totp = Builder::new().with_secret(secret).build().unwrap();
        Self { factor: made.json["id"].as_str().unwrap().to_owned(), totp }
    }

    fn path(&self, rest: &str) -> String {
        format!("/factors/{}{rest}", self.factor)
    }

    /// The code of a step, counted from now.
    fn code(&self, server: &Server, steps: i64) -> String {
        let at = base::clock::Clock::now(&server.clock) + Duration::seconds(30 * steps);
        self.totp.generate(at.unix_timestamp().unsigned_abs()).to_string()
    }

    async fn challenge(&self, server: &Server, session: &Session) -> String {
        let opened = server.post_as(&self.path("/challenge"), &session.access, json!({})).await;
        assert_eq!(opened.status, 200, "{opened:?}");
        opened.json["id"].as_str().unwrap().to_owned()
    }

    async fn answer(&self, server: &Server, session: &Session, challenge: &str, code: &str) -> Reply {
        let body = json!({"challenge_id": challenge, "code": code});
        server.post_as(&self.path("/verify"), &session.access, body).await
    }

    /// Opens a challenge and meets it with the code of this step.
    async fn verify(&self, server: &Server, session: &Session) -> Session {
        let challenge = self.challenge(server, session).await;
        self.answer(server, session, &challenge, &self.code(server, 0)).await.session()
    }
}

/// A code other than the right ones.
fn wrong(app: &App, server: &Server) -> String {
    let right = [-1, 0, 1].map(|steps| app.code(server, steps));
    (0..).map(|n| format!("{n:06}")).find(|code| !right.contains(code)).unwrap()
}

#[tokio::test]
async fn a_second_factor_raises_the_session_and_ends_lesser_ones() {
    let server = Server::start().await;
    let here = server.sign_up("ada@example.test").await.session();
    let elsewhere = server.sign_in("ada@example.test", PASSWORD).await.session();
    let app = App::enroll(&server, &here, "phone").await;
    let listed = server.get_as("/user", &here.access).await.json["factors"].clone();
    assert_eq!((&listed[0]["status"], listed.as_array().unwrap().len()), (&json!("unverified"), 1));
    assert!(listed[0].get("secret").is_none() && listed[0]["last_challenged_at"].is_null());

    let up = app.verify(&server, &here).await;
    assert_eq!(
        (&up.claims()["aal"], &up.claims()["session_id"]),
        (&json!("aal2"), &here.claims()["session_id"])
    );
    assert_eq!(up.claims()["amr"][0]["method"], "totp");
    assert_eq!(
        (&up.user["factors"][0]["status"], &up.user["factors"][1]),
        (&json!("verified"), &Value::Null)
    );
    assert_eq!(server.get_as("/user", &elsewhere.access).await.refusal(), "403 session_not_found");
    let refreshed = server.refresh(&up.refresh).await.session();
    assert_eq!(refreshed.claims()["aal"], "aal2");

    // The token from before the proof is worth nothing once the interval is over.
    server.clock.advance(Duration::seconds(11));
    assert_eq!(server.refresh(&here.refresh).await.refusal(), "400 refresh_token_already_used");
}

#[tokio::test]
async fn what_the_factor_guards_needs_it() {
    let server = Server::start().await;
    let here = server.sign_up("ada@example.test").await.session();
    let app = App::enroll(&server, &here, "phone").await;
    let up = app.verify(&server, &here).await;
    let low = server.sign_in("ada@example.test", PASSWORD).await.session();
    assert_eq!(low.claims()["aal"], "aal1");
    let put = async |body: Value| server.call_as(Method::PUT, "/user", &low.access, body).await;
    assert_eq!(put(json!({"password": "Copper-meadow-77"})).await.refusal(), "401 insufficient_aal");
    assert_eq!(put(json!({"email": "new@example.test"})).await.refusal(), "401 insufficient_aal");
    assert_eq!(put(json!({"data": {"x": 1}})).await.status, 200);
    let another = json!({"factor_type": "totp", "friendly_name": "tablet"});
    assert_eq!(server.post_as("/factors", &low.access, another).await.refusal(), "403 insufficient_aal");
    let remove = async |session: &Session| {
        server.call_as(Method::DELETE, &app.path(""), &session.access, json!({})).await
    };
    assert_eq!(remove(&low).await.refusal(), "422 insufficient_aal");
    assert_eq!(remove(&up).await.json, json!({"id": app.factor}));
    let fallen = server.refresh(&up.refresh).await.session();
    assert_eq!(
        (&fallen.claims()["aal"], fallen.claims()["amr"].as_array().unwrap().len()),
        (&json!("aal1"), 1)
    );
    assert!(fallen.user.get("factors").is_none());
    assert_eq!(put(json!({"password": "Copper-meadow-77"})).await.status, 200);
}

/// S-75: a step is accepted once, and none that is older than the last; one step to either side, no more.
#[tokio::test]
async fn a_step_is_accepted_once() {
    let server = Server::start().await;
    let session = server.sign_up("ada@example.test").await.session();
    let app = App::enroll(&server, &session, "").await;
    let up = app.verify(&server, &session).await;
    let try_step = async |steps: i64| {
        let challenge = app.challenge(&server, &up).await;
        app.answer(&server, &up, &challenge, &app.code(&server, steps)).await
    };
    for steps in [0, -1, 2, -2] {
        assert_eq!(try_step(steps).await.refusal(), "422 mfa_verification_failed", "{steps}");
    }
    try_step(1).await.session();
    server.clock.advance(Duration::seconds(30));
    assert_eq!(try_step(0).await.refusal(), "422 mfa_verification_failed", "the same step, now current");
    server.clock.advance(Duration::seconds(30));
    let spaced = app.code(&server, 0);
    let challenge = app.challenge(&server, &up).await;
    app.answer(&server, &up, &challenge, &format!(" {} {}", &spaced[..3], &spaced[3..])).await.session();
}

/// S-75: fifty parallel redemptions of one step are one success, whether they share a challenge or not.
#[tokio::test]
async fn parallel_codes_succeed_once() {
    let server = Arc::new(Server::start().await);
    let session = server.sign_up("ada@example.test").await.session();
    let app = Arc::new(App::enroll(&server, &session, "phone").await);
    let challenges = [app.challenge(&server, &session).await, app.challenge(&server, &session).await];
    let code = app.code(&server, 0);
    let done = successes(50, |n| {
        let (server, app, session) = (Arc::clone(&server), Arc::clone(&app), session.clone());
        let (challenge, code) = (challenges[n % 2].clone(), code.clone());
        async move { app.answer(&server, &session, &challenge, &code).await }
    });
    assert_eq!(done.await, 1);
}

/// S-75: after five wrong codes the right one is refused too, for a while; another challenge does not help.
#[tokio::test]
async fn codes_cannot_be_guessed() {
    let server = Server::start().await;
    let session = server.sign_up("ada@example.test").await.session();
    let app = App::enroll(&server, &session, "phone").await;
    for _ in 0..5 {
        let challenge = app.challenge(&server, &session).await;
        let refused = app.answer(&server, &session, &challenge, &wrong(&app, &server)).await;
        assert_eq!(refused.refusal(), "422 mfa_verification_failed");
    }
    let challenge = app.challenge(&server, &session).await;
    let refused = app.answer(&server, &session, &challenge, &app.code(&server, 0)).await;
    assert_eq!(
        (refused.refusal().as_str(), refused.header("retry-after")),
        ("429 over_request_rate_limit", "301")
    );
    server.clock.advance(Duration::minutes(5));
    app.verify(&server, &session).await;
}

#[tokio::test]
async fn challenges_end_and_are_met_once() {
    let server = Server::start().await;
    let session = server.sign_up("ada@example.test").await.session();
    let app = App::enroll(&server, &session, "phone").await;
    let old = app.challenge(&server, &session).await;
    let answer = async |challenge: &str, code: &str| app.answer(&server, &session, challenge, code).await;
    assert_eq!(answer(&old, "").await.refusal(), "400 validation_failed");
    let unknown = "00000000-0000-4000-8000-000000000001";
    assert_eq!(answer(unknown, &app.code(&server, 0)).await.refusal(), "422 mfa_factor_not_found");
    server.clock.advance(Duration::minutes(5));
    assert_eq!(answer(&old, &app.code(&server, 0)).await.refusal(), "422 mfa_challenge_expired");
    let fresh = app.challenge(&server, &session).await;
    let up = answer(&fresh, &app.code(&server, 0)).await.session();
    let again = app.answer(&server, &up, &fresh, &app.code(&server, 1)).await;
    assert_eq!(again.refusal(), "422 mfa_challenge_expired");
    // Of many open challenges the oldest give way.
    let first = app.challenge(&server, &up).await;
    for _ in 0..10 {
        app.challenge(&server, &up).await;
    }
    let gone = app.answer(&server, &up, &first, &app.code(&server, 1)).await;
    assert_eq!(gone.refusal(), "422 mfa_factor_not_found");
}

#[tokio::test]
async fn factors_have_names_and_a_limit() {
    let server = Server::start().await;
    let session = server.sign_up("ada@example.test").await.session();
    App::enroll(&server, &session, "").await;
    let enroll = async |body: Value| server.post_as("/factors", &session.access, body).await;
    assert_eq!(enroll(json!({"factor_type": "totp"})).await.refusal(), "422 mfa_factor_name_conflict");
    assert_eq!(enroll(json!({"factor_type": "nope"})).await.refusal(), "400 validation_failed");
    assert_eq!(enroll(json!({"factor_type": "phone"})).await.refusal(), "422 mfa_phone_enroll_not_enabled");
    assert_eq!(
        enroll(json!({"factor_type": "webauthn"})).await.refusal(),
        "422 mfa_webauthn_enroll_not_enabled"
    );
    let colon = json!({"factor_type": "totp", "friendly_name": "c", "issuer": "a:b"});
    assert_eq!(enroll(colon).await.refusal(), "400 validation_failed");
    for n in 1..9 {
        App::enroll(&server, &session, &n.to_string()).await;
    }
    let body = json!({"factor_type": "totp", "friendly_name": "ten", "issuer": "Ada & Co"});
    let last = enroll(body).await.json;
    let uri = last["totp"]["uri"].as_str().unwrap();
    let secret = last["totp"]["secret"].as_str().unwrap();
    assert_eq!(
        uri,
        format!("otpauth://totp/Ada%20%26%20Co:ada%40example.test?secret={secret}&issuer=Ada%20%26%20Co")
    );
    assert!(last["totp"]["qr_code"].as_str().unwrap().starts_with("<svg"));
    let more = enroll(json!({"factor_type": "totp", "friendly_name": "eleven"})).await;
    assert_eq!(more.refusal(), "422 too_many_enrolled_mfa_factors");
    assert_eq!(server.get_as("/user", &session.access).await.json["factors"].as_array().unwrap().len(), 10);
}

/// S-102: another person's factor is answered like one that does not exist.
#[tokio::test]
async fn factors_of_others_do_not_exist() {
    let server = Server::start().await;
    let ada = server.sign_up("ada@example.test").await.session();
    let grace = server.sign_up("grace@example.test").await.session();
    let app = App::enroll(&server, &ada, "phone").await;
    let unknown = "00000000-0000-4000-8000-000000000001";
    for (method, rest) in [(Method::POST, "/challenge"), (Method::POST, "/verify"), (Method::DELETE, "")] {
        let body = json!({"challenge_id": unknown, "code": "000000"});
        let ask = async |id: &str| {
            server.call_as(method.clone(), &format!("/factors/{id}{rest}"), &grace.access, body.clone()).await
        };
        let (others, none) = (ask(&app.factor).await, ask(unknown).await);
        assert_eq!((others.refusal().as_str(), &others.text), ("404 mfa_factor_not_found", &none.text));
        assert_eq!(ask("abc").await.refusal(), "404 validation_failed");
    }
}

/// S-75: the secret rests sealed.
#[tokio::test]
async fn the_database_holds_no_factor_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.db");
    let server = Server::with(|settings| settings.database = Database::File(path.clone())).await;
    let session = server.sign_up("ada@example.test").await.session();
    let app = App::enroll(&server, &session, "phone").await;
    app.verify(&server, &session).await;
    server.handle.shutdown().await.unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    let stored: String = db.query_row("select secret from factors", [], |row| row.get(0)).unwrap();
    let secret = app.totp.secret();
    assert!(!stored.contains(&secret.to_base32()) && stored.len() > 40);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(std::fs::read(folder.path().join("auth.db-wal")).unwrap_or_default());
    let raw: &[u8] = secret.as_ref();
    assert!(!bytes.windows(raw.len()).any(|window| window == raw));
    assert!(bytes.windows(stored.len()).any(|window| window == stored.as_bytes()), "the search works");
}

#[tokio::test]
async fn an_administrator_helps_who_lost_the_device() {
    let server = Server::start().await;
    let session = server.sign_up("ada@example.test").await.session();
    let app = App::enroll(&server, &session, "phone").await;
    let up = app.verify(&server, &session).await;
    let path = format!("/admin/users/{}/factors", up.user["id"].as_str().unwrap());
    assert_eq!(server.admin(Method::GET, &path, json!({})).await.json[0]["id"], json!(app.factor));
    let one = format!("{path}/{}", app.factor);
    let renamed = server.admin(Method::PUT, &one, json!({"friendly_name": "old phone"})).await;
    assert_eq!(renamed.json["friendly_name"], "old phone");
    assert_eq!(server.call_as(Method::DELETE, &one, &up.access, json!({})).await.refusal(), "403 not_admin");
    assert_eq!(server.admin(Method::DELETE, &one, json!({})).await.status, 200);
    assert_eq!(server.admin(Method::DELETE, &one, json!({})).await.refusal(), "404 mfa_factor_not_found");
    assert_eq!(server.refresh(&up.refresh).await.session().claims()["aal"], "aal1");
}

#[tokio::test]
async fn switched_off_it_says_so() {
    let server = Server::with(|settings| settings.totp = false).await;
    let session = server.sign_up("ada@example.test").await.session();
    let anonymous = server.post("/signup", json!({})).await.session();
    let enroll = async |bearer: &str| {
        server.post_as("/factors", bearer, json!({"factor_type": "totp"})).await.refusal()
    };
    assert_eq!(enroll(&session.access).await, "422 mfa_totp_enroll_not_enabled");
    assert_eq!(enroll(&anonymous.access).await, "403 no_authorization");
}
