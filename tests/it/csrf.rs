//! What a page of another site can cause, and what it cannot.

use http::Method;
use serde_json::json;

use crate::client::{Answer, Browser, navigation};
use crate::harness::{PASSWORD, Plan, TestApp};

const LISTED: &str = "https://other.example.test";

fn refused_with(answer: &Answer, code: &str) -> bool {
    answer.status == 403 && (answer.code() == code || answer.body.contains(&format!("<code>{code}</code>")))
}

/// S-13: the whole matrix of `Sec-Fetch-Site`, `Origin`, cookie and kind of route: only the listed cells pass; of a
/// refused request neither GoTrue nor an upstream sees anything.
#[tokio::test]
async fn unsafe_methods_pass_the_gate_only_from_here() {
    let app = TestApp::with(Plan::default().with("BFF_CORS_ORIGINS", LISTED)).await;
    let person = app.signed_in("ada@example.test").await;
    let visitor = app.browser();
    visitor.navigate("/auth/login").await;
    let own = app.base.clone();
    let port = own.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let origins = [
        None,
        Some(own.clone()),
        Some(LISTED.to_owned()),
        Some("null".to_owned()),
        Some("https://evil.test".to_owned()),
        Some(own.replace("http:", "https:")),
        Some(format!("http://localhost:{}", port.wrapping_add(1))),
        Some("http://localhost".to_owned()),
        Some(own.replace("http://", "http://x@")),
        Some(own.to_uppercase()),
        Some(format!("{own}/")),
        Some(format!("{own}.evil.test")),
        Some(format!("http://127.0.0.1:{port}")),
        Some(format!("{LISTED}.evil.test")),
        Some(LISTED.replace("https", "http")),
        Some(String::new()),
    ];
    let sites = [
        None,
        Some("same-origin"),
        Some("none"),
        Some("same-site"),
        Some("cross-site"),
        Some("odd"),
        Some(""),
    ];
    let form = ("application/x-www-form-urlencoded", "email=nobody%40example.test&password=x&form_token=x");
    let text = ("text/plain", "{\"email\":\"nobody@example.test\",\"password\":\"x\"}");
    let body = ("application/json", "{\"email\":\"nobody@example.test\",\"password\":\"\"}");
    let kinds = [
        ("a page", "/auth/login", form),
        ("our API", "/auth/login", body),
        ("text for our API", "/auth/login", text),
        ("a proxied form", "/api/public/x", form),
        ("a proxied call", "/api/public/x", body),
        ("the mount", "/supabase/rest/v1/notes", body),
        ("nothing", "/no/such/path", body),
    ];
    let mut cells = 0;
    for origin in &origins {
        for site in sites {
            for (who, browser) in
                [("nobody", None), ("a visitor", Some(&visitor)), ("a person", Some(&person))]
            {
                for (what, path, (kind, sent)) in kinds {
                    cells += 1;
                    let mut headers = vec![("content-type", kind), ("x-csrf", "1")];
                    headers.extend(origin.as_deref().map(|origin| ("origin", origin)));
                    headers.extend(site.map(|site| ("sec-fetch-site", site)));
                    let asker = browser.cloned().unwrap_or_else(|| app.browser()).stolen();
                    let before = (app.echo.seen().len(), app.auth.calls("POST "));
                    let answer = asker.send(Method::POST, path, &headers, Some(sent.to_owned())).await;
                    let listed = origin.as_deref() == Some(LISTED);
                    let from_here = matches!(site, None | Some("same-origin" | "none"))
                        && origin.as_ref().is_none_or(|origin| *origin == own);
                    let silent = origin.is_none() && site.is_none();
                    let is_form = kind != "application/json";
                    let passes = listed || from_here && !(silent && (browser.is_some() || is_form));
                    let cell = format!(
                        "{what} by {who}, Origin {origin:?}, Sec-Fetch-Site {site:?}: {}",
                        answer.body
                    );
                    assert_eq!(!refused_with(&answer, "cross_origin"), passes, "{cell}");
                    if !passes {
                        assert_eq!((app.echo.seen().len(), app.auth.calls("POST ")), before, "{cell}");
                    }
                }
            }
        }
    }
    assert_eq!(cells, 16 * 7 * 3 * 7);
}

/// S-13: two `Origin`s or two `Sec-Fetch-Site`s are none of ours, even if one of them is listed.
#[tokio::test]
async fn doubled_headers_do_not_pass() {
    let app = TestApp::with(Plan::default().with("BFF_CORS_ORIGINS", LISTED)).await;
    let own = app.base.as_str();
    for pair in [
        [("origin", own), ("origin", own)],
        [("origin", own), ("origin", "https://evil.test")],
        [("origin", LISTED), ("origin", "https://evil.test")],
        [("origin", LISTED), ("origin", LISTED)],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
    ] {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(pair);
        let answer = app.browser().send(Method::POST, "/api/public/x", &headers, Some("{}".into())).await;
        assert!(refused_with(&answer, "cross_origin"), "{pair:?}: {}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin"), "", "{pair:?}");
    }
    assert_eq!(app.echo.seen().len(), 0);
}

/// S-13: every unsafe method passes the same gate, known or not; safe ones need none.
#[tokio::test]
async fn every_unsafe_method_is_gated() {
    let app = TestApp::start().await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get", "TRACE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for path in ["/api/public/x", "/auth/login", "/auth/session", "/supabase/rest/v1/x"] {
            let headers = [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")];
            let answer = app.browser().send(method.clone(), path, &headers, None).await;
            assert!(
                refused_with(&answer, "cross_origin"),
                "{method} {path}: {} {}",
                answer.status,
                answer.body
            );
        }
    }
    assert_eq!((app.echo.seen().len(), app.auth.calls("rest/v1")), (0, 0));
}

/// S-14: a request with the session that is no navigation shows `X-CSRF: 1`, on every route and for reads too; a GET or
/// HEAD may show that it comes from our own page instead; below the mount the clients' own headers do.
#[tokio::test]
async fn a_session_needs_the_header() {
    let app = TestApp::start().await;
    let person = app.signed_in("ada@example.test").await;
    let own = app.base.clone();
    let marks: [&[(&str, &str)]; 9] = [
        &[],
        &[("x-csrf", "1")],
        &[("x-csrf", "0")],
        &[("x-csrf", "1"), ("x-csrf", "1")],
        &[("x-csrf", "")],
        &[("apikey", "x")],
        &[("x-client-info", "supabase-js/2")],
        &[("authorization", "Bearer x")],
        &[("x-requested-with", "XMLHttpRequest")],
    ];
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    for method in methods {
        for path in ["/auth/session", "/api/notes", "/api/public/x", "/supabase/rest/v1/x", "/no/such/path"] {
            for site in [None, Some("same-origin"), Some("same-site"), Some("cross-site"), Some("none")] {
                for mark in marks {
                    let mut headers = mark.to_vec();
                    headers.extend(site.map(|site| ("sec-fetch-site", site)));
                    let safe = matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS");
                    if !safe {
                        headers.push(("origin", &own));
                    }
                    let gated = !safe && matches!(site, Some("same-site" | "cross-site"));
                    let below = path.starts_with("/supabase");
                    let marked = mark == [("x-csrf", "1")]
                        || below && mark.iter().any(|(name, _)| *name != "x-requested-with");
                    let passes = marked || (safe && site == Some("same-origin"));
                    let before = (app.echo.seen().len(), app.auth.calls("rest/v1"));
                    let answer = person.stolen().send(method.clone(), path, &headers, None).await;
                    let cell =
                        format!("{method} {path} {site:?} {mark:?}: {} {}", answer.status, answer.body);
                    if gated || !passes {
                        assert_eq!(answer.status, 403, "{cell}");
                        assert_eq!((app.echo.seen().len(), app.auth.calls("rest/v1")), before, "{cell}");
                        if method != Method::HEAD {
                            assert!(
                                refused_with(&answer, if gated { "cross_origin" } else { "csrf_header" }),
                                "{cell}"
                            );
                        }
                    } else {
                        assert!(!refused_with(&answer, "csrf_header"), "{cell}");
                    }
                }
            }
        }
    }
    // A session that does not open is a session here as well; a form cookie alone is none.
    let name = person.cookie_names().into_iter().find(|name| name.starts_with("sb_session")).unwrap();
    let answer = app.browser().get_with_cookie("/api/notes", &[], format!("{name}=x").as_bytes()).await;
    assert!(refused_with(&answer, "csrf_header"));
    let answer = app.browser().get_with_cookie("/api/notes", &[], b"sb_form_1=x; theme=dark").await;
    assert_eq!(answer.status, 401);
}

/// S-14, S-19: `csrf = "off"` frees the one rule that is matched from the header, and from nothing else.
#[tokio::test]
async fn an_opt_out_belongs_to_its_rule() {
    let rules = "[[rules]]\nname = \"hook\"\npath = \"/hook/in\"\nto = \"echo\"\nallow = \"optional\"\ncsrf = \"off\"\n\
                 [[rules]]\nname = \"others\"\npath = \"/**\"\nto = \"echo\"\nallow = \"optional\"\n";
    let app = TestApp::with(Plan { rules: rules.to_owned(), ..Plan::default() }).await;
    let person = app.signed_in("ada@example.test").await;
    let own = app.base.as_str();
    let here = [("origin", own), ("sec-fetch-site", "same-origin")];
    assert_eq!(person.send(Method::POST, "/hook/in", &here, None).await.status, 200);
    let seen = app.echo.seen().len();
    let sibling = [("origin", "http://sibling.localhost"), ("sec-fetch-site", "same-site")];
    for headers in [&sibling[..], &[("sec-fetch-site", "cross-site")], &[]] {
        let answer = person.send(Method::POST, "/hook/in", headers, None).await;
        assert!(refused_with(&answer, "cross_origin"), "{headers:?}: {}", answer.body);
    }
    for path in ["//hook/in", "/hook/in/", "/Hook/in", "/hook%2fin", "/hook/in/x", "/hook/in;x"] {
        let answer = person.send(Method::POST, path, &here, None).await;
        assert!(refused_with(&answer, "csrf_header"), "{path}: {} {}", answer.status, answer.body);
    }
    assert_eq!(app.echo.seen().len(), seen);
}

/// S-15: a token that is missing, another browser's, another form's or too old: 403 with a fresh form, the address kept,
/// the password gone. Both locks hold by themselves.
#[tokio::test]
async fn a_form_brings_its_own_token() {
    let app = TestApp::start().await;
    app.signed_in("ada@example.test").await;
    let browser = app.browser();
    let good = browser.navigate("/auth/login").await.form_token("/auth/login");
    let other = app.browser().navigate("/auth/login").await.form_token("/auth/login");
    let another_form = browser.navigate("/auth/signup").await.form_token("/auth/signup");
    let send = async |token: Option<&str>| {
        let mut fields = vec![("email", "ada@example.test"), ("password", PASSWORD)];
        fields.extend(token.map(|token| ("form_token", token)));
        browser.submit("/auth/login", &fields).await
    };
    for (what, token) in [
        ("missing", None),
        ("empty", Some("")),
        ("another browser's", Some(other.as_str())),
        ("another form's", Some(another_form.as_str())),
        ("cut", Some(&good[..good.len() - 2])),
    ] {
        let answer = send(token).await;
        assert_eq!(answer.status, 403, "{what}");
        assert_eq!(answer.field("email"), "ada@example.test", "{what}");
        assert!(!answer.body.contains(PASSWORD), "{what}");
        assert!(!answer.form_token("/auth/login").is_empty(), "{what}");
    }
    app.clock.advance(time::Duration::hours(2) + time::Duration::seconds(1));
    let answer = send(Some(&good)).await;
    assert_eq!(answer.status, 403, "expired");
    assert_eq!(app.auth.calls("grant_type=password"), 0, "GoTrue was not asked");
    assert_eq!(send(Some(&answer.form_token("/auth/login"))).await.status, 303, "the fresh form works");
    let blocked = app.browser();
    let fields = [("email", "ada@example.test"), ("password", PASSWORD), ("form_token", good.as_str())];
    assert_eq!(blocked.submit("/auth/login", &fields).await.status, 403, "without our cookie");
    for form in ["/auth/signup", "/auth/otp", "/auth/confirm", "/auth/logout"] {
        let before = app.auth.calls("POST ");
        let fields = [
            ("email", "grace@example.test"),
            ("password", PASSWORD),
            ("token_hash", "abc"),
            ("type", "signup"),
            ("code", "123456"),
            ("form_token", "1.AAAA"),
        ];
        let answer = browser.submit(form, &fields).await;
        assert_eq!((answer.status, app.auth.calls("POST ")), (403, before), "{form}");
    }
    assert_eq!(browser.get("/api/notes").await.status, 200, "the broken sign-out did nothing");
}

/// S-16: without a session the same gate holds: another site signs nobody in, up or anywhere, and a start that it caused
/// shows the login page instead of travelling on.
#[tokio::test]
async fn another_site_signs_nobody_in() {
    let app = TestApp::start().await;
    app.signed_in("ada@example.test").await;
    let before = app.auth.calls("POST ");
    for path in ["/auth/login", "/auth/signup", "/auth/otp", "/auth/confirm", "/auth/logout"] {
        for (kind, body) in [
            (
                "application/x-www-form-urlencoded",
                format!("email=ada%40example.test&password={}", PASSWORD.replace(' ', "+")),
            ),
            ("application/json", json!({ "email": "ada@example.test", "password": PASSWORD }).to_string()),
            ("text/plain", json!({ "email": "ada@example.test", "password": PASSWORD }).to_string()),
        ] {
            let mut headers = navigation("cross-site").to_vec();
            headers.extend([("content-type", kind), ("origin", "https://evil.test")]);
            let answer = app.browser().send(Method::POST, path, &headers, Some(body)).await;
            assert!(refused_with(&answer, "cross_origin"), "{path} {kind}: {}", answer.body);
            assert!(!answer.set_cookies().iter().any(|cookie| cookie.contains("sb_session")));
        }
    }
    for site in ["cross-site", "same-site"] {
        let answer = app.browser().navigate_from(site, "/auth/start/google").await;
        assert_eq!(answer.status, 200, "{site}");
        assert!(answer.body.contains("action=\"/auth/login\""), "{site}: {}", answer.body);
        assert!(!answer.set_cookies().iter().any(|cookie| cookie.contains("sb_flow")), "{site}");
    }
    assert_eq!(app.auth.calls("POST "), before);
}

/// S-13 and S-16 do not depend on a browser's good behaviour: a stolen form page is of no use elsewhere.
#[tokio::test]
async fn a_form_of_ours_sent_from_elsewhere_is_refused() {
    let app = TestApp::start().await;
    let browser: Browser = app.browser();
    let token = browser.navigate("/auth/login").await.form_token("/auth/login");
    let body = format!("form_token={token}&email=ada%40example.test&password=x");
    for headers in [
        vec![("origin", "null")],
        vec![("origin", "null"), ("sec-fetch-site", "same-origin")],
        vec![("origin", app.base.as_str()), ("sec-fetch-site", "cross-site")],
        vec![],
    ] {
        let mut headers = headers;
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        let answer = browser.send(Method::POST, "/auth/login", &headers, Some(body.clone())).await;
        assert!(refused_with(&answer, "cross_origin"), "{headers:?}: {}", answer.body);
    }
}
