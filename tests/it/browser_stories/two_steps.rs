//! Two-step sign-in as a person sees it.

use serde_json::json;
use time::Duration;

use super::look::fits;
use crate::browser::{Chromium, Script, story};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mfa::{ADA, Phone};

/// A site with a page for everybody and one for whoever typed a code.
fn plan() -> Plan {
    let rules = "site = { url = '{echo}', kind = 'app', token = 'none' }\n\
                 [[rules]]\nname = 'vault'\npath = '/vault'\nto = 'site'\naal = 2\nmax_age = '5m'\n\
                 [[rules]]\nname = 'site'\npath = '/**'\nto = 'site'\nallow = 'optional'\n";
    Plan { rules: rules.to_owned(), ..Plan::in_memory() }
}

async fn sign_in(chromium: &Chromium, url: &str) {
    chromium.open(url).await;
    chromium.types("email", ADA).await;
    chromium.types("password", PASSWORD).await;
    chromium.presses("Sign in").await;
}

/// The key that the page shows as text, typed into an app.
async fn scan(chromium: &Chromium) -> Phone {
    chromium.says("Scan this with your app").await;
    let key = chromium.text(".key").await.expect("the key as text").replace(' ', "");
    Phone::scan(&json!({ "id": "", "secret": key }))
}

/// S-100: from a page that asks for two steps to an app, back to the page; signed out and in again with the code; back at
/// the page when the proof is old; and the app removed.
#[tokio::test]
async fn a_person_adds_and_uses_an_app_without_script() {
    let app = TestApp::with(plan()).await;
    app.echo.answer(200, &[("content-type", "text/html")], "<title>v</title><h1>The vault</h1>");
    app.signed_in(ADA).await;
    story("two_steps", Script::Off, async |chromium| {
        let at = |path: &str| format!("{}{path}", app.base);
        sign_in(chromium, &at("/vault")).await;
        chromium.says("Two-step sign-in needed").await;
        chromium.presses("Add an app").await;
        chromium.types("name", "My phone").await;
        chromium.presses("Show the QR code").await;
        let phone = scan(chromium).await;
        let shown = "(at => at.complete && at.naturalWidth > 0)(document.querySelector('.qr'))";
        assert_eq!(chromium.evaluates(shown).await, true, "the picture is drawn");
        chromium.types("code", &phone.wrong_code(&app)).await;
        chromium.presses("Turn on").await;
        chromium.says("This code is not right.").await;
        assert_eq!(chromium.evaluates("document.activeElement.id").await, "code");
        chromium.types("code", &phone.code(&app)).await;
        chromium.presses("Turn on").await;
        chromium.reaches(&at("/vault")).await;
        chromium.says("The vault").await;

        chromium.open(&at("/auth/logout")).await;
        chromium.presses("Sign out").await;
        sign_in(chromium, &at("/auth/login?return_to=/auth/account")).await;
        chromium.says("Enter your code").await;
        assert_eq!(chromium.evaluates("document.activeElement.id").await, "code");
        let code = phone.code(&app);
        chromium.types("code", &format!("{} {}", &code[..3], &code[3..])).await;
        chromium.presses("Continue").await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.open(&at("/vault")).await;
        chromium.says("The vault").await;
        app.clock.advance(Duration::minutes(6));
        chromium.open(&at("/vault")).await;
        chromium.says("This page asks for your code once more.").await;
        chromium.types("code", &phone.code(&app)).await;
        chromium.presses("Continue").await;
        chromium.reaches(&at("/vault")).await;

        chromium.open(&at("/auth/account/security")).await;
        chromium.says("One app only.").await;
        chromium.presses("Remove My phone").await;
        chromium.says("Remove My phone?").await;
        chromium.presses("Remove").await;
        chromium.says("My phone is removed, and all other devices are signed out.").await;
        chromium.says("No authenticator app yet.").await;
    })
    .await;
}

#[tokio::test]
async fn pages_about_two_steps_fit_every_screen() {
    let app = TestApp::with(plan()).await;
    app.signed_in(ADA).await;
    story("two_steps_look", Script::On, async |chromium| {
        let at = |path: &str| format!("{}{path}", app.base);
        sign_in(chromium, &at("/vault")).await;
        chromium.says("Two-step sign-in needed").await;
        fits(chromium, "mfa-none").await;
        for name in ["My phone", "A spare tablet with a name that is longer than any row of a phone is wide"]
        {
            chromium.open(&at("/auth/account/factors/new")).await;
            fits(chromium, "enrol-name").await;
            chromium.types("name", name).await;
            chromium.presses("Show the QR code").await;
            let phone = scan(chromium).await;
            fits(chromium, "enrol-scan").await;
            chromium.types("code", &phone.wrong_code(&app)).await;
            chromium.presses("Turn on").await;
            chromium.says("This code is not right.").await;
            fits(chromium, "enrol-wrong").await;
            chromium.types("code", &phone.code(&app)).await;
            chromium.presses("Turn on").await;
            chromium.says("Two-step sign-in is on.").await;
            fits(chromium, "security-apps").await;
        }
        chromium.presses("Remove My phone").await;
        chromium.says("Remove My phone?").await;
        fits(chromium, "app-remove").await;
        chromium.open(&at("/auth/logout")).await;
        chromium.presses("Sign out").await;
        sign_in(chromium, &at("/auth/login")).await;
        chromium.says("Which app?").await;
        fits(chromium, "mfa").await;
        chromium.types("code", "12").await;
        chromium.presses("Continue").await;
        chromium.says("This code is not right.").await;
        fits(chromium, "mfa-wrong").await;
    })
    .await;
}
