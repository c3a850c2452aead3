//! Safe methods are safe, and other origins read nothing.

use http::Method;

use crate::client::{Answer, script};
use crate::crawl;
use crate::harness::{Plan, TestApp};

const LISTED: &str = "https://other.example.test";

/// S-17: GET, HEAD and OPTIONS on every route, also as a prefetch, write nothing at GoTrue and set no cookie but those of
/// forms and flows; a prefetch begins no flow.
#[tokio::test]
async fn reading_changes_nothing() {
    let app = TestApp::start().await;
    let person = app.signed_in("ada@example.test").await;
    let writes = |app: &TestApp| {
        ["POST ", "PUT ", "PATCH ", "DELETE "].iter().map(|m| app.auth.calls(m)).sum::<usize>()
    };
    let before = writes(&app);
    let mut all = crawl::reads(&person).await;
    all.extend(crawl::reads(&app.browser()).await);
    for path in crawl::PATHS {
        let answer = person.send(Method::OPTIONS, path, &script(), None).await;
        all.push((format!("OPTIONS {path}"), answer));
    }
    assert_eq!(writes(&app), before, "GoTrue saw only reads");
    for (what, answer) in &all {
        for cookie in answer.set_cookies() {
            let harmless = cookie.starts_with("sb_form") || cookie.starts_with("sb_flow_");
            assert!(harmless, "{what}: {cookie}");
            assert!(
                !(what.starts_with("prefetch")
                    && cookie.starts_with("sb_flow_")
                    && !cookie.contains("Max-Age=0")),
                "{what}: {cookie}"
            );
        }
    }
    assert_eq!(app.auth.calls("/logout") + app.auth.calls("/verify") + app.auth.calls("/reauthenticate"), 0);
    assert_eq!(person.get("/auth/session").await.json()["authenticated"], true);
    assert_eq!(
        app.echo
            .seen()
            .iter()
            .filter(|seen| !seen.line.starts_with("GET ")
                && !seen.line.starts_with("HEAD ")
                && !seen.line.starts_with("OPTIONS "))
            .count(),
        0
    );
}

/// S-18: no CORS header unless the origin is on the list, exactly; preflights are answered here; what an upstream says of
/// CORS is dropped.
#[tokio::test]
async fn cors_is_closed_but_for_the_list() {
    let closed = TestApp::start().await;
    let open = TestApp::with(Plan::default().with("BFF_CORS_ORIGINS", LISTED)).await;
    let twin = LISTED.replace("https", "http");
    let odd = [
        format!("{LISTED}.evil.test"),
        twin,
        "https://sibling.example.test".into(),
        "null".into(),
        format!("{LISTED}:8443"),
        format!("{LISTED}/"),
        LISTED.to_uppercase(),
    ];
    let any =
        |answer: &Answer| answer.headers.keys().any(|name| name.as_str().starts_with("access-control-"));
    for app in [&closed, &open] {
        app.echo.answer(
            200,
            &[
                ("access-control-allow-origin", "*"),
                ("access-control-allow-credentials", "true"),
                ("content-type", "application/json"),
            ],
            "{}",
        );
        for origin in odd.iter().map(String::as_str).chain([app.base.as_str()]) {
            for path in
                ["/api/public/x", "/auth/session", "/auth/login", "/supabase/rest/v1/x", "/no/such/path"]
            {
                let answer = app.browser().send(Method::GET, path, &[("origin", origin)], None).await;
                assert!(!any(&answer), "{origin} {path}: {:?}", answer.headers);
                let asked = [
                    ("origin", origin),
                    ("access-control-request-method", "POST"),
                    ("access-control-request-headers", "x-csrf"),
                ];
                let answer = app.browser().send(Method::OPTIONS, path, &asked, None).await;
                assert!(answer.status < 300 && !any(&answer), "{origin} {path}: {:?}", answer.headers);
            }
        }
        assert!(
            app.echo.seen().iter().all(|seen| !seen.line.starts_with("OPTIONS")),
            "a preflight is answered here"
        );
    }
    let person = open.signed_in("ada@example.test").await;
    let answer =
        person.send(Method::GET, "/auth/session", &[("origin", LISTED), ("x-csrf", "1")], None).await;
    assert_eq!(answer.header("access-control-allow-origin"), LISTED);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert_eq!(answer.headers.get_all("vary").iter().filter(|v| *v == "Origin").count(), 1);
    let asked = [
        ("origin", LISTED),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-csrf,content-type"),
    ];
    let answer = person.send(Method::OPTIONS, "/api/notes", &asked, None).await;
    assert_eq!((answer.status, answer.header("access-control-allow-headers")), (204, "x-csrf,content-type"));
    assert_eq!(answer.headers.get_all("vary").iter().filter(|v| *v == "Origin").count(), 1, "said once");
    assert!(answer.set_cookies().is_empty(), "a preflight has no session");
    // Refusals are readable for the listed origin as well; for others nothing is.
    let answer = open
        .browser()
        .send(Method::GET, "/api/notes", &[("origin", LISTED), ("sec-fetch-site", "cross-site")], None)
        .await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, LISTED));
}
