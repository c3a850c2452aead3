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

/// The main job. S-02: every cookie that stays is Strict and hidden from scripts. S-69: an address is kept in the form
/// after an error, a password is not.
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
        assert!(!lasts(chromium).await, "the session ends with the browser");

        chromium.presses("Sign out").await;
        fill(chromium, ADA, PASSWORD).await;
        chromium.ticks("remember").await;
        chromium.presses("Sign in").await;
        chromium.reaches(&app.at("/")).await;
        assert!(lasts(chromium).await, "as the tick said");
    })
    .await;
}

/// Whether the session is still there when the browser is opened again.
async fn lasts(chromium: &Chromium) -> bool {
    let cookies = chromium.cookies().await;
    let session = cookies.iter().find(|cookie| cookie.name().starts_with("sb_session")).unwrap();
    session.expires_datetime().is_some()
}

/// S-02, S-24: to the provider on another site and back; the Strict cookie of the new session is there at once.
#[tokio::test]
async fn a_person_signs_in_with_google_and_github_without_script() {
    let app = DemoApp::start().await;
    story("google_and_github", Script::Off, async |chromium| {
        for (provider, email) in [("Google", ADA), ("GitHub", "grace@example.test")] {
            chromium.open(&app.at("/auth/login?return_to=/auth/account")).await;
            chromium.presses(&format!("Continue with {provider}")).await;
            chromium.says(&format!("Pretend {provider}")).await;
            assert!(chromium.at().await.starts_with(&app.auth.url()), "the provider is another site");
            chromium.types("email", email).await;
            chromium.types("name", "Ada").await;
            chromium.presses("Someone new").await;
            chromium.reaches(&app.at("/auth/account")).await;
            chromium.says(email).await;
            chromium.open(&app.at("/auth/account/security")).await;
            chromium.says(provider).await;
            let left: Vec<_> =
                chromium.cookies().await.iter().map(|cookie| cookie.name().to_owned()).collect();
            assert!(
                !left.iter().any(|name| name.starts_with("sb_flow_")),
                "S-26: the flow is used up: {left:?}"
            );
            chromium.presses("Sign out").await;
            chromium.says("You are signed out.").await;
        }

        // The second time the provider knows the person.
        chromium.presses("Continue with Google").await;
        chromium.presses("Ada ada@example.test").await;
        chromium.reaches(&app.at("/")).await;
        is_signed_in(chromium, &app, ADA).await;
    })
    .await;
}

/// A person who refuses at the provider stands on the login page again, told so, and can go another way.
#[tokio::test]
async fn a_person_refuses_at_the_provider() {
    let app = DemoApp::start().await;
    story("refuse", Script::Off, async |chromium| {
        chromium.open(&app.at("/auth/login")).await;
        chromium.presses("Continue with GitHub").await;
        chromium.presses("Refuse, as a person could").await;
        chromium.reaches(&app.at("/auth/login")).await;
        let told = "You came back from GitHub without signing in. Try again, or choose another way.";
        chromium.shows("#notice", told).await;
        chromium.presses("Continue with GitHub").await;
        chromium.types("email", ADA).await;
        chromium.presses("Someone new").await;
        chromium.reaches(&app.at("/")).await;
        is_signed_in(chromium, &app, ADA).await;
    })
    .await;
}

/// S-30: the link of the mail alone signs nobody in, the button on its page does. S-67: its address stays with us.
#[tokio::test]
async fn a_person_confirms_an_address_without_script() {
    let app = DemoApp::with(|settings| settings.confirm_email = true).await;
    story("confirm", Script::Off, async |chromium| {
        chromium.open(&app.at("/auth/signup")).await;
        fill(chromium, ADA, PASSWORD).await;
        chromium.presses("Create account").await;
        chromium.says("Check your mail").await;
        chromium.says(ADA).await;

        chromium.presses("Mail outbox").await;
        chromium.says("Confirm your address").await;
        chromium.presses("Open the link: Confirm your address, ada@example.test").await;
        chromium.says("Why one more click?").await;
        let link = chromium.at().await;
        chromium.presses("Mail outbox").await;
        chromium.says("None was really sent.").await;
        let asked = app.auth.seen("GET /outbox").pop().unwrap();
        assert_eq!(asked.headers.get("referer"), None, "the other site does not learn the link");
        chromium.open(&app.at("/auth/account")).await;
        chromium.reaches(&app.at("/auth/login?return_to=%2Fauth%2Faccount")).await;
        chromium.open(&link).await;

        chromium.presses("Confirm").await;
        chromium.reaches(&app.at("/")).await;
        is_signed_in(chromium, &app, ADA).await;

        chromium.presses("Sign out").await;
        chromium.says("You are signed out.").await;
        chromium.open(&link).await;
        chromium.presses("Confirm").await;
        chromium.says("This link no longer works").await;
        chromium.shows(".proof code", "link_expired").await;
    })
    .await;
}

/// The code of the mail serves as well as its link; a wrong one is said beside the field.
#[tokio::test]
async fn a_person_types_the_code_of_the_mail() {
    let app = DemoApp::with(|settings| settings.confirm_email = true).await;
    story("code", Script::Off, async |chromium| {
        chromium.open(&app.at("/auth/signup")).await;
        fill(chromium, ADA, PASSWORD).await;
        chromium.presses("Create account").await;
        chromium.says("Check your mail").await;
        let page = chromium.at().await;
        chromium.open(&format!("{}/outbox", app.auth.url())).await;
        let code = chromium.text(".code").await.unwrap();
        let wrong = if code == "111111" { "222222" } else { "111111" };
        chromium.open(&page).await;
        chromium.types("code", wrong).await;
        chromium.presses("Continue").await;
        chromium.says("This code is not right").await;
        chromium.types("code", &code).await;
        chromium.presses("Continue").await;
        chromium.reaches(&app.at("/")).await;
        is_signed_in(chromium, &app, ADA).await;
    })
    .await;
}

/// The demo page makes its calls by forms where no script runs.
#[tokio::test]
async fn the_demo_page_works_without_script() {
    let app = DemoApp::start().await;
    story("demo_by_forms", Script::Off, async |chromium| {
        chromium.open(&app.at("/")).await;
        chromium.says("Nobody is signed in.").await;
        chromium.presses("Call Read items").await;
        chromium.shows("#status-read", "401").await;
        chromium.presses("Create account").await;
        fill(chromium, ADA, PASSWORD).await;
        chromium.presses("Create account").await;
        chromium.reaches(&app.at("/")).await;
        chromium.says(ADA).await;
        for (call, id, status, words) in super::CALLS {
            chromium.presses(&format!("Call {call}")).await;
            chromium.shows(&format!("#status-{id}"), status).await;
            chromium.says(words).await;
        }
        chromium.says("0 found").await;
        chromium.presses("Sign out").await;
        chromium.reaches(&app.at("/auth/login")).await;
    })
    .await;
}

/// S-02: a link on another site brings no Strict cookie along; the bounce makes good for it, on pages that need a
/// session and on those that only know one.
#[tokio::test]
async fn a_link_from_another_site_finds_the_person_signed_in() {
    let app = DemoApp::start().await;
    story("link_from_elsewhere", Script::Off, async |chromium| {
        chromium.open(&app.at("/auth/signup?return_to=/auth/account")).await;
        fill(chromium, ADA, PASSWORD).await;
        chromium.presses("Create account").await;
        chromium.reaches(&app.at("/auth/account")).await;
        chromium.presses("Mail outbox").await;
        chromium.says("None was really sent.").await;
        chromium.presses("Demo").await;
        chromium.reaches(&app.at("/")).await;
        chromium.says(ADA).await;
        let asked = app.answered().into_iter().filter(|answer| answer.line == "GET /").count();
        assert_eq!(asked, 2, "once without the cookie, once with it");
    })
    .await;
}
