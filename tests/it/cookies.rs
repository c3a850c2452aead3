//! What a cookie may be, where it opens, and what becomes of a session behind it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;

use crate::client::{Answer, Browser, navigation, script};
use crate::crawl;
use crate::harness::{PASSWORD, Plan, TestApp};
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
        assert_eq!((answer.status, answer.header("location")), (303, "/auth/login"), "{flow}");
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
fn session_of(browser: &Browser) -> (String, String) {
    let name = browser.cookie_names().into_iter().find(|name| name.contains("sb_session")).unwrap();
    let value = browser.cookie(&name).unwrap();
    (name, value)
}

async fn with_cookies(app: &TestApp, cookie: &[u8]) -> Answer {
    app.browser().get_with_cookie("/api/notes", &script(), cookie).await
}

/// The body without what differs in every answer.
fn steady(answer: &Answer) -> serde_json::Value {
    let mut body = answer.json();
    body["request_id"] = json!("");
    body
}

fn clears_session(answer: &Answer, name: &str) -> bool {
    answer.set_cookies().iter().any(|c| c.starts_with(&format!("{name}=;")) && c.contains("Max-Age=0"))
}

/// S-03: a flow's value, another deployment's, a changed bit, a cut: one and the same 401, the cookie cleared.
#[tokio::test]
async fn whatever_does_not_open_is_no_session() {
    let app = TestApp::start().await;
    let other = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let (name, value) = session_of(&browser);
    let start = browser.navigate_from("same-origin", "/auth/start/google").await;
    assert_eq!(start.status, 303);
    let flow = browser.cookie("sb_flow_").unwrap();
    assert_eq!(browser.navigate("/auth/account").await.status, 200);
    let form = browser.cookie("sb_form").unwrap();
    let (_, foreign) = session_of(&other.signed_in("ada@example.test").await);

    let (head, body) = value.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(body).unwrap();
    let flipped = |at: usize| {
        let mut bytes = raw.clone();
        bytes[at] ^= 1;
        format!("{head}.{}", URL_SAFE_NO_PAD.encode(bytes))
    };
    let mut wrong = vec![
        flow,
        form,
        foreign,
        value[..value.len() - 4].to_owned(),
        String::new(),
        "1".into(),
        "1.k1".into(),
    ];
    wrong.extend(
        ["1.k1.", "..", "2.a.b", "1.k1.AAAA", "%00", "null", "eyJhbGciOiJub25lIn0.e30."].map(String::from),
    );
    wrong.extend((0..raw.len()).step_by(7).map(flipped));
    let mut bodies = std::collections::HashSet::new();
    for value in &wrong {
        let answer = with_cookies(&app, format!("{name}={value}").as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "session_ended"), "{value}");
        assert!(clears_session(&answer, &name), "{value}: {:?}", answer.set_cookies());
        bodies.insert(steady(&answer).to_string());
        let cookie = format!("{name}={value}");
        let page =
            app.browser().get_with_cookie("/auth/account", &navigation("none"), cookie.as_bytes()).await;
        assert_eq!((page.status, page.header("location")), (303, "/auth/login?return_to=%2Fauth%2Faccount"));
    }
    assert_eq!(bodies.len(), 1, "no oracle: {bodies:?}");
    assert_eq!(app.echo.seen().len(), 0);
    let unknown =
        with_cookies(&app, format!("{name}={}", value.replacen("1.k1.", "1.k9.", 1)).as_bytes()).await;
    assert_eq!((unknown.status, unknown.header("x-session-ended")), (401, "key_missing"), "S-12");
    assert!(clears_session(&unknown, &name));
    assert_eq!(browser.get("/api/notes").await.status, 200, "the true one still opens");
}

/// A person whose session needs several cookies.
async fn large(app: &TestApp, email: &str) -> Browser {
    let browser = app.browser();
    let body = json!({ "email": email, "password": PASSWORD, "data": { "bio": "x".repeat(3500) } });
    let answer = browser.post("/auth/signup", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    browser
}

/// S-04: chunks are dropped, swapped, mixed, added: no session, and every one of them is cleared.
#[tokio::test]
async fn chunks_that_do_not_belong_together_are_cleared() {
    let app = TestApp::start().await;
    let browser = large(&app, "ada@example.test").await;
    let (name, first) = session_of(&browser);
    let second = browser.cookie(&format!("{name}.1")).expect("a second cookie");
    assert_eq!(browser.get("/api/notes").await.status, 200);
    let earlier = (first.clone(), second.clone());
    app.past_expiry();
    assert_eq!(browser.get("/api/notes").await.status, 200);
    let (_, newer) = session_of(&browser);
    let asked = app.echo.seen().len();
    for (what, cookies) in [
        ("first alone", format!("{name}={first}")),
        ("second alone", format!("{name}.1={second}")),
        ("swapped", format!("{name}={second}; {name}.1={first}")),
        ("two generations", format!("{name}={newer}; {name}.1={}", earlier.1)),
        ("one too many", format!("{name}={first}; {name}.1={second}; {name}.2=AAAA")),
        ("far off", format!("{name}={first}; {name}.1={second}; {name}.99999999=AAAA")),
        ("leading zero", format!("{name}={first}; {name}.1={second}; {name}.01=AAAA")),
        ("a gap", format!("{name}={first}; {name}.2={second}")),
        ("named zero", format!("{name}.0={first}; {name}.1={second}")),
    ] {
        let answer = with_cookies(&app, cookies.as_bytes()).await;
        assert_eq!((answer.status, answer.header("x-session-ended")), (401, "damaged"), "{what}");
        for sent in cookies.split("; ").map(|pair| pair.split('=').next().unwrap()) {
            assert!(clears_session(&answer, sent), "{what}: {sent} stays: {:?}", answer.set_cookies());
        }
    }
    assert_eq!(app.echo.seen().len(), asked);
    let many: String = (0..400).map(|n| format!("{name}.{n}=A; ")).collect();
    let answer = with_cookies(&app, many.as_bytes()).await;
    assert_eq!(answer.status, 401);
    assert!(answer.set_cookies().len() <= 64, "a client does not choose how much we write");
}

/// S-04: a session that does not fit makes nothing but a 500 that says so; one that shrinks deletes what is left over.
#[tokio::test]
async fn a_session_that_does_not_fit_sets_nothing() {
    let app = TestApp::start().await;
    let browser = large(&app, "ada@example.test").await;
    let (name, _) = session_of(&browser);
    app.signed_in("grace@example.test").await;
    let chunks = browser.stolen();
    let login = json!({ "email": "grace@example.test", "password": PASSWORD });
    let answer = chunks.post("/auth/login", &login).await;
    assert_eq!(answer.status, 200);
    assert!(clears_session(&answer, &format!("{name}.1")), "{:?}", answer.set_cookies());
    assert_eq!(chunks.get("/api/notes").await.status, 200);

    // An account whose metadata came by another way than ours.
    let login = json!({ "email": "eve@example.test", "password": PASSWORD });
    let mut account = login.clone();
    account["data"] = json!({ "bio": "x".repeat(20_000) });
    let headers = [("content-type", "application/json")];
    let url = format!("{}/auth/v1/signup", app.auth.url());
    assert_eq!(browser.send(Method::POST, &url, &headers, Some(account.to_string())).await.status, 200);
    let fresh = app.browser();
    let answer = fresh.post("/auth/login", &login).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "session_too_large"));
    assert!(
        !answer.set_cookies().iter().any(|cookie| cookie.contains("sb_session")),
        "{:?}",
        answer.set_cookies()
    );
}

/// S-05: odd syntax in `Cookie` is never read as a session; a good neighbour is.
#[tokio::test]
async fn odd_cookie_syntax_is_no_session() {
    for (plan, prefix) in [(https(), "__Host-Http-"), (Plan::default(), "")] {
        let app = TestApp::with(plan).await;
        let browser = app.signed_in("ada@example.test").await;
        let (name, value) = session_of(&browser);
        assert!(name.starts_with(prefix));
        for good in [
            format!("{name}={value}"),
            format!("a=1;{name}={value}"),
            format!("a=1; \t {name} = {value} \t;b"),
            format!("caf\u{e9}=1; {name}={value}"),
            format!("; ;=;{name}={value};;"),
        ] {
            assert_eq!(with_cookies(&app, good.as_bytes()).await.status, 200, "{good}");
        }
        for odd in [
            format!("\u{2000}{name}={value}"),
            format!("\u{a0}{name}={value}"),
            format!("$Version=1; \"{name}\"={value}"),
            format!("{name}=\"{value}\""),
            format!("={name}={value}"),
            format!("{name}={value}; {name}={value}"),
            format!("{name}={value}; {name}=x"),
            format!("{name}=x; a=1; {name}={value}"),
            format!("{}={value}", name.to_uppercase()),
            format!("{name}{value}"),
            format!("{name}"),
            format!("{name}%3D{value}"),
            format!("a={name}={value}"),
            format!("{name}={value}, b=1"),
        ] {
            let answer = with_cookies(&app, odd.as_bytes()).await;
            assert_eq!(answer.status, 401, "{odd}: {}", answer.body);
        }
        // Two header lines are two crumbs of one: a name twice is absent there as well.
        let twice = app
            .browser()
            .send(
                Method::GET,
                "/api/notes",
                &[("cookie", &format!("{name}={value}")), ("cookie", &format!("{name}=x")), ("x-csrf", "1")],
                None,
            )
            .await;
        assert_eq!(twice.status, 401);
        let crumbs = app
            .browser()
            .send(
                Method::GET,
                "/api/notes",
                &[("cookie", "a=1"), ("cookie", &format!("{name}={value}")), ("x-csrf", "1")],
                None,
            )
            .await;
        assert_eq!(crumbs.status, 200);
    }
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

/// S-12: two rotations in the two steps of a rolling restart: nobody is signed out, cookies move to the new key; a key
/// that is removed ends its own sessions alone.
#[tokio::test]
async fn keys_roll_over_twice_without_a_sign_out() {
    let app = TestApp::start().await;
    let k1 = app.variable("BFF_SESSION_KEYS");
    let key = |id: &str, byte: u8| {
        let bytes: Vec<u8> = (0..32_u8).map(|n| n.wrapping_mul(37).wrapping_add(byte)).collect();
        format!("{id}:{}", base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    let (k2, k3) = (key("k2", 1), key("k3", 7));
    let browser = app.signed_in("ada@example.test").await;
    let left_behind = browser.stolen();
    let mut form = browser.navigate("/auth/account").await.form_token("/auth/logout");
    let steps = [
        format!("{k1},{k2}"),
        format!("{k2},{k1}"),
        format!("{k2}"),
        format!("{k2},{k3}"),
        format!("{k3},{k2}"),
        format!("{k3}"),
    ];
    let mut old = app.base.clone();
    for keys in &steps {
        let new = app.node(&[("BFF_SESSION_KEYS", keys)]).await;
        // While the restart rolls, requests go to either node.
        for at in [&new, &old, &new, &old] {
            let answer = browser.at(at).get("/api/notes").await;
            assert_eq!(answer.status, 200, "{keys}: {}", answer.body);
        }
        let page = browser.at(&new).navigate("/auth/logout").await;
        assert_eq!(page.status, 200);
        assert!(!form.is_empty());
        form = page.form_token("/auth/logout");
        // The browser is seen by the new node before the old one goes.
        assert_eq!(browser.at(&new).get("/api/notes").await.status, 200);
        let first = keys.split(':').next().unwrap();
        assert!(
            browser.cookie("sb_session").unwrap().starts_with(&format!("1.{first}.")),
            "sealed anew under {first}"
        );
        old = new;
    }
    let token = browser.at(&old).navigate("/auth/logout").await.form_token("/auth/logout");
    let removed = left_behind.at(&old).get("/api/notes").await;
    assert_eq!((removed.status, removed.header("x-session-ended")), (401, "key_missing"));
    assert_eq!(browser.at(&old).submit("/auth/logout", &[("form_token", &token)]).await.status, 303);
}
