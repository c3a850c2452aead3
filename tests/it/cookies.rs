//! What a cookie may be, where it opens, and what becomes of a session behind it.

use serde_json::json;

use crate::client::{Browser, navigation};
use crate::crawl;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::provider::at_login;
use crate::tap::Fault;

const SITE: &str = "https://app.example.test";

/// A site behind a proxy that ends TLS.
pub fn https() -> Plan {
    Plan::default().with("BFF_PUBLIC_URL", SITE).with("BFF_TRUSTED_PROXIES", "127.0.0.1/32,::1/128")
}

/// S-01: name, attributes and path of every cookie that any route sets or deletes, over https and on loopback.
#[tokio::test]
async fn every_cookie_has_its_attributes() {
    for (plan, secure) in [(https(), true), (Plan::default(), false)] {
        let app = TestApp::with(plan).await;
        let mut seen = 0;
        for (what, answer) in crawl::everything(&app).await {
            for cookie in answer.set_cookies() {
                seen += 1;
                let (pair, attributes) = cookie.split_once("; ").unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                let attributes: Vec<_> = attributes.split("; ").collect();
                let plain = name.strip_prefix("__Host-Http-");
                assert_eq!(plain.is_some(), secure, "{what}: {cookie}");
                let lax = plain.unwrap_or(name).starts_with("sb_flow_");
                let site = if lax { "SameSite=Lax" } else { "SameSite=Strict" };
                assert!(
                    attributes.contains(&"HttpOnly") && attributes.contains(&"Path=/"),
                    "{what}: {cookie}"
                );
                assert!(attributes.contains(&site), "S-02: {what}: {cookie}");
                assert_eq!(attributes.contains(&"Secure"), secure, "{what}: {cookie}");
                assert!(!cookie.to_ascii_lowercase().contains("domain="), "{what}: {cookie}");
                assert!(!value.is_empty() || attributes.contains(&"Max-Age=0"), "{what}: {cookie}");
                assert!(pair.len() <= 4096, "S-04: {what}");
            }
        }
        assert!(seen > 20, "the crawl saw only {seen} cookies");
    }
}

/// S-01: the address of a callback chooses neither the name of a cookie nor its attributes.
#[tokio::test]
async fn a_callback_address_writes_no_cookie() {
    let app = TestApp::start().await;
    for flow in [
        "x%3B%20Domain%3Dexample.test",
        "x%3d1%3b",
        "%c3%be",
        "short",
        "AAAAAAAAAAAAAAAAAAAAA%3B",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "a%0d%0aSet-Cookie:%20a",
    ] {
        let answer = app.browser().navigate(&format!("/auth/callback/{flow}?code=a")).await;
        assert_eq!((answer.status, at_login(&answer)), (303, "/auth/login"), "{flow}");
        assert!(
            !answer.set_cookies().iter().any(|cookie| cookie.contains("sb_flow")),
            "{flow}: {:?}",
            answer.set_cookies()
        );
    }
}

/// S-01: after signing out a strict cookie jar holds no session.
#[tokio::test]
async fn the_jar_is_empty_after_sign_out() {
    for plan in [https(), Plan::default()] {
        let app = TestApp::with(plan).await;
        let browser = app.signed_in("ada@example.test").await;
        assert!(browser.cookie_names().iter().any(|name| name.contains("sb_session")));
        assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
        let left = browser.cookie_names();
        assert!(left.iter().all(|name| name.contains("sb_ended") || name.contains("sb_form")), "{left:?}");
    }
}

/// S-02: a cross-site navigation without the session is bounced, once: without script, never cached; the next one, from
/// our own site, is answered as it is, cookies or not.
#[tokio::test]
async fn a_cross_site_arrival_is_bounced_once() {
    let rules = "site = { url = \"{echo}\", kind = \"app\", token = \"none\" }\n\n[[rules]]\nname = \"site\"\npath = \"/site/**\"\nto = \"site\"\n";
    let app = TestApp::with(Plan { rules: rules.to_owned(), ..Plan::default() }).await;
    let person = app.signed_in("ada@example.test").await;
    for path in ["/auth/account", "/auth/login?return_to=%2Fnotes", "/site/page?x=1", "/auth/logout"] {
        let bounce = app.browser().navigate_from("cross-site", path).await;
        assert_eq!((bounce.status, bounce.header("cache-control")), (200, "no-store"), "{path}");
        assert_eq!(bounce.refresh_url().as_deref(), Some(path));
        assert!(!bounce.body.contains("<script"), "{path}");
        let blocked = app.browser().navigate_from("same-origin", path).await;
        assert_eq!(blocked.refresh_url(), None, "{path}: no loop");
    }
    let (at, page) = person.follow_from("cross-site", "/auth/account").await;
    assert_eq!((at.as_str(), page.status), ("/auth/account", 200));
    assert!(page.body.contains("ada@example.test"));
}

/// The name of the session's first cookie and its value.
pub fn session_of(browser: &Browser) -> (String, String) {
    let name = browser.cookie_names().into_iter().find(|name| name.contains("sb_session")).unwrap();
    let value = browser.cookie(&name).unwrap();
    (name, value)
}

/// S-06: every sign-in makes a new session and ends the one before it, here and at GoTrue; people are never merged.
#[tokio::test]
async fn a_sign_in_ends_the_session_before_it() {
    let app = TestApp::start().await;
    app.signed_in("grace@example.test").await;
    let browser = app.signed_in("ada@example.test").await;
    let id = async |browser: &Browser| {
        browser.get("/auth/session").await.json()["session"]["id"].as_str().unwrap().to_owned()
    };
    let mut ids = vec![id(&browser).await];
    for email in ["ada@example.test", "grace@example.test"] {
        let old = browser.stolen();
        let ended = app.auth.calls("/logout?scope=local");
        let answer = browser.post("/auth/login", &json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(answer.json()["session"]["user"]["email"], email);
        ids.push(id(&browser).await);
        let answer = old.get("/api/notes").await;
        assert_eq!((answer.status, answer.header("x-session-ended")), (401, "replaced"), "{email}");
        app.auth.arrived("/logout?scope=local", ended + 1).await;
    }
    assert_eq!(ids.len(), std::collections::HashSet::<_>::from_iter(ids.iter()).len());
    assert_eq!(browser.get("/auth/session").await.json()["user"]["email"], "grace@example.test");
}

/// S-06: a failed sign-in leaves the session that is there alone.
#[tokio::test]
async fn a_failed_sign_in_changes_nothing() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let before = session_of(&browser);
    let wrong = json!({ "email": "ada@example.test", "password": "wrong horse 17" });
    assert_eq!(browser.post("/auth/login", &wrong).await.status, 401);
    assert_eq!(session_of(&browser), before);
    assert_eq!(browser.get("/api/notes").await.status, 200);
}

/// S-11: GET asks and changes nothing; a login page shown to a person who is signed in says so.
#[tokio::test]
async fn only_a_post_signs_out() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    for answer in [browser.navigate("/auth/logout").await, browser.get("/auth/logout").await] {
        assert_eq!(answer.status, 200);
        assert!(!answer.set_cookies().iter().any(|cookie| cookie.contains("sb_session")));
    }
    assert_eq!(app.auth.calls("/logout"), 0);
    let login = browser.navigate("/auth/login").await;
    assert!(
        login.body.contains("ada@example.test") && login.body.contains("action=\"/auth/logout\""),
        "{}",
        login.body
    );
    assert_eq!(browser.get("/api/notes").await.status, 200);
}

/// S-11: with an expired token the sign-out refreshes first, so that GoTrue hears of it; with GoTrue down it still ends
/// here, by a form as well.
#[tokio::test]
async fn a_sign_out_reaches_gotrue_with_a_live_token() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    app.past_expiry();
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    app.auth.arrived("/logout?scope=local", 1).await;
    assert_eq!(app.refreshes(), 1);

    let browser = app.signed_in("grace@example.test").await;
    let copy = browser.stolen();
    let token = browser.navigate("/auth/logout").await.form_token("/auth/logout");
    app.auth.fail("/", Fault::Reset);
    let answer = browser.submit("/auth/logout", &[("form_token", &token)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/auth/login"));
    assert_eq!(copy.get("/api/notes").await.status, 401);
    assert_eq!(answer.header("clear-site-data"), "", "only as configured");
}

/// S-11: `others` and `global` are passed on; an unknown scope is refused and signs nobody out.
#[tokio::test]
async fn the_scope_of_a_sign_out_is_of_a_closed_list() {
    let app = TestApp::start().await;
    let here = app.signed_in("ada@example.test").await;
    assert_eq!(here.post("/auth/logout", &json!({ "scope": "everyone" })).await.status, 400);
    assert_eq!(here.post("/auth/logout", &json!({ "scope": "others" })).await.status, 204);
    assert_eq!(here.get("/api/notes").await.status, 200, "this one goes on");
    assert_eq!(here.post("/auth/logout", &json!({ "scope": "global" })).await.status, 204);
    assert_eq!(here.get("/api/notes").await.header("x-session-ended"), "user_everywhere");
    assert_eq!((app.auth.calls("scope=others"), app.auth.calls("scope=global")), (1, 1));
}

/// S-25, S-97: however many flow cookies a browser brings, few are deleted at once, and the new flow is kept.
#[tokio::test]
async fn a_flood_of_flow_cookies_is_answered_briefly() {
    let app = TestApp::start().await;
    let port = app.base.rsplit(':').next().unwrap();
    let many: String = (0..700).map(|n| format!("sb_flow_{n:0>22}_{port}=x; ")).collect();
    let answer =
        app.browser().get_with_cookie("/auth/start/google", &navigation("none"), many.as_bytes()).await;
    assert_eq!(answer.status, 303);
    assert!(answer.set_cookies().len() < 30, "{}", answer.set_cookies().len());
    assert_eq!(
        answer.set_cookies().iter().filter(|c| c.contains("sb_flow") && !c.contains("Max-Age=0")).count(),
        1
    );
}
