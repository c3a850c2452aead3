//! Limits: who is counted, when, and how many pass.

use http::Method;
use serde_json::json;
use time::Duration;

use crate::client::{Answer, Browser, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::raw;
use crate::tap::Fault;

const TRY: &str = "grant_type=password";

/// An arrangement behind a proxy that is trusted, where every password is wrong until [`Tap::heal`](crate::tap::Tap).
async fn behind_a_proxy() -> TestApp {
    let plan = Plan::default().with("BFF_TRUSTED_PROXIES", "127.0.0.1/32,10.0.0.0/8");
    let app = TestApp::with(plan.with("BFF_LIMITS_GOTRUE_BUDGET", "off")).await;
    app.signed_in("ada@example.test").await;
    app.auth.fail(TRY, Fault::code(400, "invalid_credentials"));
    app
}

async fn try_from(browser: &Browser, forwarded: &str, email: &str, password: &str) -> Answer {
    let mut headers = script().to_vec();
    headers.push(("content-type", "application/json"));
    if !forwarded.is_empty() {
        headers.push(("x-forwarded-for", forwarded));
    }
    let body = json!({ "email": email, "password": password });
    browser.send(Method::POST, "/auth/login", &headers, Some(body.to_string())).await
}

fn somebody(n: usize) -> String {
    format!("somebody-{n}@example.test")
}

/// S-81: 30 tries in 5 minutes from one network; then even the right password waits. Other networks do not.
#[tokio::test]
async fn a_network_has_thirty_tries() {
    let app = behind_a_proxy().await;
    let browser = app.browser();
    for n in 0..30 {
        assert_eq!(try_from(&browser, "203.0.113.9", &somebody(n), "wrong horse").await.status, 401, "{n}");
    }
    let asked = app.auth.calls(TRY);
    app.auth.heal();
    for (email, password) in [("ada@example.test", PASSWORD), ("nobody@example.test", "wrong horse")] {
        let answer = try_from(&browser, "203.0.113.9", email, password).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"), "{email}");
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=10).contains(&wait), "a try comes back every 10 s: {wait}");
    }
    assert_eq!(app.auth.calls(TRY), asked, "GoTrue was not asked");
    assert_eq!(try_from(&browser, "203.0.113.10", "ada@example.test", PASSWORD).await.status, 200);
    app.clock.advance(Duration::seconds(10));
    assert_eq!(try_from(&browser, "203.0.113.9", "ada@example.test", PASSWORD).await.status, 200);
}

/// S-81: 10 tries in 15 minutes at one account, from wherever, known or not, however it is spelt; a delay, no lock.
#[tokio::test]
async fn an_account_has_ten_tries() {
    for email in ["ada@example.test", "nobody@example.test"] {
        let app = behind_a_proxy().await;
        let browser = app.browser();
        let spelt = [email.to_owned(), email.to_uppercase(), format!(" {email} ")];
        for n in 0..10 {
            let answer = try_from(&browser, &format!("203.0.113.{n}"), &spelt[n % 3], "wrong horse").await;
            assert_eq!(answer.status, 401, "{email} {n}");
        }
        app.auth.heal();
        for spelling in &spelt {
            let answer = try_from(&browser, "198.51.100.1", spelling, PASSWORD).await;
            assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"), "{spelling}");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 15 * 60);
        }
        app.clock.advance(Duration::seconds(90));
        let expected = if email.starts_with("ada") { 200 } else { 401 };
        assert_eq!(try_from(&browser, "198.51.100.1", email, PASSWORD).await.status, expected);
    }
}

/// S-81, S-83: one /64 is one network, IPv4 in IPv6 is IPv4, and what the client writes to the left counts for nothing.
#[tokio::test]
async fn spellings_of_one_network_share_a_bucket() {
    for group in [
        vec![
            "2001:db8:1:2::1",
            "2001:db8:1:2:ffff:ffff:ffff:ffff",
            "2001:db8:1:2:3:4:5:6",
            "[2001:db8:1:2::9]:443",
        ],
        vec![
            "203.0.113.9",
            "::ffff:203.0.113.9",
            "203.0.113.9:4711",
            "198.51.100.1, 203.0.113.9, 10.1.1.1",
            "unknown, 203.0.113.9",
        ],
    ] {
        let app = behind_a_proxy().await;
        let browser = app.browser();
        for n in 0..30 {
            let answer = try_from(&browser, group[n % group.len()], &somebody(n), "wrong horse").await;
            assert_eq!(answer.status, 401, "{n} {}", group[n % group.len()]);
        }
        for spelling in &group {
            assert_eq!(
                try_from(&browser, spelling, "x@example.test", "wrong horse").await.status,
                429,
                "{spelling}"
            );
        }
        assert_eq!(try_from(&browser, "2001:db8:1:3::1", "x@example.test", "wrong horse").await.status, 401);
    }
}

/// S-83: a peer that is no listed proxy is counted itself, whatever it claims; limits work for odd claims too.
#[tokio::test]
async fn a_spoofed_address_is_no_way_out() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_GOTRUE_BUDGET", "off")).await;
    app.auth.fail(TRY, Fault::code(400, "invalid_credentials"));
    let browser = app.browser();
    for n in 0..30 {
        let claim =
            [format!("203.0.113.{n}"), "unknown".into(), String::new(), "\u{7f}x".replace('\u{7f}', "_")];
        assert_eq!(try_from(&browser, &claim[n % 4], &somebody(n), "wrong horse").await.status, 401, "{n}");
    }
    for claim in ["203.0.113.200", "127.0.0.2", "::1", "unknown", ""] {
        assert_eq!(try_from(&browser, claim, "x@example.test", "wrong horse").await.status, 429, "{claim}");
    }
    assert!(app.auth.seen(TRY).iter().all(|call| !format!("{:?}", call.headers).contains("203.0.113")));
}

/// S-84: a thousand at once: exactly as many pass as the limit says, by network and by account.
#[tokio::test]
async fn a_thousand_at_once_get_no_more() {
    let app = behind_a_proxy().await;
    let host = app.base.strip_prefix("http://").unwrap();
    let request = |forwarded: &str, email: &str| {
        let body = json!({ "email": email, "password": "wrong horse" }).to_string();
        format!(
            "POST /auth/login HTTP/1.1\r\nHost: {host}\r\nOrigin: {}\r\nX-Forwarded-For: {forwarded}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            app.base,
            body.len()
        )
    };
    let tries: Vec<_> = (0..1000).map(|n| request("203.0.113.9", &somebody(n))).collect();
    let statuses = raw::send_at_once(&app.base, &tries).await;
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(401), count(429)), (30, 970));
    assert_eq!(app.auth.calls(TRY), 30);

    let place = |n| format!("198.51.{}.{}", n / 250, n % 250);
    let tries: Vec<_> = (0..1000).map(|n| request(&place(n), "ada@example.test")).collect();
    let statuses = raw::send_at_once(&app.base, &tries).await;
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(401), count(429)), (10, 990));
    assert_eq!(app.auth.calls(TRY), 40);
}

/// S-81: an office behind one address: a hundred good sign-ins in five minutes all pass.
#[tokio::test]
async fn good_sign_ins_are_given_back() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_GOTRUE_BUDGET", "off")).await;
    app.signed_in("ada@example.test").await;
    let tokens = app.tokens("ada@example.test", PASSWORD).await.to_string();
    app.auth.fail(TRY, Fault::Answer(200, "application/json", tokens));
    for n in 0..100 {
        let answer = try_from(&app.browser(), "", "ada@example.test", PASSWORD).await;
        assert_eq!(answer.status, 200, "{n}: {}", answer.body);
        app.clock.advance(Duration::seconds(2));
    }
}

/// S-84: other spellings of the path are other paths, which nobody serves: none has a bucket of its own.
#[tokio::test]
async fn the_login_has_one_path() {
    let app = TestApp::start().await;
    let host = app.base.strip_prefix("http://").unwrap();
    for path in [
        "//auth/login",
        "/auth//login",
        "/auth/login/",
        "/Auth/Login",
        "/auth/./login",
        "/auth/%6cogin",
        "/auth/login;x",
        "/x/../auth/login",
    ] {
        let body = r#"{"email":"ada@example.test","password":"wrong horse"}"#;
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = raw::send(&app.base, &text).await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.text);
    }
    assert_eq!(app.auth.calls(TRY), 0);
}

/// S-84: over the limit nobody waits for a body that never comes.
#[tokio::test]
async fn a_limit_is_judged_before_the_body() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_GOTRUE_BUDGET", "off")).await;
    app.auth.fail(TRY, Fault::code(400, "invalid_credentials"));
    let browser = app.browser();
    for n in 0..30 {
        try_from(&browser, "", &somebody(n), "wrong horse").await;
    }
    let host = app.base.strip_prefix("http://").unwrap();
    let head = format!(
        "POST /auth/login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 500\r\nConnection: close\r\n\r\n"
    );
    let answer = raw::send(&app.base, &head).await; // the answer comes without the body
    assert_eq!(answer.status, 429, "{}", answer.text);
}

/// S-84: mails are counted before the body as well; what asked for none, or could not be read, counts for nothing, and
/// who has no mail left may still type the code of the last one.
#[tokio::test]
async fn mails_are_counted_before_the_body() {
    let app = TestApp::with(Plan {
        auth: |settings| settings.confirm_email = true,
        ..Plan::default().with("BFF_LIMITS_MAIL_PER_NETWORK", "2/1h")
    })
    .await;
    let browser = app.browser();
    let sign_up = |n: usize| json!({ "email": somebody(n), "password": PASSWORD });
    for body in [
        json!({ "email": "ada", "password": PASSWORD }),
        json!({ "email": somebody(0), "password": "x" }),
        json!({ "email": somebody(0), "password": PASSWORD, "data": { "a": "x".repeat(5_000) } }),
        json!([]),
    ] {
        let answer = browser.post("/auth/signup", &body).await;
        assert!(matches!(answer.status, 400 | 422), "{body}: {}", answer.body);
    }
    assert_eq!(browser.post("/auth/otp", &json!({ "code": "000000" })).await.status, 422);
    assert_eq!(browser.post("/auth/otp", &json!({ "email": "ada", "again": true })).await.status, 422);
    assert_eq!(browser.post("/auth/signup", &sign_up(0)).await.status, 200);
    app.clock.advance(Duration::minutes(2));
    let again = json!({ "email": somebody(0), "again": true });
    assert_eq!(browser.post("/auth/otp", &again).await.status, 200);
    let asked = app.auth.calls("POST /auth/v1/");
    for (path, body) in [("/auth/signup", sign_up(1)), ("/auth/otp", again)] {
        let answer = browser.post(path, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"), "{path}");
        assert!(!answer.header("retry-after").is_empty(), "{path}");
    }
    assert_eq!(app.auth.calls("POST /auth/v1/"), asked, "GoTrue was not asked");

    let host = app.base.strip_prefix("http://").unwrap();
    let head = |kind: &str| {
        format!(
            "POST /auth/signup HTTP/1.1\r\nHost: {host}\r\nOrigin: {}\r\nContent-Type: {kind}\r\nContent-Length: 500\r\nConnection: close\r\n\r\n",
            app.base
        )
    };
    for (kind, face) in [
        ("application/json", "content-type: application/problem+json"),
        ("application/x-www-form-urlencoded", "content-type: text/html"),
    ] {
        let answer = raw::send(&app.base, head(kind)).await; // without the body
        assert!(answer.status == 429 && answer.text.contains(face), "{kind}: {}", answer.text);
    }
    assert_eq!(
        browser.post("/auth/otp", &json!({ "code": "000000" })).await.status,
        422,
        "a code may be typed"
    );
}
