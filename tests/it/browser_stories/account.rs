//! The account by forms alone, with scripts switched off.

use crate::account::NEW_PASSWORD;
use crate::browser::{Chromium, Script, story};
use crate::demo_app::DemoApp;
use crate::devices::ADA;
use crate::harness::PASSWORD;

const ACCOUNT: &str = "/auth/account";
const SECURITY: &str = "/auth/account/security";
const TOLD: &str = "You came back from GitHub without connecting it. Nothing has changed.";

async fn sign_up(chromium: &Chromium, app: &DemoApp) {
    chromium.open(&app.at("/auth/signup?return_to=/auth/account")).await;
    chromium.types("email", ADA).await;
    chromium.types("password", PASSWORD).await;
    chromium.presses("Create account").await;
    chromium.reaches(&app.at(ACCOUNT)).await;
}

/// Name and password are changed; the new password signs in and the old one does not.
#[tokio::test]
async fn a_person_changes_name_and_password_without_script() {
    let app = DemoApp::start().await;
    story("account", Script::Off, async |chromium| {
        sign_up(chromium, &app).await;
        chromium.presses("Change: Name").await;
        chromium.types("name", "שרה 👩🏽\u{200d}🚀").await;
        chromium.presses("Save").await;
        chromium.says("Your name is saved.").await;
        chromium.says("שרה 👩🏽\u{200d}🚀").await;
        chromium.presses("Change: Password").await;
        chromium.types("password", "password1").await;
        chromium.presses("Save password").await;
        chromium.says("This password is easy to guess.").await;
        assert_eq!(chromium.value("password").await, "", "S-69: no password is echoed");
        chromium.types("password", NEW_PASSWORD).await;
        chromium.presses("Save password").await;
        chromium.says("Your password is changed, and all other devices are signed out.").await;
        chromium.presses("Sign out").await;
        chromium.types("email", ADA).await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Sign in").await;
        chromium.says("E-mail or password is not right.").await;
        chromium.types("password", NEW_PASSWORD).await;
        chromium.presses("Sign in").await;
        chromium.reaches(&app.at("/")).await;
    })
    .await;
}

/// S-65: to GitHub on another site and back under the policy of our pages; then the way is taken away again.
#[tokio::test]
async fn a_person_connects_github_and_disconnects_it_without_script() {
    let app = DemoApp::start().await;
    story("linking", Script::Off, async |chromium| {
        sign_up(chromium, &app).await;
        chromium.open(&app.at(SECURITY)).await;
        chromium.presses("Connect GitHub").await;
        chromium.says("Connect GitHub?").await;
        chromium.presses("Continue to GitHub").await;
        chromium.says("Pretend GitHub").await;
        chromium.presses("Refuse, as a person could").await;
        chromium.reaches(&app.at(SECURITY)).await;
        chromium.shows("#notice", TOLD).await;
        chromium.presses("Connect GitHub").await;
        chromium.presses("Continue to GitHub").await;
        chromium.types("email", "elsewhere@example.test").await;
        chromium.presses("Someone new").await;
        chromium.reaches(&app.at(SECURITY)).await;
        chromium.says("GitHub is connected.").await;
        chromium.says("elsewhere@example.test").await;
        chromium.presses("Disconnect GitHub").await;
        chromium.says("Disconnect GitHub?").await;
        chromium.presses("Disconnect").await;
        chromium.says("GitHub is disconnected.").await;
        chromium.presses("Connect GitHub").await;
        chromium.says("Connect GitHub?").await;
    })
    .await;
}

/// Begun without an account, kept with an address and a password.
#[tokio::test]
async fn a_guest_keeps_the_account_without_script() {
    let app = DemoApp::start().await;
    story("guest", Script::Off, async |chromium| {
        chromium.open(&app.at("/auth/login?return_to=/auth/account")).await;
        chromium.presses("Continue without an account").await;
        chromium.reaches(&app.at(ACCOUNT)).await;
        chromium.says("only this browser knows it").await;
        chromium.presses("Keep this account").await;
        chromium.types("email", ADA).await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Keep this account").await;
        chromium.says("This account is yours to keep now.").await;
        chromium.presses("Sign out").await;
        chromium.types("email", ADA).await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Sign in").await;
        chromium.reaches(&app.at("/")).await;
        chromium.says(ADA).await;
    })
    .await;
}

/// Another address waits for its mails, and the page says so.
#[tokio::test]
async fn a_person_changes_the_address_without_script() {
    let app = DemoApp::start().await;
    story("address", Script::Off, async |chromium| {
        sign_up(chromium, &app).await;
        chromium.presses("Change: E-mail").await;
        chromium.says("Your present address stays until the new one is confirmed.").await;
        chromium.types("email", "new@example.test").await;
        chromium.presses("Send the mail").await;
        chromium.says("If new@example.test is free, mails are on their way to it").await;
        chromium.says("Waits for its mails: new@example.test").await;
    })
    .await;
}
