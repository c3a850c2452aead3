//! Two-step sign-in with an authenticator app.
//!
//! A code is good for its own step of 30 seconds and for one to either side, so three can be shown at once. The embedded
//! server takes each once, in their order.

use http::Method;
use serde_json::json;

use super::place::{PASSWORD, Place};
use crate::client::Browser;
use crate::mfa::{Phone, session};

const FACTORS: &str = "/auth/account/factors";

/// Adds an app called `name` with the code of step `step`.
async fn add_app(place: &Place, browser: &Browser, name: &str, step: i64) -> Phone {
    let made = browser.post(FACTORS, &json!({ "name": name })).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let phone = Phone::scan(&made.json());
    let path = format!("{FACTORS}/{}/verify", phone.id);
    let wrong = browser.post(&path, &json!({ "code": phone.code_at(place.now(), 9) })).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (422, "code_wrong"), "{}", wrong.body);
    let done = browser.post(&path, &json!({ "code": phone.code_at(place.now(), step) })).await;
    assert_eq!((done.status, &done.json()["session"]["aal"]), (200, &json!(2)), "{}", done.body);
    phone
}

/// From none to an app, a sign-in in two steps, a refresh that keeps the level, and back to none.
pub async fn a_sign_in_takes_the_code_of_the_app(place: Place) {
    let (browser, email) = place.account().await;
    let unfinished = browser.post(FACTORS, &json!({ "name": "phone" })).await;
    assert_eq!(unfinished.status, 200, "{}", unfinished.body);
    let phone = add_app(&place, &browser, "phone", -1).await;
    assert_eq!(browser.get("/api/vault").await.status, 200);
    let taken = browser.post(FACTORS, &json!({ "name": "phone" })).await;
    assert_eq!((taken.status, taken.code().as_str()), (422, "factor_name_taken"), "{}", taken.body);

    let (second, answer) = place.sign_in(&email, PASSWORD).await;
    let body = answer.json();
    assert_eq!(body["status"], "mfa_required", "{body}");
    assert_eq!(body["factors"], json!([{ "id": phone.id, "type": "totp", "name": "phone" }]));
    assert_eq!(second.get("/api/notes").await.code(), "session_limited");
    let wrong = second.post("/auth/mfa", &json!({ "code": phone.code_at(place.now(), 9) })).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (422, "code_wrong"), "{}", wrong.body);
    let unknown = json!({ "code": "123456", "factor_id": "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f" });
    let unknown = second.post("/auth/mfa", &unknown).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "factor_unknown"), "{}", unknown.body);
    let right = second.post("/auth/mfa", &json!({ "code": phone.code_at(place.now(), 0) })).await;
    assert_eq!((right.status, &right.json()["status"]), (200, &json!("signed_in")), "{}", right.body);
    assert_eq!(second.get("/api/vault").await.status, 200);
    place.a_moment();
    assert_eq!(second.post("/auth/refresh", &json!({})).await.status, 204);
    let now = session(&second).await;
    assert_eq!((&now["aal"], &now["next_aal"]), (&json!(2), &json!(2)));
    assert_eq!(second.get("/api/vault").await.status, 200);

    let path = format!("{FACTORS}/{}", phone.id);
    let gone = second.json(Method::DELETE, &path, &json!({})).await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    let now = session(&second).await;
    assert_eq!((&now["aal"], &now["next_aal"], &now["limited"]), (&json!(1), &json!(1), &json!(null)));
    let (_, answer) = place.sign_in(&email, PASSWORD).await;
    assert_eq!(answer.json()["status"], "signed_in");
}

/// Whoever is signed in elsewhere is out at GoTrue when an app comes or goes, at either level.
pub async fn an_app_that_comes_or_goes_ends_the_other_sessions(place: Place) {
    let (browser, email) = place.account().await;
    let (_, answer) = place.sign_in(&email, PASSWORD).await;
    assert_eq!(answer.status, 200);
    let of_the_other = place.refresh_token();
    let phone = add_app(&place, &browser, "phone", -1).await;
    let (status, code) = place.trade(&of_the_other).await;
    assert!(status == 400 && code.ends_with("not_found"), "{status} {code}");

    let (second, _) = place.sign_in(&email, PASSWORD).await;
    let proved = second.post("/auth/mfa", &json!({ "code": phone.code_at(place.now(), 0) })).await;
    assert_eq!(proved.status, 200, "{}", proved.body);
    let of_the_second = place.refresh_token();
    let gone = browser.json(Method::DELETE, &format!("{FACTORS}/{}", phone.id), &json!({})).await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    let (status, code) = place.trade(&of_the_second).await;
    assert!(status == 400 && code.ends_with("not_found"), "{status} {code}");
    assert_eq!(browser.get("/api/notes").await.status, 200);
}
