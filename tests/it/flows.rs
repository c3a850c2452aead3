//! Where a person is sent, and who may send him there.

use http::Method;
use serde_json::json;

use crate::client::{Browser, navigation, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::provider::up_to_callback;
use crate::raw;

/// Targets that must not be used (S-20).
const EVIL: &[&str] = &[
    "//evil.test",
    "/\\evil.test",
    "\\/evil.test",
    "/%09/evil.test",
    "/\t/evil.test",
    "/.//evil.test",
    "/x/..//evil.test",
    "/%5cevil.test",
    "/%2fevil.test",
    "https:evil.test",
    "https://evil.test/",
    "evil-example.com",
    "http://localhost@evil.test/",
    "http://user@localhost/",
    "http://localhost:444/x",
    "https://localhost/",
    "javascript:alert(1)",
    "/auth/logout",
    "/auth/start/google",
    "/auth/account/../logout",
    "/a%00b",
    "/a%0d%0aSet-Cookie:%20x=y",
    "/a\r\nSet-Cookie: x=y",
    "/ü",
];

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// S-20: by the query of the bounce, the login page and the sign-up page, none of them leaves the site.
#[tokio::test]
async fn no_page_leads_away() {
    let app = TestApp::start().await;
    let (stranger, known) = (app.browser(), app.signed_in("ada@example.test").await);
    let long = format!("/{}", "x".repeat(2048));
    for evil in EVIL.iter().copied().chain([long.as_str()]) {
        for name in ["return_to", "next", "redirect_to", "rd"] {
            let answer = stranger.navigate(&format!("/auth/continue?{name}={}", encoded(evil))).await;
            let leads = answer.refresh_url();
            assert!(leads.as_deref() == Some("/") || name != "return_to", "{evil}: {leads:?}");
            assert!(leads.is_none_or(|url| url == "/"), "{evil}");
        }
        let answer = known.navigate(&format!("/auth/login?return_to={}", encoded(evil))).await;
        assert_eq!(answer.header("location"), "/auth/continue?return_to=%2F", "{evil}");
        for page in ["login", "signup"] {
            let answer = stranger.navigate(&format!("/auth/{page}?return_to={}", encoded(evil))).await;
            assert_eq!((answer.status, answer.field("return_to").as_str()), (200, "/"), "{page} {evil}");
        }
    }
    for good in ["/notes?a=b#c", "/auth/account", &format!("{}/notes", app.base)] {
        let answer = stranger.navigate(&format!("/auth/continue?return_to={}", encoded(good))).await;
        let path = good.strip_prefix(&app.base).unwrap_or(good);
        assert_eq!(answer.refresh_url().as_deref(), Some(path));
    }
}

/// S-20, S-21: nor by the hidden field of the form, the JSON body, or a flow to a provider and back.
#[tokio::test]
async fn no_sign_in_leads_away() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_GOTRUE_BUDGET", "off")).await;
    app.signed_in("ada@example.test").await;
    for evil in EVIL {
        let browser = app.browser();
        let token = browser.navigate("/auth/login").await.form_token("/auth/login");
        let fields = [
            ("form_token", token.as_str()),
            ("email", "ada@example.test"),
            ("password", PASSWORD),
            ("return_to", evil),
        ];
        let answer = browser.submit("/auth/login", &fields).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/auth/continue?return_to=%2F"),
            "{evil}"
        );
        let body = json!({ "email": "ada@example.test", "password": PASSWORD, "return_to": evil });
        assert_eq!(app.browser().post("/auth/login", &body).await.json()["return_to"], "/", "{evil}");
        let browser = app.browser();
        let start = format!("/auth/start/google?return_to={}", encoded(evil));
        let callback = up_to_callback(&browser, &start, "bob@example.test").await;
        let answer = browser.navigate_from("cross-site", &callback).await;
        assert_eq!(answer.header("location"), "/auth/continue?return_to=%2F", "{evil}");
    }
}

/// S-22: nothing a browser says about addresses reaches GoTrue; links in mails are made of the public URL.
#[tokio::test]
async fn addresses_come_from_the_configuration() {
    let plan = Plan { auth: |settings| settings.confirm_email = true, ..Plan::default() };
    let app = TestApp::with(plan).await;
    let browser = app.browser();
    let mut headers = script().to_vec();
    let origin = app.base.clone();
    headers.extend([
        ("origin", origin.as_str()),
        ("content-type", "application/json"),
        ("redirect_to", "https://evil.test/canary"),
        ("referer", "https://evil.test/canary"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-for", "203.0.113.66"),
        ("sb-forwarded-for", "203.0.113.66"),
        ("forwarded", "for=203.0.113.66;host=evil.test"),
        ("apikey", "canary"),
        ("authorization", "Basic canary"),
    ]);
    let body =
        json!({ "email": "ada@example.test", "password": PASSWORD, "redirect_to": "https://evil.test" });
    for path in ["/auth/signup?redirect_to=https://evil.test", "/auth/login?redirect_to=https://evil.test"] {
        browser.send(Method::POST, path, &headers, Some(body.to_string())).await;
    }
    let calls = app.auth.seen("POST");
    assert_eq!(calls.len(), 2);
    for call in &calls {
        let text = format!("{} {:?} {}", call.line, call.headers, call.body);
        assert!(!text.contains("evil") && !text.contains("canary") && !text.contains("gopher"), "{text}");
        assert!(!text.contains("203.0.113.66"), "S-83: {text}");
    }
    assert!(
        calls[0].line.contains(&format!("redirect_to={}", encoded(&format!("{}/auth/callback/", app.base))))
    );
    for mail in app.outbox().await {
        let text = mail.to_string();
        assert!(text.contains(&app.base) && !text.contains("evil"), "{text}");
    }
}

/// S-23: only navigations are sent to the login page; everything else is told 401 in JSON. Nobody is sent on by 307.
#[tokio::test]
async fn only_navigations_are_redirected() {
    let app = TestApp::start().await;
    let fetch = script();
    let [xhr_html, plain, json, html_client] = [
        vec![("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-origin"), ("accept", "text/html")],
        vec![],
        vec![("accept", "application/json")],
        vec![("accept", "text/html,application/xhtml+xml")],
    ];
    for path in ["/auth/account", "/api/notes", "/api/items/1?x=%2F", "/api/vault"] {
        for method in [Method::GET, Method::HEAD] {
            for site in ["none", "same-origin", "same-site"] {
                let answer = app.browser().send(method.clone(), path, &navigation(site), None).await;
                // Other sites' reads of an API are refused before anybody is asked for (S-56).
                if path.starts_with("/api") {
                    assert_eq!(answer.status, 403, "{path} {site}");
                } else {
                    let login = format!("/auth/login?return_to={}", encoded(path));
                    let login = if method == Method::GET { login } else { "/auth/login".to_owned() };
                    assert_eq!((answer.status, answer.header("location")), (303, login.as_str()), "{site}");
                }
            }
            for (kind, headers) in [
                ("fetch", fetch.to_vec()),
                ("xhr", xhr_html.clone()),
                ("plain", plain.clone()),
                ("json", json.clone()),
            ] {
                let answer = app.browser().send(method.clone(), path, &headers, None).await;
                assert_eq!((answer.status, answer.header("location")), (401, ""), "{method} {path} {kind}");
                assert_eq!(answer.header("content-type"), "application/problem+json", "{path} {kind}");
                assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="supabase-bff""#);
            }
        }
        let answer = app.browser().send(Method::GET, path, &html_client, None).await;
        assert_eq!(answer.status, 303, "{path}: a browser without Fetch Metadata");
    }
    assert!(app.echo.seen().is_empty());
    for path in ["/supabase/rest/v1/notes", "/nothing", "/auth/nothing"] {
        for headers in [navigation("none").to_vec(), fetch.to_vec()] {
            let answer = app.browser().send(Method::GET, path, &headers, None).await;
            assert!(!(300..400).contains(&answer.status), "{path}: {}", answer.status);
        }
    }
}

/// S-23: an answer to a POST redirects by 303 or not at all.
#[tokio::test]
async fn a_post_is_answered_by_303() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    for path in [
        "/auth/login",
        "/auth/signup",
        "/auth/otp",
        "/auth/confirm",
        "/auth/logout",
        "/auth/refresh",
        "/api/x",
        "/",
        "/auth",
    ] {
        for fields in [vec![], vec![("email", "ada@example.test"), ("password", PASSWORD)]] {
            let answer = browser.stolen().submit(path, &fields).await;
            assert!(
                answer.status == 303 || !(300..400).contains(&answer.status),
                "{path}: {}",
                answer.status
            );
        }
    }
}

/// S-31: tokens in a body, a query or a header make no session, on any route.
#[tokio::test]
async fn no_session_is_made_of_a_presented_token() {
    let app = TestApp::start().await;
    app.signed_in("ada@example.test").await;
    let tokens = app.tokens("ada@example.test", PASSWORD).await;
    let (access, refresh) =
        (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    let bearer = format!("Bearer {access}");
    let body = json!({
        "access_token": access, "refresh_token": refresh, "token": access, "code": refresh, "token_hash": refresh,
        "session": tokens, "email": "ada@example.test", "password": access, "type": "magiclink",
    });
    let query = format!("access_token={access}&refresh_token={refresh}&token={access}");
    let paths = [
        "/auth/login",
        "/auth/signup",
        "/auth/otp",
        "/auth/confirm",
        "/auth/logout",
        "/auth/refresh",
        "/auth/session",
        "/auth/token",
        "/auth/callback/abcdefghijklmnopqrstuv",
        "/auth/continue",
        "/auth/account",
        "/auth",
        "/supabase/auth/v1/token",
        "/supabase/auth/v1/session",
        "/api/x",
        "/",
    ];
    for path in paths {
        for (method, by_header) in
            [(Method::POST, false), (Method::POST, true), (Method::GET, true), (Method::GET, false)]
        {
            let browser = app.browser();
            let mut headers = script().to_vec();
            headers.extend([("origin", app.base.as_str()), ("content-type", "application/json")]);
            if by_header {
                headers.push(("authorization", &bearer));
            }
            let body = (method == Method::POST).then(|| body.to_string());
            let answer = browser.send(method.clone(), &format!("{path}?{query}"), &headers, body).await;
            assert!(browser.cookie("sb_session").is_none(), "{method} {path}: {:?}", answer.headers);
            assert!(!answer.body.contains(refresh), "S-10: {method} {path}");
        }
    }
    assert_eq!(app.refreshes(), 0, "and none is refreshed");
}

/// S-27: a code that arrives at any other page is taken out of its address before anything is served.
#[tokio::test]
async fn a_code_at_another_page_is_taken_out() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let code = "code=0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f";
    for (from, to) in [
        ("/", "/"),
        ("/auth/login", "/auth/login"),
        ("/auth/account", "/auth/account"),
        ("/auth/continue", "/auth/continue"),
        ("/api/public/page", "/api/public/page"),
        ("/nothing/here", "/nothing/here"),
    ] {
        for (query, rest) in [
            (code.to_owned(), String::new()),
            (format!("a=1&{code}&b=%2F"), "?a=1&b=%2F".to_owned()),
            (format!("{code}&{code}"), String::new()),
            (code.replace("code", "c%6Fde").replace('-', "%2d"), String::new()),
        ] {
            let answer = browser.navigate(&format!("{from}?{query}")).await;
            let expected = format!("{to}{rest}");
            assert_eq!(
                (answer.status, answer.header("location")),
                (303, expected.as_str()),
                "{from}?{query}"
            );
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        let answer = browser.navigate(&format!("{from}?code=summer")).await;
        assert!(
            !answer.header("location").ends_with(to) || to == "/auth/account",
            "{from}: {:?}",
            answer.headers
        );
    }
    for odd in ["//evil.test/", "/\\evil.test/", "/..//evil.test/"] {
        // As its bytes stand: the test client would tidy the path.
        let host = app.base.strip_prefix("http://").unwrap();
        let text = format!(
            "GET {odd}?{code} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        );
        let answer = raw::send(&app.base, text).await;
        assert_eq!((answer.status, answer.header("location")), (400, ""), "{odd}: {}", answer.text);
    }
    assert!(app.echo.seen().is_empty(), "no upstream saw a code");
    assert_eq!(
        browser.get(&format!("/api/public/x?{code}")).await.status,
        200,
        "a script's own parameter passes"
    );
    assert!(app.echo.last().line.contains(code));
}

/// S-02: a cross-site navigation without the session is answered by one bounce, never by a second.
#[tokio::test]
async fn the_bounce_happens_once() {
    let app = TestApp::start().await;
    let browser: Browser = app.signed_in("ada@example.test").await;
    for path in ["/auth/account", "/auth/login?return_to=/x"] {
        let answer = browser.navigate_from("cross-site", path).await;
        assert_eq!((answer.status, answer.refresh_url().as_deref()), (200, Some(path)));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.body.contains("<script"), "{}", answer.body);
        assert!(answer.set_cookies().iter().all(|c| !c.contains("sb_session")), "the session stays as it is");
        let blocked = app.browser().navigate_from("same-origin", path).await;
        assert!(blocked.refresh_url().is_none(), "{path}: with cookies blocked there is no loop");
    }
    assert_eq!(browser.navigate_from("same-origin", "/auth/account").await.status, 200);
}
