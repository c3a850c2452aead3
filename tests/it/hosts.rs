//! Which host and scheme a request may name, and how it must be framed.

use http::Method;

use crate::client::{Answer, navigation};
use crate::cookies::https;
use crate::harness::TestApp;
use crate::raw;

fn authority(app: &TestApp) -> String {
    app.base.strip_prefix("http://").unwrap().to_owned()
}

/// S-92: a foreign, doubled, missing or disguised host is refused before any handler; an absolute target must agree.
#[tokio::test]
async fn only_the_public_host_is_served() {
    let app = TestApp::start().await;
    let own = authority(&app);
    let ask = async |head: String| raw::send(&app.base, format!("{head}\r\nConnection: close\r\n\r\n")).await;
    for path in ["/auth/session", "/api/public/x", "/supabase/rest/v1/x"] {
        for (status, head) in [
            (200, format!("GET {path} HTTP/1.1\r\nHost: {own}")),
            (200, format!("GET http://{own}{path} HTTP/1.1\r\nHost: {own}")),
            (200, format!("GET {path} HTTP/1.1\r\nHost: {}", own.to_uppercase())),
            (421, format!("GET {path} HTTP/1.1\r\nHost: evil.test")),
            (421, format!("GET {path} HTTP/1.1\r\nHost: {own}.evil.test")),
            (421, format!("GET {path} HTTP/1.1\r\nHost: localhost")),
            (421, format!("GET {path} HTTP/1.1\r\nHost: {}", own.replace("localhost", "127.0.0.1"))),
            (421, format!("GET {path} HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: {own}")),
            (421, format!("GET {path} HTTP/1.1\r\nHost: evil.test\r\nForwarded: host={own}")),
            (421, format!("GET http://evil.test{path} HTTP/1.1\r\nHost: {own}")),
            (421, format!("GET http://{own}{path} HTTP/1.1\r\nHost: evil.test")),
            (400, format!("GET {path} HTTP/1.1")),
            (400, format!("GET {path} HTTP/1.0")),
            (400, format!("GET {path} HTTP/1.1\r\nHost: {own}\r\nHost: {own}")),
            (400, format!("GET {path} HTTP/1.1\r\nHost: {own}\r\nHost: evil.test")),
            (400, format!("GET {path} HTTP/1.1\r\nHost: x@{own}")),
        ] {
            let before = (app.echo.seen().len(), app.auth.calls("rest/v1"));
            let answer = ask(head.clone()).await;
            let served = answer.status != 421 && answer.status != 400;
            assert!(
                served == (status == 200) && (served || answer.status == status),
                "{head}: {}",
                answer.text
            );
            if !served {
                assert_eq!((app.echo.seen().len(), app.auth.calls("rest/v1")), before, "{head}");
                assert_ne!(answer.header("x-request-id"), "", "{head}: {}", answer.text);
                assert_eq!(
                    (answer.header("x-content-type-options"), answer.header("cache-control")),
                    ("nosniff", "no-store")
                );
            }
        }
    }
}

/// S-92: on a loopback listener a navigation to a loopback literal is sent to the public URL, and nothing else is.
#[tokio::test]
async fn a_loopback_literal_leads_to_the_public_url() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let go = async |host: &str, path: &str| {
        let mut headers = navigation("none").to_vec();
        headers.push(("host", host));
        browser.send(Method::GET, path, &headers, None).await
    };
    for host in ["127.0.0.1:1", "localhost", "[::1]:8080", "127.0.0.2"] {
        let answer = go(host, "/auth/login?return_to=/notes").await;
        let expected = format!("{}/auth/login?return_to=/notes", app.base);
        assert_eq!((answer.status, answer.header("location")), (302, expected.as_str()), "{host}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.set_cookies().is_empty());
        let answer = go(host, "//evil.test/x").await;
        assert!(
            answer.status == 400 || answer.header("location").starts_with(&format!("{}/", app.base)),
            "{host}: {:?}",
            answer.headers
        );
    }
    for host in [
        "evil.test",
        "127.0.0.1.evil.test",
        "localhost.evil.test",
        "10.0.0.1",
        "127.0.0.1@evil.test",
        "0.0.0.0",
    ] {
        let answer = go(host, "/auth/login").await;
        assert!(answer.status == 421 || answer.status == 400, "{host}: {}", answer.status);
        assert_eq!(answer.header("location"), "", "{host}");
    }
    let script = browser.send(Method::GET, "/auth/session", &[("host", "127.0.0.1:1")], None).await;
    assert_eq!((script.status, script.code().as_str()), (421, "unknown_host"));
}

/// S-92, S-22: what we write about ourselves comes from the configuration, whatever the headers say.
#[tokio::test]
async fn forwarded_hosts_change_no_address() {
    let app = TestApp::start().await;
    let spoofed = [
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.test;proto=https"),
        ("x-original-url", "/evil"),
        ("referer", "https://evil.test/"),
    ];
    for path in ["/auth/login", "/auth/signup", "/auth/start/google", "/auth/session", "/auth/account", "/"] {
        let mut headers = navigation("same-origin").to_vec();
        headers.extend(spoofed);
        let answer: Answer = app.browser().send(Method::GET, path, &headers, None).await;
        assert!(
            !answer.body.contains("evil.test") && !answer.header("location").contains("evil.test"),
            "{path}"
        );
        assert!(answer.set_cookies().iter().all(|cookie| !cookie.contains("Secure")), "{path}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}");
    }
}

/// S-91: over plain http a GET navigation is sent to https with 308 and everything else is refused; no cookie is read or
/// set. The scheme is what a listed proxy says, and nobody else.
#[tokio::test]
async fn plain_http_is_refused() {
    for listed in [true, false] {
        let plan = if listed { https() } else { https().with("BFF_TRUSTED_PROXIES", "192.0.2.1/32") };
        let app = TestApp::with(plan).await;
        let ask = async |method: Method, path: &str, headers: &[(&str, &str)]| {
            let mut all = vec![("host", "app.example.test")];
            all.extend(headers);
            app.browser().send(method, path, &all, None).await
        };
        for proto in [
            &[][..],
            &[("x-forwarded-proto", "http")],
            &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")],
            &[("x-forwarded-proto", "https, http")],
            &[("x-forwarded-proto", "httpss")],
            &[("forwarded", "proto=https")],
            &[("x-forwarded-ssl", "on")],
        ] {
            let mut headers = navigation("none").to_vec();
            headers.extend(proto);
            let answer = ask(Method::GET, "/auth/login?return_to=/notes", &headers).await;
            assert_eq!(
                (answer.status, answer.header("location")),
                (308, "https://app.example.test/auth/login?return_to=/notes"),
                "{proto:?}"
            );
            for method in [Method::POST, Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS] {
                let answer = ask(method.clone(), "/auth/session", proto).await;
                assert_eq!(answer.status, 403, "{method} {proto:?}");
                assert!(method == Method::HEAD || answer.code() == "plain_http", "{}", answer.body);
                assert!(answer.set_cookies().is_empty());
                assert_eq!(answer.header("strict-transport-security"), "", "S-66: not over http");
            }
            let mut headers = headers.clone();
            headers.push(("content-type", "application/x-www-form-urlencoded"));
            assert_eq!(ask(Method::POST, "/auth/login", &headers).await.status, 403);
        }
        let answer = ask(Method::GET, "/auth/session", &[("x-forwarded-proto", "https")]).await;
        assert_eq!(answer.status, if listed { 200 } else { 403 });
        let hsts = if listed { "max-age=31536000" } else { "" };
        assert_eq!(answer.header("strict-transport-security"), hsts, "S-66");
    }
}

/// S-66: HSTS speaks for sub-domains only if asked to.
#[tokio::test]
async fn hsts_covers_sub_domains_if_asked() {
    let app = TestApp::with(https().with("BFF_HSTS_SUBDOMAINS", "true")).await;
    let answer = app.browser().get("/auth/session").await;
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000; includeSubDomains");
}

/// S-22: with several public hosts each is a site of its own: a flow comes back to the host that began it, whatever
/// `X-Forwarded-Host` says, and a form of one is none of the other's.
#[tokio::test]
async fn several_hosts_are_several_sites() {
    let (one, two) = ("https://one.example.test", "https://two.example.test");
    let app = TestApp::with(https().with("BFF_PUBLIC_URL", &format!("{one},{two}"))).await;
    for site in [one, two] {
        let browser = crate::client::Browser::new(site).at(&app.base);
        let mut headers = navigation("same-origin").to_vec();
        headers.push(("x-forwarded-host", "evil.test"));
        let start = browser.send(Method::GET, "/auth/start/google", &headers, None).await;
        let to: url::Url = start.header("location").parse().unwrap();
        let back = to.query_pairs().find(|(name, _)| name == "redirect_to").unwrap().1.into_owned();
        assert!(back.starts_with(&format!("{site}/auth/callback/")), "{site}: {back}");
        let other = if site == one { two } else { one };
        let cross = browser
            .send(
                Method::POST,
                "/auth/login",
                &[("origin", other), ("content-type", "application/json")],
                Some("{}".into()),
            )
            .await;
        assert_eq!(cross.code(), "cross_origin", "{site}");
    }
}

/// S-57: a request that two servers could read in two ways reaches the upstream once at most, and its connection ends.
#[tokio::test]
async fn ambiguous_framing_reaches_the_upstream_once_at_most() {
    let app = TestApp::start().await;
    let own = authority(&app);
    let start =
        format!("POST /api/public/first HTTP/1.1\r\nHost: {own}\r\nContent-Type: application/json\r\n");
    let inner = format!("GET /api/public/second HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n");
    let length = inner.len();
    for (what, bytes) in [
        (
            "length and chunks",
            format!("{start}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        ),
        (
            "chunks and length",
            format!("{start}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{inner}"),
        ),
        ("two lengths", format!("{start}Content-Length: 2\r\nContent-Length: {length}\r\n\r\n{{}}{inner}")),
        ("a list of lengths", format!("{start}Content-Length: 2, {length}\r\n\r\n{{}}{inner}")),
        ("a signed length", format!("{start}Content-Length: +2\r\n\r\n{{}}{inner}")),
        ("a negative length", format!("{start}Content-Length: -2\r\n\r\n{{}}{inner}")),
        ("a hexadecimal length", format!("{start}Content-Length: 0x2\r\n\r\n{{}}{inner}")),
        ("a huge length", format!("{start}Content-Length: 99999999999999999999999\r\n\r\n{{}}{inner}")),
        (
            "chunked last but one",
            format!("{start}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}"),
        ),
        ("an unknown coding", format!("{start}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{inner}")),
        ("a space before the colon", format!("{start}Content-Length : 2\r\n\r\n{{}}{inner}")),
        ("a folded line", format!("{start}Content-Length: 2\r\n X-Fold: 1\r\n\r\n{{}}{inner}")),
        ("a bare CR", format!("{start}X-A: b\rContent-Length: 2\r\n\r\n{{}}{inner}")),
        ("a NUL", format!("{start}X-A: b\0c\r\nContent-Length: 2\r\n\r\n{{}}{inner}")),
        (
            "an odd chunk size",
            format!("{start}Transfer-Encoding: chunked\r\n\r\n0x2\r\n{{}}\r\n0\r\n\r\n{inner}"),
        ),
        (
            "a chunk size too large",
            format!(
                "{start}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{{}}\r\n0\r\n\r\n{inner}"
            ),
        ),
        (
            "HTTP/1.0 with chunks",
            format!(
                "POST /api/public/first HTTP/1.0\r\nHost: {own}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
            ),
        ),
        ("HTTP/0.9", format!("GET /api/public/first\r\n\r\n{inner}")),
        ("HTTP/3.0", format!("GET /api/public/first HTTP/3.0\r\nHost: {own}\r\n\r\n{inner}")),
        ("a space in the target", format!("GET /api/public/first x HTTP/1.1\r\nHost: {own}\r\n\r\n{inner}")),
        ("no target", format!("GET  HTTP/1.1\r\nHost: {own}\r\n\r\n{inner}")),
        ("garbage", "\u{16}\u{3}\u{1}\u{2}garbage\r\n\r\n".to_owned()),
        ("a bare LF", format!("{start}Content-Length: 2\n\r\n{{}}{inner}")),
        (
            "the same length twice",
            format!("{start}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}{inner}"),
        ),
    ] {
        let before = app.echo.seen().len();
        let answer = raw::send(&app.base, &bytes).await;
        let seen = app.echo.seen();
        let reached = &seen[before..];
        assert!(reached.len() <= 1, "{what}: {reached:?}");
        assert!(
            reached.iter().all(|seen| seen.line.contains("/first") && !seen.body.contains("HTTP/1.1")),
            "{what}: {reached:?}"
        );
        assert!(answer.count <= 1, "{what}: {}", answer.text);
        assert!(answer.status < 500, "{what}: {}", answer.text);
    }
}

/// S-57: a length beside chunks, and two lengths even if they agree, are 400 and the end of the connection, also where
/// a sound request went before.
#[tokio::test]
async fn two_framings_are_refused() {
    let app = TestApp::start().await;
    let own = authority(&app);
    let get = format!("GET /api/public/before HTTP/1.1\r\nHost: {own}\r\n\r\n");
    let post = format!("POST /api/public/x HTTP/1.1\r\nHost: {own}\r\nContent-Type: application/json\r\n");
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: 2\n\r\n{}",
    ] {
        let answer = raw::send(&app.base, format!("{post}{fields}{get}")).await;
        assert_eq!((answer.status, answer.count), (400, 1), "{fields:?}: {}", answer.text);
        assert_eq!(answer.header("connection"), "close", "{fields:?}: {}", answer.text);
        assert!(answer.text.contains(r#""code":"bad_request""#), "{fields:?}: {}", answer.text);
        let answer = raw::send(&app.base, format!("{get}{post}{fields}{get}")).await;
        assert_eq!((answer.status, answer.count), (200, 2), "{fields:?}: {}", answer.text);
        assert!(answer.text.contains("HTTP/1.1 400"), "{fields:?}: {}", answer.text);
    }
    assert!(app.echo.seen().iter().all(|seen| seen.line.ends_with("/before")), "{:?}", app.echo.seen());
    let chunks = format!("{post}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{get}");
    let answer = raw::send(&app.base, chunks).await;
    assert_eq!(
        (answer.status, answer.count),
        (200, 1),
        "chunks alone are sound, and the last: {}",
        answer.text
    );
    assert_eq!(app.echo.last().body, "{}");
}

/// S-49: a target with a fragment is refused, though `http::Uri` forgets what stands behind the `#`.
#[tokio::test]
async fn a_fragment_in_the_target_is_refused() {
    let app = TestApp::start().await;
    let own = authority(&app);
    for target in
        ["/api/public/x#", "/api/public/x#/../y", "/api/public/x?a=b#c", "/auth/session#x", "#/api/public/x"]
    {
        let get = format!("GET {target} HTTP/1.1\r\nHost: {own}\r\n\r\n");
        let answer = raw::send(&app.base, format!("{get}{get}")).await;
        assert_eq!((answer.status, answer.count), (400, 1), "{target}: {}", answer.text);
        if target.starts_with('/') {
            assert!(answer.text.contains(r#""code":"bad_path""#), "{target}: {}", answer.text);
        }
    }
    assert!(app.echo.seen().is_empty(), "{:?}", app.echo.seen());
}

/// S-57: TRACE, CONNECT and unknown methods are 405, and odd forms of the target are no way in.
#[tokio::test]
async fn odd_methods_and_targets_are_refused() {
    let app = TestApp::start().await;
    let own = authority(&app);
    let rest =
        format!("HTTP/1.1\r\nHost: {own}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
    for line in [
        "TRACE /api/public/x",
        "FOO /api/public/x",
        "get /api/public/x",
        "CONNECT /api/public/x",
        "PROPFIND /auth/login",
        "TRACE /auth/login",
        "FOO /",
        "TRACE /",
    ] {
        let answer = raw::send(&app.base, format!("{line} {rest}")).await;
        assert_eq!(answer.status, 405, "{line}: {}", answer.text);
        assert_ne!(answer.header("allow"), "", "{line}: {}", answer.text);
    }
    for line in [
        format!("CONNECT {own}"),
        "CONNECT evil.test:443".into(),
        "OPTIONS *".into(),
        "GET *".into(),
        "GET x".into(),
        "GET ?x".into(),
        "GET #x".into(),
        "GET ftp://evil.test/x".into(),
        "GET http:///api/public/x".into(),
        "GET /api/public/\u{e9}".into(),
        "GET /api/public/a\u{0}b".into(),
        "GET //evil.test/api/public/x".into(),
        "GET /api\\public\\x".into(),
        "GET /api/public/../admin/x".into(),
        "GET /api/public/%2e%2e/admin/x".into(),
        "GET /api/public/%zz".into(),
        "GET /api/public/%".into(),
        "GET /auth/../api/public/x".into(),
        "GET /auth//login".into(),
        "GET /auth/%6cogin".into(),
        "GET /AUTH/login".into(),
    ] {
        let before = app.echo.seen().len();
        let answer = raw::send(&app.base, format!("{line} {rest}")).await;
        assert!((400..500).contains(&answer.status) || answer.status == 0, "{line}: {}", answer.text);
        assert!(
            !app.echo.seen()[before..].iter().any(|seen| !seen.line.starts_with("GET /api/public/x")),
            "{line}"
        );
    }
}
