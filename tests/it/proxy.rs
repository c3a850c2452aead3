//! The way to an upstream and back: paths, headers, content.

use http::Method;

use crate::client::script;
use crate::harness::TestApp;
use crate::raw;

fn get(app: &TestApp, target: &str) -> String {
    let host = app.base.strip_prefix("http://").unwrap();
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// S-49: an ambiguous path goes nowhere; what passes arrives byte for byte.
#[tokio::test]
async fn a_path_is_what_its_bytes_say() {
    let app = TestApp::start().await;
    for bad in [
        "/api/public/../admin",
        "/api/public/./x",
        "/api/public//x",
        "/api/public/..;/x",
        "/api/public/x;a/y",
        "/api/public/%2e%2e/admin",
        "/api/public/%2E/x",
        "/api/public/a%2fb",
        "/api/public/a%5cb",
        "/api/public/a\\b",
        "/api/public/%00",
        "/api/public/%",
        "/api/public/%zz",
        "/api/public/%2",
        "//api/public/x",
        "/x/../api/public/y",
        "/api/public/a\u{e9}",
        "/api/public/..",
        "/api/public/%2e%2e%2fadmin",
        "/api/public/.%2e/admin",
    ] {
        let answer = raw::send(&app.base, get(&app, bad)).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text);
    }
    assert!(app.echo.seen().is_empty());
    for good in [
        "/api/public",
        "/api/public/",
        "/api/public/a%20b",
        "/api/public/%C3%A9",
        "/api/public/~.x",
        "/api/public/...",
        "/api/public/a?x=/../y&z=//&q=%2e%2e%2f;",
        "/api/public/a?",
        "/api/public/@evil.test",
        "/api/public/a:80@b",
        "/api/public/x?http://evil.test/",
    ] {
        let answer = raw::send(&app.base, get(&app, good)).await;
        assert_eq!(answer.status, 200, "{good}: {}", answer.text);
        let line = app.echo.last().line;
        assert_eq!(line.trim_end_matches('?'), format!("GET {good}").trim_end_matches('?'));
    }
    for other in ["/api/public/../../auth/login", "/api/publicx", "/API/public/x"] {
        assert_ne!(raw::send(&app.base, get(&app, other)).await.status, 200, "{other}");
    }
}

/// S-50: whatever spelling, position or method: an upstream hears our value or none, on public rules too.
#[tokio::test]
async fn headers_of_the_browser_say_nothing_about_it() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let mut headers = script().to_vec();
    for name in [
        "X-Forwarded-For",
        "x_forwarded_for",
        "X.Forwarded.Host",
        "X-Forwarded_Proto",
        "X-Forwarded-User",
        "x_forwarded_email",
        "X-Forwarded-Groups",
        "Forwarded",
        "X-Real-IP",
        "x_real_ip",
        "X-Client-IP",
        "Sb-Forwarded-For",
        "sb_forwarded_for",
        "X-JWT-AUD",
        "redirect_to",
        "X-Original-URL",
        "x_original_url",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "Proxy-Authorization",
        "X-Auth-Request-User",
        "apikey",
        "X-Forwarded-Anything",
        "X-Request-Id",
    ] {
        headers.push((name, "canary"));
    }
    for (method, path) in [
        (Method::GET, "/api/notes"),
        (Method::GET, "/api/public/x"),
        (Method::POST, "/api/notes"),
        (Method::DELETE, "/api/public/x"),
        (Method::HEAD, "/api/public/x"),
        (Method::OPTIONS, "/api/public/x"),
    ] {
        let mut headers = headers.clone();
        headers.push(("origin", app.base.as_str()));
        let answer = browser.send(method.clone(), path, &headers, None).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        let seen = app.echo.last();
        let text = format!("{:?}", seen.headers);
        assert!(!text.contains("canary"), "{method} {path}: {text}");
        assert!(seen.headers.get("cookie").is_none(), "{path}");
        assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(seen.headers["x-request-id"], answer.header("x-request-id"));
        assert_eq!(seen.bearer().starts_with("Bearer eyJ"), path == "/api/notes", "{path}");
    }
    let host = app.base.strip_prefix("http://").unwrap();
    let cookie = browser
        .cookie_names()
        .iter()
        .map(|name| format!("{name}={}", browser.cookie(name).unwrap()))
        .collect::<Vec<_>>()
        .join("; ");
    let text = format!(
        "GET /api/notes HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}; other=1\r\nX-CSRF: 1\r\nX-Secret: canary\r\nConnection: close, authorization, x-forwarded-for, x-secret\r\n\r\n"
    );
    assert_eq!(raw::send(&app.base, text).await.status, 200);
    let seen = app.echo.last();
    assert!(seen.bearer().starts_with("Bearer eyJ"), "our bearer stays");
    assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
    assert!(seen.headers.get("x-secret").is_none() && seen.headers.get("cookie").is_none());
}

/// S-50, S-57: whatever `Connection` names and however it is written: an upstream hears the listed headers and no other, and
/// what is ours stays.
#[tokio::test]
async fn connection_takes_nothing_of_ours_away() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let (host, cookie) = (app.base.strip_prefix("http://").unwrap(), browser.cookie_line());
    let begin = format!(
        "GET /api/notes HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-CSRF: 1\r\nAccept: text/plain\r\n"
    );
    for tricks in [
        "Connection: close, Authorization, Host, Accept\r\n",
        "Connection: close\r\nConnection: authorization\r\nConnection: X-Request-Id, x-forwarded-for\r\n",
        "CONNECTION:close ,\tAUTHORIZATION ,, , X-Forwarded-Host,\r\n",
        "Connection: close, X_Forwarded_For, x.request.id\r\nX_Forwarded_For: canary\r\nX.Request.Id: canary\r\n",
        "Connection: close, \"authorization\", a b, =;\r\n",
        "Connection: close, connection, transfer-encoding, content-length, te\r\nTE: trailers, canary\r\n",
        "Connection: close, keep-alive\r\nKeep-Alive: timeout=canary\r\nProxy-Connection: keep-alive, canary\r\n",
        "Connection: close, x-canary\r\nX-Canary: canary\r\n",
        "Connection: close\r\nTrailer: canary\r\nExpect: canary\r\nUpgrade: canary\r\n",
        "Connection: close, cookie, sb_session\r\nCookie: canary=canary\r\n",
        "Connection: close, http2-settings, upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: canary\r\n",
    ] {
        let before = app.echo.seen().len();
        let answer = raw::send(&app.base, format!("{begin}{tricks}\r\n")).await;
        let seen = app.echo.seen();
        if answer.status != 200 {
            assert!((400..500).contains(&answer.status), "{tricks}: {}", answer.text);
            assert_eq!(seen.len(), before, "{tricks}");
            continue;
        }
        assert_eq!(seen.len(), before + 1, "{tricks}");
        let headers = &seen[before].headers;
        let listed = [
            "accept",
            "authorization",
            "host",
            "traceparent",
            "x-csrf",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id",
        ];
        for name in headers.keys() {
            assert!(listed.contains(&name.as_str()), "{tricks}: {name}");
        }
        assert!(seen[before].bearer().starts_with("Bearer eyJ"), "{tricks}");
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1", "{tricks}");
        assert_eq!(headers["x-request-id"], answer.header("x-request-id"), "{tricks}");
        assert!(!format!("{headers:?}").contains("canary"), "{tricks}: {headers:?}");
    }
}

/// S-09, S-51, S-54: what an upstream may not say does not arrive; a way out of the site is a 502.
#[tokio::test]
async fn answers_are_cleaned() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let hostile = [
        ("content-type", "application/json"),
        ("set-cookie", "sb_session_1=x; Path=/"),
        ("set-cookie", "a=b; Domain=test"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("clear-site-data", "\"*\""),
        ("service-worker-allowed", "/"),
        ("strict-transport-security", "max-age=0"),
        ("alt-svc", "h2=\":1\""),
        ("refresh", "0;url=//evil.test"),
        ("x-accel-redirect", "/x"),
        ("x-sendfile", "/x"),
        ("www-authenticate", "Basic"),
        ("server", "canary"),
        ("x-powered-by", "canary"),
        ("sb-auth-token", "canary"),
        ("cache-control", "public, s-maxage=31536000"),
        ("cdn-cache-control", "max-age=9"),
        ("expires", "never"),
        ("surrogate-control", "max-age=9"),
        ("x-kept", "yes"),
    ];
    app.echo.answer(200, &hostile, "{}");
    let answer = browser.get("/api/notes").await;
    assert_eq!(
        (answer.status, answer.header("x-kept"), answer.header("cache-control")),
        (200, "yes", "no-store")
    );
    for (name, _) in
        hostile.iter().filter(|(name, _)| !matches!(*name, "content-type" | "cache-control" | "x-kept"))
    {
        assert!(answer.headers.get(*name).is_none(), "{name}: {:?}", answer.headers);
    }
    for (location, passes) in [
        ("https://evil.test/", None),
        ("//evil.test/", None),
        ("/\\evil.test", None),
        ("https:evil.test", None),
        ("javascript:alert(1)", None),
        ("/api/other?x=1", Some("/api/other?x=1")),
        ("other", Some("other")),
    ] {
        app.echo.answer(302, &[("location", location)], "");
        let answer = browser.get("/api/notes").await;
        match passes {
            None => assert_eq!(
                (answer.status, answer.header("location"), answer.code().as_str()),
                (502, "", "upstream_failed"),
                "{location}"
            ),
            Some(_) => {
                let base: url::Url = format!("{}/api/notes", app.base).parse().unwrap();
                let leads = base.join(answer.header("location")).unwrap();
                assert_eq!((answer.status, leads.as_str().starts_with(&app.base)), (302, true), "{location}");
            }
        }
    }
}

/// S-55, S-56: what could run on our origin is a sandboxed download; contexts that would run it are refused.
#[tokio::test]
async fn foreign_content_does_not_run_here() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    for kind in [
        "text/html",
        "image/svg+xml",
        "application/xml",
        "text/javascript",
        "application/pdf",
        "TEXT/HTML; charset=x",
        "",
        "text/css",
    ] {
        app.echo.answer(200, &[("content-type", kind)], "<script>alert(1)</script>");
        let answer = browser.get("/api/notes").await;
        assert_eq!(answer.header("content-security-policy"), "sandbox; default-src 'none'", "{kind}");
        assert!(answer.header("content-disposition").starts_with("attachment"), "{kind}");
        assert_eq!(
            (answer.header("x-content-type-options"), answer.header("cross-origin-resource-policy")),
            ("nosniff", "same-origin")
        );
    }
    for kind in ["application/json", "text/plain; charset=utf-8", "image/png", "application/problem+json"] {
        app.echo.answer(200, &[("content-type", kind)], "{}");
        let answer = browser.get("/api/notes").await;
        assert_eq!(
            (answer.header("content-disposition"), answer.header("x-content-type-options")),
            ("", "nosniff"),
            "{kind}"
        );
    }
    let seen = app.echo.seen().len();
    for dest in [
        "document",
        "iframe",
        "frame",
        "object",
        "embed",
        "script",
        "style",
        "worker",
        "serviceworker",
        "manifest",
        "report",
    ] {
        for path in ["/api/notes", "/api/public/x", "/supabase/rest/v1/x", "/supabase/functions/v1/x"] {
            let headers = [
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-mode", "no-cors"),
                ("sec-fetch-dest", dest),
                ("x-csrf", "1"),
            ];
            let answer = browser.send(Method::GET, path, &headers, None).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "fetch_context"), "{dest} {path}");
        }
    }
    for site in ["same-site", "cross-site"] {
        let headers = [("sec-fetch-site", site), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
        assert_eq!(app.browser().send(Method::GET, "/api/notes", &headers, None).await.status, 403, "{site}");
        assert_eq!(
            app.browser().send(Method::GET, "/api/public/x", &headers, None).await.status,
            200,
            "{site}: public"
        );
    }
    let mut worker = script().to_vec();
    worker.push(("service-worker", "script"));
    assert_eq!(browser.send(Method::GET, "/api/public/x", &worker, None).await.status, 403);
    assert_eq!(app.echo.seen().len(), seen + 2);
}
