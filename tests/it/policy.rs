//! Rules over HTTP: who may do what, and how a no is said.

use http::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::bearer::{SECRET, signed};
use crate::client::script;
use crate::harness::{PASSWORD, Plan, TestApp};

const USER: &str = "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f";

async fn with_secret() -> TestApp {
    TestApp::with(Plan::default().with("SUPABASE_JWT_SECRET", SECRET)).await
}

/// A bearer for a person whose token says `claims` beside what every token says.
pub fn bearer(app: &TestApp, claims: Value) -> String {
    let now = app.clock_now();
    let mut all = json!({
        "iss": format!("{}/auth/v1", app.auth.url()), "sub": USER, "aud": "authenticated", "exp": now + 600, "iat": now,
        "role": "authenticated", "session_id": "1b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f", "email": "ada@example.test",
        "phone": "", "is_anonymous": false, "aal": "aal1", "amr": [{ "method": "password", "timestamp": now }],
        "app_metadata": {}, "user_metadata": {},
    });
    for (name, value) in claims.as_object().unwrap() {
        if value.is_null() {
            all.as_object_mut().unwrap().remove(name)
        } else {
            all.as_object_mut().unwrap().insert(name.clone(), value.clone())
        };
    }
    format!("Bearer {}", signed(SECRET, &all))
}

async fn ask(app: &TestApp, method: Method, path: &str, bearer: &str) -> (u16, String, String) {
    let answer = app.browser().send(method, path, &[("authorization", bearer)], None).await;
    (answer.status, answer.code(), answer.header("www-authenticate").to_owned())
}

/// S-98: what no rule names is not there; methods count, and no header changes one.
#[tokio::test]
async fn what_no_rule_names_is_not_there() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    for path in [
        "/other",
        "/apix",
        "/API/notes",
        "/api.notes",
        "/rest/v1/x",
        "/items",
        "/.env",
        "/metrics",
        "/healthz",
        "/readyz",
        "/supabase/",
        "/supabasex/rest/v1/a",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::PATCH] {
            let answer = browser.json(method.clone(), path, &json!({})).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
        }
    }
    assert!(app.echo.seen().is_empty());
    for name in ["x-http-method-override", "x-http-method", "x-method-override", "X_HTTP_Method-Override"] {
        let mut headers = script().to_vec();
        headers.extend([
            (name, "POST"),
            ("x-original-url", "/api/public/x"),
            ("x-rewrite-url", "/api/public/x"),
        ]);
        assert_eq!(browser.send(Method::GET, "/api/items/1", &headers, None).await.status, 200);
        assert_eq!(app.echo.last().line, "GET /api/items/1");
        assert_eq!(browser.send(Method::GET, "/api/admin/1", &headers, None).await.status, 403);
    }
    let head = browser.send(Method::HEAD, "/api/items/1", &script(), None).await;
    assert_eq!((head.status, app.echo.last().line.as_str()), (200, "HEAD /api/items/1"));
    assert_eq!(
        browser.send(Method::HEAD, "/api/admin/1", &script(), None).await.status,
        403,
        "HEAD is judged as GET"
    );
}

/// S-99: what a person writes about himself gives nothing; claims of a wrong type give nothing.
#[tokio::test]
async fn people_give_themselves_nothing() {
    let app = with_secret().await;
    let browser = app.browser();
    let data = json!({ "role": "admin", "roles": ["admin"], "scopes": ["items", "*"], "app_metadata": { "roles": ["admin"] } });
    let body = json!({
        "email": "ada@example.test", "password": PASSWORD, "data": data, "role": "admin", "app_metadata": { "roles": ["admin"] },
    });
    assert_eq!(browser.post("/auth/signup", &body).await.status, 200);
    assert_eq!(browser.get("/api/admin/x").await.code(), "forbidden");
    assert_eq!(browser.post("/api/items/x", &json!({})).await.code(), "insufficient_scope");
    let session = browser.get("/auth/session").await.json();
    assert_eq!((&session["roles"], &session["scopes"]), (&json!(["user"]), &json!(["items:read"])));

    for (claims, status) in [
        (json!({ "app_metadata": { "roles": ["admin"] } }), 200),
        (json!({ "app_metadata": { "role": "admin" } }), 200),
        (json!({ "user_metadata": { "roles": ["admin"], "role": "admin" } }), 403),
        (json!({ "app_metadata": { "roles": ["Admin", "admin ", "admin,user", ""] } }), 403),
        (json!({ "app_metadata": { "roles": { "admin": true } } }), 403),
        (json!({ "app_metadata": { "roles": [["admin"]] } }), 403),
        (json!({ "app_metadata": [] }), 403),
        (json!({ "roles": ["admin"], "role": "authenticated" }), 403),
    ] {
        let token = bearer(&app, claims.clone());
        let (got, ..) = ask(&app, Method::GET, "/api/admin/x", &token).await;
        // A token whose claims have a wrong type may be refused whole.
        assert!(got == status || (status == 403 && got == 401), "{claims}: {got}");
    }
}

/// S-100: anonymous people pass no user rule; a missing `aal` is aal1; both are said so that a client can act on it.
#[tokio::test]
async fn strength_is_asked_for_in_words() {
    let app = with_secret().await;
    let anonymous = bearer(&app, json!({ "is_anonymous": true }));
    for path in ["/api/notes", "/api/items/1", "/api/vault"] {
        let (status, code, _) = ask(&app, Method::GET, path, &anonymous).await;
        assert_eq!((status, code.as_str()), (403, "anonymous_not_allowed"), "{path}");
    }
    let step_up =
        r#"Bearer realm="supabase-bff", error="insufficient_user_authentication", acr_values="aal2""#;
    for aal in [json!("aal1"), Value::Null] {
        let (status, code, challenge) =
            ask(&app, Method::GET, "/api/vault", &bearer(&app, json!({ "aal": aal }))).await;
        assert_eq!(
            (status, code.as_str(), challenge.as_str()),
            (401, "insufficient_user_authentication", step_up)
        );
    }
    for aal in [json!("aal3"), json!("AAL2"), json!(2)] {
        let (status, ..) = ask(&app, Method::GET, "/api/vault", &bearer(&app, json!({ "aal": aal }))).await;
        assert_eq!(status, 401, "{aal}");
    }
    assert!(app.echo.seen().is_empty());
    assert_eq!(ask(&app, Method::GET, "/api/vault", &bearer(&app, json!({ "aal": "aal2" }))).await.0, 200);

    let browser = app.signed_in("bob@example.test").await;
    let answer = browser.get("/api/vault").await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, step_up));
    assert!(browser.cookie("sb_session_").is_some(), "the session itself is fine");
    assert_eq!(browser.get("/api/notes").await.status, 200);
}

/// S-100: a proof that is too old asks for a fresh one, and a refresh does not make it younger.
#[tokio::test]
async fn a_proof_grows_old() {
    let rules = "[[rules]]\nname = 'fresh'\npath = '/api/fresh'\nto = 'echo'\nmax_age = '5m'\n";
    let app = TestApp::with(Plan { rules: rules.to_owned(), ..Plan::default() }).await;
    let browser = app.signed_in("ada@example.test").await;
    app.clock.advance(Duration::minutes(5));
    assert_eq!(browser.get("/api/fresh").await.status, 200);
    app.clock.advance(Duration::seconds(1));
    let expected = r#"Bearer realm="supabase-bff", error="insufficient_user_authentication", max_age=300"#;
    for _ in 0..2 {
        let answer = browser.get("/api/fresh").await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, expected));
        assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    }
    let again = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(browser.post("/auth/login", &again).await.status, 200);
    assert_eq!(browser.get("/api/fresh").await.status, 200);
}

/// S-101: scopes are whole strings; the hierarchy ends at the separator; near-misses give nothing.
#[tokio::test]
async fn scopes_are_compared_whole() {
    let app = with_secret().await;
    let challenge = r#"Bearer realm="supabase-bff", error="insufficient_scope", scope="items:read""#;
    for scopes in [
        json!("items:readall"),
        json!("items:rea"),
        json!("ITEMS:READ"),
        json!("items:read:"),
        json!("items:read,items"),
        json!("items:"),
        json!("item"),
        json!("items\u{2009}x"),
        json!("items:re\u{430}d"),
        json!(":"),
        json!(""),
        json!(" "),
        json!("items:read\tx"),
        json!(["items:read "]),
        json!(["items:read items:write"]),
        json!("*"),
        json!("items:*"),
        json!({ "items": true }),
        json!([["items"]]),
        json!(true),
    ] {
        let token = bearer(&app, json!({ "scopes": scopes.clone() }));
        let (status, code, said) = ask(&app, Method::GET, "/api/items/1", &token).await;
        assert_eq!(
            (status, code.as_str(), said.as_str()),
            (403, "insufficient_scope", challenge),
            "{scopes}"
        );
    }
    for scopes in [
        json!("items:read"),
        json!("a items:read b"),
        json!(["x", "items:read"]),
        json!("items"),
        json!(["items"]),
    ] {
        let token = bearer(&app, json!({ "scopes": scopes.clone() }));
        assert_eq!(ask(&app, Method::GET, "/api/items/1", &token).await.0, 200, "{scopes}");
    }
}

/// S-98: somebody whose role is taken away is refused with the next token at the latest, and a banned one altogether.
#[tokio::test]
async fn a_ban_ends_at_the_next_refresh() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.auth.fail("grant_type=refresh_token", crate::tap::Fault::code(400, "user_banned"));
    app.past_expiry();
    let answer = browser.get("/api/items/1").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "user_banned"));
    assert!(browser.cookie("sb_session_").is_none() && app.echo.seen().is_empty());
}
