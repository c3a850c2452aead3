//! When people do what nobody planned: each has a page that says what happened and one next step.

use futures_util::future::join_all;
use serde_json::json;

use crate::client::{Answer, Browser};
use crate::devices::ADA;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::provider::up_to_callback;

async fn email(browser: &Browser) -> String {
    browser.get("/auth/session").await.json()["user"]["email"].as_str().unwrap_or_default().to_owned()
}

/// A browser that keeps no cookie: this request brings none.
fn without_cookies(app: &TestApp) -> Browser {
    app.browser()
}

/// S-25: three tabs at providers, finished in reverse order: each leads to its own target, and the last one to arrive
/// is who is signed in.
#[tokio::test]
async fn three_tabs_at_providers_finish_in_reverse_order() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let mut tabs = Vec::new();
    for (n, provider) in ["google", "github", "google"].into_iter().enumerate() {
        let start = format!("/auth/start/{provider}?return_to=/tab-{n}");
        tabs.push((n, up_to_callback(&browser, &start, &format!("ada-{n}@example.test")).await));
    }
    for (n, callback) in tabs.iter().rev() {
        let answer = browser.navigate_from("cross-site", callback).await;
        let (at, _) = browser.follow_from("cross-site", answer.header("location")).await;
        assert_eq!(at, format!("/tab-{n}"));
        assert_eq!(email(&browser).await, format!("ada-{n}@example.test"));
    }
    assert!(browser.cookie("sb_flow_").is_none(), "nothing is left of them");
    // Back to the first tab's way once more: it is used up, and the page says what to do.
    let answer = browser.navigate_from("cross-site", &tabs[0].1).await;
    let (at, page) = browser.follow_from("cross-site", answer.header("location")).await;
    assert_eq!(page.status, if at == "/tab-0" { 404 } else { 200 }, "{at}: {}", page.body);
    assert_eq!(email(&browser).await, "ada-0@example.test");
}

/// The provider says no: whoever is signed in stays so and is told; whoever is not finds every way in.
#[tokio::test]
async fn a_no_of_the_provider_is_told_to_whoever_is_signed_in_too() {
    let app = TestApp::start().await;
    for signed_in in [false, true] {
        let browser = if signed_in { app.signed_in(ADA).await } else { app.browser() };
        let callback = up_to_callback(&browser, "/auth/start/google", "b@example.test").await;
        let path = callback.split_once('?').unwrap().0;
        let answer = browser.navigate_from("cross-site", &format!("{path}?error=access_denied")).await;
        let (at, page) = browser.follow_from("cross-site", answer.header("location")).await;
        assert_eq!((at.as_str(), page.status), ("/auth/login", 200));
        assert!(page.body.contains("You came back from Google without signing in."), "{}", page.body);
        assert_eq!(page.body.contains("You are signed in"), signed_in, "{}", page.body);
        assert_eq!(page.body.contains(">Continue</a>"), signed_in, "one next step: {}", page.body);
        assert_eq!(email(&browser).await, if signed_in { ADA } else { "" });
    }
}

/// Cookies off: the way back from a provider says so, and so does every form; with cookies on nobody is told that.
#[tokio::test]
async fn a_browser_without_cookies_is_told_why() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/google?return_to=/a", ADA).await;
    let lost = without_cookies(&app).navigate_from("cross-site", &callback).await;
    assert_eq!((lost.status, lost.header("location")), (303, "/auth/login?cookies=check"));
    let bounce = without_cookies(&app).navigate_from("cross-site", lost.header("location")).await;
    let next = bounce.refresh_url().expect("a page of ours goes on");
    let page = without_cookies(&app).navigate_from("same-origin", &next).await;
    assert!(
        page.status == 200 && page.body.contains("Your browser did not keep our cookie"),
        "{}",
        page.body
    );

    let kept = app.browser();
    let answer = kept.navigate_from("cross-site", &callback).await;
    let (_, page) = kept.follow_from("cross-site", answer.header("location")).await;
    assert!(page.body.contains("took too long or was begun in another browser"), "{}", page.body);
    assert!(!page.body.contains("did not keep our cookie"), "{}", page.body);

    for path in ["/auth/login", "/auth/signup"] {
        let token = app.browser().navigate(path).await.form_token(path);
        let fields = [("form_token", &*token), ("email", ADA), ("password", PASSWORD)];
        let page = without_cookies(&app).submit(path, &fields).await;
        assert_eq!(page.status, 403, "{path}");
        assert!(page.body.contains("Your browser did not keep our cookie"), "{path}: {}", page.body);
    }
    let guest = app.browser().navigate("/auth/signup").await.form_token("/auth/signup");
    let page =
        without_cookies(&app).submit("/auth/signup", &[("form_token", &guest), ("anonymous", "true")]).await;
    assert!(page.status == 403 && page.body.contains("did not keep our cookie"), "{}", page.body);
    assert_eq!(app.auth.calls("/signup"), 0);
}

/// Pressed twice, "Create account" makes one account, and both answers are its session.
#[tokio::test]
async fn a_double_click_signs_up_once_and_signs_in() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let token = browser.navigate("/auth/signup").await.form_token("/auth/signup");
    let fields = [("form_token", &*token), ("email", ADA), ("password", PASSWORD), ("return_to", "/notes")];
    let tabs: Vec<_> = (0..5).map(|_| browser.stolen()).collect();
    let answers = join_all(tabs.iter().map(|tab| tab.submit("/auth/signup", &fields))).await;
    for (tab, answer) in tabs.iter().zip(answers) {
        assert_eq!(answer.header("location"), "/auth/continue?return_to=%2Fnotes", "{}", answer.body);
        assert_eq!(email(tab).await, ADA);
    }
    assert_eq!(app.auth.calls("POST /auth/v1/signup"), 1);
    // Another password is another wish: it is answered as a known address is (S-71).
    let fields = [("form_token", &*token), ("email", ADA), ("password", "harbour lantern velvet")];
    assert_eq!(browser.submit("/auth/signup", &fields).await.header("location"), "/auth/otp");
}

/// The back button: a form that was sent before does what its button says or leads on, and no page is a dead end.
#[tokio::test]
async fn the_back_button_leads_to_no_dead_end() {
    let app = TestApp::with(Plan::in_memory()).await;
    let ada = app.signed_in(ADA).await;
    ada.post("/auth/logout", &json!({})).await;
    let token = ada.navigate("/auth/login").await.form_token("/auth/login");
    let fields = [("form_token", &*token), ("email", ADA), ("password", PASSWORD)];
    for _ in 0..2 {
        let answer = ada.submit("/auth/login", &fields).await;
        assert_eq!(answer.header("location"), "/auth/continue?return_to=%2F", "sent again: {}", answer.body);
        assert_eq!(email(&ada).await, ADA);
    }
    let name = ada.navigate("/auth/account/profile").await.form_token("/auth/account/profile");
    let out = ada.navigate("/auth/logout").await.form_token("/auth/logout");
    assert_eq!(ada.submit("/auth/logout", &[("form_token", &out)]).await.status, 303);
    for (path, fields) in [
        ("/auth/account/profile", vec![("form_token", &*name), ("name", "Ada")]),
        ("/auth/account/password", vec![("form_token", &*name), ("password", "harbour lantern velvet")]),
        ("/auth/account/email", vec![("form_token", &*name), ("email", "b@example.test")]),
        ("/auth/start/github", vec![("form_token", &*name)]),
    ] {
        let page = ada.submit(path, &fields).await;
        assert_eq!(page.status, 401, "{path}: {}", page.body);
        assert!(page.body.contains(">Sign in</a>"), "{path}: {}", page.body);
    }
    assert_eq!(ada.submit("/auth/logout", &[("form_token", &out)]).await.status, 303);
    assert!(has_next_step(&ada.navigate("/auth/account").await));
}

fn has_next_step(answer: &Answer) -> bool {
    answer.status == 303 || answer.body.contains("class=\"button\"")
}
