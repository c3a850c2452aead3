//! The way to an upstream and back: paths, headers, content, streams.

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bearer::{SECRET, signed};
use crate::client::{navigation, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::raw;
use crate::tap::Fault;

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

/// S-52, S-39: below the mount the key is ours, the cookie wins, a stranger asks as anon, and nobody is downgraded.
#[tokio::test]
async fn the_mount_asks_as_whoever_is_here() {
    let app = TestApp::with(Plan::default().with("SUPABASE_JWT_SECRET", SECRET)).await;
    let browser = app.signed_in("ada@example.test").await;
    app.auth.fail("/rest/v1/", Fault::Answer(200, "application/json", "[]".into()));
    let own = app.tokens("ada@example.test", PASSWORD).await["access_token"].as_str().unwrap().to_owned();
    let user = format!("Bearer {own}");
    let key = "sb_publishable_test";
    let last = || app.auth.seen("/rest/v1/").pop().unwrap();
    let bearer_of = |call: &crate::tap::Call| {
        call.headers.get("authorization").map_or(String::new(), |v| v.to_str().unwrap().to_owned())
    };
    let mount = "/supabase/rest/v1/notes?n=gte.3&n=lte.8";
    for authorization in ["", "Bearer sb_publishable_other", "Bearer bff", &user, "Basic x", "Bearer"] {
        let mut headers = script().to_vec();
        headers.push(("apikey", "canary-key"));
        if !authorization.is_empty() {
            headers.push(("authorization", authorization));
        }
        let answer = browser.send(Method::GET, mount, &headers, None).await;
        assert_eq!(answer.status, 200, "{authorization}: {}", answer.body);
        let call = last();
        assert_eq!(
            (call.line.as_str(), &call.headers["apikey"]),
            ("GET /rest/v1/notes?n=gte.3&n=lte.8", &http::HeaderValue::from_static(key))
        );
        assert!(bearer_of(&call).starts_with("Bearer eyJ") && bearer_of(&call) != user, "the cookie's token");
        assert!(!format!("{:?}", call.headers).contains("canary"));
    }
    let stranger = app.browser();
    let anon = async |authorization: &str| {
        let headers = [("authorization", authorization), ("apikey", "x")];
        let count = if authorization.is_empty() { 0 } else { 2 };
        stranger.send(Method::GET, mount, &headers[..count], None).await
    };
    for (authorization, expected) in [
        ("", format!("Bearer {key}")),
        ("Bearer bff", format!("Bearer {key}")),
        (user.as_str(), user.clone()),
    ] {
        assert_eq!(anon(authorization).await.status, 200, "{authorization}");
        assert_eq!(bearer_of(&last()), expected, "{authorization}");
    }
    let service = format!(
        "Bearer {}",
        signed(SECRET, &json!({ "role": "service_role", "iss": "supabase", "exp": app.clock_now() + 60 }))
    );
    assert_eq!(anon(&service).await.status, 200);
    assert_eq!(bearer_of(&last()), format!("Bearer {key}"), "S-35: a service key gives nothing");
    let count = app.auth.calls("/rest/v1/");
    let answer = anon(&format!("{user}x")).await;
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.json()["statusCode"].as_str().unwrap()),
        (401, "invalid_token", "401")
    );

    let copy = browser.stolen();
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    for authorization in ["Bearer bff", &user] {
        let mut headers = script().to_vec();
        headers.push(("authorization", authorization));
        let answer = copy.stolen().send(Method::GET, mount, &headers, None).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "session_ended"),
            "a dead cookie is 401 always"
        );
        assert_eq!(answer.header("x-session-ended"), "user");
    }
    assert_eq!(app.auth.calls("/rest/v1/"), count, "S-52: none of them was forwarded");
}

/// S-53, S-78: nothing of GoTrue is reachable through the public port.
#[tokio::test]
async fn gotrue_is_no_upstream() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let calls = app.auth.calls("");
    for path in [
        "token?grant_type=password",
        "token?grant_type=refresh_token",
        "verify?token=x&type=signup",
        "callback",
        "invite",
        "admin/users",
        "magiclink",
        "sso/saml/acs",
        "oauth/authorize",
        "scim/v2/Users",
        "user",
        "factors",
        "settings",
        "otp",
        "authorize?provider=google",
    ] {
        for prefix in ["/supabase/auth/v1/", "/auth/v1/", "/supabase/auth/"] {
            for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
                let answer = browser.json(method.clone(), &format!("{prefix}{path}"), &json!({})).await;
                assert_eq!(answer.status, 404, "{method} {prefix}{path}");
                assert!(!answer.body.is_empty());
            }
        }
    }
    assert_eq!(app.auth.calls(""), calls, "GoTrue heard nothing");
}

/// An upstream of raw bytes below `/stream`, with every connection to it.
async fn with_stream() -> (TestApp, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rules = format!(
        "stream = {{ url = \"http://{}\", kind = \"api\", token = \"none\" }}\n[[rules]]\nname = \"stream\"\npath = \"/stream/**\"\nto = \"stream\"\nallow = \"public\"\ncsrf = \"off\"\n",
        listener.local_addr().unwrap()
    );
    (TestApp::with(Plan { rules, ..Plan::default() }).await, listener)
}

async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let read = socket.read(&mut buffer);
        let count = tokio::time::timeout(std::time::Duration::from_secs(20), read)
            .await
            .expect("bytes in time")
            .unwrap();
        assert!(count > 0, "closed after {text:?}, before {end:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    text
}

/// Events are passed on one by one, a body as it comes; a client who leaves takes his call with him (S-95).
#[tokio::test]
async fn both_directions_stream_and_end_together() {
    let (app, listener) = with_stream().await;
    let host = app.base.strip_prefix("http://").unwrap().to_owned();
    let mut client = TcpStream::connect(host.replace("localhost", "127.0.0.1")).await.unwrap();
    let head = format!(
        "POST /stream/x HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    read_until(&mut upstream, "first").await; // while the second half has not been sent
    client.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut upstream, "second").await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\ne\r\ndata: event1\n\n\r\n";
    upstream.write_all(answer.as_bytes()).await.unwrap();
    let text = read_until(&mut client, "data: event1").await; // while the answer has not ended
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    drop(client);
    let mut rest = Vec::new();
    let ended = async {
        // The upstream notices at one of its next events.
        while upstream.write_all(b"e\r\ndata: event2\n\n\r\n").await.is_ok() {
            let mut byte = [0; 1];
            if matches!(
                tokio::time::timeout(std::time::Duration::from_millis(20), upstream.read(&mut byte)).await,
                Ok(Ok(0) | Err(_))
            ) {
                break;
            }
            rest.push(byte[0]);
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), ended)
        .await
        .expect("the call ends with its client");
}

/// S-95: a client who leaves before any answer ends the call as well.
#[tokio::test]
async fn a_client_who_leaves_ends_the_call() {
    let (app, listener) = with_stream().await;
    let host = app.base.strip_prefix("http://").unwrap().to_owned();
    let mut client = TcpStream::connect(host.replace("localhost", "127.0.0.1")).await.unwrap();
    client.write_all(format!("GET /stream/x HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    read_until(&mut upstream, "\r\n\r\n").await;
    drop(client);
    let mut rest = Vec::new();
    let closed =
        tokio::time::timeout(std::time::Duration::from_secs(20), upstream.read_to_end(&mut rest)).await;
    closed.expect("the connection is closed").ok();
    let answer = app.browser().send(Method::GET, "/auth/login", &navigation("none"), None).await;
    assert_eq!(answer.status, 200, "and everybody else is served");
}
