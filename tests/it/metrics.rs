//! Figures: what Prometheus reads on the admin listener after what people did.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use http::{Method, Request};
use serde_json::json;
use time::Duration;
use tower::ServiceExt;

use crate::client::{navigation, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::tap::Fault;

/// The figures of now, by their line without the value.
pub async fn figures(app: &TestApp) -> BTreeMap<String, f64> {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let answer = app.admin.clone().oneshot(request).await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// What has changed since `before`, leaving times out.
fn change(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> Vec<String> {
    let changed = after.iter().filter(|(name, _)| !name.contains("_duration_seconds"));
    let changed = changed.filter_map(|(name, value)| {
        let grown = value - before.get(name).copied().unwrap_or(0.0);
        (grown != 0.0).then(|| format!("{name} +{grown}"))
    });
    changed.collect()
}

/// S-88: a sign-in, a failed one, a request, a refresh and a sign-out: each figure grows by what happened and no other
/// does.
#[tokio::test]
async fn each_step_of_a_day_is_counted_once() {
    let app = TestApp::start().await;
    app.signed_in("ada@example.test").await;
    let browser = app.browser();
    let mut seen = figures(&app).await;
    let mut grown = async |app: &TestApp| {
        let now = figures(app).await;
        let grown = change(&seen, &now);
        seen = now;
        grown
    };

    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(browser.post("/auth/login", &login).await.status, 200);
    assert_eq!(
        grown(&app).await,
        [
            r#"bff_gotrue_requests_total{endpoint="token_password",outcome="ok"} +1"#,
            r#"bff_http_requests_total{route="/auth/login",method="POST",status="200"} +1"#,
            r#"bff_sign_ins_total{method="password",outcome="ok"} +1"#,
            r#"bff_token_cache_total{result="miss"} +1"#,
        ]
    );

    let wrong = json!({ "email": "ada@example.test", "password": "wrong horse" });
    assert_eq!(app.browser().post("/auth/login", &wrong).await.status, 401);
    assert_eq!(
        grown(&app).await,
        [
            r#"bff_gotrue_requests_total{endpoint="token_password",outcome="refused"} +1"#,
            r#"bff_http_requests_total{route="/auth/login",method="POST",status="401"} +1"#,
            r#"bff_refusals_total{code="invalid_credentials"} +1"#,
            r#"bff_sign_ins_total{method="password",outcome="failed"} +1"#,
        ]
    );

    assert_eq!(browser.get("/api/notes").await.status, 200);
    assert_eq!(
        grown(&app).await,
        [
            r#"bff_http_requests_total{route="api",method="GET",status="200"} +1"#,
            r#"bff_token_cache_total{result="hit"} +1"#,
        ]
    );

    app.inside_margin();
    assert_eq!(browser.get("/api/notes").await.status, 200);
    let refreshed = grown(&app).await;
    for line in [
        r#"bff_gotrue_requests_total{endpoint="token_refresh",outcome="ok"} +1"#,
        r#"bff_refreshes_total{outcome="ok"} +1"#,
    ] {
        assert!(refreshed.iter().any(|known| known == line), "{refreshed:?}");
    }

    app.past_expiry();
    app.auth.fail("grant_type=refresh_token", Fault::code(500, "unexpected_failure"));
    assert_eq!(browser.get("/api/notes").await.status, 503);
    app.auth.heal();
    let outage = grown(&app).await;
    for line in [
        r#"bff_gotrue_requests_total{endpoint="token_refresh",outcome="server_error"} +1"#,
        r#"bff_refreshes_total{outcome="kept"} +1"#,
        r#"bff_refusals_total{code="auth_unavailable"} +1"#,
    ] {
        assert!(outage.iter().any(|known| known == line), "{outage:?}");
    }
    app.clock.advance(Duration::seconds(11));
    assert_eq!(browser.get("/api/notes").await.status, 200);
    grown(&app).await;

    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    let ended = grown(&app).await;
    let line = r#"bff_sessions_ended_total{reason="user"} +1"#;
    assert!(ended.iter().any(|known| known == line), "{ended:?}");
    let all = figures(&app).await;
    let reasons = all.iter().filter(|(name, _)| name.starts_with("bff_sessions_ended_total"));
    assert_eq!(reasons.map(|(_, count)| count).sum::<f64>(), 1.0, "one session ended, for one reason");
}

/// S-88: refusals by code in either face, and limits by bucket.
#[tokio::test]
async fn refusals_and_limits_are_counted_by_their_codes() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_PASSWORD_PER_NETWORK", "3/5m")).await;
    app.auth.fail("grant_type=password", Fault::code(400, "invalid_credentials"));
    let browser = app.browser();
    let body = json!({ "email": "ada@example.test", "password": "wrong horse" });
    let before = figures(&app).await;

    assert_eq!(browser.post("/auth/login", &body).await.status, 401);
    let page = browser.navigate("/auth/login").await;
    let token = page.form_token("/auth/login");
    let fields = [("form_token", token.as_str()), ("email", "ada@example.test"), ("password", "wrong horse")];
    assert_eq!(browser.submit("/auth/login", &fields).await.status, 401);
    assert_eq!(browser.submit("/auth/login", &fields[1..]).await.status, 403);
    assert_eq!(browser.post("/auth/login", &body).await.status, 401);
    assert_eq!(browser.post("/auth/login", &body).await.status, 429);
    assert_eq!(browser.get("/api/notes").await.status, 401);
    let elsewhere = [("origin", "https://elsewhere.test"), ("content-type", "application/json")];
    let crossed = browser.send(Method::POST, "/auth/login", &elsewhere, Some(body.to_string())).await;
    assert_eq!(crossed.status, 403);
    let lost = browser.send(Method::GET, "/auth/session", &[("host", "elsewhere.test")], None).await;
    assert_eq!(lost.status, 421);

    let grown = change(&before, &figures(&app).await);
    for line in [
        r#"bff_refusals_total{code="invalid_credentials"} +3"#,
        r#"bff_refusals_total{code="csrf_form"} +1"#,
        r#"bff_refusals_total{code="rate_limited"} +1"#,
        r#"bff_refusals_total{code="session_missing"} +1"#,
        r#"bff_refusals_total{code="cross_origin"} +1"#,
        r#"bff_refusals_total{code="unknown_host"} +1"#,
        r#"bff_rate_limited_total{bucket="password_network"} +1"#,
        r#"bff_sign_ins_total{method="password",outcome="failed"} +3"#,
        r#"bff_http_requests_total{route="none",method="GET",status="421"} +1"#,
        r#"bff_http_requests_total{route="api",method="GET",status="401"} +1"#,
    ] {
        assert!(grown.iter().any(|known| known == line), "{line} in {grown:#?}");
    }
}

/// What the session store did not do is counted by what it was asked for.
#[tokio::test]
async fn failures_of_the_store_are_counted() {
    let (store, plan) = crate::weather::Weather::plan();
    let app = TestApp::with(plan).await;
    let browser = app.signed_in("ada@example.test").await;
    let before = figures(&app).await;
    store.turn(crate::weather::Mood::Down);
    assert_eq!(browser.get("/api/notes").await.status, 503);
    store.turn(crate::weather::Mood::Well);
    let grown = change(&before, &figures(&app).await);
    for line in
        [r#"bff_store_errors_total{op="read"} +1"#, r#"bff_refusals_total{code="store_unavailable"} +1"#]
    {
        assert!(grown.iter().any(|known| known == line), "{line} in {grown:#?}");
    }
    assert!(!grown.iter().any(|line| line.starts_with("bff_sessions_ended")), "{grown:#?}");
}

/// S-88, S-97: strangers' paths, methods and hosts add no line, and nothing of a person is in the text.
#[tokio::test]
async fn labels_come_from_closed_lists() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let visit = async |n: usize| {
        for path in [format!("/nowhere/{n}"), format!("/auth/nowhere/{n}"), format!("/api/{n}?user=ada-{n}")]
        {
            browser.get(&path).await;
            browser.navigate(&path).await;
            let odd = Method::from_bytes(format!("ODD{n}").as_bytes()).unwrap();
            browser.send(odd, &path, &script(), None).await;
        }
        let host = format!("host-{n}.test");
        let headers = navigation("none").into_iter().chain([("host", host.as_str())]).collect::<Vec<_>>();
        browser.send(Method::GET, "/", &headers, None).await;
    };
    visit(0).await;
    let before = figures(&app).await;
    for n in 1..20 {
        visit(n).await;
    }
    let after = figures(&app).await;
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let text = format!("{after:?}");
    for word in ["ada", "example.test", "nowhere", "host-", "ODD", "127.0.0.1"] {
        assert!(!text.contains(word), "{word}");
    }
    let subject = browser.get("/auth/session").await.json()["user"]["id"].as_str().unwrap().to_owned();
    assert!(!text.contains(&subject));
}

/// The names and labels that dashboards rely on, spelt out once more.
#[tokio::test]
async fn the_names_are_the_documented_ones() {
    let app = TestApp::start().await;
    app.browser().get("/auth/session").await;
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    for line in figures(&app).await.into_keys() {
        let (name, labels) = line.split_once('{').unwrap_or((&line, "}"));
        let words = labels.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
        let labels: Vec<_> = words.map(|(label, _)| label).collect();
        families.insert(name.to_owned(), labels.join(","));
    }
    let page = include_str!("../../docs/metrics.md");
    for (name, labels) in &families {
        let parts = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        let labels = labels.split(',').filter(|label| !label.is_empty() && *label != "le");
        let labels: Vec<_> = labels.map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        let row = format!("| `{}` | {labels} |", parts.unwrap_or(name));
        assert!(page.contains(&row), "docs/metrics.md lacks {row}");
    }
    let listed: Vec<_> = families.iter().map(|(name, labels)| format!("{name} {labels}")).collect();
    assert_eq!(
        listed,
        [
            "bff_gotrue_requests_total endpoint,outcome",
            "bff_http_request_duration_seconds_bucket le,route",
            "bff_http_request_duration_seconds_count route",
            "bff_http_request_duration_seconds_sum route",
            "bff_http_requests_total route,method,status",
            "bff_jwks_fetches_total outcome",
            "bff_rate_limited_total bucket",
            "bff_refreshes_total outcome",
            "bff_refusals_total code",
            "bff_sessions_ended_total reason",
            "bff_sign_ins_total method,outcome",
            "bff_sockets_open ",
            "bff_store_errors_total op",
            "bff_token_cache_total result",
        ]
    );
}

/// How many sessions have ended, for each reason that occurred.
pub async fn ended(app: &TestApp) -> Vec<(String, f64)> {
    let all = figures(app).await.into_iter();
    let reason = |name: String| {
        Some(name.strip_prefix("bff_sessions_ended_total{reason=\"")?.strip_suffix("\"}")?.to_owned())
    };
    all.filter_map(|(name, count)| Some((reason(name)?, count))).filter(|(_, count)| *count > 0.0).collect()
}
