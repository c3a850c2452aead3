//! GoTrue's own limit, which counts this whole program as one client: who may use how much of it (S-85).

use http::Method;
use serde_json::json;
use time::Duration;

use crate::client::{Browser, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::tap::Fault;

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

/// Where the next call went by: key and addresses that it named.
fn named(app: &TestApp, part: &str) -> (String, Vec<String>) {
    let call = app.auth.seen(part).pop().unwrap_or_else(|| panic!("no call of {part}"));
    let values = |name: &str| {
        let all = call.headers.get_all(name).iter();
        all.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    (values("apikey").join(" "), values("sb-forwarded-for"))
}

const SECRET: &str = "sb_secret_test";

/// What a browser writes about its address, and what a trusted proxy writes behind it.
const CLAIMS: [(&str, &str); 3] = [
    ("x-forwarded-for", "198.51.100.66, 203.0.113.9"),
    ("sb-forwarded-for", "198.51.100.66"),
    ("x-real-ip", "198.51.100.66"),
];

async fn with_claims(browser: &Browser, method: Method, path: &str, body: &serde_json::Value) -> u16 {
    let headers: Vec<_> =
        script().into_iter().chain(CLAIMS).chain([("content-type", "application/json")]).collect();
    browser.send(method, path, &headers, Some(body.to_string())).await.status
}

/// S-83, S-85: with a secret key GoTrue is told whose call it is, by the address that the trusted proxy saw; what the
/// browser itself wrote never arrives.
#[tokio::test]
async fn gotrue_is_told_the_address_that_counts() {
    let plan = Plan::default().with("BFF_TRUSTED_PROXIES", "127.0.0.1/32");
    let app = TestApp::with(plan.with("SUPABASE_SECRET_KEY", SECRET)).await;
    let browser = app.signed_in("ada@example.test").await;
    let told = (SECRET.to_owned(), vec!["203.0.113.9".to_owned()]);
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(with_claims(&browser, Method::POST, "/auth/login", &login).await, 200);
    assert_eq!(named(&app, TRY), told);
    let account = json!({ "email": "grace@example.test", "password": PASSWORD });
    assert_eq!(with_claims(&app.browser(), Method::POST, "/auth/signup", &account).await, 200);
    assert_eq!(named(&app, "/signup"), told);
    app.clock.advance(Duration::seconds(11));
    assert_eq!(with_claims(&browser, Method::POST, "/auth/refresh", &json!({})).await, 204);
    assert_eq!(named(&app, "grant_type=refresh_token"), told);
    app.inside_margin();
    assert_eq!(with_claims(&browser, Method::POST, "/api/notes", &json!({})).await, 200);
    assert_eq!((app.refreshes(), named(&app, "grant_type=refresh_token")), (2, told));
    let everything = format!("{:?}", app.auth.seen("/"));
    assert!(!everything.contains("198.51.100.66"), "{everything}");
    assert!(app.bff.findings().list().is_empty());
}

/// S-85: an address is told without a key too, where a self-hosted GoTrue reads it; the key's header stays out then.
#[tokio::test]
async fn a_header_of_choice_names_the_address() {
    let plan = Plan::default().with("BFF_TRUSTED_PROXIES", "127.0.0.1/32");
    let app = TestApp::with(plan.with("BFF_SUPABASE_CLIENT_IP_HEADER", "x-real-ip")).await;
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    app.signed_in("ada@example.test").await;
    assert_eq!(with_claims(&app.browser(), Method::POST, "/auth/login", &login).await, 200);
    let call = app.auth.seen(TRY).pop().unwrap();
    assert_eq!(call.headers["x-real-ip"], "203.0.113.9");
    assert_eq!(named(&app, TRY), ("sb_publishable_test".to_owned(), Vec::new()));
}

/// S-85: a project that checks captchas gets no secret key with a sign-in, whose captcha it would then skip; the start
/// says so. Refreshes still go with it.
#[tokio::test]
async fn a_captcha_keeps_the_secret_key_away() {
    let plan = Plan::default().with("BFF_TRUSTED_PROXIES", "127.0.0.1/32");
    let app = TestApp::with(plan.with("SUPABASE_SECRET_KEY", SECRET)).await;
    let browser = app.signed_in("ada@example.test").await;
    app.auth.fail_once(TRY, Fault::code(400, "captcha_failed"));
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(with_claims(&app.browser(), Method::POST, "/auth/login", &login).await, 400);
    assert_eq!(with_claims(&app.browser(), Method::POST, "/auth/login", &login).await, 200);
    assert_eq!(named(&app, TRY), ("sb_publishable_test".to_owned(), Vec::new()));
    let findings = app.bff.findings();
    let [finding] = &findings.list()[..] else { panic!("{findings:?}") };
    assert_eq!((finding.code, finding.place.as_str()), ("BFF-KEY-004", "SUPABASE_SECRET_KEY"));
    app.clock.advance(Duration::seconds(11));
    assert_eq!(with_claims(&browser, Method::POST, "/auth/refresh", &json!({})).await, 204);
    assert_eq!(named(&app, "grant_type=refresh_token").0, SECRET);
}
