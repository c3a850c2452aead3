//! GoTrue's own limit, which counts this whole program as one client: who may use how much of it (S-85).

use http::Method;
use serde_json::json;
use time::Duration;

use crate::client::{Browser, script};
use crate::harness::{PASSWORD, Plan, TestApp};

const TRY: &str = "grant_type=password";

/// An auth server that counts everybody who calls in our name as one, by a header that is always the same.
fn counted_as_one() -> Plan {
    let auth = |settings: &mut auth_server::Settings| {
        settings.limits = true;
        settings.client_ip_header = Some("user-agent".to_owned());
    };
    Plan { auth, ..Plan::default().with("BFF_TRUSTED_PROXIES", "127.0.0.1/32") }
}

/// 50 tries, each from a network of its own and at an account of its own.
async fn fifty_tries(app: &TestApp, browser: &Browser, round: usize) -> usize {
    let mut passed = 0;
    for n in 0..50 {
        let network = format!("10.{}.{}.{n}", round / 250, round % 250);
        let mut headers = script().to_vec();
        headers.extend([("content-type", "application/json"), ("x-forwarded-for", network.as_str())]);
        let body =
            json!({ "email": format!("somebody-{round}-{n}@example.test"), "password": "wrong horse" });
        let answer = browser.send(Method::POST, "/auth/login", &headers, Some(body.to_string())).await;
        match (answer.status, answer.code().as_str()) {
            (401, "invalid_credentials") => passed += 1,
            other => assert_eq!(other, (429, "rate_limited"), "{}", app.base),
        }
    }
    passed
}

/// Refreshes of 6 people, one every 4 seconds, in 24 seconds of 50 tries each: how many got through, and how many tries
/// did.
async fn under_attack(app: &TestApp) -> (usize, usize) {
    let mut people = Vec::new();
    for n in 0..6 {
        people.push(app.signed_in(&format!("person-{n}@example.test")).await);
        app.clock.advance(Duration::seconds(10)); // sign-ups have a limit of their own
    }
    app.clock.advance(Duration::minutes(2));
    let attacker = app.browser();
    let (mut refreshed, mut tried) = (0, 0);
    for second in 0..24 {
        tried += fifty_tries(app, &attacker, second).await;
        if second % 4 == 3 {
            let answer = people[second / 4].post("/auth/refresh", &json!({})).await;
            refreshed += usize::from(answer.status == 204);
        }
        app.clock.advance(Duration::seconds(1));
    }
    (refreshed, tried)
}

/// S-85: 50 tries a second from everywhere: every refresh is served, and tries use what they may and no more.
#[tokio::test]
async fn refreshes_find_room_under_attack() {
    let app = TestApp::with(counted_as_one()).await;
    let (refreshed, tried) = under_attack(&app).await;
    assert_eq!(refreshed, 6, "all of them");
    assert!((20..=21).contains(&tried), "15 at once and one every 4 seconds: {tried}");
    assert_eq!(app.auth.calls(TRY), tried, "the rest never reached GoTrue");
}

/// S-85: the same without the budget: GoTrue's limit is used up by tries. This is what the budget is for.
#[tokio::test]
async fn without_the_budget_refreshes_would_be_refused() {
    let app = TestApp::with(counted_as_one().with("BFF_LIMITS_GOTRUE_BUDGET", "off")).await;
    let (refreshed, _) = under_attack(&app).await;
    assert!(refreshed < 3, "{refreshed}");
}

/// S-85: a good sign-in has used GoTrue's budget as well, and a try that GoTrue never saw counts at no account.
#[tokio::test]
async fn what_gotrue_counted_is_counted() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_GOTRUE_BUDGET", "8/8m")).await;
    app.signed_in("ada@example.test").await;
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    for n in 0..4 {
        assert_eq!(app.browser().post("/auth/login", &login).await.status, 200, "{n}");
    }
    for _ in 0..20 {
        let answer = app.browser().post("/auth/login", &login).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    }
    assert_eq!(app.auth.calls(TRY), 4);
    app.clock.advance(Duration::minutes(5)); // more than the budget and the network need, less than the account would
    assert_eq!(app.browser().post("/auth/login", &login).await.status, 200);
}
