//! What holds for the developer's routes without a word of his: the cross-origin gate, headers, the closed way out.

use axum::Router;
use axum::routing::get;
use http::Method;
use serde_json::json;
use supabase_bff::{Require, User};
use tokio::net::TcpListener;

use super::{ADA, Mine};
use crate::client::{navigation, script};
use crate::harness::{Plan, RULES, TestApp, serve};

/// S-13, S-16: a page of another site writes nothing, whether somebody is signed in or not.
#[tokio::test]
async fn other_sites_write_nothing() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    for who in [&browser, &mine.browser()] {
        for site in ["cross-site", "same-site"] {
            let mut headers = navigation(site).to_vec();
            headers.extend([
                ("content-type", "application/x-www-form-urlencoded"),
                ("origin", "https://evil.test"),
            ]);
            let answer = who.send(Method::POST, "/contact", &headers, Some("a=b".into())).await;
            assert_eq!(answer.status, 403);
            assert!(answer.body.contains("cross_origin"), "{}", answer.body);
            let headers =
                [("origin", "https://evil.test"), ("content-type", "application/json"), ("x-csrf", "1")];
            let answer = who.send(Method::POST, "/contact", &headers, Some("a=b".into())).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "cross_origin"));
        }
    }
    assert_eq!(mine.notes.written(), 0);
    assert_eq!(mine.browser().post("/contact", &json!({})).await.body, "written");
    assert_eq!(browser.post("/contact", &json!({})).await.body, "written");
}

/// S-14, S-19: who brings a session marks each request; a rule of the file that excuses its own path excuses none of the
/// developer's.
#[tokio::test]
async fn requests_with_a_session_are_marked() {
    let excused = "[[rules]]\nname = \"excused\"\npath = \"/**\"\nto = \"echo\"\ncsrf = \"off\"\n";
    let rules = RULES.replacen("[[rules]]", &format!("{excused}\n[[rules]]"), 1);
    // The rule stands above all others, which it makes unreachable: those go.
    let rules = rules.split("[[rules]]\nname = \"public\"").next().unwrap().to_owned();
    let mine = Mine::before(TestApp::with(Plan { rules, ..Plan::default() }).await).await;
    let browser = mine.signed_in(ADA).await;
    let unmarked = &script()[1..3];
    let answer = browser.send(Method::GET, "/me", unmarked, None).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "csrf_header"));
    let mut headers = unmarked.to_vec();
    headers.extend([("origin", browser.base()), ("content-type", "application/json")]);
    let answer = browser.send(Method::POST, "/contact", &headers, Some("{}".into())).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "csrf_header"));
    assert_eq!(mine.notes.written(), 0);
}

/// S-18: a preflight is answered before the developer's routes.
#[tokio::test]
async fn preflights_get_no_permission() {
    let mine = Mine::start().await;
    let headers = [("origin", "https://evil.test"), ("access-control-request-method", "POST")];
    let answer = mine.browser().send(Method::OPTIONS, "/contact", &headers, None).await;
    assert_eq!(answer.status, 204);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
}

/// S-66, S-67, S-09: what each answer of the developer's carries, and what is left to him.
#[tokio::test]
async fn answers_carry_the_headers() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    let page = browser.navigate("/page").await;
    assert_eq!((page.status, page.body.as_str()), (200, "<p>mine</p>"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "same-origin");
    assert_eq!(page.header("x-request-id").len(), 16);
    assert!(page.header("content-security-policy").is_empty(), "his pages have scripts");
    for (path, caching) in [
        ("/me", "no-store"),
        ("/cached", "no-store"),
        ("/kept", "private, max-age=9"),
        ("/asset", "public, max-age=9"),
    ] {
        assert_eq!(browser.get(path).await.header("cache-control"), caching, "{path}");
    }
    let ours = browser.navigate("/auth/account").await;
    assert_eq!(ours.header("content-security-policy"), crate::headers::POLICY);
    let refused = mine.browser().navigate("/closed").await;
    assert_eq!((refused.status, refused.header("content-security-policy")), (500, crate::headers::POLICY));
}

/// S-92: another host is refused before any handler.
#[tokio::test]
async fn other_hosts_are_refused() {
    let mine = Mine::start().await;
    let answer = mine.browser().send(Method::GET, "/hello", &[("host", "evil.test")], None).await;
    assert_eq!((answer.status, answer.code().as_str()), (421, "unknown_host"));
}

/// S-98: a guard that could not be made lets nobody in, and says to its maker why.
#[tokio::test]
async fn a_faulty_guard_is_closed() {
    let mine = Mine::start().await;
    let admin = mine.with_role("eve@example.test", "admin").await;
    let answer = admin.get("/closed").await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    let refused = mine.app.bff.try_require(Require::scope("nobody:declared-this")).unwrap_err();
    let told = refused.to_string();
    assert!(told.contains("BFF-RULE-003") && told.contains("nobody:declared-this"), "{told}");
    assert!(mine.app.bff.try_require(Require::claim("user_metadata.role", ["admin"])).is_err());
}

/// S-98: a route outside of the layer lets nobody in.
#[tokio::test]
async fn a_route_outside_of_the_layer_is_closed() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let router: Router = Router::new()
        .route("/me", get(async |_: User| "in"))
        .route("/guarded", get(async || "in").route_layer(app.bff.require(Require::signed_in())))
        .route("/optional", get(async |_: Option<User>| "in"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let browser = browser.at(&format!("http://{}", listener.local_addr().unwrap()));
    serve(listener, router);
    for path in ["/me", "/guarded", "/optional"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (500, ""), "{path}");
    }
}

/// S-89: a panic of the developer's ends its request and nothing else.
#[tokio::test]
async fn a_panic_ends_one_request() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    let answer = browser.get("/panic").await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    assert!(!answer.body.contains("developer"));
    assert_eq!(browser.get("/me").await.status, 200);
}

/// The mount is served where the settings put it, and the rules of the file by the fallback.
#[tokio::test]
async fn the_mount_and_the_rules_are_served() {
    for mount in ["/supabase", "/db"] {
        let plan = Plan::default().with("BFF_SUPABASE_MOUNT", mount);
        let mine = Mine::before(TestApp::with(plan).await).await;
        let browser = mine.signed_in(ADA).await;
        let user = browser.get(&format!("{mount}/auth/v1/user")).await;
        assert_eq!((user.status, user.json()["email"].as_str()), (200, Some(ADA)), "{}", user.body);
        let nothing = browser.get(&format!("{mount}/auth/v1/admin/users")).await;
        assert_eq!((nothing.status, nothing.code().as_str()), (404, "not_found"));
        let rest = browser.get(&format!("{mount}/rest/v1/notes?select=*")).await;
        assert_eq!(rest.status, 404, "{}", rest.body); // the auth server is all there is of the project
        assert_eq!(mine.app.auth.calls("GET /rest/v1/notes"), 1);
        let proxied = browser.get("/api/notes").await;
        assert_eq!((proxied.status, proxied.body.as_str()), (200, r#"{"line":"GET /api/notes"}"#));
        assert!(mine.app.echo.seen()[0].bearer().starts_with("Bearer "));
    }
}

/// S-88: the developer's routes are counted under their own templates, and what is refused there by its code.
#[tokio::test]
async fn requests_are_counted_under_their_routes() {
    let mine = Mine::start().await;
    let browser = mine.signed_in(ADA).await;
    browser.get("/me").await;
    browser.get("/me").await;
    browser.get("/admin").await;
    let figures = crate::metrics::figures(&mine.app).await;
    for (line, count) in [
        (r#"bff_http_requests_total{route="/me",method="GET",status="200"}"#, 2.0),
        (r#"bff_http_requests_total{route="/admin",method="GET",status="403"}"#, 1.0),
        (r#"bff_refusals_total{code="forbidden"}"#, 1.0),
    ] {
        assert_eq!(figures.get(line), Some(&count), "{line} of {figures:#?}");
    }
}
