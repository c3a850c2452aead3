//! Pages are walked through with the keyboard in the order in which they are read.

use crate::browser::{Chromium, Script, story};
use crate::demo_app::DemoApp;
use crate::harness::PASSWORD;

async fn walk(chromium: &Chromium, stops: usize) -> Vec<String> {
    let mut walked = Vec::new();
    for _ in 0..stops {
        walked.push(chromium.tabs().await);
    }
    walked
}

/// Banner, brand, fields, button, other ways, the way to an account: no trap, nothing skipped. Enter sends the form,
/// and after an error the focus stands in the field that needs a change.
#[tokio::test]
async fn the_login_page_is_walked_in_its_order() {
    let app = DemoApp::start().await;
    story("keyboard", Script::Off, async |chromium| {
        chromium.open(&app.at("/auth/login")).await;
        let site = app.base.trim_start_matches("http://");
        let brand = format!("L{site}");
        let order = [
            "Mail outbox",
            "Demo",
            &brand,
            "E-mail",
            "Password",
            "Forgot your password?",
            "Stay signed in on this device",
            "Sign in",
            "GContinue with Google",
            "Continue with GitHub",
            "Continue with a code by e-mail",
            "Continue without an account",
            "Create an account",
        ];
        assert_eq!(walk(chromium, order.len()).await, order);

        chromium.types("email", "ada@example.test\u{e007}").await;
        chromium.says("One thing needs a change.").await;
        let focused = chromium.evaluates("document.activeElement.id").await;
        assert_eq!(focused, "password", "the field that is empty");
        let said = "document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent.trim()";
        assert_eq!(chromium.evaluates(said).await, "Fill in this field.");
        assert!(chromium.client().title().await.unwrap().starts_with("Problem: Sign in"));

        chromium.open(&app.at("/auth/signup")).await;
        chromium.types("email", "ada@example.test").await;
        chromium.types("password", &format!("{PASSWORD}\u{e007}")).await;
        chromium.reaches(&app.at("/")).await;
    })
    .await;
}
