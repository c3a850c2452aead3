//! A person sees where he is signed in, and ends it, without script.

use serde_json::json;

use crate::browser::{Chromium, Script, story};
use crate::devices::{ADA, ANDROID, LINUX, device};
use crate::harness::{PASSWORD, Plan, TestApp};

/// S-46: the list, one device, a new proof, all others; then this one is signed out from elsewhere, and told so.
#[tokio::test]
async fn a_person_signs_devices_out_without_script() {
    let app = TestApp::with(Plan::in_memory()).await;
    let laptop = app.signed_in(ADA).await;
    let phone = device(&app, ANDROID).await;
    story("devices", Script::Off, async |chromium| {
        let at = |path: &str| format!("{}{path}", app.base);
        let is_alive = async |browser: &crate::client::Browser| browser.get("/api/notes").await.status == 200;
        sign_in(chromium, &at("/auth/login?return_to=/auth/account")).await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.presses("Security").await;
        chromium.says("This device").await;
        chromium.says("Unknown browser").await;
        chromium.presses("Sign out Firefox on Android").await;
        chromium.shows("#notice", "Firefox on Android is signed out.").await;
        assert!(!is_alive(&phone).await && is_alive(&laptop).await);

        app.clock.advance(time::Duration::minutes(6));
        chromium.presses("Sign out all other devices").await;
        chromium.says("Confirm that it is you").await;
        assert!(is_alive(&laptop).await, "nothing has ended before the proof");
        chromium.types("email", "nobody").await;
        assert_eq!(chromium.value("email").await, ADA, "the address stands fast");
        assert_eq!(chromium.evaluates("document.activeElement.id").await, "email");
        chromium.types("password", PASSWORD).await;
        chromium.presses("Confirm").await;
        chromium.reaches(&at("/auth/account/security")).await;
        chromium.presses("Sign out all other devices").await;
        chromium.shows("#notice", "All other devices are signed out.").await;
        chromium.says("No other device is signed in.").await;
        assert!(!is_alive(&laptop).await);

        let other = device(&app, LINUX).await;
        assert_eq!(other.post("/auth/logout", &json!({ "scope": "others" })).await.status, 204);
        chromium.open(&at("/auth/account/security")).await;
        chromium.says("This device was signed out from another one.").await;
        assert!(is_alive(&other).await);
    })
    .await;
}

async fn sign_in(chromium: &Chromium, url: &str) {
    chromium.open(url).await;
    chromium.types("email", ADA).await;
    chromium.types("password", PASSWORD).await;
    chromium.presses("Sign in").await;
}
