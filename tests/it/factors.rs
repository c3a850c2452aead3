//! The authenticator apps of an account: adding one, removing one, and what that does to everybody's sessions.

use base64::Engine;
use http::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::client::{Answer, Browser};
use crate::devices::{LINUX, device, is_alive, told};
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

/// S-46: to add or remove an app takes a proof of the last five minutes: the password without an app, its code with one.
/// It is asked for before the form.
#[tokio::test]
async fn a_change_of_apps_takes_a_fresh_proof() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    app.clock.advance(Duration::minutes(5));
    assert_eq!(browser.navigate(NEW).await.status, 200);
    let page = browser.navigate(NEW).await;
    app.clock.advance(Duration::SECOND);
    let stale = browser.post(FACTORS, &json!({ "name": "phone" })).await;
    assert_eq!(told(&stale).1, "insufficient_user_authentication");
    assert_eq!(app.auth.calls("POST /auth/v1/factors"), 0);
    let proof = "/auth/login?prompt=login&return_to=%2Fauth%2Faccount%2Ffactors%2Fnew";
    let token = page.form_token(FACTORS);
    let sent = browser.submit(FACTORS, &[("form_token", &token), ("name", "phone")]).await;
    for answer in [browser.navigate(NEW).await, sent] {
        assert_eq!((answer.status, answer.header("location")), (303, proof));
    }
    let form = browser.navigate_from("same-origin", proof).await;
    let (token, back) = (form.form_token("/auth/login"), form.field("return_to"));
    let fields = [("form_token", &*token), ("return_to", &back), ("prompt", "login"), ("password", PASSWORD)];
    assert_eq!(browser.submit("/auth/login", &fields).await.header("location"), NEW);
    // Whoever takes long with the picture began with a fresh proof, for half an hour.
    let scan = begin(&browser, "phone").await;
    let phone = scanned(&scan);
    app.clock.advance(Duration::minutes(20));
    assert_eq!(finish(&browser, &scan, &phone, &phone.code(&app)).await.status, 303);

    app.clock.advance(Duration::minutes(6));
    let remove = format!("{FACTORS}/{}/delete", phone.id);
    let asked = browser.navigate(&remove).await;
    let to = format!("/auth/mfa?return_to=%2Fauth%2Faccount%2Ffactors%2F{}%2Fdelete", phone.id);
    assert_eq!((asked.status, asked.header("location")), (303, to.as_str()));
    let path = format!("{FACTORS}/{}", phone.id);
    let stale = browser.json(Method::DELETE, &path, &json!({})).await;
    assert_eq!(
        (told(&stale).1.as_str(), &stale.json()["login_url"]),
        ("insufficient_user_authentication", &json!("/auth/mfa"))
    );
    assert_eq!(listed(&browser).await.len(), 1);
    assert_eq!(browser.post("/auth/mfa", &json!({ "code": phone.code(&app) })).await.status, 200);
    assert_eq!(browser.json(Method::DELETE, &path, &json!({})).await.status, 204);
}

/// S-46: an enrolment of long ago, or one that began under an old proof, is not finished without a fresh one.
#[tokio::test]
async fn an_old_enrolment_takes_a_fresh_proof() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let made = Phone::scan(&browser.post(FACTORS, &json!({})).await.json());
    app.clock.advance(Duration::minutes(31));
    let path = format!("{FACTORS}/{}/verify", made.id);
    let stale = browser.post(&path, &json!({ "code": made.code(&app) })).await;
    assert_eq!(told(&stale).1, "insufficient_user_authentication", "{}", stale.body);
    assert!(listed(&browser).await.is_empty());

    // One that another client of the project began for this person.
    let tokens = app.tokens(ADA, PASSWORD).await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({ "factor_type": "totp", "friendly_name": "planted" }).to_string();
    let url = format!("{}/auth/v1/factors", app.auth.url());
    let planted = app.browser().send(Method::POST, &url, &headers, Some(body)).await.json();
    let planted = Phone::scan(&json!({ "id": planted["id"], "secret": planted["totp"]["secret"] }));
    let path = format!("{FACTORS}/{}/verify", planted.id);
    let stale = browser.post(&path, &json!({ "code": planted.code(&app) })).await;
    assert_eq!(told(&stale).1, "insufficient_user_authentication", "{}", stale.body);
}

/// S-46: with an app, another takes its code: a session of the first level adds none.
#[tokio::test]
async fn a_second_app_takes_the_code_of_the_first() {
    let app = TestApp::with(Plan::default().with("BFF_MFA_ENFORCE", "per_rule")).await;
    let first = app.signed_in(ADA).await;
    let phone = add_app(&app, &first, "phone").await;
    let browser = device(&app, LINUX).await;
    let refused = browser.post(FACTORS, &json!({ "name": "theirs" })).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains(r#"acr_values="aal2""#), "{refused:?}");
    let page = browser.navigate(NEW).await;
    assert_eq!(page.header("location"), "/auth/mfa?return_to=%2Fauth%2Faccount%2Ffactors%2Fnew");
    let path = format!("{FACTORS}/{}", phone.id);
    assert_eq!(browser.json(Method::DELETE, &path, &json!({})).await.status, 401);
    assert_eq!(browser.post("/auth/mfa", &json!({ "code": phone.code(&app) })).await.status, 200);
    add_app(&app, &browser, "tablet").await;
}

/// S-46: a session that GoTrue has ended changes nothing, though its token still verifies.
#[tokio::test]
async fn gotrue_is_asked_before_an_app_comes() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    app.auth.fail_once("GET /auth/v1/user", Fault::code(403, "session_not_found"));
    let answer = browser.post(FACTORS, &json!({ "name": "phone" })).await;
    assert_eq!(told(&answer), (401, "session_ended".to_owned(), "session_not_found"));
    assert_eq!(app.auth.calls("POST /auth/v1/factors"), 0);
}

/// S-102: another person's app is nobody's: not shown, not removed, not turned on; answered like one that is not there.
#[tokio::test]
async fn the_apps_of_others_are_unknown() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let phone = add_app(&app, &ada, "phone").await;
    let open = Phone::scan(&ada.post(FACTORS, &json!({ "name": "open" })).await.json());
    let bob = app.signed_in("bob@example.test").await;
    assert!(listed(&bob).await.is_empty());
    let mut answers = Vec::new();
    for id in [&phone.id, &open.id, "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f"] {
        let path = format!("{FACTORS}/{id}");
        let removed = bob.json(Method::DELETE, &path, &json!({})).await;
        let turned_on = bob.post(&format!("{path}/verify"), &json!({ "code": open.code(&app) })).await;
        answers.push([removed, turned_on].map(|answer| (answer.status, answer.code())));
        assert_eq!(bob.navigate(&format!("{path}/delete")).await.status, 404);
    }
    assert!(answers.iter().all(|pair| *pair == answers[2]), "{answers:?}");
    assert_eq!(answers[2][0], (404, "factor_unknown".to_owned()));
    assert_eq!(listed(&ada).await.len(), 1);
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
