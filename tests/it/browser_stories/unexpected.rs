//! When people do what nobody planned, with scripts switched off: each page says what happened and one next step.

use http::Method;
use serde_json::json;
use time::Duration;

use super::look::fits;
use super::mails::{opens_mail, with_mails};
use crate::browser::{Chromium, Script, story, story_without_cookies};
use crate::client::navigation;
use crate::demo_app::DemoApp;
use crate::harness::{PASSWORD, TestApp};
use crate::mailbox::{confirmed, letter};

const ADA: &str = "ada@example.test";
const NEW: &str = "new@example.test";

async fn signs_in(chromium: &Chromium, url: &str, email: &str) {
    chromium.open(url).await;
    chromium.types("email", email).await;
    chromium.types("password", PASSWORD).await;
    chromium.presses("Sign in").await;
}

/// S-17, S-30: scanners open a link as often as they like; the person who comes after them, on another device than the one
/// that asked, signs in by it. An hour late it says so, and has another sent.
#[tokio::test]
async fn a_link_outlives_scanners_and_no_hour() {
    let app = with_mails().await;
    confirmed(&app, ADA).await;
    app.clock.advance(Duration::minutes(2));
    app.browser().post("/auth/otp", &json!({ "email": ADA })).await;
    let link = letter(&app, ADA).await.link;
    let scanner = app.browser();
    for method in [Method::GET, Method::HEAD].into_iter().cycle().take(20) {
        assert_eq!(scanner.send(method, &link, &navigation("none"), None).await.status, 200);
    }
    story("scanned_and_late", Script::Off, async |chromium| {
        opens_mail(chromium, &app, ADA).await;
        chromium.presses("Sign in").await;
        chromium.open(&format!("{}/auth/account", app.base)).await;
        chromium.says(ADA).await;
        chromium.presses("Sign out").await;
        chromium.says("You are signed out.").await;

        app.clock.advance(Duration::minutes(2));
        app.browser().post("/auth/otp", &json!({ "email": ADA })).await;
        app.clock.advance(Duration::minutes(61));
        opens_mail(chromium, &app, ADA).await;
        chromium.presses("Sign in").await;
        chromium.says("It was used already or is too old. Have a new one sent.").await;
        chromium.types("email", ADA).await;
        chromium.presses("Send a new mail").await;
        chromium.says("Check your mail").await;
        chromium.types("code", &letter(&app, ADA).await.code).await;
        chromium.presses("Continue").await;
        chromium.open(&format!("{}/auth/account", app.base)).await;
        chromium.says(ADA).await;
    })
    .await;
}

/// An address is changed to its end: asked for at the account, confirmed at both addresses, and the new one signs in.
#[tokio::test]
async fn an_address_is_changed_to_its_end_without_script() {
    let app = with_mails().await;
    confirmed(&app, ADA).await;
    let at = |path: &str| format!("{}{path}", app.base);
    story("address_to_its_end", Script::Off, async |chromium| {
        signs_in(chromium, &at("/auth/login?return_to=/auth/account"), ADA).await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.presses("Change: E-mail").await;
        chromium.types("email", NEW).await;
        chromium.presses("Send the mail").await;
        chromium.says("If new@example.test is free, mails are on their way to it").await;
        opens_mail(chromium, &app, NEW).await;
        chromium.presses("Confirm the change").await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.says("One half is done. Now open the mail we sent to your other address as well.").await;
        chromium.says("Waits for its mails: new@example.test").await;
        opens_mail(chromium, &app, ADA).await;
        chromium.presses("Confirm the change").await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.says("Your address is now new@example.test.").await;
        let page = chromium.text("body").await.unwrap();
        assert!(!page.contains("Waits for its mails") && !page.contains(ADA), "{page}");
        opens_mail(chromium, &app, ADA).await;
        chromium.presses("Confirm the change").await;
        chromium.says("This link no longer works").await;

        chromium.open(&at("/auth/account")).await;
        chromium.presses("Sign out").await;
        signs_in(chromium, &at("/auth/login?return_to=/auth/account"), ADA).await;
        chromium.says("E-mail or password is not right.").await;
        signs_in(chromium, &at("/auth/login?return_to=/auth/account"), NEW).await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.says(NEW).await;
    })
    .await;
}

/// A double click on a form is one wish. S-09: after the sign-out the back button shows nothing of the account; sent again
/// from there, a form leads on.
#[tokio::test]
async fn a_double_click_and_the_back_button_lead_on() {
    let app = TestApp::start().await;
    let at = |path: &str| format!("{}{path}", app.base);
    story("twice_and_back", Script::Off, async |chromium| {
        chromium.open(&at("/auth/signup?return_to=/auth/account")).await;
        chromium.types("email", ADA).await;
        chromium.types("password", PASSWORD).await;
        chromium.presses_twice("Create account").await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.says(ADA).await;
        assert_eq!(app.auth.calls("POST /auth/v1/signup"), 1, "one account was asked for");

        chromium.presses("Sign out").await;
        chromium.says("You are signed out.").await;
        chromium.goes_back().await;
        chromium.says("Sign in").await;
        let page = chromium.text("body").await.unwrap();
        assert!(!page.contains(ADA), "{page}");

        signs_in(chromium, &at("/auth/login?return_to=/auth/account"), ADA).await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.goes_back().await;
        chromium.goes_back().await;
        chromium.open(&at("/auth/account")).await;
        chromium.says(ADA).await;
    })
    .await;
}

/// S-25: three tabs on their way to providers, finished in reverse order: each ends where it was begun for, and whoever came
/// last is signed in.
#[tokio::test]
async fn three_tabs_at_providers_finish_in_reverse_order() {
    let app = DemoApp::start().await;
    story("three_tabs", Script::Off, async |chromium| {
        let mut tabs = Vec::new();
        for (n, provider) in ["Google", "GitHub", "Google"].into_iter().enumerate() {
            chromium.open(&app.at(&format!("/auth/login?return_to=/auth/account%3Ftab={n}"))).await;
            chromium.presses(&format!("Continue with {provider}")).await;
            chromium.says(&format!("Pretend {provider}")).await;
            tabs.push((n, chromium.opens_tab().await));
        }
        for (n, tab) in tabs.into_iter().rev() {
            let email = format!("ada-{n}@example.test");
            chromium.goes_to(tab).await;
            chromium.types("email", &email).await;
            chromium.presses("Someone new").await;
            chromium.reaches(&app.at(&format!("/auth/account?tab={n}"))).await;
            chromium.says(&email).await;
        }
    })
    .await;
}

/// Cookies off: forms and the way back from a provider say so and name the site, and nothing turns in a circle.
#[tokio::test]
async fn a_browser_without_cookies_is_told_why() {
    let app = DemoApp::start().await;
    story_without_cookies("no_cookies", async |chromium| {
        const TOLD: &str =
            "Your browser did not keep our cookie, and signing in needs it. Allow cookies for localhost";
        for (page, button) in [
            ("/auth/login", "Sign in"),
            ("/auth/signup", "Create account"),
            ("/auth/recover", "Send the mail"),
            ("/auth/otp", "Send the code"),
        ] {
            chromium.open(&app.at(page)).await;
            chromium.types("email", ADA).await;
            if !matches!(page, "/auth/recover" | "/auth/otp") {
                chromium.types("password", PASSWORD).await;
            }
            chromium.presses(button).await;
            chromium.says(TOLD).await;
            assert_eq!(chromium.value("email").await, ADA, "{page}: what was typed is kept");
        }
        chromium.open(&app.at("/auth/login")).await;
        chromium.presses("Continue with Google").await;
        chromium.types("email", ADA).await;
        chromium.presses("Someone new").await;
        chromium.says(TOLD).await;
        chromium.open(&app.at("/auth/account")).await;
        chromium.says("Sign in").await;
        assert_eq!(app.auth.calls("POST /auth/v1/signup"), 0);
    })
    .await;
}

/// The longest name, one that runs from right to left and one of emoji, on every page that shows it, on every screen.
#[tokio::test]
async fn odd_names_fit_every_screen() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    let at = |path: &str| format!("{}{path}", app.base);
    story("odd_names", Script::Off, async |chromium| {
        signs_in(chromium, &at("/auth/login?return_to=/auth/account"), ADA).await;
        chromium.reaches(&at("/auth/account")).await;
        let names = ["n".repeat(100), "שרה בת־שבע الخوارزمي".to_owned(), "👩🏽\u{200d}🚀".repeat(25)];
        for (n, name) in names.iter().enumerate() {
            chromium.open(&at("/auth/account/profile")).await;
            let kept = chromium.value("name").await;
            assert_eq!(kept, if n == 0 { "" } else { names[n - 1].as_str() });
            chromium.clears("name").await;
            chromium.types("name", name).await;
            chromium.presses("Save").await;
            chromium.says(name).await;
            for page in ["account", "account/profile", "account/security", "logout", "login"] {
                chromium.open(&at(&format!("/auth/{page}"))).await;
                fits(chromium, &format!("name-{n}-{}", page.replace('/', "-"))).await;
            }
        }
    })
    .await;
}
