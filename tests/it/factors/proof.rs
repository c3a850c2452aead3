//! Who may add and remove an app.

use http::Method;
use serde_json::json;
use time::Duration;

use super::{FACTORS, NEW, begin, finish, listed, scanned};
use crate::devices::{LINUX, device, told};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mfa::{ADA, Phone, add_app};
use crate::tap::Fault;

/// S-46: to add or remove an app takes a proof of the last five minutes: the password without an app, its code with one.
/// It is asked for before the form.
#[tokio::test]
async fn a_change_of_apps_takes_a_fresh_proof() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    app.clock.advance(Duration::minutes(5));
    assert_eq!(browser.navigate(NEW).await.status, 200);
    let page = browser.navigate(NEW).await;
    app.clock.advance(Duration::SECOND);
    let stale = browser.post(FACTORS, &json!({ "name": "phone" })).await;
    assert_eq!(told(&stale).1, "insufficient_user_authentication");
    assert_eq!(app.auth.calls("POST /auth/v1/factors"), 0);
    let proof = "/auth/login?prompt=login&return_to=%2Fauth%2Faccount%2Ffactors%2Fnew";
    let token = page.form_token(FACTORS);
    let sent = browser.submit(FACTORS, &[("form_token", &token), ("name", "phone")]).await;
    for answer in [browser.navigate(NEW).await, sent] {
        assert_eq!((answer.status, answer.header("location")), (303, proof));
    }
    let form = browser.navigate_from("same-origin", proof).await;
    let (token, back) = (form.form_token("/auth/login"), form.field("return_to"));
    let fields = [("form_token", &*token), ("return_to", &back), ("prompt", "login"), ("password", PASSWORD)];
    assert_eq!(browser.submit("/auth/login", &fields).await.header("location"), NEW);
    // Whoever takes long with the picture began with a fresh proof, for half an hour.
    let scan = begin(&browser, "phone").await;
    let phone = scanned(&scan);
    app.clock.advance(Duration::minutes(20));
    assert_eq!(finish(&browser, &scan, &phone, &phone.code(&app)).await.status, 303);

    app.clock.advance(Duration::minutes(6));
    let remove = format!("{FACTORS}/{}/delete", phone.id);
    let asked = browser.navigate(&remove).await;
    let to = format!("/auth/mfa?return_to=%2Fauth%2Faccount%2Ffactors%2F{}%2Fdelete", phone.id);
    assert_eq!((asked.status, asked.header("location")), (303, to.as_str()));
    let path = format!("{FACTORS}/{}", phone.id);
    let stale = browser.json(Method::DELETE, &path, &json!({})).await;
    assert_eq!(
        (told(&stale).1.as_str(), &stale.json()["login_url"]),
        ("insufficient_user_authentication", &json!("/auth/mfa"))
    );
    assert_eq!(listed(&browser).await.len(), 1);
    assert_eq!(browser.post("/auth/mfa", &json!({ "code": phone.code(&app) })).await.status, 200);
    assert_eq!(browser.json(Method::DELETE, &path, &json!({})).await.status, 204);
}

/// S-46: an enrolment of long ago, or one that began under an old proof, is not finished without a fresh one.
#[tokio::test]
async fn an_old_enrolment_takes_a_fresh_proof() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let made = Phone::scan(&browser.post(FACTORS, &json!({})).await.json());
    app.clock.advance(Duration::minutes(31));
    let path = format!("{FACTORS}/{}/verify", made.id);
    let stale = browser.post(&path, &json!({ "code": made.code(&app) })).await;
    assert_eq!(told(&stale).1, "insufficient_user_authentication", "{}", stale.body);
    assert!(listed(&browser).await.is_empty());

    // One that another client of the project began for this person.
    let tokens = app.tokens(ADA, PASSWORD).await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({ "factor_type": "totp", "friendly_name": "planted" }).to_string();
    let url = format!("{}/auth/v1/factors", app.auth.url());
    let planted = app.browser().send(Method::POST, &url, &headers, Some(body)).await.json();
    let planted = Phone::scan(&json!({ "id": planted["id"], "secret": planted["totp"]["secret"] }));
    let path = format!("{FACTORS}/{}/verify", planted.id);
    let stale = browser.post(&path, &json!({ "code": planted.code(&app) })).await;
    assert_eq!(told(&stale).1, "insufficient_user_authentication", "{}", stale.body);
}

/// S-46: with an app, another takes its code: a session of the first level adds none.
#[tokio::test]
async fn a_second_app_takes_the_code_of_the_first() {
    let app = TestApp::with(Plan::default().with("BFF_MFA_ENFORCE", "per_rule")).await;
    let first = app.signed_in(ADA).await;
    let phone = add_app(&app, &first, "phone").await;
    let browser = device(&app, LINUX).await;
    let refused = browser.post(FACTORS, &json!({ "name": "theirs" })).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains(r#"acr_values="aal2""#), "{refused:?}");
    let page = browser.navigate(NEW).await;
    assert_eq!(page.header("location"), "/auth/mfa?return_to=%2Fauth%2Faccount%2Ffactors%2Fnew");
    let path = format!("{FACTORS}/{}", phone.id);
    assert_eq!(browser.json(Method::DELETE, &path, &json!({})).await.status, 401);
    assert_eq!(browser.post("/auth/mfa", &json!({ "code": phone.code(&app) })).await.status, 200);
    add_app(&app, &browser, "tablet").await;
}

/// S-46: a session that GoTrue has ended changes nothing, though its token still verifies.
#[tokio::test]
async fn gotrue_is_asked_before_an_app_comes() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    app.auth.fail_once("GET /auth/v1/user", Fault::code(403, "session_not_found"));
    let answer = browser.post(FACTORS, &json!({ "name": "phone" })).await;
    assert_eq!(told(&answer), (401, "session_ended".to_owned(), "session_not_found"));
    assert_eq!(app.auth.calls("POST /auth/v1/factors"), 0);
}

/// S-102: another person's app is nobody's: not shown, not removed, not turned on; answered like one that is not there.
#[tokio::test]
async fn the_apps_of_others_are_unknown() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let phone = add_app(&app, &ada, "phone").await;
    let open = Phone::scan(&ada.post(FACTORS, &json!({ "name": "open" })).await.json());
    let bob = app.signed_in("bob@example.test").await;
    assert!(listed(&bob).await.is_empty());
    let mut answers = Vec::new();
    for id in [&phone.id, &open.id, "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f"] {
        let path = format!("{FACTORS}/{id}");
        let removed = bob.json(Method::DELETE, &path, &json!({})).await;
        let turned_on = bob.post(&format!("{path}/verify"), &json!({ "code": open.code(&app) })).await;
        answers.push([removed, turned_on].map(|answer| (answer.status, answer.code())));
        assert_eq!(bob.navigate(&format!("{path}/delete")).await.status, 404);
    }
    assert!(answers.iter().all(|pair| *pair == answers[2]), "{answers:?}");
    assert_eq!(answers[2][0], (404, "factor_unknown".to_owned()));
    assert_eq!(listed(&ada).await.len(), 1);
}

/// S-46: the password alone is no fresh proof where there is an app: its page leads on to the code, and then back.
#[tokio::test]
async fn a_new_sign_in_for_a_proof_ends_with_the_code() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let phone = add_app(&app, &browser, "phone").await;
    app.clock.advance(Duration::minutes(6));
    let form = browser.navigate("/auth/login?prompt=login&return_to=/auth/account/factors/new").await;
    let (token, back) = (form.form_token("/auth/login"), form.field("return_to"));
    let fields = [("form_token", &*token), ("return_to", &back), ("prompt", "login"), ("password", PASSWORD)];
    let half = browser.submit("/auth/login", &fields).await;
    let to = "/auth/mfa?return_to=%2Fauth%2Faccount%2Ffactors%2Fnew";
    assert_eq!((half.status, half.header("location")), (303, to));
    let page = browser.navigate(NEW).await;
    assert_eq!((page.status, page.header("location")), (303, to), "S-32: nothing opens before the code");
    assert_eq!(browser.post("/auth/mfa", &json!({ "code": phone.code(&app) })).await.status, 200);
    assert_eq!(browser.navigate(NEW).await.status, 200);
}
