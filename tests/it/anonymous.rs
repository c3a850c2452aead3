//! To begin without an account, and to keep what one began.

use futures_util::future::join_all;
use serde_json::{Value, json};
use time::Duration;

use crate::account::{fill, says};
use crate::client::Browser;
use crate::devices::{PAGE, told};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::linking;
use crate::provider::up_to_callback;

const SIGNUP: &str = "/auth/signup";
const EMAIL: &str = "/auth/account/email";
const SIGN_UP: &str = "POST /auth/v1/signup";

/// A browser that began without an account.
pub async fn guest(app: &TestApp) -> Browser {
    let browser = app.browser();
    let answer = browser.post(SIGNUP, &json!({ "anonymous": true })).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("signed_in")), "{}", answer.body);
    browser
}

async fn user(browser: &Browser) -> Value {
    browser.get("/auth/session").await.json()["user"].clone()
}

/// By JSON and by the button of either page; whoever has begun goes on with the account there is.
#[tokio::test]
async fn a_person_begins_without_an_account() {
    let app = TestApp::start().await;
    let script = guest(&app).await;
    let first = user(&script).await;
    assert_eq!((&first["is_anonymous"], &first["email"]), (&json!(true), &json!("")));
    let again = script.post(SIGNUP, &json!({ "anonymous": true })).await;
    assert_eq!(again.json()["session"]["user"]["id"], first["id"], "the account is not lost");
    for page in ["/auth/login", SIGNUP] {
        let browser = app.browser();
        let shown = browser.navigate(&format!("{page}?return_to=/notes")).await;
        assert!(shown.body.contains("Continue without an account"), "{}", shown.body);
        let fields =
            [("form_token", &*shown.form_token(SIGNUP)), ("anonymous", "true"), ("return_to", "/notes")];
        let answer = browser.submit(SIGNUP, &fields).await;
        assert_eq!(answer.header("location"), "/auth/continue?return_to=%2Fnotes", "{}", answer.body);
        let id = user(&browser).await["id"].clone();
        assert_ne!(id, first["id"]);
        let answer = browser.submit(SIGNUP, &fields).await;
        assert_eq!(
            answer.header("location"),
            "/auth/continue?return_to=%2Fnotes",
            "pressed again after the back button"
        );
        assert_eq!(user(&browser).await["id"], id);
    }
    let ada = app.signed_in("ada@example.test").await;
    assert_eq!(ada.post(SIGNUP, &json!({ "anonymous": true })).await.code(), "session_open");
    assert_eq!(user(&ada).await["email"], "ada@example.test");
}

/// Where the project has none, nothing offers it.
#[tokio::test]
async fn a_project_without_guests_offers_none() {
    let plan = Plan { auth: |settings| settings.anonymous = false, ..Plan::default() };
    let app = TestApp::with(plan).await;
    let browser = app.browser();
    for page in ["/auth/login", SIGNUP] {
        assert!(!browser.navigate(page).await.body.contains("Continue without an account"));
    }
    assert_eq!(browser.post(SIGNUP, &json!({ "anonymous": true })).await.code(), "feature_disabled");
    assert_eq!(app.auth.calls(SIGN_UP), 0);
}

/// Pressed twice, one account: both answers are those of one session.
#[tokio::test]
async fn a_double_click_makes_one_guest() {
    for plan in [Plan::default(), Plan::in_memory()] {
        let app = TestApp::with(plan).await;
        let browser = app.browser();
        let token = browser.navigate(SIGNUP).await.form_token(SIGNUP);
        let tabs: Vec<_> = (0..8).map(|_| browser.stolen()).collect();
        let fields = [("form_token", &*token), ("anonymous", "true")];
        let answers = join_all(tabs.iter().map(|tab| tab.submit(SIGNUP, &fields))).await;
        let mut ids = std::collections::HashSet::new();
        for (tab, answer) in tabs.iter().zip(answers) {
            assert_eq!(answer.status, 303, "{}", answer.body);
            ids.insert(user(tab).await["id"].to_string());
        }
        assert_eq!((ids.len(), app.auth.calls(SIGN_UP)), (1, 1));
        let soon = browser.stolen();
        assert_eq!(soon.submit(SIGNUP, &fields).await.status, 303);
        assert!(ids.contains(&user(&soon).await["id"].to_string()), "the first answer may have got lost");
        // Whoever signs out of it and begins again has another, and so has a later press.
        assert_eq!(soon.post("/auth/logout", &json!({})).await.status, 204);
        let anew = browser.stolen();
        assert_eq!(anew.submit(SIGNUP, &fields).await.status, 303);
        assert!(!ids.contains(&user(&anew).await["id"].to_string()), "the first is over");
        app.clock.advance(Duration::seconds(31));
        let later = browser.stolen();
        assert_eq!(later.submit(SIGNUP, &fields).await.status, 303);
        assert!(!ids.contains(&user(&later).await["id"].to_string()));
    }
}

/// S-82: a network begins so many; a sign-up with an address is not counted among them, and they use up no mails.
#[tokio::test]
async fn guests_of_a_network_are_counted() {
    let plan = Plan::default().with("BFF_LIMITS_ANONYMOUS_PER_NETWORK", "2/1h");
    let app = TestApp::with(plan.with("BFF_LIMITS_MAIL_PER_NETWORK", "1/1h")).await;
    guest(&app).await;
    let browser = app.browser();
    let token = browser.navigate(SIGNUP).await.form_token(SIGNUP);
    let fields = [("form_token", &*token), ("anonymous", "true")];
    assert_eq!(browser.submit(SIGNUP, &fields).await.status, 303);
    assert_eq!(told(&app.browser().post(SIGNUP, &json!({ "anonymous": true })).await).1, "rate_limited");
    let late = app.browser();
    let token = late.navigate(SIGNUP).await.form_token(SIGNUP);
    let page = late.submit(SIGNUP, &[("form_token", &token), ("anonymous", "true")]).await;
    assert!(page.status == 429 && page.body.contains("There were many tries"), "{}", page.body);
    assert_eq!(app.auth.calls(SIGN_UP), 2);
    app.signed_in("ada@example.test").await;
}

/// With an address and a password the account is kept, under the same id and in the same session; it needs no other
/// proof than the session, however old that is.
#[tokio::test]
async fn a_guest_keeps_the_account() {
    let app = TestApp::start().await;
    let browser = guest(&app).await;
    let before = browser.get("/auth/session").await.json();
    app.clock.advance(Duration::minutes(20));
    let page = browser.navigate("/auth/account").await.body;
    assert!(
        page.contains("only this browser knows it") && page.contains("href=\"/auth/account/email\""),
        "{page}"
    );
    assert!(!page.contains("/auth/account/password"), "{page}");
    assert_eq!(browser.navigate("/auth/account/password").await.header("location"), EMAIL);
    let body = json!({ "password": PASSWORD });
    assert_eq!(browser.post("/auth/account/password", &body).await.code(), "anonymous_not_allowed");
    assert!(
        browser.navigate(PAGE).await.body.contains("None yet. Only this browser knows the account.")
            || browser.navigate(PAGE).await.body.contains("Connect Google")
    );

    let weak = fill(&browser, EMAIL, &[("email", "ada"), ("password", "short")]).await;
    assert!(weak.status == 422 && weak.body.contains("Keep this account"), "{}", weak.body);
    let none = fill(&browser, EMAIL, &[("email", "ada@example.test"), ("password", "")]).await;
    assert!(none.status == 400 && none.body.contains("Fill in this field."), "{}", none.body);
    let answer = fill(&browser, EMAIL, &[("email", "ada@example.test"), ("password", PASSWORD)]).await;
    says(&browser, &answer, "This account is yours to keep now.").await;
    let after = browser.get("/auth/session").await.json();
    assert_eq!(
        (&after["user"]["id"], &after["session"]["id"]),
        (&before["user"]["id"], &before["session"]["id"])
    );
    assert_eq!(
        (&after["user"]["is_anonymous"], &after["user"]["email"]),
        (&json!(false), &json!("ada@example.test"))
    );
    let elsewhere = app.browser();
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(
        elsewhere.post("/auth/login", &login).await.json()["session"]["user"]["id"],
        before["user"]["id"]
    );
}

/// Where addresses are confirmed, the account is a full one once the mail's link was opened; the id stays.
#[tokio::test]
async fn a_guest_confirms_the_address_by_mail() {
    let plan = Plan { auth: |settings| settings.confirm_email = true, ..Plan::default() };
    let app = TestApp::with(plan).await;
    let browser = guest(&app).await;
    let id = user(&browser).await["id"].clone();
    let body = json!({ "email": "ada@example.test", "password": PASSWORD });
    let answer = browser.post(EMAIL, &body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "sent" })));
    assert_eq!(user(&browser).await["is_anonymous"], true);
    let page = browser.navigate("/auth/account").await.body;
    assert!(page.contains("Waits for its mails: ada@example.test"), "{page}");
    let mail = app.outbox().await.pop().expect("a mail");
    assert_eq!(mail["to"], "ada@example.test");
    let text = mail["text"].as_str().unwrap();
    let hash = text.split_once("token_hash=").unwrap().1.split('&').next().unwrap();
    let body = json!({ "token_hash": hash, "type": "email_change" });
    let answer = browser.post("/auth/confirm", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let after = user(&browser).await;
    assert_eq!((&after["id"], &after["is_anonymous"]), (&id, &json!(false)));
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    assert_eq!(app.browser().post("/auth/login", &login).await.json()["session"]["user"]["id"], id);
}

/// A linked provider makes a full account as well, under the same id.
#[tokio::test]
async fn a_guest_keeps_the_account_by_a_provider() {
    let app = TestApp::start().await;
    let browser = guest(&app).await;
    let id = user(&browser).await["id"].clone();
    let page = browser.navigate("/auth/start/google?intent=link").await;
    assert!(page.body.contains("Connect Google?"), "{}", page.body);
    linking::link(&browser, "google", "ada@example.test").await;
    let after = user(&browser).await;
    assert_eq!((&after["id"], &after["is_anonymous"]), (&id, &json!(false)));
    assert_eq!(after["email"], "ada@example.test");
    let elsewhere = app.browser();
    let callback = up_to_callback(&elsewhere, "/auth/start/google", "ada@example.test").await;
    elsewhere.navigate_from("cross-site", &callback).await;
    assert_eq!(user(&elsewhere).await["id"], id);
}
