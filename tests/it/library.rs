//! Somebody's axum application with our routes merged and our layer around it: people sign in, its handlers know them.

mod example;
mod from_env;
mod gates;
mod sameness;
mod sockets;
mod testing;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration as StdDuration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use supabase_bff::{Bff, Claims, Require, User};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Answer, Browser};
use crate::harness::{PASSWORD, Plan, TestApp, serve};
use crate::mailbox::administer;
use crate::mfa::{add_app, prove, with_app};
use crate::modes::Mode;
use crate::streams::read_until;

const ADA: &str = "ada@example.test";

/// What the developer's handlers count.
#[derive(Clone, Default)]
pub struct Notes {
    written: Arc<AtomicUsize>,
}

impl Notes {
    pub fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }
}

/// The developer's application.
pub fn application(bff: &Bff, notes: Notes) -> Router {
    let five_minutes = StdDuration::from_secs(300);
    let routes = Router::new()
        .route("/me", get(me))
        .route("/subject", get(async |claims: Claims| claims.sub.to_string()))
        .route("/hello", get(hello))
        .route("/contact", post(write))
        .route("/notes", post(write).route_layer(bff.require(Require::scope("items:write"))))
        .route("/admin", get(me).route_layer(bff.require(Require::role("admin").named("administration"))))
        .route("/vault", get(me).route_layer(bff.require(Require::signed_in().aal2())))
        .route("/fresh", get(me).route_layer(bff.require(Require::signed_in().max_age(five_minutes))))
        .route("/live", get(me).route_layer(bff.require(Require::signed_in().live())))
        .route("/cookie", get(me).route_layer(bff.require(Require::signed_in().cookie_only())))
        .route("/guest", get(me).route_layer(bff.require(Require::signed_in().anonymous_users())))
        .route("/closed", get(me).route_layer(bff.require(Require::scope("nobody:declared-this"))))
        .route("/events", get(events))
        .route("/socket", get(sockets::echo))
        .route("/readers-socket", get(sockets::echo).route_layer(bff.require(Require::scope("items:read"))))
        .route("/page", get(async || axum::response::Html("<p>mine</p>")))
        .route("/cached", get(async |_: User| ([("cache-control", "public, max-age=9")], "mine")))
        .route("/kept", get(async |_: User| ([("cache-control", "private, max-age=9")], "mine")))
        .route("/asset", get(async || ([("cache-control", "public, max-age=9")], "mine")))
        .route("/panic", get(panics));
    let routes = routes.fallback_service(bff.gateway()).with_state(notes);
    routes.merge(bff.routes()).layer(bff.layer())
}

async fn me(user: User) -> Json<Value> {
    Json(json!({
        "id": user.id, "email": user.email, "roles": user.roles, "scopes": user.scopes, "aal": user.aal,
        "sub": user.claims.sub, "may_read": user.may("items:read:one"), "may_write": user.may("items:write"),
    }))
}

async fn hello(user: Option<User>) -> String {
    user.map_or_else(|| "stranger".to_owned(), |user| user.email)
}

async fn write(State(notes): State<Notes>, _: String) -> &'static str {
    notes.written.fetch_add(1, Ordering::SeqCst);
    "written"
}

async fn events(_: User) -> Sse<impl futures_util::Stream<Item = Result<Event, Infallible>>> {
    let first = futures_util::stream::once(async { Ok(Event::default().data("first")) });
    Sse::new(first.chain(futures_util::stream::pending()))
}

async fn panics() -> &'static str {
    panic!("a bug of the developer's")
}

/// The application beside the program's own site: both ask the same parts. The browser's site is the application.
pub struct Mine {
    pub app: TestApp,
    pub notes: Notes,
    pub at: String,
}

impl Mine {
    pub async fn start() -> Self {
        Self::before(TestApp::start().await).await
    }

    pub async fn before(app: TestApp) -> Self {
        let notes = Notes::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        serve(listener, application(&app.bff, notes.clone()));
        Self { app, notes, at }
    }

    pub fn browser(&self) -> Browser {
        self.app.browser().at(&self.at)
    }

    pub async fn signed_in(&self, email: &str) -> Browser {
        self.app.signed_in(email).await.at(&self.at)
    }

    /// Somebody with this role.
    pub async fn with_role(&self, email: &str, role: &str) -> Browser {
        let body = json!({
            "email": email, "password": PASSWORD, "email_confirm": true, "app_metadata": { "role": role },
        });
        let made = administer(&self.app, Method::POST, "admin/users", &body).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let browser = self.browser();
        let answer = browser.post("/auth/login", &json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        browser
    }
}

/// What a program looks at.
pub fn told(answer: &Answer) -> (u16, String, String, String) {
    let [challenge, ended] =
        ["www-authenticate", "x-session-ended"].map(|name| answer.header(name).to_owned());
    (answer.status, answer.code(), challenge, ended)
}

/// From the developer's page to ours and back: whoever is not signed in is led there, and then the handler knows him.
#[tokio::test]
async fn a_person_signs_in_on_our_pages_and_comes_back() {
    let mine = Mine::start().await;
    mine.app.signed_in(ADA).await;
    let browser = mine.browser();
    let sent = browser.navigate("/me").await;
    assert_eq!((sent.status, sent.header("location")), (303, "/auth/login?return_to=%2Fme"));
    let (at, page) = browser.follow_from("none", "/me").await;
    assert_eq!((at.as_str(), page.status), ("/auth/login?return_to=%2Fme", 200));
    let fields = [
        ("form_token", &*page.form_token("/auth/login")),
        ("return_to", "/me"),
        ("email", ADA),
        ("password", PASSWORD),
    ];
    let back = browser.submit("/auth/login", &fields).await;
    let (at, me) = browser.follow_from("same-origin", back.header("location")).await;
    assert_eq!((at.as_str(), me.status), ("/me", 200), "{}", me.body);
    let session = browser.get("/auth/session").await.json();
    let id = session["user"]["id"].clone();
    assert_eq!(
        me.json(),
        json!({
            "id": id, "sub": id, "email": ADA, "roles": ["user"], "scopes": ["items:read"], "aal": 1,
            "may_read": true, "may_write": false,
        })
    );
    assert_eq!(browser.get("/subject").await.body, id.as_str().unwrap());
}

/// A handler that takes a person if there is one; one that must have one says 401 to a script, with where to sign in.
#[tokio::test]
async fn strangers_are_none_or_refused() {
    let mine = Mine::start().await;
    let stranger = mine.browser();
    assert_eq!(stranger.get("/hello").await.body, "stranger");
    let refused = stranger.get("/me").await;
    let plain = r#"Bearer realm="supabase-bff""#;
    assert_eq!(told(&refused), (401, "session_missing".into(), plain.into(), String::new()));
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(refused.json()["login_url"], "/auth/login");
    assert_eq!(mine.signed_in(ADA).await.get("/hello").await.body, ADA);
}

/// S-101: the scope is named; what the role brings, it brings here too.
#[tokio::test]
async fn scopes_and_roles_are_asked_for() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    let refused = browser.post("/notes", &json!({})).await;
    let challenge = r#"Bearer realm="supabase-bff", error="insufficient_scope", scope="items:write""#;
    assert_eq!(told(&refused), (403, "insufficient_scope".into(), challenge.into(), String::new()));
    let refused = browser.get("/admin").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let page = browser.navigate("/admin").await;
    assert_eq!((page.status, page.header("content-type")), (403, "text/html; charset=utf-8"));
    assert!(page.body.contains("forbidden"), "{}", page.body);
    assert_eq!(mine.notes.written(), 0);

    let editor = mine.with_role("bob@example.test", "editor").await;
    assert_eq!(editor.post("/notes", &json!({})).await.body, "written");
    assert_eq!(editor.get("/admin").await.status, 403);
    let admin = mine.with_role("eve@example.test", "admin").await;
    assert_eq!(admin.post("/notes", &json!({})).await.status, 200);
    assert_eq!(admin.get("/admin").await.status, 200);
    assert_eq!(mine.notes.written(), 2);
}

/// S-100: a page goes to the code and returns, a script is told what is missing.
#[tokio::test]
async fn a_second_factor_and_a_fresh_proof_are_asked_for() {
    let (app, phone) = with_app(Plan::default().with("BFF_MFA_ENFORCE", "per_rule")).await;
    let mine = Mine::before(app).await;
    let browser = mine.browser();
    browser.post("/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await;
    assert_eq!(browser.get("/me").await.status, 200);
    let refused = browser.get("/vault").await;
    let challenge =
        r#"Bearer realm="supabase-bff", error="insufficient_user_authentication", acr_values="aal2""#;
    assert_eq!(
        told(&refused),
        (401, "insufficient_user_authentication".into(), challenge.into(), String::new())
    );
    let page = browser.navigate("/vault").await;
    assert_eq!((page.status, page.header("location")), (303, "/auth/mfa?return_to=%2Fvault"));
    assert_eq!(prove(&browser, &phone.code(&mine.app)).await.status, 200);
    assert_eq!(browser.navigate("/vault").await.json()["aal"], 2);

    assert_eq!(browser.get("/fresh").await.status, 200);
    mine.app.clock.advance(time::Duration::minutes(6));
    let late = browser.get("/fresh").await;
    let challenge = r#"Bearer realm="supabase-bff", error="insufficient_user_authentication", max_age=300"#;
    assert_eq!((late.status, late.header("www-authenticate")), (401, challenge));
}

/// S-32: before the code of the app nothing opens, here neither.
#[tokio::test]
async fn a_sign_in_without_its_second_step_opens_nothing() {
    let (app, phone) = with_app(Plan::default()).await;
    let mine = Mine::before(app).await;
    let browser = mine.browser();
    browser.post("/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await;
    for path in ["/me", "/hello", "/subject", "/admin", "/guest"] {
        let refused = browser.get(path).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "session_limited"), "{path}");
    }
    assert_eq!(browser.navigate("/me").await.header("location"), "/auth/mfa?return_to=%2Fme");
    assert_eq!(prove(&browser, &phone.code(&mine.app)).await.status, 200);
    assert_eq!(browser.get("/me").await.status, 200);
}

/// S-41, S-42, S-09: twenty requests to a handler meet an expired token: one refresh, and the new cookie is in the
/// developer's answers. In every mode.
#[tokio::test]
async fn twenty_requests_at_expiry_refresh_once() {
    for mode in [Mode::Cookie, Mode::Memory, Mode::Sqlite] {
        let mine = Mine::before(TestApp::with(mode.plan()).await).await;
        let browser = mine.signed_in(ADA).await;
        mine.app.past_expiry();
        let answers = join_all((0..20).map(|_| browser.get("/me"))).await;
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.json()["email"] == ADA));
        assert_eq!(mine.app.refreshes(), 1);
        assert!(answers.iter().all(|answer| answer.header("cache-control") == "no-store"));
        if matches!(mode, Mode::Cookie) {
            let sets = |answer: &Answer| answer.set_cookies().iter().any(|c| c.starts_with("sb_session_"));
            assert!(answers.iter().all(sets), "each answer brings the new session");
        }
        mine.app.clock.advance(time::Duration::minutes(20));
        assert_eq!(browser.get("/me").await.status, 200, "the kept cookie is the new one");
        assert_eq!(mine.app.refreshes(), 1);
    }
}

/// A handler that asks nobody refreshes nothing.
#[tokio::test]
async fn routes_that_ask_for_nobody_cost_no_refresh() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    mine.app.past_expiry();
    assert_eq!(browser.get("/asset").await.status, 200);
    assert_eq!(browser.navigate("/page").await.status, 200);
    assert_eq!(mine.app.refreshes(), 0);
}

/// S-45, S-44: after a sign-out the old cookie opens nothing, and the answer says why; an outage ends nothing.
#[tokio::test]
async fn an_ended_session_is_told() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    let copy = browser.stolen();
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    assert_eq!(told(&browser.get("/me").await).0, 401);
    let plain = r#"Bearer realm="supabase-bff""#;
    for path in ["/me", "/hello", "/notes-that-are-not-there"] {
        let answer = copy.stolen().get(path).await;
        if path == "/notes-that-are-not-there" {
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
            continue;
        }
        assert_eq!(told(&answer), (401, "session_ended".into(), plain.into(), "user".into()), "{path}");
        assert!(answer.set_cookies().iter().any(|cookie| cookie.contains("Max-Age=0")), "it is cleared");
    }
    let proxied = copy.get("/api/notes").await;
    assert_eq!(told(&proxied), (401, "session_ended".into(), plain.into(), "user".into()));
}

/// S-45: a stream of the developer's ends with the session it was opened for.
#[tokio::test]
async fn a_stream_of_events_ends_with_its_session() {
    let mine = Mine::before(TestApp::with(Plan::in_memory()).await).await;
    let browser = mine.signed_in(ADA).await;
    let (at, host) = browser.addresses();
    let mut client = TcpStream::connect(at).await.unwrap();
    let cookie = browser.cookie_line();
    let head = format!("GET /events HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-CSRF: 1\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let text = read_until(&mut client, "data: first").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    read_until(&mut client, "0\r\n\r\n").await;
}

/// With `live` the auth server is asked; a session that it has ended is over.
#[tokio::test]
async fn live_asks_the_auth_server() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    mine.app.clock.advance(time::Duration::seconds(11)); // after the sign-in, which counts for ten
    assert_eq!(browser.get("/live").await.status, 200);
    assert_eq!(mine.app.auth.calls("GET /auth/v1/user"), 1);
    crate::mailbox::ban(&mine.app, ADA).await;
    mine.app.clock.advance(time::Duration::seconds(11));
    assert_eq!(browser.get("/live").await.status, 401);
}

/// S-39: programs come with a bearer to the same handlers; two identities are none.
#[tokio::test]
async fn programs_come_with_a_bearer() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    let token = mine.app.tokens(ADA, PASSWORD).await["access_token"].as_str().unwrap().to_owned();
    let good = format!("Bearer {token}");
    let ask = async |path: &str, value: &str| {
        mine.browser().send(Method::GET, path, &[("authorization", value)], None).await
    };
    assert_eq!(ask("/me", &good).await.json()["email"], ADA);
    assert_eq!(ask("/hello", &good).await.body, ADA);
    let bad = r#"Bearer realm="supabase-bff", error="invalid_token""#;
    assert_eq!(
        told(&ask("/me", "Bearer a.b.c").await),
        (401, "invalid_token".into(), bad.into(), String::new())
    );
    assert_eq!(told(&ask("/cookie", &good).await).1, "session_missing");
    assert_eq!(browser.get("/cookie").await.status, 200);
    let both = browser.send(Method::GET, "/me", &[("authorization", &good), ("x-csrf", "1")], None).await;
    assert_eq!((both.status, both.code().as_str()), (400, "ambiguous_credentials"));
}

/// S-100: anonymous people are let in where that is said, and nowhere else.
#[tokio::test]
async fn anonymous_people_pass_where_they_are_admitted() {
    let mine = Mine::start().await;
    let browser = mine.browser();
    assert_eq!(browser.post("/auth/signup", &json!({ "anonymous": true })).await.status, 200);
    let refused = browser.get("/me").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "anonymous_not_allowed"));
    assert_eq!(browser.get("/guest").await.status, 200);
    assert_eq!(browser.get("/hello").await.body, "", "somebody, without an address");
}

/// Two-step sign-in, added on our pages, is known to the handler at once.
#[tokio::test]
async fn a_new_app_raises_the_session() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    add_app(&mine.app, &browser, "phone").await;
    assert_eq!(browser.get("/vault").await.json()["aal"], 2);
}
