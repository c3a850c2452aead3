//! The switch at the foot of a page, without scripts.

use crate::browser::{Script, story};
use crate::devices::ADA;
use crate::harness::{PASSWORD, Plan, TestApp};

/// After a wrong password too the switch leads to the page that the form was on, with the way back it had; the browser's own
/// `Referer` tells (S-67).
#[tokio::test]
async fn a_person_changes_the_language_on_the_way_in() {
    let app = TestApp::with(Plan::default().with("BFF_PAGES_LANGUAGES", "en,de")).await;
    app.signed_in(ADA).await;
    story("language", Script::Off, async |chromium| {
        chromium.open(&format!("{}/auth/login?return_to=/auth/account", app.base)).await;
        chromium.presses("Deutsch").await;
        chromium.says("Neu hier?").await;
        chromium.types("email", ADA).await;
        chromium.types("password", "wrong horse 17").await;
        chromium.presses("Anmelden").await;
        chromium.says("E-Mail oder Passwort stimmt nicht.").await;
        chromium.presses("English").await;
        chromium.says("New here?").await;
        chromium.types("email", ADA).await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Sign in").await;
        chromium.reaches(&format!("{}/auth/account", app.base)).await;
        chromium.presses("Deutsch").await;
        chromium.says("Ihr Konto").await;
        chromium.presses("Sicherheit").await;
        chromium.says("Auf allen Geräten abmelden").await;
    })
    .await;
}
