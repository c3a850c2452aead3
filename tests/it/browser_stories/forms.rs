//! Everything a person needs works by forms alone, with scripts switched off.

use crate::browser::{Chromium, Script, story};
use crate::demo_app::DemoApp;
use crate::harness::PASSWORD;

const ADA: &str = "ada@example.test";

/// Fills the two fields of sign-up and sign-in.
async fn fill(chromium: &Chromium, email: &str, password: &str) {
    chromium.types("email", email).await;
    chromium.types("password", password).await;
}

async fn is_signed_in(chromium: &Chromium, app: &DemoApp, email: &str) {
    chromium.open(&app.at("/auth/account")).await;
    chromium.says(email).await;
}

/// S-07: an address is kept and a password is not; S-02: the session cookie is Strict and hidden from scripts.
#[tokio::test]
async fn a_person_signs_up_out_and_in_without_script() {
    let app = DemoApp::start().await;
    story("sign_up_out_and_in", Script::Off, async |chromium| {
        chromium.open(&app.at("/auth/signup")).await;
        fill(chromium, ADA, PASSWORD).await;
        chromium.presses("Create account").await;
        chromium.reaches(&app.at("/")).await;
        is_signed_in(chromium, &app, ADA).await;
        for cookie in chromium.cookies().await {
            assert_eq!(cookie.http_only(), Some(true), "{}", cookie.name());
            assert!(cookie.same_site().is_some_and(|site| site.is_strict()), "{}", cookie.name());
        }

        chromium.presses("Sign out").await;
        chromium.reaches(&app.at("/auth/login")).await;
        chromium.says("You are signed out.").await;

        fill(chromium, ADA, "wrong horse").await;
        chromium.presses("Sign in").await;
        chromium.says("E-mail or password is not right.").await;
        assert_eq!(chromium.value("email").await, ADA, "the address is kept");
        assert_eq!(chromium.value("password").await, "", "S-69: no password is echoed");

        chromium.types("password", PASSWORD).await;
        chromium.presses("Sign in").await;
        chromium.reaches(&app.at("/")).await;
        is_signed_in(chromium, &app, ADA).await;
    })
    .await;
}
