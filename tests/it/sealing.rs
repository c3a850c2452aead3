//! What opens as a session and what does not: seals, chunks, odd syntax, keys that roll over.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;

use crate::client::{Answer, Browser, navigation, script};
use crate::cookies::{https, session_of};
use crate::harness::{PASSWORD, Plan, TestApp};

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
            format!("__Host-{}={value}", name.trim_start_matches("__Host-Http-")),
            format!("__Secure-sb_session={value}"),
            format!("__host-http-sb_session={value}"),
            format!("{name}{value}"),
            name.to_string(),
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
    let visitor = app.browser();
    let form = "/auth/confirm?token_hash=abc&type=signup";
    let steps = [
        format!("{k1},{k2}"),
        format!("{k2},{k1}"),
        k2.to_string(),
        format!("{k2},{k3}"),
        format!("{k3},{k2}"),
        k3.to_string(),
    ];
    let mut old = app.base.clone();
    for keys in &steps {
        let new = app.node(&[("BFF_SESSION_KEYS", keys)]).await;
        // While the restart rolls, requests go to either node.
        for at in [&new, &old, &new, &old] {
            let answer = browser.at(at).get("/api/notes").await;
            assert_eq!(answer.status, 200, "{keys}: {}", answer.body);
        }
        // A form that the old node showed is taken by the new one: the link is unknown, the form is not.
        let token = visitor.at(&old).navigate(form).await.form_token("/auth/confirm");
        let fields = [("form_token", token.as_str()), ("token_hash", "abc"), ("type", "signup")];
        assert_eq!(visitor.at(&new).submit("/auth/confirm", &fields).await.status, 410, "{keys}");
        visitor.at(&new).navigate(form).await;
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

/// S-04, S-42: metadata that grows during a session: it goes on while its token lives, is then refused by name, not as an
/// outage, and goes on again once the metadata has shrunk.
#[tokio::test]
async fn a_session_that_outgrows_its_cookies_is_kept() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let id = browser.get("/auth/session").await.json()["user"]["id"].as_str().unwrap().to_owned();
    let admin = format!("Bearer {}", app.auth_server().admin_key().expose());
    let url = format!("{}/auth/v1/admin/users/{id}", app.auth.url());
    let set = async |bio: &str| {
        let headers = [("authorization", admin.as_str()), ("content-type", "application/json")];
        let body = json!({ "user_metadata": { "bio": bio } }).to_string();
        assert_eq!(app.browser().send(Method::PUT, &url, &headers, Some(body)).await.status, 200);
    };
    for size in [12_000, 20_000] {
        set(&"x".repeat(size)).await;
        app.inside_margin();
        assert_eq!(browser.get("/api/notes").await.status, 200, "{size}: its token still lives");
        app.clock.advance(time::Duration::minutes(2));
        let answer = browser.get("/api/notes").await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "session_too_large"), "{size}");
        assert!(!answer.set_cookies().iter().any(|cookie| cookie.starts_with("sb_session")), "{size}");
        set("").await;
        app.clock.advance(time::Duration::seconds(11));
        assert_eq!(browser.get("/api/notes").await.status, 200, "{size}: small again");
    }
}
