//! Who is counted, and when: the same tries as at `/auth/login`.

use serde_json::json;
use time::Duration;

use super::{ADA, ask_with, by_password, by_refresh, plan, refusal, refused, tokens};
use crate::client::{Answer, Browser};
use crate::harness::{PASSWORD, TestApp};
use crate::tap::Fault;

const TRY: &str = "grant_type=password";

async fn try_from(browser: &Browser, network: &str, email: &str, password: &str) -> Answer {
    let fields = [("grant_type", "password"), ("username", email), ("password", password)];
    ask_with(browser, &[("x-forwarded-for", network)], &fields).await
}

async fn behind_a_proxy() -> TestApp {
    let plan = plan().with("BFF_TRUSTED_PROXIES", "127.0.0.1/32").with("BFF_LIMITS_GOTRUE_BUDGET", "off");
    let app = TestApp::with(plan).await;
    app.signed_in(ADA).await;
    app
}

fn somebody(n: usize) -> String {
    format!("somebody-{n}@example.test")
}

/// S-81, S-83, S-84: the 30 tries of a network are those of the login page as well; the rest never reach GoTrue. A
/// refresh is no try: it passes where passwords do not, and uses none of them up.
#[tokio::test]
async fn a_network_has_thirty_tries_wherever_it_tries() {
    let app = behind_a_proxy().await;
    let browser = app.browser();
    let (_, mut refresh) = tokens(&by_password(&app, ADA, PASSWORD).await);
    let network = [("x-forwarded-for", "203.0.113.9")];
    for n in 0..15 {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        refresh = tokens(&ask_with(&browser, &network, &fields).await).1;
        assert_eq!(
            refusal(&try_from(&browser, "203.0.113.9", &somebody(n), "wrong horse").await),
            refused(400, "invalid_grant")
        );
        let body = json!({ "email": somebody(100 + n), "password": "wrong horse" }).to_string();
        let headers = [("content-type", "application/json"), network[0]];
        let login = browser.send(http::Method::POST, "/auth/login", &headers, Some(body)).await;
        assert_eq!(login.code(), "invalid_credentials", "{n}");
    }
    let asked = app.auth.calls(TRY);
    let answer = try_from(&browser, "203.0.113.9", ADA, PASSWORD).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert!((1..=10).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(app.auth.calls(TRY), asked, "GoTrue was not asked");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    tokens(&ask_with(&browser, &network, &fields).await);
    tokens(&try_from(&browser, "203.0.113.10", ADA, PASSWORD).await);
    app.clock.advance(Duration::seconds(10));
    tokens(&try_from(&browser, "203.0.113.9", ADA, PASSWORD).await);
}

/// S-81: 10 tries at one account, known or not, from wherever; right ones are given back.
#[tokio::test]
async fn an_account_has_ten_tries() {
    let app = behind_a_proxy().await;
    let browser = app.browser();
    for n in 0..12 {
        tokens(&try_from(&browser, &format!("203.0.113.{n}"), ADA, PASSWORD).await);
    }
    for email in [ADA, "nobody@example.test"] {
        for n in 0..10 {
            let answer = try_from(&browser, &format!("203.0.113.{n}"), email, "wrong horse").await;
            assert_eq!(refusal(&answer), refused(400, "invalid_grant"), "{email} {n}");
        }
        let asked = app.auth.calls(TRY);
        let answer = try_from(&browser, "198.51.100.1", email, PASSWORD).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"), "{email}");
        assert_eq!(app.auth.calls(TRY), asked);
    }
    app.clock.advance(Duration::seconds(90));
    tokens(&try_from(&browser, "198.51.100.1", ADA, PASSWORD).await);
}

/// S-85: passwords use half of GoTrue's budget and no more; refreshes are never refused by us.
#[tokio::test]
async fn passwords_leave_room_for_refreshes() {
    let plan = plan().with("BFF_TRUSTED_PROXIES", "127.0.0.1/32").with("BFF_LIMITS_GOTRUE_BUDGET", "150/5m");
    let app = TestApp::with(plan).await;
    app.signed_in(ADA).await;
    let (_, mut refresh) = tokens(&by_password(&app, ADA, PASSWORD).await);
    app.auth.fail(TRY, Fault::code(400, "invalid_credentials"));
    let (browser, mut passed) = (app.browser(), 0);
    for n in 0..40 {
        let answer = try_from(&browser, &format!("203.0.113.{n}"), &somebody(n), "wrong horse").await;
        match answer.status {
            400 => passed += 1,
            429 => assert_eq!(answer.code(), "rate_limited"),
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert_eq!(passed, 14, "15 at once, one of which was Ada's");
    for _ in 0..40 {
        refresh = tokens(&by_refresh(&app, &refresh).await).1;
    }
}
