//! Limits of size and number: the limit passes, one more does not.

use crate::client::Browser;
use crate::harness::{Plan, TestApp};
use crate::input::{FORM, post};
use crate::raw;
use crate::tap::Fault;

/// S-96: the target, forms, JSON and its depth: the limit passes, one more does not, with a length or in chunks.
#[tokio::test]
async fn sizes_are_capped() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let path = |length: usize| format!("/api/public/{}", "a".repeat(length - "/api/public/".len()));
    assert_eq!(browser.get(&path(8192)).await.status, 200);
    let long = browser.get(&path(8193)).await;
    assert_eq!((long.status, long.code().as_str()), (414, "uri_too_long"));
    let page = browser.navigate(&path(8193)).await;
    assert!(page.status == 414 && page.body.contains("<code>uri_too_long</code>"), "{}", page.body);
    assert_eq!(browser.get(&format!("/auth/session?a={}", "a".repeat(8193))).await.status, 414);

    let form = |length: usize| {
        let start = "email=nobody%40example.test&password=";
        format!("{start}{}", "x".repeat(length - start.len()))
    };
    let cases = [
        (FORM, form(64 << 10), 403),
        (FORM, form((64 << 10) + 1), 413),
        (
            "application/json",
            format!("{{\"email\":\"\",\"password\":\"{}\"}}", "x".repeat((1 << 20) - 26)),
            400,
        ),
        (
            "application/json",
            format!("{{\"email\":\"\",\"password\":\"{}\"}}", "x".repeat((1 << 20) - 25)),
            413,
        ),
    ];
    for (kind, body, status) in cases {
        let size = body.len();
        let answer = post(&app, "/auth/login", kind, body.clone()).await;
        assert_eq!(answer.status, status, "{kind} of {size}: {}", answer.body);
        let head = format!(
            "POST /auth/login HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            &app.base[7..],
            app.base
        );
        let chunked = raw::send(&app.base, format!("{head}{size:x}\r\n{body}\r\n0\r\n\r\n")).await;
        assert_eq!(chunked.status, status, "{kind} of {size} in chunks: {}", chunked.text);
    }
    // Of a proxied body the length is judged by its header, and again while it streams.
    let most = 10 << 20;
    for (size, status) in [(most, 200), (most + 1, 413)] {
        let answer = post(&app, "/api/public/x", "application/octet-stream", "x".repeat(size)).await;
        assert_eq!(answer.status, status, "{size}");
        let head = format!(
            "POST /api/public/x HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            &app.base[7..],
            app.base
        );
        let body = "x".repeat(size);
        let chunked = raw::send(&app.base, format!("{head}{size:x}\r\n{body}\r\n0\r\n\r\n")).await;
        assert_eq!(
            chunked.status,
            status,
            "{size} in chunks: {}",
            &chunked.text[..chunked.text.len().min(300)]
        );
    }
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!("{{\"password\":\"x\",\"email\":\"\",\"x\":{open}{close}}}")
    };
    let at_limit = post(&app, "/auth/login", "application/json", deep(32)).await;
    assert_eq!(at_limit.json()["errors"][0]["field"], "email", "read, and judged: {}", at_limit.body);
    for depth in [33, 129, 100_000] {
        let answer = post(&app, "/auth/login", "application/json", deep(depth)).await;
        assert_eq!((answer.status, answer.json()["errors"].is_null()), (400, true), "{depth}");
    }
    let quoted = format!("{{\"email\":\"\",\"password\":\"{}\\\"{{\"}}", "[".repeat(500));
    assert_eq!(
        post(&app, "/auth/login", "application/json", quoted).await.json()["errors"][0]["field"],
        "email"
    );
}

/// S-96: a head of more than 100 fields or 32 KiB is 431.
#[tokio::test]
async fn heads_are_capped() {
    let app = TestApp::start().await;
    let ask = async |fields: String| {
        let head = format!(
            "GET /auth/session HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n",
            &app.base[7..]
        );
        raw::send(&app.base, head).await.status
    };
    let fields = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    assert_eq!(ask(fields(98)).await, 200, "100 with Host and Connection");
    assert_eq!(ask(fields(99)).await, 431);
    assert_eq!(ask(fields(2000)).await, 431);
    assert_eq!(ask(format!("X-A: {}\r\n", "a".repeat(30_000))).await, 200);
    assert_eq!(ask(format!("X-A: {}\r\n", "a".repeat(32_768))).await, 431);
    assert_eq!(ask(format!("Cookie: {}\r\n", "a=1; ".repeat(7_000))).await, 431);
    let many: String = (0..90).map(|n| format!("X-{n}: {}\r\n", "a".repeat(400))).collect();
    assert_eq!(ask(many).await, 431, "many middling ones");
}

/// S-97: beyond the cap a request is refused at once with `Retry-After`, the probes still answer, and once a place is
/// free the next one passes.
#[tokio::test]
async fn requests_in_flight_are_capped() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_IN_FLIGHT", "2")).await;
    app.auth.fail("rest/v1/slow", Fault::Hold);
    let browser = app.browser();
    let ask = |browser: Browser| tokio::spawn(async move { browser.get("/supabase/rest/v1/slow").await });
    let held = [ask(browser.clone()), ask(browser.clone())];
    app.auth.arrived("rest/v1/slow", 2).await;
    for path in ["/auth/session", "/auth/login", "/api/public/x", "/no/such/path"] {
        let answer = app.browser().get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"), "{path}");
        assert_eq!(answer.header("retry-after"), "1");
        assert_ne!(answer.header("x-request-id"), "");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let page = app.browser().navigate("/auth/login").await;
    assert!(page.status == 503 && page.body.contains("<code>overloaded</code>"), "{}", page.body);
    let probe = http::Request::get("/livez").body(axum::body::Body::empty()).unwrap();
    let alive = tower::ServiceExt::oneshot(app.admin.clone(), probe).await.unwrap();
    assert_eq!(alive.status(), 200);
    assert_eq!(app.auth.calls("rest/v1/slow"), 2);
    while held.iter().any(|request| !request.is_finished()) {
        app.auth.release();
        tokio::task::yield_now().await;
    }
    assert_eq!(app.browser().get("/auth/session").await.status, 200);
    // Clients that leave give their places back.
    app.auth.heal();
    app.auth.fail("rest/v1/left", Fault::Hold);
    for round in 1..=3 {
        let left = [(); 2].map(|()| {
            let browser = browser.clone();
            tokio::spawn(async move { browser.get("/supabase/rest/v1/left").await })
        });
        app.auth.arrived("rest/v1/left", round * 2).await;
        left.iter().for_each(|request| request.abort());
        let mut answer = app.browser().get("/auth/session").await;
        while answer.status == 503 {
            answer = app.browser().get("/auth/session").await;
        }
        assert_eq!(answer.status, 200);
    }
}
