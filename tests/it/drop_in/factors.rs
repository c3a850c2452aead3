//! Authenticator apps as `auth.mfa` handles them.

use http::Method;
use serde_json::{Value, json};
use time::Duration;

use super::{Client, parts};
use crate::harness::{PASSWORD, TestApp};
use crate::mfa::Phone;

/// Enrolls an app and turns it on.
async fn enrolled(app: &TestApp, client: &mut Client) -> (String, Phone) {
    let answer = client.post("factors", &json!({ "factor_type": "totp", "friendly_name": "Phone" })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let factor = answer.json();
    assert!(factor["totp"]["qr_code"].as_str().unwrap().starts_with("<svg"), "auth-js makes an image of it");
    let phone = Phone::scan(&json!({ "id": factor["id"], "secret": factor["totp"]["secret"] }));
    let id = factor["id"].as_str().unwrap().to_owned();
    client.keep(&proved(client, &id, &phone.code(app)).await);
    (id, phone)
}

async fn proved(client: &Client, id: &str, code: &str) -> crate::client::Answer {
    let challenge = client.post(&format!("factors/{id}/challenge"), &json!({})).await;
    assert_eq!(challenge.status, 200, "{}", challenge.body);
    let body = json!({ "challenge_id": challenge.json()["id"], "code": code });
    client.post(&format!("factors/{id}/verify"), &body).await
}

fn level(client: &Client) -> Value {
    parts(client.session["access_token"].as_str().unwrap()).1["aal"].clone()
}

/// S-06, S-32, S-45: an app is enrolled and raises the session; the next sign-in is limited until the code is there.
#[tokio::test]
async fn an_app_raises_the_session() {
    let app = TestApp::start().await;
    let mut client = Client::signed_up(&app, "ada@example.test").await;
    let before = client.browser.stolen();
    let (id, phone) = enrolled(&app, &mut client).await;
    assert_eq!(level(&client), "aal2");
    assert_eq!(client.get("user").await.json()["factors"][0]["status"], "verified", "seen at once");
    assert_eq!(Client::of(&before).get("user").await.status, 403, "another id than before");

    let mut next = Client::new(&app);
    let credentials = json!({ "email": "ada@example.test", "password": PASSWORD });
    next.keep(&next.post("token?grant_type=password", &credentials).await);
    assert_eq!((level(&next), &next.session["user"]["factors"][0]["id"]), (json!("aal1"), &json!(id)));
    let rest = next.call(Method::GET, "rest/v1/notes", None).await;
    assert_eq!((rest.status, rest.code().as_str()), (403, "session_limited"));
    for (path, body) in
        [("user", json!({ "data": { "x": 1 } })), ("user", json!({ "password": "sextant bramble quay" }))]
    {
        let answer = next.put(path, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "insufficient_aal"), "{body}");
    }
    let asked = app.auth.calls("/factors");
    assert_eq!(next.post("factors", &json!({ "factor_type": "totp" })).await.code(), "insufficient_aal");
    let answer = next.call(Method::DELETE, &format!("auth/v1/factors/{id}"), None).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "insufficient_aal"));
    assert_eq!(app.auth.calls("/factors"), asked, "GoTrue, which would say the same, is not asked");
    assert_eq!(next.get("user").await.status, 200);
    assert_eq!(next.refresh_with(next.refresh_token()).await.status, 200);

    let answer = proved(&next, &id, &phone.wrong_code(&app)).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "mfa_verification_failed"));
    app.clock.advance(Duration::seconds(30));
    next.keep(&proved(&next, &id, &phone.code(&app)).await);
    assert_eq!(level(&next), "aal2");
    assert_eq!(next.put("user", &json!({ "data": { "x": 1 } })).await.status, 200);
    let answer = next.call(Method::DELETE, &format!("auth/v1/factors/{id}"), None).await;
    assert_eq!((answer.status, answer.json()["id"].as_str()), (200, Some(id.as_str())));
    assert_eq!(next.get("user").await.json().get("factors"), None);
}

/// S-82, S-102: a challenge is of its factor and session and lives five minutes; another's factor is like an unknown one.
#[tokio::test]
async fn a_challenge_is_of_its_session_and_its_time() {
    let app = TestApp::start().await;
    let mut client = Client::signed_up(&app, "ada@example.test").await;
    let (id, phone) = enrolled(&app, &mut client).await;
    let mut bob = Client::signed_up(&app, "bob@example.test").await;
    let (theirs, _) = enrolled(&app, &mut bob).await;
    for unknown in [theirs.as_str(), "00000000-0000-4000-8000-000000000000", "x"] {
        let answer = client.post(&format!("factors/{unknown}/challenge"), &json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "mfa_factor_not_found"), "{unknown}");
    }
    let open = async |client: &Client, id: &str| {
        client.post(&format!("factors/{id}/challenge"), &json!({})).await.json()["id"].clone()
    };
    let (own, other) = (open(&client, &id).await, open(&bob, &theirs).await);
    app.clock.advance(Duration::seconds(30));
    let verify = async |challenge: &Value| {
        let body = json!({ "challenge_id": challenge, "code": phone.code(&app) });
        let answer = client.post(&format!("factors/{id}/verify"), &body).await;
        (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
    };
    for foreign in [&other, &json!("00000000-0000-4000-8000-000000000000")] {
        assert_eq!(verify(foreign).await, (422, "mfa_factor_not_found".to_owned()));
    }
    app.clock.advance(Duration::minutes(5));
    assert_eq!(verify(&own).await, (422, "mfa_challenge_expired".to_owned()));
    assert_eq!(verify(&open(&client, &id).await).await, (200, String::new()));
    for kind in ["phone", "webauthn"] {
        let answer = client.post("factors", &json!({ "factor_type": kind })).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "feature_disabled"), "{kind}");
    }
    let mut guest = Client::new(&app);
    guest.keep(&guest.post("signup", &json!({})).await);
    assert_eq!(guest.post("factors", &json!({ "factor_type": "totp" })).await.code(), "no_authorization");
}
