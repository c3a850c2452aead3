//! Every page fits every screen.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::browser::{Chromium, Script, story};
use crate::demo_app::DemoApp;
use crate::devices::{ADA, ANDROID, LINUX, device};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mailbox::{confirmed, letter};

/// Width, height, scheme, size of the font. The last two are what a person sees who zooms in, or wants large letters.
const SCREENS: [(u32, u32, &str, u32); 6] = [
    (320, 640, "light", 16),
    (390, 844, "dark", 16),
    (768, 1024, "light", 16),
    (1280, 800, "dark", 16),
    (640, 400, "light", 16),
    (640, 400, "dark", 32),
];

/// Looks at the page on every screen: nothing is cut, nothing scrolls sideways, all can be hit with a finger. With
/// `PICTURES` set, pictures stay in the target folder.
pub(super) async fn fits(chromium: &Chromium, page: &str) {
    for (width, height, scheme, font) in SCREENS {
        chromium.looks_at(width, height, scheme, font).await;
        let name = format!("{page}, {width} wide, letters of {font}");
        let letters = chromium.evaluates("getComputedStyle(document.documentElement).fontSize").await;
        assert_eq!(letters, format!("{font}px"));
        let wide = chromium.evaluates("document.documentElement.scrollWidth - innerWidth").await;
        assert!(wide.as_i64().unwrap() <= 0, "{name}: scrolls sideways by {wide}");
        const LOW: &str =
            "[...document.querySelectorAll('button, .button, input:not([type=hidden], [type=checkbox], [type=radio], .unseen)')]
            .filter(at => at.offsetParent && at.offsetHeight < 44).map(at => at.outerHTML)";
        assert_eq!(chromium.evaluates(LOW).await, json!([]), "{name}: lower than 44 px");
        if std::env::var_os("PICTURES").is_some() {
            let whole = json!({ "captureBeyondViewport": font == 16 });
            let picture = chromium.devtools("Page.captureScreenshot", whole).await;
            let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
            std::fs::create_dir_all(&folder).unwrap();
            let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
            std::fs::write(folder.join(format!("{page}-{width}-{scheme}-{font}.png")), bytes).unwrap();
        }
    }
    chromium.looks_at(1280, 900, "light", 16).await;
}

#[tokio::test]
async fn pages_fit_every_screen() {
    let app = DemoApp::with(|settings| settings.confirm_email = true).await;
    story("look", Script::On, async |chromium| {
        chromium.open(&app.at("/")).await;
        fits(chromium, "demo-signed-out").await;
        chromium.open(&app.at("/auth/login?return_to=/")).await;
        fits(chromium, "login").await;
        chromium.types("email", "a-rather-long-name-before-the-sign@a-rather-long-host.example.test").await;
        chromium.types("password", "wrong horse").await;
        chromium.presses("Sign in").await;
        chromium.says("E-mail or password is not right.").await;
        fits(chromium, "login-wrong").await;
        chromium.presses("Continue with Google").await;
        chromium.says("Pretend Google").await;
        fits(chromium, "pretend").await;
        chromium.open(&app.at("/auth/nowhere")).await;
        fits(chromium, "error").await;
        chromium.open(&app.at("/auth/signup")).await;
        fits(chromium, "signup").await;
        chromium.types("email", "ada").await;
        chromium.types("password", "secret").await;
        chromium.presses("Create account").await;
        chromium.says("A few things need a change.").await;
        fits(chromium, "signup-wrong").await;
        chromium.open(&app.at("/auth/signup")).await;
        chromium.types("email", "ada@example.test").await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Create account").await;
        chromium.says("Check your mail").await;
        fits(chromium, "check-mail").await;
        chromium.open(&format!("{}/outbox", app.auth.url())).await;
        fits(chromium, "outbox").await;
        chromium.presses("Open the link: Confirm your address, ada@example.test").await;
        chromium.says("Why one more click?").await;
        fits(chromium, "confirm").await;
        chromium.presses("Confirm").await;
        chromium.reaches(&app.at("/")).await;
        for (call, ..) in super::CALLS {
            chromium.presses(&format!("Call {call}")).await;
        }
        chromium.shows("#status-refresh", "204").await;
        fits(chromium, "demo").await;
        for page in ["account", "login", "logout"] {
            chromium.open(&app.at(&format!("/auth/{page}"))).await;
            fits(chromium, &format!("{page}-signed-in")).await;
        }
    })
    .await;
}

/// The pages about the account: every form, with its faults; the ways to sign in; an account without an address.
#[tokio::test]
async fn pages_about_the_account_fit_every_screen() {
    let app = DemoApp::start().await;
    story("account_look", Script::On, async |chromium| {
        let open = async |path: &str| chromium.open(&app.at(path)).await;
        open("/auth/login?return_to=/auth/account").await;
        fits(chromium, "login-guest").await;
        chromium.presses("Continue without an account").await;
        chromium.says("only this browser knows it").await;
        fits(chromium, "account-guest").await;
        open("/auth/account/security").await;
        fits(chromium, "security-guest").await;
        open("/auth/account/email").await;
        chromium.types("email", "ada").await;
        chromium.types("password", "secret").await;
        chromium.presses("Keep this account").await;
        chromium.says("One thing needs a change.").await;
        fits(chromium, "upgrade-wrong").await;
        chromium.types("email", "a-rather-long-name-before-the-sign@a-rather-long-host.example.test").await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Keep this account").await;
        chromium.says("This account is yours to keep now.").await;
        fits(chromium, "account-kept").await;
        open("/auth/account/profile").await;
        fits(chromium, "name").await;
        chromium.types("name", &"Wolfeschlegelsteinhausenbergerdorff".repeat(2)).await;
        chromium.presses("Save").await;
        chromium.says("Your name is saved.").await;
        fits(chromium, "account-long-name").await;
        open("/auth/account/email").await;
        fits(chromium, "email").await;
        chromium.types("email", "new@example.test").await;
        chromium.presses("Send the mail").await;
        chromium.says("Waits for its mails").await;
        fits(chromium, "account-email-sent").await;
        open("/auth/account/password").await;
        chromium.types("password", "secret").await;
        chromium.presses("Save password").await;
        fits(chromium, "password-wrong").await;
        open("/auth/start/github?intent=link").await;
        fits(chromium, "connect").await;
        chromium.presses("Continue to GitHub").await;
        chromium.types("email", "elsewhere@example.test").await;
        chromium.presses("Someone new").await;
        chromium.says("GitHub is connected.").await;
        fits(chromium, "security").await;
        chromium.presses("Disconnect GitHub").await;
        fits(chromium, "disconnect").await;
    })
    .await;
}

/// The pages about devices: in store mode with several and with one, the new proof, and what cookie mode shows instead.
#[tokio::test]
async fn pages_about_devices_fit_every_screen() {
    let app = TestApp::with(Plan::in_memory()).await;
    app.signed_in(ADA).await;
    let cookies = TestApp::start().await;
    cookies.signed_in(ADA).await;
    story("devices_look", Script::On, async |chromium| {
        let at = |path: &str| format!("{}{path}", app.base);
        let sign_in = async |url: &str| {
            chromium.open(url).await;
            chromium.types("email", ADA).await;
            chromium.types("password", PASSWORD).await;
            chromium.presses("Sign in").await;
            chromium.says("Your account").await;
        };
        app.clock.advance(time::Duration::days(2));
        device(&app, ANDROID).await;
        device(&app, LINUX).await;
        app.clock.advance(time::Duration::minutes(10));
        sign_in(&at("/auth/login?return_to=/auth/account/security")).await;
        fits(chromium, "devices").await;
        chromium.presses("Sign out Firefox on Android").await;
        chromium.says("Firefox on Android is signed out.").await;
        fits(chromium, "devices-ended").await;
        app.clock.advance(time::Duration::minutes(6));
        chromium.presses("Sign out all other devices").await;
        chromium.says("Confirm that it is you").await;
        fits(chromium, "proof").await;
        chromium.types("password", "wrong horse 17").await;
        chromium.presses("Confirm").await;
        chromium.says("E-mail or password is not right.").await;
        fits(chromium, "proof-wrong").await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Confirm").await;
        chromium.presses("Sign out all other devices").await;
        chromium.says("No other device is signed in.").await;
        fits(chromium, "devices-alone").await;
        chromium.open(&at("/auth/account")).await;
        fits(chromium, "account-store").await;
        let base = &cookies.base;
        sign_in(&format!("{base}/auth/login?return_to=/auth/account/security")).await;
        chromium.says("Not sure where you are signed in?").await;
        fits(chromium, "devices-cookie").await;
    })
    .await;
}

/// Pages around mails, with what each says when something is wrong.
#[tokio::test]
async fn pages_about_mails_fit_every_screen() {
    let app = TestApp::with(Plan { auth: |settings| settings.confirm_email = true, ..Plan::default() }).await;
    confirmed(&app, ADA).await;
    let at = |path: &str| format!("{}{path}", app.base);
    story("mails_look", Script::On, async |chromium| {
        chromium.open(&at("/auth/login?return_to=/notes")).await;
        fits(chromium, "login-ways").await;
        chromium.open(&at("/auth/otp?return_to=/notes")).await;
        fits(chromium, "otp").await;
        chromium.types("email", "ada@example").await;
        chromium.presses("Send the code").await;
        chromium.open(&at("/auth/recover")).await;
        fits(chromium, "recover").await;
        chromium.presses("Send the mail").await;
        chromium.says("Fill in this field.").await;
        fits(chromium, "recover-wrong").await;
        chromium.types("email", ADA).await;
        chromium.presses("Send the mail").await;
        chromium.says("If there is an account for").await;
        fits(chromium, "check-recovery").await;
        chromium.open(&at(&letter(&app, ADA).await.link)).await;
        fits(chromium, "confirm-recovery").await;
        chromium.presses("Continue").await;
        chromium.says("Choose a new password").await;
        fits(chromium, "reset").await;
        chromium.types("password", "password1").await;
        chromium.presses("Save password").await;
        chromium.says("easy to guess").await;
        fits(chromium, "reset-wrong").await;
        chromium.types("password", "lantern quarry 58 oboe").await;
        chromium.presses("Save password").await;
        chromium.says("Your new password is set").await;
        fits(chromium, "reset-done").await;
        chromium.open(&at("/auth/confirm?token_hash=x&type=magiclink")).await;
        chromium.presses("Sign in").await;
        chromium.says("Going on signs that account out").await;
        fits(chromium, "confirm-switch").await;
        chromium.presses("Switch account").await;
        chromium.says("This link no longer works").await;
        fits(chromium, "gone").await;
        chromium.open(&at("/auth/confirm?type=recovery")).await;
        fits(chromium, "confirm-incomplete").await;
    })
    .await;
}
