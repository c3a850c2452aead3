//! What people do with mails, with scripts switched off.

use http::Method;
use serde_json::json;

use crate::browser::{Chromium, Script, story};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mailbox::{administer, begin_change, confirmed, letter};

const ADA: &str = "ada@example.test";
const GRACE: &str = "grace@example.test";
const NEW: &str = "lantern quarry 58 oboe";

pub(super) async fn with_mails() -> TestApp {
    TestApp::with(Plan { auth: |settings| settings.confirm_email = true, ..Plan::default() }).await
}

/// Opens the link of the newest mail to `to`, as a click in a mail program on another site does.
pub(super) async fn opens_mail(chromium: &Chromium, app: &TestApp, to: &str) {
    let link = format!("{}{}", app.base, letter(app, to).await.link);
    let other = format!("data:text/html,<a href=\"{}\">Open</a>", link.replace('&', "%26amp;"));
    chromium.open(&other).await;
    chromium.presses("Open").await;
}

/// From "forgot your password" to the account; the mail is opened from another site, where no Strict cookie goes along.
/// S-32: on the way nothing else opens. Back on the form of before, the same password is told to be the one there is.
#[tokio::test]
async fn a_forgotten_password_is_replaced_without_script() {
    let app = with_mails().await;
    confirmed(&app, ADA).await;
    let at = |path: &str| format!("{}{path}", app.base);
    story("recovery", Script::Off, async |chromium| {
        chromium.open(&at("/auth/login?return_to=/auth/account")).await;
        chromium.presses("Forgot your password?").await;
        chromium.says("A link and a code go to it.").await;
        chromium.presses("Send the mail").await;
        chromium.says("Fill in this field.").await;
        chromium.types("email", ADA).await;
        chromium.presses("Send the mail").await;
        chromium.says("If there is an account for ada@example.test, a mail is on its way.").await;
        opens_mail(chromium, &app, ADA).await;
        chromium.says("Why one more click?").await;
        chromium.presses("Continue").await;
        chromium.reaches(&at("/auth/reset")).await;
        chromium.open(&at("/auth/account")).await;
        chromium.reaches(&at("/auth/reset")).await;
        chromium.types("password", "password1").await;
        chromium.presses("Save password").await;
        chromium.says("This password is easy to guess.").await;
        assert_eq!(chromium.value("password").await, "", "S-69: no password is echoed");
        chromium.types("password", NEW).await;
        chromium.presses("Save password").await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.says("Your new password is set, and all other devices are signed out.").await;
        opens_mail(chromium, &app, ADA).await;
        chromium.presses("Continue").await;
        chromium.says("You are signed in as ada@example.test.").await;
        chromium.presses("Switch account").await;
        chromium.says("This link no longer works").await;
        chromium.types("email", ADA).await;
        chromium.presses("Send a new mail").await;
        chromium.says("Check your mail").await;
    })
    .await;
}

/// A code typed with spaces; then its link with somebody else signed in; then a second try of the same code.
#[tokio::test]
async fn codes_and_links_sign_in_without_script() {
    let app = with_mails().await;
    confirmed(&app, ADA).await;
    confirmed(&app, GRACE).await;
    app.clock.advance(time::Duration::minutes(2));
    let at = |path: &str| format!("{}{path}", app.base);
    story("codes_and_links", Script::Off, async |chromium| {
        chromium.open(&at("/auth/login?return_to=/auth/account")).await;
        chromium.presses("Continue with a code by e-mail").await;
        chromium.types("email", ADA).await;
        chromium.presses("Send the code").await;
        chromium.says("If ada@example.test can be used here, a mail with a code is on its way.").await;
        chromium.says("Another mail can go out in about 1 minute.").await;
        chromium.presses("Send it again").await;
        chromium.says("At most one mail a minute goes out.").await;
        let code = letter(&app, ADA).await.code;
        chromium.types("code", if code == "000000" { "111111" } else { "000000" }).await;
        chromium.presses("Continue").await;
        chromium.says("This code is not right or no longer valid.").await;
        chromium.types("code", &format!("{} {}", &code[..3], &code[3..])).await;
        chromium.presses("Continue").await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.says(ADA).await;

        app.browser().post("/auth/otp", &json!({ "email": GRACE })).await;
        opens_mail(chromium, &app, GRACE).await;
        chromium.presses("Sign in").await;
        chromium.says("You are signed in as ada@example.test. Going on signs that account out here").await;
        chromium.presses("Stay as ada@example.test").await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.says(ADA).await;
        opens_mail(chromium, &app, GRACE).await;
        chromium.presses("Sign in").await;
        chromium.presses("Switch account").await;
        chromium.open(&at("/auth/account")).await;
        chromium.says(GRACE).await;
    })
    .await;
}

/// Both halves of a change of address, an invitation, and what a lost hash leads to.
#[tokio::test]
async fn other_mails_are_opened_without_script() {
    let app = with_mails().await;
    confirmed(&app, ADA).await;
    begin_change(&app, ADA, GRACE).await;
    administer(&app, Method::POST, "invite", &json!({ "email": "bob@example.test" })).await;
    let at = |path: &str| format!("{}{path}", app.base);
    story("other_mails", Script::Off, async |chromium| {
        opens_mail(chromium, &app, ADA).await;
        chromium.presses("Confirm the change").await;
        chromium.reaches(&at("/auth/login")).await;
        chromium.says("One half is done. Now open the mail we sent to your other address as well.").await;
        chromium.types("email", ADA).await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Sign in").await;
        opens_mail(chromium, &app, GRACE).await;
        chromium.presses("Confirm the change").await;
        chromium.reaches(&at("/auth/account")).await;
        chromium.says("Your address is now grace@example.test.").await;
        chromium.presses("Sign out").await;

        opens_mail(chromium, &app, "bob@example.test").await;
        chromium.presses("Accept").await;
        chromium.says("With it you can sign in without a mail.").await;
        chromium.types("password", NEW).await;
        chromium.presses("Save password").await;
        chromium.open(&at("/auth/account")).await;
        chromium.says("bob@example.test").await;

        chromium.open(&at("/auth/confirm?type=recovery")).await;
        chromium.says("This link is not complete.").await;
        chromium.types("email", "bob").await;
        chromium.presses("Continue").await;
        chromium.says("A few things need a change.").await;
    })
    .await;
}
