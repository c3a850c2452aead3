//! Codes that come twice, late, or while something fails.

use http::Method;
use serde_json::json;
use time::Duration;

use super::{ADA, half_way, modes, prove, session, type_code, with_app};
use crate::devices::told;
use crate::harness::{PASSWORD, Plan};
use crate::tap::Fault;

/// S-75: fifty people at once with the code of one step: one of them gets in.
#[tokio::test]
async fn a_step_is_good_for_one_sign_in() {
    let plan = Plan::default()
        .with("BFF_LIMITS_GOTRUE_BUDGET", "off")
        .with("BFF_LIMITS_CODE_TRIES", "100/1m")
        .with("BFF_LIMITS_PASSWORD_PER_ACCOUNT", "100/1m")
        .with("BFF_LIMITS_PASSWORD_PER_NETWORK", "100/1m");
    let (app, phone) = with_app(plan).await;
    let mut browsers = Vec::new();
    for _ in 0..50 {
        browsers.push(half_way(&app).await.0);
    }
    let code = phone.code(&app);
    let answers = futures_util::future::join_all(browsers.iter().map(|browser| prove(browser, &code))).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(good, 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    for (browser, answer) in browsers.iter().zip(&answers) {
        // The one that got in has ended the others at GoTrue: some learn of that, some of the wrong code.
        assert!(matches!(answer.status, 200 | 401 | 422 | 429), "{answer:?}");
        if answer.status != 200 {
            assert_ne!(browser.get("/api/vault").await.status, 200);
        }
    }
}

/// A form that is sent twice, as by a double click, is one proof: both answers are of the same new session, and GoTrue
/// is asked once.
#[tokio::test]
async fn a_double_click_is_one_proof() {
    for mode in modes() {
        let (app, phone) = with_app(mode.plan()).await;
        let (browser, _) = half_way(&app).await;
        let page = browser.navigate("/auth/mfa?return_to=/auth/account").await;
        let verified = app.auth.calls("/verify");
        let code = phone.code(&app);
        app.auth.fail_once("/verify", Fault::HoldAnswer);
        let (first, second) = (browser.stolen(), browser.stolen());
        let release = async {
            app.auth.holding().await;
            app.auth.release();
        };
        let (one, two, ()) =
            tokio::join!(type_code(&first, &page, &code), type_code(&second, &page, &code), release);
        for answer in [&one, &two] {
            assert_eq!((answer.status, answer.header("location")), (303, "/auth/account"), "{answer:?}");
        }
        assert_eq!(app.auth.calls("/verify"), verified + 1);
        assert_eq!(session(&first).await["session"]["id"], session(&second).await["session"]["id"]);
        assert_eq!(first.get("/api/vault").await.status, 200);
        assert_eq!(second.get("/api/vault").await.status, 200);
        // A third, after both: the browser has the new cookie, or will have it.
        let late = type_code(&browser, &page, &code).await;
        assert_eq!(late.header("location"), "/auth/account");
        assert!(late.set_cookies().iter().all(|cookie| !cookie.starts_with("sb_session")), "{late:?}");
    }
}

/// S-43: a refresh that lands after a step up within the same session of GoTrue does not revoke that session, and its late
/// answer leaves the new cookie alone.
#[tokio::test]
async fn a_refresh_that_lands_after_a_step_up_revokes_nothing() {
    for mode in modes() {
        let (app, phone) = with_app(mode.plan().with("BFF_MFA_ENFORCE", "per_rule")).await;
        let (browser, _) = half_way(&app).await;
        let logouts = app.auth.calls("/logout");
        app.clock.advance(Duration::seconds(20)); // past the cool-down of refreshes
        let code = phone.code(&app);
        let tab = browser.clone();
        app.auth.fail_once("grant_type=refresh_token", Fault::HoldAnswer);
        let refresh = tokio::spawn({
            let tab = browser.stolen();
            async move { (tab.post("/auth/refresh", &json!({})).await, tab) }
        });
        app.auth.holding().await;
        assert_eq!(prove(&tab, &code).await.json()["status"], "signed_in");
        app.auth.release();
        let (late, _) = refresh.await.unwrap();
        assert_eq!(told(&late), (401, "session_ended".to_owned(), "replaced"), "{}", late.body);
        assert!(late.set_cookies().iter().all(|cookie| !cookie.starts_with("sb_session")), "{late:?}");
        assert_eq!(tab.get("/api/vault").await.status, 200);
        app.past_expiry();
        assert_eq!(tab.get("/api/vault").await.status, 200, "and it refreshes");
        assert_eq!(app.auth.calls("/logout"), logouts, "nothing was revoked");
        assert_eq!(session(&tab).await["aal"], 2);
    }
}

/// S-43: a code that is proved after a sign-out brings nothing back.
#[tokio::test]
async fn a_proof_after_a_sign_out_brings_no_session_back() {
    for mode in modes() {
        let (app, phone) = with_app(mode.plan()).await;
        let (browser, _) = half_way(&app).await;
        let code = phone.code(&app);
        app.auth.fail_once("/verify", Fault::HoldAnswer);
        let late = tokio::spawn({
            let tab = browser.stolen();
            async move { (prove(&tab, &code).await, tab) }
        });
        app.auth.holding().await;
        assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
        app.auth.release();
        let (answer, tab) = late.await.unwrap();
        assert_eq!(told(&answer).0, 401, "{}", answer.body);
        assert_eq!(session(&tab).await["authenticated"], false);
        assert_eq!(tab.get("/api/notes").await.status, 401);
    }
}

/// Outages keep the form: nothing is lost, the session neither.
#[tokio::test]
async fn an_outage_keeps_the_form_and_the_session() {
    let (app, phone) = with_app(Plan::default()).await;
    let (browser, _) = half_way(&app).await;
    let page = browser.navigate("/auth/mfa").await;
    for (call, fault) in [
        ("/challenge", Fault::Reset),
        ("/challenge", Fault::code(500, "unexpected_failure")),
        ("/verify", Fault::code(500, "unexpected_failure")),
        ("/verify", Fault::Answer(200, "text/html", "<h1>hello</h1>".to_owned())),
    ] {
        app.auth.fail_once(call, fault);
        let answer = type_code(&browser, &page, &phone.code(&app)).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(
            answer.body.contains("name=\"code\"") && answer.body.contains("try again in"),
            "{}",
            answer.body
        );
    }
    app.auth.fail("GET /auth/v1/user", Fault::Reset);
    assert_eq!(browser.navigate("/auth/mfa").await.status, 503);
    app.auth.fail_once("/challenge", Fault::Reset);
    let answer = type_code(&browser, &page, &phone.code(&app)).await;
    assert!(answer.status == 503 && answer.body.contains("name=\"code\""), "{}", answer.body);
    app.auth.heal();
    assert_eq!(type_code(&browser, &page, &phone.code(&app)).await.status, 303);
}

/// A session that GoTrue has ended while the person typed is over, with its reason.
#[tokio::test]
async fn a_session_that_is_over_at_gotrue_ends_here() {
    let (app, phone) = with_app(Plan::default()).await;
    let (browser, _) = half_way(&app).await;
    let tokens = app.tokens(ADA, PASSWORD).await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let path = format!("{}/auth/v1/logout?scope=global", app.auth.url());
    app.browser().send(Method::POST, &path, &[("authorization", &bearer)], None).await;
    let answer = browser.post("/auth/mfa", &json!({ "factor_id": phone.id, "code": phone.code(&app) })).await;
    assert_eq!(told(&answer), (401, "session_ended".to_owned(), "session_not_found"), "{}", answer.body);
    assert_eq!(browser.cookie("sb_session"), None);
}
