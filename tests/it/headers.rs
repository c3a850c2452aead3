//! What every answer carries, and what no answer does.

use http::Method;
use serde_json::json;

use crate::client::{Answer, Browser, navigation};
use crate::cookies::https;
use crate::crawl::{self, Crawled};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::raw;
use crate::tap::Fault;

pub const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type").starts_with("text/html")
}

/// The crawl, and refusals that come from outside of any handler.
async fn everything(app: &TestApp) -> Crawled {
    let mut all = crawl::everything(app).await;
    let browser = app.browser();
    let long = format!("/auth/login?a={}", "a".repeat(9000));
    all.push(("414".into(), browser.navigate(&long).await));
    all.push(("431".into(), browser.send(Method::GET, "/", &[("x-a", &"a".repeat(33_000))], None).await));
    all.push(("421".into(), browser.send(Method::GET, "/auth/login", &[("host", "evil.test")], None).await));
    all.push(("400 host".into(), browser.send(Method::GET, "/auth/login", &[("host", "a@b")], None).await));
    let login = [("host", "127.0.0.1:1"), ("sec-fetch-mode", "navigate")];
    all.push(("302".into(), browser.send(Method::GET, "/auth/login", &login, None).await));
    let mut wrong = navigation("same-origin").to_vec();
    wrong.extend([("content-type", "text/plain"), ("origin", app.base.as_str())]);
    all.push(("415".into(), browser.send(Method::POST, "/auth/login", &wrong, Some("x".into())).await));
    let preflight = [("origin", "https://evil.test"), ("access-control-request-method", "POST")];
    all.push(("preflight".into(), browser.send(Method::OPTIONS, "/auth/login", &preflight, None).await));
    let too_large = json!({ "password": "x".repeat(1 << 20) });
    all.push(("413".into(), browser.post("/auth/login", &too_large).await));
    for (what, fault) in [
        ("500", Fault::code(500, "unexpected_failure")),
        ("reset", Fault::Reset),
        ("429", Fault::code(429, "over_request_rate_limit")),
        ("html", Fault::Answer(200, "text/html", "<script>".into())),
    ] {
        app.auth.fail("grant_type=password", fault);
        let form = browser.navigate("/auth/login").await.form_token("/auth/login");
        let fields = [("form_token", form.as_str()), ("email", "ada@example.test"), ("password", PASSWORD)];
        all.push((format!("form, {what}"), browser.submit("/auth/login", &fields).await));
        let body = json!({ "email": "ada@example.test", "password": PASSWORD });
        all.push((format!("JSON, {what}"), browser.post("/auth/login", &body).await));
        app.auth.heal();
    }
    app.echo.answer(
        500,
        &[("content-type", "text/html"), ("server", "nginx/1.2"), ("x-powered-by", "PHP")],
        "<h1>x</h1>",
    );
    all.push(("upstream 500".into(), browser.get("/api/public/x").await));
    app.echo.answer(302, &[("location", "https://evil.test/")], "");
    all.push(("upstream 302".into(), browser.get("/api/public/x").await));
    all
}

/// S-65: exactly this policy on every page and error page; no script and no inline style in any of them.
#[tokio::test]
async fn every_page_has_the_one_policy() {
    let app = TestApp::start().await;
    let mut pages = std::collections::BTreeSet::new();
    for (what, answer) in everything(&app).await {
        let upstream = answer.header("content-security-policy").starts_with("sandbox");
        if !is_page(&answer) || upstream {
            continue;
        }
        pages.insert(answer.status);
        assert_eq!(answer.header("content-security-policy"), POLICY, "{what}");
        assert_eq!(answer.headers.get_all("content-security-policy").iter().count(), 1, "{what}");
        let low = answer.body.to_ascii_lowercase();
        for word in [
            "<script",
            "<style",
            " style=",
            "javascript:",
            "<iframe",
            "<base",
            " onload=",
            " onerror=",
            " onclick=",
        ] {
            assert!(!low.contains(word), "{what}: {word}");
        }
    }
    for status in [200, 400, 401, 403, 404, 405, 410, 415, 429, 503] {
        assert!(pages.contains(&status), "no page with {status} was seen: {pages:?}");
    }
}

/// S-66, S-67, S-09: what every answer carries, whatever it is: pages, JSON, redirects, refusals, proxied answers.
#[tokio::test]
async fn every_answer_is_dressed() {
    for (plan, secure) in [(Plan::default(), false), (https(), true)] {
        let app = TestApp::with(plan).await;
        let mut ids = std::collections::HashSet::new();
        for (what, answer) in everything(&app).await {
            let line = format!("{what}: {} {:?}", answer.status, answer.headers);
            if what == "431" {
                // A head that the listener does not hold is refused there, without a word, and its connection ends.
                assert!(answer.body.is_empty() && answer.header("connection") == "close", "{line}");
                continue;
            }
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{line}");
            assert!(
                ids.insert(answer.header("x-request-id").to_owned())
                    && !answer.header("x-request-id").is_empty(),
                "{line}"
            );
            let unread = ["421", "400 host", "302"].contains(&what.as_str());
            let hsts = if secure && !unread { "max-age=31536000" } else { "" };
            assert_eq!(answer.header("strict-transport-security"), hsts, "{line}");
            let own = ["same-origin", ""];
            let public_file = what.contains("object/public");
            assert!(
                own[..=usize::from(public_file)].contains(&answer.header("cross-origin-resource-policy")),
                "{line}"
            );
            let caching = answer.header("cache-control");
            assert!(caching == "no-store" || public_file, "S-09: {line}");
            for name in ["server", "x-powered-by", "via", "x-aspnet-version"] {
                assert_eq!(answer.header(name), "", "{line}");
            }
            let kind = answer.header("content-type");
            assert!(
                !kind.starts_with("text/") || kind.contains("charset=") || what.starts_with("upstream"),
                "{line}"
            );
            assert!(answer.body.is_empty() || !kind.is_empty() || public_file, "{line}");
            let callback = what.contains("/auth/callback/");
            if is_page(&answer) && !what.starts_with("upstream") {
                assert_eq!(answer.header("x-frame-options"), "DENY", "{line}");
                assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{line}");
                let features = answer.header("permissions-policy");
                for feature in ["camera", "microphone", "geolocation", "payment", "usb"] {
                    assert!(features.contains(&format!("{feature}=()")), "{line}");
                }
                assert_eq!(
                    answer.header("referrer-policy"),
                    if callback { "no-referrer" } else { "same-origin" },
                    "{line}"
                );
            } else {
                assert_eq!(answer.header("referrer-policy"), "no-referrer", "{line}");
            }
            assert!(!matches!(answer.status, 307 | 308), "S-23: {line}");
        }
    }
}

/// S-09: what an upstream says about caching does not survive a session or one of our cookies; a static file of ours has
/// a hashed name, is kept for ever and sets no cookie.
#[tokio::test]
async fn nothing_made_for_a_person_is_cached() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let public = [
        ("content-type", "application/json"),
        ("cache-control", "public, s-maxage=31536000"),
        ("cdn-cache-control", "max-age=60"),
        ("cloudflare-cdn-cache-control", "max-age=60"),
        ("surrogate-control", "max-age=60"),
        ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
        ("pragma", "cache"),
    ];
    app.echo.answer(200, &public, "{}");
    app.past_expiry();
    for round in ["refreshed", "as it was"] {
        let answer = browser.get("/api/notes").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.set_cookies().is_empty(), round != "refreshed");
        assert_eq!(
            answer.headers.get_all("cache-control").iter().collect::<Vec<_>>(),
            ["no-store"],
            "{round}"
        );
        for name in
            ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control", "expires", "pragma"]
        {
            assert_eq!(answer.header(name), "", "{round}: {name}");
        }
    }
    let page = browser.navigate("/auth/login?prompt=login").await;
    let sheet = page
        .body
        .split("href=\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|url| url.ends_with(".css"))
        .unwrap()
        .replace("&#x2f;", "/");
    let asset = browser.get(&sheet).await;
    assert_eq!((asset.status, asset.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(asset.header("cache-control").contains("immutable") && asset.set_cookies().is_empty());
    for unknown in [
        "/auth/x.css",
        "/auth/assets/style.css",
        "/auth/assets/style.0000000000000000.css",
        "/auth/assets/../x.css",
        "/auth/account/x.png",
        "/auth/session/x.js",
    ] {
        let answer = browser.get(unknown).await;
        assert!(matches!(answer.status, 404 | 400), "{unknown}: {}", answer.status);
        assert_eq!(answer.header("cache-control"), "no-store", "{unknown}");
    }
    // A dead session at a static file clears nothing there.
    app.clock.advance(time::Duration::days(8));
    assert!(browser.get(&sheet).await.set_cookies().is_empty());
}

/// Every JWT-shaped string of `text`.
fn tokens_in(text: &str) -> Vec<&str> {
    let part = |b: char| b.is_ascii_alphanumeric() || b == '-' || b == '_' || b == '.';
    text.split(|c| !part(c))
        .filter(|word| word.starts_with("eyJ") && word.matches('.').count() == 2)
        .collect()
}

/// S-10: through sign-up, sign-in by password and provider, refresh and sign-out, no body, header or address holds a
/// token, verifier, code or secret key; own cookies hold them sealed.
#[tokio::test]
async fn no_token_reaches_the_browser() {
    let secret = "sb_secret_canary_0123456789abcdef";
    let app = TestApp::with(Plan::default().with("SUPABASE_SECRET_KEY", secret)).await;
    let mut all = everything(&app).await;
    let browser = app.signed_in("grace@example.test").await;
    app.past_expiry();
    all.push(("refreshed".into(), browser.get("/api/notes").await));
    all.push(("session".into(), browser.get("/auth/session").await));
    all.push(("account".into(), browser.navigate("/auth/account").await));
    let account = json!({ "email": "grace@example.test", "password": PASSWORD });
    all.push(("again".into(), browser.post("/auth/login", &account).await));
    all.extend(crawl::reads(&browser).await);
    let start = browser.navigate_from("same-origin", "/auth/start/google").await;
    let location = start.header("location").to_owned();
    all.push(("start".into(), start));
    let (_, page) = browser.follow_from("cross-site", &location).await;
    assert!(page.body.contains("pretend") || page.status == 200);
    let mut canaries = vec![secret.to_owned()];
    for answer in app.auth.answers("") {
        let Ok(body) = serde_json::from_str::<serde_json::Value>(&answer) else { continue };
        for name in ["access_token", "refresh_token", "provider_token", "provider_refresh_token"] {
            canaries.extend(body[name].as_str().map(str::to_owned));
        }
    }
    for call in app.auth.seen("grant_type=pkce") {
        let body: serde_json::Value = serde_json::from_str(&call.body).unwrap();
        canaries.extend(
            ["code_verifier", "auth_code"].iter().filter_map(|name| body[*name].as_str().map(str::to_owned)),
        );
    }
    assert!(canaries.len() > 6, "{}", canaries.len());
    for (what, answer) in &all {
        let headers: String = answer
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        let text = format!("{headers}{}", answer.body);
        assert_eq!(tokens_in(&text), Vec::<&str>::new(), "{what}");
        for canary in &canaries {
            assert!(!text.contains(canary.as_str()), "{what}: a token in {text}");
        }
    }
    let session = browser.get("/auth/session").await.json();
    let names: Vec<_> = session.as_object().unwrap().keys().map(String::as_str).collect();
    let known = [
        "authenticated",
        "user",
        "roles",
        "scopes",
        "aal",
        "next_aal",
        "amr",
        "claims",
        "limited",
        "session",
        "csrf",
        "logout_url",
        "account_url",
    ];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
}

/// S-68: what a person or a link writes is shown as text, on every page.
#[tokio::test]
async fn what_people_write_is_text() {
    let app = TestApp::start().await;
    let attack = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'`{{7*7}}{% raw %}";
    let data = json!({
        "full_name": attack, "name": attack, "preferred_username": attack, "avatar_url": "javascript:alert(1)", "picture": attack, "website": "javascript:alert(1)", "custom": { "x": attack },
    });
    let browser = app.browser();
    let account = json!({ "email": "ada@example.test", "password": PASSWORD, "data": data });
    let made = browser.post("/auth/signup", &account).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.json()["session"]["user"]["avatar_url"], json!(null), "no javascript: address");
    let page = browser.navigate("/auth/account").await;
    assert!(page.body.contains("&lt;script&gt;alert(1)"), "the name is shown: {}", page.body);
    let encoded: String = url::form_urlencoded::byte_serialize(attack.as_bytes()).collect();
    let mut pages = vec![page, browser.navigate("/auth/logout").await, browser.navigate("/auth/login").await];
    let stranger: Browser = app.browser();
    for path in crawl::PATHS {
        let joint = if path.contains('?') { '&' } else { '?' };
        for name in [
            "error",
            "error_description",
            "error_code",
            "return_to",
            "next",
            "type",
            "token_hash",
            "code",
            "message",
            "email",
            "prompt",
            "reason",
        ] {
            if path.contains(&format!("{name}=")) {
                continue;
            }
            for browser in [&stranger, &browser] {
                for site in ["none", "cross-site"] {
                    pages.push(browser.navigate_from(site, &format!("{path}{joint}{name}={encoded}")).await);
                }
            }
        }
    }
    for path in ["/auth/start/", "/auth/", "/auth/callback/", "/", "/api/"] {
        pages.push(stranger.navigate(&format!("{path}{encoded}")).await);
    }
    for target in
        ["javascript:alert(1)", "data:text/html,x", "//evil.test", "/\\evil.test", "https://evil.test/"]
    {
        let target: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        for path in ["/auth/login", "/auth/signup", "/auth/continue", "/auth/confirm"] {
            let page =
                stranger.navigate(&format!("{path}?return_to={target}&token_hash=a&type=signup")).await;
            assert!(
                !page.body.contains("evil.test") && !page.body.contains("data:text"),
                "S-20: {path} {target}"
            );
            pages.push(page);
        }
    }
    let login = stranger.navigate("/auth/login").await;
    let token = login.form_token("/auth/login");
    for path in ["/auth/login", "/auth/signup", "/auth/otp", "/auth/confirm"] {
        let fields = [
            ("form_token", token.as_str()),
            ("email", attack),
            ("password", attack),
            ("return_to", attack),
            ("token_hash", attack),
            ("type", "signup"),
            ("code", attack),
        ];
        let answer = stranger.submit(path, &fields).await;
        pages.push(answer);
    }
    let shown = pages.iter().filter(|page| is_page(page)).count();
    assert!(shown > 300, "{shown}");
    for page in pages.iter().filter(|page| is_page(page)) {
        let low = page.body.to_ascii_lowercase();
        for word in ["<script", "<img src=x", "href=\"javascript:", "url=javascript:", "49{%"] {
            assert!(!low.contains(word), "{word}: {}", page.body);
        }
    }
}

/// S-89: a request that breaks off is no fault of ours, and the next one is served.
#[tokio::test]
async fn a_request_that_breaks_off_does_no_harm() {
    let app = TestApp::start().await;
    for start in
        ["GET /auth/login HTTP/1.1\r\nHost: x", "POST /auth/login HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"]
    {
        let answer = raw::send_and_leave(&app.base, start).await;
        assert!(answer.status < 500, "{}", answer.text);
    }
    assert_eq!(app.browser().get("/auth/session").await.status, 200);
}
