//! `POST /auth/token`: programs that sign in by themselves (RFC 6749, sections 4.3 and 6).

mod ends;
mod limits;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Browser, navigation, script};
use crate::demo_app::DemoApp;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mailbox::{administer, ban};
use crate::mfa::add_app;

pub const ADA: &str = "ada@example.test";
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A site whose programs may ask for tokens.
pub fn plan() -> Plan {
    Plan::default().with("BFF_TOKEN_ENABLED", "true")
}

/// One where Ada has an account.
async fn with_ada(plan: Plan) -> TestApp {
    let app = TestApp::with(plan).await;
    app.signed_in(ADA).await;
    app
}

/// A form as a program sends it, with `more` headers.
pub async fn ask_with(browser: &Browser, more: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut headers = vec![FORM];
    headers.extend(more);
    browser.send(Method::POST, "/auth/token", &headers, Some(body)).await
}

pub async fn ask(app: &TestApp, fields: &[(&str, &str)]) -> Answer {
    ask_with(&app.browser(), &[], fields).await
}

pub async fn by_password(app: &TestApp, email: &str, password: &str) -> Answer {
    ask(app, &[("grant_type", "password"), ("username", email), ("password", password)]).await
}

pub async fn by_refresh(app: &TestApp, token: &str) -> Answer {
    ask(app, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

/// The two tokens of an answer.
pub fn tokens(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{name}: {body}")).to_owned();
    (text("access_token"), text("refresh_token"))
}

/// The header of a JWT.
pub fn header(token: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// What the gateway says to a program with this access token.
pub async fn call(app: &TestApp, method: Method, path: &str, token: &str) -> Answer {
    app.browser().send(method, path, &[("authorization", &format!("Bearer {token}"))], None).await
}

/// Status and word of a refusal by RFC 6749, section 5.2, whose form is looked at as well.
pub fn refusal(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    let names: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["error", "error_description"]), "{body}");
    let description = body["error_description"].as_str().unwrap();
    let allowed = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    assert!(description.chars().all(allowed), "{description}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    assert!(answer.set_cookies().is_empty());
    (answer.status, body["error"].as_str().unwrap().to_owned())
}

pub fn refused(status: u16, word: &str) -> (u16, String) {
    (status, word.to_owned())
}

/// The answer to the letter of RFC 6749, section 5.1; its tokens open the API, and no session and no cookie came with
/// them (S-31).
#[tokio::test]
async fn a_program_trades_a_password_for_tokens() {
    let app = with_ada(plan()).await;
    let answer = by_password(&app, ADA, PASSWORD).await;
    let (access, refresh) = tokens(&answer);
    let body = answer.json();
    let expected = json!({
        "access_token": access, "token_type": "bearer", "expires_in": 1800, "refresh_token": refresh, "scope": "items:read",
    });
    assert_eq!(body, expected);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    assert!(answer.set_cookies().is_empty(), "{:?}", answer.headers);
    assert_eq!(call(&app, Method::GET, "/api/items/1", &access).await.status, 200);
    assert_eq!(app.echo.last().bearer(), format!("Bearer {access}"));
    assert_eq!(call(&app, Method::POST, "/api/items/1", &access).await.code(), "insufficient_scope");
    let who = call(&app, Method::GET, "/auth/session", &access).await.json();
    assert_eq!((&who["user"]["email"], &who["session"]), (&json!(ADA), &Value::Null));
}

/// Refreshing makes new tokens of the same sign-in; the one before the last still works, as an answer may be lost.
#[tokio::test]
async fn a_program_refreshes() {
    let app = with_ada(plan()).await;
    let (access, refresh) = tokens(&by_password(&app, ADA, PASSWORD).await);
    app.past_expiry();
    assert_eq!(call(&app, Method::GET, "/api/items/1", &access).await.code(), "invalid_token");
    let answer = by_refresh(&app, &refresh).await;
    let (newer, next) = tokens(&answer);
    assert_eq!((&answer.json()["expires_in"], &answer.json()["scope"]), (&json!(1800), &json!("items:read")));
    assert!(newer != access && next != refresh);
    assert!(answer.set_cookies().is_empty());
    assert_eq!(call(&app, Method::GET, "/api/items/1", &newer).await.status, 200);
    tokens(&by_refresh(&app, &refresh).await);
    assert_eq!(app.refreshes(), 2);
}

/// Roles become scopes as `bff.toml` says. What is asked for must be within them; tokens are never narrowed, and those of
/// a sign-in that asked for too much are revoked.
#[tokio::test]
async fn scopes_are_those_of_the_person() {
    let app = with_ada(plan()).await;
    let with_scope = async |scope: &str| {
        let fields =
            [("grant_type", "password"), ("username", ADA), ("password", PASSWORD), ("scope", scope)];
        ask(&app, &fields).await
    };
    for scope in ["items:read", "items:read items:read", " items:read", ""] {
        assert_eq!(with_scope(scope).await.json()["scope"], "items:read", "{scope:?}");
    }
    let before = app.auth.calls("/logout");
    for (n, scope) in ["items", "items:write", "items:read items:write", "unknown", "*"].iter().enumerate() {
        assert_eq!(refusal(&with_scope(scope).await), refused(400, "invalid_scope"), "{scope}");
        app.auth.arrived("/logout?scope=local", before + n + 1).await;
    }
    let asked = app.auth.calls("grant_type=password");
    for odd in ["items:\"read\"", "ümlaut", " ", "a\\b"] {
        assert_eq!(refusal(&with_scope(odd).await), refused(400, "invalid_scope"), "{odd}");
    }
    assert_eq!(app.auth.calls("grant_type=password"), asked, "GoTrue is not bothered with what is no scope");

    let (_, refresh) = tokens(&by_password(&app, ADA, PASSWORD).await);
    let id = app.tokens(ADA, PASSWORD).await["user"]["id"].as_str().unwrap().to_owned();
    let editor = json!({ "app_metadata": { "roles": ["editor"] } });
    assert_eq!(administer(&app, Method::PUT, &format!("admin/users/{id}"), &editor).await.status, 200);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", "admin")];
    assert_eq!(refusal(&ask(&app, &fields).await), refused(400, "invalid_scope"));
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", "items:write")];
    let answer = ask(&app, &fields).await;
    let (access, _) = tokens(&answer);
    assert_eq!(answer.json()["scope"], "items", "a refused scope has not cost the sign-in");
    assert_eq!(call(&app, Method::POST, "/api/items/1", &access).await.status, 200);
}

/// S-10, S-13: whatever a browser adds to a request turns it away before anything is counted or asked, a listed origin
/// and a foreign cookie alike; the answer is a problem, never a page.
#[tokio::test]
async fn a_browser_gets_no_tokens() {
    let app = with_ada(plan().with("BFF_CORS_ORIGINS", "https://app.example.test")).await;
    let asked = app.auth.calls("grant_type");
    let base = app.base.clone();
    let fields = [("grant_type", "password"), ("username", ADA), ("password", PASSWORD)];
    let mut cases: Vec<Vec<(&str, &str)>> = vec![
        vec![("origin", &base)],
        vec![("origin", "https://app.example.test")],
        vec![("origin", "null")],
        vec![("origin", "https://evil.example.test")],
        vec![("sec-fetch-site", "same-origin")],
        vec![("sec-fetch-site", "none")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("cookie", "theme=dark")],
        vec![("cookie", "")],
        script().to_vec(),
        navigation("same-origin").to_vec(),
    ];
    cases.push([script().to_vec(), vec![("origin", base.as_str())]].concat());
    for _ in 0..4 {
        for more in &cases {
            let answer = ask_with(&app.browser(), more, &fields).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "browser_client"), "{more:?}");
            assert_eq!(answer.header("content-type"), "application/problem+json", "{more:?}");
        }
    }
    let browser = app.signed_in("bob@example.test").await;
    assert_eq!(ask_with(&browser, &[], &fields).await.code(), "browser_client", "our own cookie as well");
    assert_eq!(app.auth.calls("grant_type"), asked);
    tokens(&ask_with(&app.browser(), &[("accept", "text/html")], &fields).await);
}

/// RFC 6749, section 5.2: each fault has its word; nothing that is not whole reaches GoTrue.
#[tokio::test]
async fn faults_of_a_request_have_their_words() {
    let app = with_ada(plan()).await;
    let asked = app.auth.calls("grant_type");
    let request: [&[(&str, &str)]; 8] = [
        &[],
        &[("username", ADA), ("password", PASSWORD)],
        &[("grant_type", ""), ("username", ADA), ("password", PASSWORD)],
        &[("grant_type", "password"), ("username", ADA)],
        &[("grant_type", "password"), ("username", ""), ("password", PASSWORD)],
        &[("grant_type", "password"), ("password", PASSWORD)],
        &[("grant_type", "password"), ("grant_type", "password"), ("username", ADA), ("password", PASSWORD)],
        &[("grant_type", "refresh_token"), ("username", ADA)],
    ];
    for fields in request {
        assert_eq!(refusal(&ask(&app, fields).await), refused(400, "invalid_request"), "{fields:?}");
    }
    for kind in ["client_credentials", "authorization_code", "Password", "pkce"] {
        let fields = [("grant_type", kind), ("username", ADA), ("password", PASSWORD)];
        assert_eq!(refusal(&ask(&app, &fields).await), refused(400, "unsupported_grant_type"), "{kind}");
    }
    let good = [("grant_type", "password"), ("username", ADA), ("password", PASSWORD)];
    for (name, value) in [
        ("authorization", "Basic Y2xpOnNlY3JldA=="),
        ("authorization", "Basic ???"),
        ("authorization", "Bearer a.b.c"),
    ] {
        let answer = ask_with(&app.browser(), &[(name, value)], &good).await;
        assert_eq!(refusal(&answer), refused(401, "invalid_client"), "{value}");
        assert_eq!(answer.header("www-authenticate"), r#"Basic realm="supabase-bff""#);
    }
    let secret = [good.as_slice(), &[("client_id", "cli"), ("client_secret", "secret")]].concat();
    assert_eq!(refusal(&ask(&app, &secret).await), refused(401, "invalid_client"));

    let raw = async |kind: &str, body: &str| {
        let headers = [("content-type", kind)];
        app.browser().send(Method::POST, "/auth/token", &headers, Some(body.to_owned())).await
    };
    assert_eq!(refusal(&raw(FORM.1, "grant_type=%ff").await), refused(400, "invalid_request"));
    assert_eq!(raw("application/json", "{}").await.code(), "unsupported_media_type");
    assert_eq!(raw(FORM.1, &format!("scope={}", "a".repeat(70_000))).await.code(), "body_too_large");
    let read = app.browser().send(Method::GET, "/auth/token", &[], None).await;
    assert_eq!(
        (read.status, read.code().as_str(), read.header("allow")),
        (405, "method_not_allowed", "POST")
    );
    assert_eq!(app.auth.calls("grant_type"), asked);

    let public = [good.as_slice(), &[("client_id", "cli"), ("resource", "x")]].concat();
    tokens(&ask_with(&app.browser(), &[("authorization", "Basic Y2xpOg==")], &public).await);
}

/// S-71: unknown, wrong, banned, no address, too long: one and the same answer, to the byte.
#[tokio::test]
async fn nobody_learns_who_has_an_account() {
    let app = with_ada(plan()).await;
    app.signed_in("bob@example.test").await;
    ban(&app, "bob@example.test").await;
    let long = "x".repeat(5000);
    let mut seen = BTreeSet::new();
    for (email, password) in [
        (ADA, "wrong horse 17"),
        ("nobody@example.test", "wrong horse 17"),
        ("bob@example.test", PASSWORD),
        ("bob@example.test", "wrong horse 17"),
        ("no address", PASSWORD),
        (ADA, &long),
    ] {
        let answer = by_password(&app, email, password).await;
        assert_eq!(refusal(&answer), refused(400, "invalid_grant"), "{email}");
        let headers: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"))
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        seen.insert((headers, answer.body));
    }
    assert_eq!(seen.len(), 1, "{seen:#?}");
}

/// After the right password alone it is said that the address is not confirmed (S-71).
#[tokio::test]
async fn an_unconfirmed_address_is_told_to_whoever_knows_the_password() {
    let auth = |settings: &mut auth_server::Settings| settings.confirm_email = true;
    let app = TestApp::with(Plan { auth, ..plan() }).await;
    app.browser().post("/auth/signup", &json!({ "email": ADA, "password": PASSWORD })).await;
    let says = async |password| {
        let answer = by_password(&app, ADA, password).await;
        assert_eq!(refusal(&answer), refused(400, "invalid_grant"));
        answer.json()["error_description"].as_str().unwrap().to_owned()
    };
    assert_eq!(says(PASSWORD).await, "The e-mail address is not confirmed.");
    assert_eq!(says("wrong horse 17").await, "The e-mail or the password is not right.");
}

/// S-32: who has a second factor gets no tokens past it, and what GoTrue gave out is revoked; `per_rule` leaves it to
/// the rules.
#[tokio::test]
async fn the_second_factor_cannot_be_skipped() {
    for (enforce, passes) in [("when_enrolled", false), ("per_rule", true)] {
        let app = TestApp::with(plan().with("BFF_MFA_ENFORCE", enforce)).await;
        let browser = app.signed_in(ADA).await;
        add_app(&app, &browser, "phone").await;
        let answer = by_password(&app, ADA, PASSWORD).await;
        if passes {
            let (access, _) = tokens(&answer);
            assert_eq!(call(&app, Method::GET, "/api/notes", &access).await.status, 200);
            let vault = call(&app, Method::GET, "/api/vault", &access).await;
            assert_eq!(vault.code(), "insufficient_user_authentication");
        } else {
            assert_eq!(refusal(&answer), refused(400, "invalid_grant"));
            app.auth.arrived("/logout?scope=local", 1).await;
            let elsewhere = app.tokens(ADA, PASSWORD).await;
            let refresh = elsewhere["refresh_token"].as_str().unwrap();
            assert_eq!(refusal(&by_refresh(&app, refresh).await), refused(400, "invalid_grant"));
        }
    }
}

/// Off, until somebody wants it; with the embedded server it is on.
#[tokio::test]
async fn it_is_off_towards_a_project() {
    let app = with_ada(Plan::default()).await;
    let answer = by_password(&app, ADA, PASSWORD).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "feature_disabled"));
    let (refresh, asked) = (app.tokens(ADA, PASSWORD).await, app.refreshes());
    let answer = by_refresh(&app, refresh["refresh_token"].as_str().unwrap()).await;
    assert_eq!((answer.status, app.refreshes()), (404, asked));

    let demo = DemoApp::start().await;
    let browser = Browser::new(&demo.base);
    let made = browser.post("/auth/signup", &json!({ "email": ADA, "password": PASSWORD })).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let fields = [("grant_type", "password"), ("username", ADA), ("password", PASSWORD)];
    let (access, _) = tokens(&ask_with(&browser.fresh(), &[], &fields).await);
    let bearer = format!("Bearer {access}");
    let me = browser.fresh().send(Method::GET, "/api/users/me", &[("authorization", &bearer)], None).await;
    assert_eq!(me.json()["email"], ADA);
}
