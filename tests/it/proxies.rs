//! nginx, Caddy and Envoy with the configurations of `examples/forward-auth`, in front of an app that knows of no sign-in.

mod program;

use http::Method;
use serde_json::json;

use crate::client::{Browser, navigation, script};
use crate::harness::{Echo, PASSWORD, Plan, TestApp};
use crate::port::Port;
use program::{Kind, Program};

const RULES: &str = r#"
[[rules]]
name = "open"
path = "/open/**"
host = "localhost"
allow = "public"

[[rules]]
name = "admin"
path = "/admin/**"
host = "localhost"
roles = ["admin"]

[[rules]]
name = "others"
path = "/**"
host = "localhost"

[roles]
user = []
admin = []
"#;

/// What a browser would like to be taken for.
const SPOOFED: [(&str, &str); 12] = [
    ("X-Auth-Request-User", "canary"),
    ("x-auth-request-email", "canary@evil.test"),
    ("X-AUTH-REQUEST-GROUPS", "canary"),
    ("X-Auth-Request-Scopes", "canary"),
    ("X-Auth-Request-Aal", "canary"),
    ("X-Auth-Request-Session-Id", "canary"),
    ("X-Auth-Request-Preferred-Username", "canary"),
    ("X-Auth-Request-Access-Token", "canary"),
    ("X-Forwarded-Uri", "/open/canary"),
    ("X-Forwarded-Method", "OPTIONS"),
    ("X-Original-URL", "http://localhost/open/canary"),
    ("X-Forwarded-Host", "canary.evil.test"),
];

struct Site {
    app: TestApp,
    behind: Echo,
    base: String,
    _proxy: Program,
}

/// The proxy in front of the app, and of the pages of ours at the same host.
async fn site(kind: Kind) -> Site {
    let port = Port::take();
    let base = format!("http://localhost:{}", port.number());
    let plan = Plan { rules: RULES.to_owned(), ..Plan::in_memory() }
        .with("BFF_SESSION_STORE", "sqlite:unused.db")
        .with("BFF_PUBLIC_URL", &base)
        .with("BFF_TRUSTED_PROXIES", "127.0.0.1/32,::1/128")
        .with("BFF_FORWARD_AUTH_ENABLED", "true")
        .with("BFF_FORWARD_AUTH_HOSTS", &base[7..]);
    let app = TestApp::with(plan).await;
    let behind = Echo::default();
    let (ours, theirs) = (app.base.rsplit(':').next().unwrap().parse().unwrap(), behind.start().await.port());
    let started = tokio::task::spawn_blocking(move || Program::start(kind, port, ours, theirs));
    Site { app, behind, base, _proxy: started.await.unwrap() }
}

/// S-62 to S-64, as people and attackers see it from outside.
async fn story(kind: Kind) {
    let site = site(kind).await;
    site.app.signed_in("ada@example.test").await;
    let browser = Browser::new(&site.base);

    // A link to a page deep inside survives the sign-in, its query included.
    let deep = "/deep/page?a=1&b=two%20words&c=%2F";
    let (login, page) = browser.follow_from("cross-site", deep).await;
    assert!(login.starts_with("/auth/login?return_to="), "{kind:?}: {login}: {}", page.body);
    assert!(site.behind.seen().is_empty(), "{kind:?}");
    let token = page.form_token("/auth/login");
    let fields = [
        ("email", "ada@example.test"),
        ("password", PASSWORD),
        ("return_to", &page.field("return_to")),
        ("form_token", &token),
    ];
    let sent = browser.submit("/auth/login", &fields).await;
    assert_eq!(sent.status, 303, "{kind:?}: {}", sent.body);
    let (_, arrived) = browser.follow_from("same-origin", sent.header("location")).await;
    assert_eq!(arrived.status, 200, "{kind:?}: {}", arrived.body);
    let seen = site.behind.last();
    assert_eq!(seen.line, format!("GET {deep}"), "{kind:?}");
    assert_eq!(seen.headers["x-auth-request-email"], "ada@example.test", "{kind:?}");
    assert!(seen.headers.get("cookie").is_none(), "{kind:?}: the session is none of the app's business");
    assert!(seen.headers.get("x-auth-request-access-token").is_none_or(|token| token.is_empty()));
    let user = seen.headers["x-auth-request-user"].clone();

    // What a browser says about itself does not reach the app, on public paths too.
    let stranger = Browser::new(&site.base);
    for (who, path) in [(&browser, "/deep/page"), (&browser, "/open/x"), (&stranger, "/open/x")] {
        let headers: Vec<_> = script().into_iter().chain(SPOOFED).collect();
        let before = site.behind.seen().len();
        let answer = who.send(Method::GET, path, &headers, None).await;
        assert_eq!(answer.status, 200, "{kind:?} {path}: {}", answer.body);
        assert_eq!(site.behind.seen().len(), before + 1);
        let seen = site.behind.last();
        let told = seen.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-auth-request-"));
        let told: Vec<_> = told.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert!(told.iter().all(|(_, value)| !value.contains("canary")), "{kind:?} {path}: {told:?}");
        let expected = if path == "/deep/page" { user.to_str().unwrap() } else { "" };
        assert!(
            seen.headers.get("x-auth-request-user").map_or("", |value| value.to_str().unwrap()) == expected,
            "{kind:?} {path}: {told:?}"
        );
    }
    // Nor does another spelling of it.
    for (name, value) in
        ["X_Auth_Request_User", "x_auth_request_groups", "X-Auth_Request-User"].map(|name| (name, "canary"))
    {
        let headers: Vec<_> = script().into_iter().chain([(name, value)]).collect();
        let before = site.behind.seen().len();
        browser.send(Method::GET, "/deep/page", &headers, None).await;
        for seen in &site.behind.seen()[before..] {
            assert!(!format!("{:?}", seen.headers).contains("canary"), "{kind:?} {name}: {:?}", seen.headers);
        }
    }

    // No description of another request, and no other spelling of one, opens a closed path.
    let before = site.behind.seen().len();
    for extra in [
        &SPOOFED[..],
        &[("X_Forwarded_Uri", "/open/x")],
        &[("X-Forwarded-Uri", "/open/x"), ("X_Forwarded_Uri", "/open/x")],
        &[("X-Forwarded-Method", "OPTIONS")],
        &[("User-Agent", "GoogleHC/1.0")],
        &[("X-Forwarded-For", "127.0.0.1")],
    ] {
        let headers: Vec<_> = script().into_iter().chain(extra.iter().copied()).collect();
        let answer = stranger.send(Method::GET, "/deep/page", &headers, None).await;
        assert!([400, 401, 403].contains(&answer.status), "{kind:?} {extra:?}: {}", answer.status);
    }
    for path in ["/open/../deep/page", "/open/%2e%2e/deep/page", "//deep/page", "/open/..%2fdeep/page"] {
        let raw = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", &site.base[7..]);
        let answer = crate::raw::send(&site.base, raw).await;
        assert!((300..500).contains(&answer.status), "{kind:?} {path}: {}", answer.text);
    }
    assert_eq!(site.behind.seen().len(), before, "{kind:?}");

    // The endpoint itself is not there from outside.
    for path in ["/auth/verify", "/auth/verify?redirect=302", "/auth/verify/envoy/open/x", "/auth/verify/"] {
        let headers: Vec<_> = script().into_iter().chain(SPOOFED).collect();
        let answer = browser.send(Method::GET, path, &headers, None).await;
        assert_eq!(answer.status, 404, "{kind:?} {path}");
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("x-auth-request")), "{kind:?}");
    }

    // Policy, writes from other sites, and the end of the session.
    assert_eq!(browser.get("/admin/x").await.status, 403, "{kind:?}");
    let cross =
        [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")];
    assert_eq!(browser.send(Method::POST, "/deep", &cross, Some("x".into())).await.status, 403, "{kind:?}");
    assert_eq!(site.behind.seen().len(), before, "{kind:?}");
    let own: Vec<_> = script().into_iter().chain([("origin", site.base.as_str())]).collect();
    let written = browser.send(Method::POST, "/deep", &own, Some("hello".into())).await;
    assert_eq!((written.status, site.behind.last().body.as_str()), (200, "hello"), "{kind:?}");
    assert_eq!(stranger.get("/deep").await.status, 401, "{kind:?}");
    let copy = browser.stolen();
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204, "{kind:?}");
    for who in [&browser, &copy] {
        assert_eq!(who.get("/deep").await.status, 401, "{kind:?}");
        let led = who.send(Method::GET, "/deep", &navigation("none"), None).await;
        assert_eq!(led.status, 302, "{kind:?}");
        assert!(led.header("location").starts_with(&format!("{}/auth/login", site.base)), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_lets_in_whom_the_rules_let_in() {
    story(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_lets_in_whom_the_rules_let_in() {
    story(Kind::Caddy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_lets_in_whom_the_rules_let_in() {
    story(Kind::Envoy).await;
}
