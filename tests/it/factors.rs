//! The authenticator apps of an account: adding one, removing one, and what that does to everybody's sessions.

mod proof;

use base64::Engine;
use http::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::client::{Answer, Browser};
use crate::devices::{LINUX, device, is_alive};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mfa::{ADA, Phone, add_app, modes, session};
use crate::tap::Fault;

const FACTORS: &str = "/auth/account/factors";
const NEW: &str = "/auth/account/factors/new";
const PAGE: &str = "/auth/account/security";

/// What a phone reads from the page with the picture.
pub fn scanned(page: &Answer) -> Phone {
    let between = |start: &str, end: &str| {
        let (_, rest) = page.body.split_once(start).unwrap_or_else(|| panic!("{start}: {}", page.body));
        rest.split(end).next().unwrap().to_owned()
    };
    let id = between("action=\"/auth/account/factors/", "/verify");
    let key = between("class=\"key mono\">", "<").replace(' ', "");
    Phone::scan(&json!({ "id": id, "secret": key }))
}

/// The first step of the pages: the name.
async fn begin(browser: &Browser, name: &str) -> Answer {
    let page = browser.navigate(NEW).await;
    assert_eq!(page.status, 200, "{} {}", page.header("location"), page.body);
    let token = page.form_token(FACTORS);
    browser.submit(FACTORS, &[("form_token", &token), ("name", name)]).await
}

/// The second: the code.
async fn finish(browser: &Browser, page: &Answer, phone: &Phone, code: &str) -> Answer {
    let action = format!("{FACTORS}/{}/verify", phone.id);
    let (token, kept) = (page.form_token(&action), page.field("enrolment"));
    browser.submit(&action, &[("form_token", &token), ("enrolment", &kept), ("code", code)]).await
}

async fn listed(browser: &Browser) -> Vec<Value> {
    let answer = browser.get(FACTORS).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["factors"].as_array().unwrap().clone()
}

/// The pages from "none yet" to "on" and back to "none": QR, key as text, a wrong code that loses nothing, the list.
#[tokio::test]
async fn an_app_is_added_and_removed_on_pages() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let page = browser.navigate(PAGE).await;
    assert!(page.body.contains("No authenticator app yet.") && page.body.contains(">Off<"), "{}", page.body);
    let scan = begin(&browser, "My phone").await;
    assert_eq!(scan.status, 200, "{}", scan.body);
    assert!(scan.body.len() <= 16 * 1024, "{} bytes", scan.body.len());
    for part in
        ["Scan this with your app", "Type this key into the app", "href=\"otpauth:&#x2f;&#x2f;totp&#x2f;"]
    {
        assert!(scan.body.contains(part), "{part}: {}", scan.body);
    }
    let picture =
        scan.body.split("src=\"data:image&#x2f;svg+xml;base64,").nth(1).unwrap().split('"').next().unwrap();
    let picture = picture.replace("&#x2f;", "/");
    let picture = base64::engine::general_purpose::STANDARD.decode(picture).unwrap();
    assert!(picture.starts_with(b"<svg") && !picture.windows(7).any(|part| part == b"<script"));
    assert!(scan.header("content-security-policy").contains("img-src 'self' data:"));
    assert_eq!(scan.header("cache-control"), "no-store");

    let phone = scanned(&scan);
    let wrong = finish(&browser, &scan, &phone, &phone.wrong_code(&app)).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("This code is not right."), "{}", wrong.body);
    assert_eq!(scanned(&wrong).id, phone.id, "the same picture");
    let before = session(&browser).await;
    let done = finish(&browser, &wrong, &phone, &phone.code(&app)).await;
    assert_eq!((done.status, done.header("location")), (303, PAGE), "{}", done.body);
    let after = session(&browser).await;
    assert_eq!((&after["aal"], &after["limited"]), (&json!(2), &Value::Null));
    assert_ne!(after["session"]["id"], before["session"]["id"], "S-06");
    let page = browser.navigate(PAGE).await;
    for part in ["Two-step sign-in is on.", "My phone", "One app only.", ">On<", "Remove My phone"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }

    let remove = format!("{FACTORS}/{}/delete", phone.id);
    let question = browser.navigate(&remove).await;
    assert!(
        question.body.contains("Remove My phone?") && question.body.contains("danger"),
        "{}",
        question.body
    );
    let token = question.form_token(&remove);
    let gone = browser.submit(&remove, &[("form_token", &token)]).await;
    assert_eq!((gone.status, gone.header("location")), (303, PAGE), "{}", gone.body);
    let lowered = session(&browser).await;
    assert_eq!(
        (&lowered["aal"], &lowered["next_aal"], &lowered["limited"]),
        (&json!(1), &json!(1), &Value::Null)
    );
    assert_ne!(lowered["session"]["id"], after["session"]["id"]);
    let page = browser.navigate(PAGE).await;
    assert!(page.body.contains("My phone is removed") && page.body.contains(">Off<"), "{}", page.body);
    let again = browser.submit(&remove, &[("form_token", &token)]).await;
    assert_eq!((again.status, again.header("location")), (303, PAGE), "pressed twice");
    assert_eq!(browser.get("/api/vault").await.status, 401, "the level went with the app");
}

/// The same by JSON, with every answer's form.
#[tokio::test]
async fn an_app_is_added_and_removed_by_json() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    assert_eq!(browser.get(FACTORS).await.body, r#"{"status":"ok","factors":[]}"#);
    let made = browser.post(FACTORS, &json!({ "name": " My\u{7} phone " })).await.json();
    assert_eq!(made["status"], "code_required");
    assert!(
        made["uri"].as_str().unwrap().starts_with("otpauth://totp/localhost:ada%40example.test?"),
        "{made}"
    );
    assert!(made["qr"].as_str().unwrap().starts_with("data:image/svg+xml;base64,"), "{made}");
    assert!(listed(&browser).await.is_empty(), "it counts once a code of it was seen");
    let phone = Phone::scan(&made);
    let path = format!("{FACTORS}/{}/verify", phone.id);
    let wrong = browser.post(&path, &json!({ "code": phone.wrong_code(&app) })).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (422, "code_wrong"));
    let done = browser.post(&path, &json!({ "code": phone.code(&app) })).await.json();
    assert_eq!((&done["status"], &done["session"]["aal"]), (&json!("signed_in"), &json!(2)));
    let list = listed(&browser).await;
    assert_eq!(
        list,
        [json!({ "id": phone.id, "type": "totp", "name": "My phone", "created_at": "2026-01-01T00:00:00Z" })]
    );
    assert_eq!(browser.navigate(FACTORS).await.header("location"), PAGE);
    let taken = browser.post(FACTORS, &json!({ "name": "My phone" })).await;
    assert_eq!((taken.status, taken.code().as_str()), (422, "factor_name_taken"));
    assert_eq!(taken.json()["errors"][0]["field"], "name");
    let path = format!("{FACTORS}/{}", phone.id);
    let gone = browser.json(Method::DELETE, &path, &json!({})).await;
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    let again = browser.json(Method::DELETE, &path, &json!({})).await;
    assert_eq!((again.status, again.code().as_str()), (404, "factor_unknown"));
}

/// What was begun and never finished stands in nobody's way; no page ends in a name that is "taken" by it.
#[tokio::test]
async fn what_was_never_finished_gives_way() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let first = scanned(&begin(&browser, "phone").await);
    let scan = begin(&browser, "phone").await;
    let phone = scanned(&scan);
    assert_ne!(first.id, phone.id);
    for n in 0..12 {
        let more = begin(&browser, &format!("tablet {n}")).await;
        assert_eq!(more.status, 200, "{n}: {}", more.body);
    }
    let scan = begin(&browser, "phone").await;
    let phone = scanned(&scan);
    assert_eq!(finish(&browser, &scan, &phone, &phone.code(&app)).await.status, 303);
    let taken = begin(&browser, "phone").await;
    assert!(taken.status == 422 && taken.body.contains("You have an app with this name."), "{}", taken.body);
    assert!(taken.body.contains("value=\"phone\""), "what was typed stays: {}", taken.body);
    for n in 0..9 {
        add_app(&app, &browser, &format!("app {n}")).await;
        app.clock.advance(Duration::minutes(4)); // nor do the codes of so many count as guessing
        let code = phone.code(&app);
        let body = json!({ "factor_id": phone.id, "code": code });
        assert_eq!(browser.post("/auth/mfa", &body).await.status, 200);
    }
    let full = begin(&browser, "one more").await;
    assert!(full.status == 422 && full.body.contains("Ten apps is the most"), "{}", full.body);
    assert_eq!(browser.post(FACTORS, &json!({ "name": "x" })).await.code(), "factors_full");
}

/// S-45: adding and removing an app end every other session of the person, here and at GoTrue, whatever its level; S-06.
#[tokio::test]
async fn other_sessions_end_when_an_app_comes_or_goes() {
    for mode in modes() {
        let app = TestApp::with(mode.plan()).await;
        let lists = app.sessions.lists_devices();
        app.signed_in(ADA).await.post("/auth/logout", &json!({})).await;
        let laptop = device(&app, LINUX).await;
        let other = device(&app, "").await;
        let bob = app.signed_in("bob@example.test").await;
        let phone = add_app(&app, &laptop, "phone").await;
        let ended = |answer: &Answer| (answer.status, answer.header("x-session-ended").to_owned());
        let gone = if lists { "factor_changed" } else { "session_not_found" };
        if !lists {
            app.past_expiry(); // in cookies, at its next refresh
            let body = json!({ "factor_id": phone.id, "code": phone.code(&app) });
            assert_eq!(laptop.post("/auth/mfa", &body).await.status, 200);
        }
        let answer = other.get("/api/notes").await;
        assert!(
            matches!(&*ended(&answer).1, "factor_changed" | "session_not_found" | "refresh_not_found"),
            "{answer:?}"
        );
        if lists {
            assert_eq!(ended(&answer), (401, gone.to_owned()));
            let page = other.navigate("/auth/login").await;
            assert!(page.body.contains("Two-step sign-in was changed"), "{}", page.body);
        }
        assert!(is_alive(&laptop).await && is_alive(&bob).await);

        // One of the second level is no exception.
        let second = app.browser();
        second.post("/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await;
        assert_eq!(second.post("/auth/mfa", &json!({ "code": phone.code(&app) })).await.status, 200);
        let asked = app.auth.calls("/logout?scope=others");
        let path = format!("{FACTORS}/{}", phone.id);
        let removed = laptop.json(Method::DELETE, &path, &json!({})).await;
        assert_eq!(removed.status, 204, "{}", removed.body);
        assert_eq!(app.auth.calls("/logout?scope=others"), asked + 1);
        if !lists {
            app.past_expiry();
        }
        let answer = second.get("/api/notes").await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(is_alive(&laptop).await && is_alive(&bob).await);
    }
}

/// Removing one of two apps leaves the other in force: the session that rose by the removed one waits for its code.
#[tokio::test]
async fn the_app_that_stays_is_asked_for() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let phone = add_app(&app, &browser, "phone").await;
    let spare = add_app(&app, &browser, "spare").await;
    let path = format!("{FACTORS}/{}", spare.id);
    assert_eq!(browser.json(Method::DELETE, &path, &json!({})).await.status, 204);
    let now = session(&browser).await;
    if now["aal"] == 1 {
        assert_eq!(now["limited"], "mfa");
        assert_eq!(browser.post("/auth/mfa", &json!({ "code": phone.code(&app) })).await.status, 200);
    }
    assert_eq!(session(&browser).await["aal"], 2);
    assert_eq!(listed(&browser).await.len(), 1);
}

/// S-15: each form of this part is bound to its page and browser; a broken one changes nothing and shows a fresh one.
#[tokio::test]
async fn a_broken_form_changes_nothing() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    browser.navigate(NEW).await;
    let page = browser.submit(FACTORS, &[("form_token", "x"), ("name", "phone")]).await;
    assert!(page.status == 403 && page.body.contains("value=\"phone\""), "{}", page.body);
    let scan = begin(&browser, "phone").await;
    let phone = scanned(&scan);
    let action = format!("{FACTORS}/{}/verify", phone.id);
    let fields = [("form_token", "x"), ("enrolment", &*scan.field("enrolment")), ("code", "123456")];
    let page = browser.submit(&action, &fields).await;
    assert_eq!((page.status, scanned(&page).id), (403, phone.id.clone()));
    assert_eq!(finish(&browser, &page, &phone, &phone.code(&app)).await.status, 303);
    let remove = format!("{FACTORS}/{}/delete", phone.id);
    let page = browser.submit(&remove, &[("form_token", "x")]).await;
    assert!(page.status == 403 && page.body.contains("Remove phone?"), "{}", page.body);
    assert_eq!(listed(&browser).await.len(), 1);
    // The picture of another browser's enrolment is not shown here.
    let stranger = app.signed_in("bob@example.test").await;
    let token = begin(&stranger, "x").await;
    let theirs = scanned(&token);
    let action = format!("{FACTORS}/{}/verify", theirs.id);
    let form_token = token.form_token(&action);
    let fields = [("form_token", &*form_token), ("enrolment", &*scan.field("enrolment")), ("code", "1")];
    let page = stranger.submit(&action, &fields).await;
    assert_eq!((page.status, page.header("location")), (303, NEW));
}

/// The list of the page survives an outage of GoTrue: devices are shown, and the rest is said to come back.
#[tokio::test]
async fn the_page_of_devices_survives_an_outage() {
    let app = TestApp::with(Plan::in_memory()).await;
    let browser = app.signed_in(ADA).await;
    app.auth.fail("GET /auth/v1/user", Fault::Reset);
    let page = browser.navigate(PAGE).await;
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("cannot be shown right now") && page.body.contains("This device"),
        "{}",
        page.body
    );
}

/// Where the project has no such apps, adding one says so.
#[tokio::test]
async fn a_project_without_apps_says_so() {
    let app = TestApp::with(Plan { auth: |settings| settings.totp = false, ..Plan::default() }).await;
    let browser = app.signed_in(ADA).await;
    let answer = browser.post(FACTORS, &json!({ "name": "phone" })).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "feature_disabled"));
    assert_eq!(begin(&browser, "phone").await.status, 404);
}
