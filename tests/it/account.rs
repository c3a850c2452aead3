//! What a person changes about the own account: the name, the password, the address.

use http::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::client::{Answer, Browser};
use crate::devices::{ADA, device, is_alive, told};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::limited::{before_the_code, recovering};
use crate::tap::Fault;

/// Another password that no list knows.
pub const NEW_PASSWORD: &str = "harbour 17 lantern velvet";
const PROFILE: &str = "/auth/account/profile";
const ACCOUNT: &str = "/auth/account";
const EMAIL: &str = "/auth/account/email";
const CHANGE: &str = "/auth/account/password";
const UPDATE: &str = "PUT /auth/v1/user";
/// The login page that asks for a new proof, with the way back to the form of the password.
const PROOF: &str = "/auth/login?prompt=login&return_to=%2Fauth%2Faccount%2Fpassword";

async fn name_of(browser: &Browser) -> Value {
    browser.get("/auth/session").await.json()["user"]["name"].clone()
}

/// Fills the form at `path` and sends it.
pub async fn fill(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let token = browser.navigate(path).await.form_token(path);
    let mut all = vec![("form_token", &*token)];
    all.extend(fields);
    browser.submit(path, &all).await
}

/// A form that went through: on to the account, whose page says `sentence`.
pub async fn says(browser: &Browser, answer: &Answer, sentence: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, ACCOUNT), "{}", answer.body);
    let page = browser.navigate(ACCOUNT).await;
    assert!(page.status == 200 && page.body.contains(sentence), "{}", page.body);
}

async fn signs_in(app: &TestApp, email: &str, password: &str) -> bool {
    let answer = app.browser().post("/auth/login", &json!({ "email": email, "password": password })).await;
    answer.status == 200
}

/// A name of any script, long or with emoji, is kept as it was typed and shown at once; what turns the direction of the
/// line is not.
#[tokio::test]
async fn a_person_changes_the_name() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let long = "Wolfeschlegelsteinhausenbergerdorff ".repeat(2).trim().to_owned();
    for name in ["Ada", "שרה כהן", "عائشة", "👩🏽\u{200d}🚀 Ada", "O\u{2019}Brien, Zoë", &long]
    {
        let answer = fill(&ada, PROFILE, &[("name", name)]).await;
        says(&ada, &answer, "Your name is saved.").await;
        assert_eq!(name_of(&ada).await, name);
        let page = ada.navigate(ACCOUNT).await;
        assert!(page.body.contains(&format!("dir=\"auto\">{name}<")), "{}", page.body);
        assert_eq!(ada.navigate(PROFILE).await.field("name"), name);
    }
    let answer = ada.post(PROFILE, &json!({ "name": "\u{202e}  Ada\tL. \u{2066}" })).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "done" })));
    assert_eq!(name_of(&ada).await, "Ada L.");
    assert_eq!(ada.post(PROFILE, &json!({ "name": "" })).await.status, 200);
    assert_eq!(name_of(&ada).await, Value::Null, "an empty name takes it away");
    assert!(ada.navigate(ACCOUNT).await.body.contains("No name yet"));

    let endless = "x".repeat(101);
    let answer = ada.post(PROFILE, &json!({ "name": endless })).await;
    let fault = json!([{ "field": "name", "code": "bad_request" }]);
    assert_eq!((answer.status, &answer.json()["errors"]), (400, &fault));
    let page = fill(&ada, PROFILE, &[("name", &endless)]).await;
    assert_eq!((page.status, page.field("name")), (400, endless), "what was typed is kept");
    assert!(page.body.contains("A name has at most 100 characters."), "{}", page.body);
    assert_eq!(app.auth.calls(UPDATE), 8);
}

/// S-68: what a person writes into the own name stays a text.
#[tokio::test]
async fn a_hostile_name_is_inert() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let hostile = "\"'><script>alert(1)</script>{{ 1234*5678 }}";
    assert_eq!(ada.post(PROFILE, &json!({ "name": hostile })).await.status, 200);
    assert_eq!(name_of(&ada).await, hostile);
    for page in [ACCOUNT, PROFILE, "/auth/account/security"] {
        let page = ada.navigate(page).await.body;
        assert!(!page.contains("<script>") && !page.contains("7006652"), "{page}");
    }
}

/// S-45: a new password ends every other session with its reason, copies of this one's cookie too; this one goes on.
#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    for (store, form) in [(false, false), (false, true), (true, false), (true, true)] {
        let plan = if store { Plan::in_memory() } else { Plan::default() };
        let app = TestApp::with(plan).await;
        let ada = app.signed_in(ADA).await;
        let phone = device(&app, "curl/8").await;
        let bob = app.signed_in("bob@example.test").await;
        let second = phone.stolen().at(&app.node(&[]).await);
        app.clock.advance(Duration::minutes(1));
        let copy = ada.stolen();
        if form {
            let answer = fill(&ada, CHANGE, &[("password", NEW_PASSWORD)]).await;
            says(&ada, &answer, "Your password is changed, and all other devices are signed out.").await;
        } else {
            let answer = ada.post(CHANGE, &json!({ "password": NEW_PASSWORD })).await;
            assert_eq!((answer.status, answer.json()), (200, json!({ "status": "done" })));
        }
        for ended in [&phone, &copy] {
            let answer = ended.get("/api/notes").await;
            assert_eq!(told(&answer).0, 401, "store: {store}");
        }
        assert_eq!(told(&phone.stolen().get("/api/notes").await).2, "password_changed");
        if store {
            assert_eq!(told(&second.get("/api/notes").await).2, "password_changed", "on every node");
        }
        let page = phone.navigate("/auth/login").await.body;
        assert!(page.contains("The password was changed, so every other device was signed out."), "{page}");
        assert!(is_alive(&ada).await && is_alive(&bob).await, "store: {store}");
        assert!(!signs_in(&app, ADA, PASSWORD).await && signs_in(&app, ADA, NEW_PASSWORD).await);
        app.past_expiry();
        assert!(is_alive(&ada).await, "its tokens can be refreshed");
    }
}

/// S-46: an old proof asks for a new one, before the form is filled in and after; GoTrue's word counts at each time.
#[tokio::test]
async fn a_new_password_and_a_new_address_take_a_fresh_proof() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let page = ada.navigate(CHANGE).await;
    let token = page.form_token(CHANGE);
    app.clock.advance(Duration::minutes(5) + Duration::SECOND);
    for (path, body) in
        [(CHANGE, json!({ "password": NEW_PASSWORD })), (EMAIL, json!({ "email": "b@example.test" }))]
    {
        let answer = ada.post(path, &body).await;
        assert_eq!(told(&answer), (401, "insufficient_user_authentication".to_owned(), ""), "{path}");
    }
    assert_eq!(ada.navigate(CHANGE).await.header("location"), PROOF);
    let late = ada.submit(CHANGE, &[("form_token", &token), ("password", NEW_PASSWORD)]).await;
    assert_eq!((late.status, late.header("location")), (303, PROOF));
    assert_eq!(app.auth.calls(UPDATE), 0);

    let proof = ada.navigate_from("same-origin", PROOF).await;
    let (token, back) = (proof.form_token("/auth/login"), proof.field("return_to"));
    let fields =
        [("form_token", &*token), ("return_to", &*back), ("prompt", "login"), ("password", PASSWORD)];
    assert_eq!(ada.submit("/auth/login", &fields).await.header("location"), CHANGE);
    assert_eq!(fill(&ada, CHANGE, &[("password", NEW_PASSWORD)]).await.status, 303);

    app.auth.fail_once("GET /auth/v1/user", Fault::code(403, "session_not_found"));
    let answer = ada.post(CHANGE, &json!({ "password": PASSWORD })).await;
    assert_eq!(told(&answer), (401, "session_ended".to_owned(), "session_not_found"));
    assert_eq!(ada.cookie("sb_session"), None);
    assert_eq!(app.auth.calls(UPDATE), 1, "nothing was changed");
}

/// S-46: the name is no secret, but a session that GoTrue has ended names nobody.
#[tokio::test]
async fn a_session_that_is_over_changes_nothing() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    app.auth.fail_once(UPDATE, Fault::code(403, "session_not_found"));
    let answer = fill(&ada, PROFILE, &[("name", "Eve")]).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert_eq!(ada.cookie("sb_session"), None);
}

/// S-69, S-73: each fault stands beside its field, and no password is echoed.
#[tokio::test]
async fn a_password_that_will_not_do_is_told_beside_its_field() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let long = "plover gantry mist ".repeat(80);
    for (password, status, sentence) in [
        ("", 400, "Fill in this field."),
        ("short", 422, "This password is easy to guess."),
        ("password1", 422, "This password is easy to guess."),
        (long.as_str(), 400, "This password is longer than this site can store."),
        (PASSWORD, 422, "This is the password you have now."),
    ] {
        let page = fill(&ada, CHANGE, &[("password", password)]).await;
        assert_eq!(page.status, status, "{}", page.body);
        assert!(page.body.contains(sentence) && page.body.contains("aria-invalid"), "{}", page.body);
        assert!(password.is_empty() || !page.body.contains(password), "S-69");
    }
    let answer = ada.post(CHANGE, &json!({ "password": PASSWORD })).await;
    assert_eq!((answer.status, answer.code()), (422, "same_password".to_owned()));
    let page = ada.submit(CHANGE, &[("form_token", "x"), ("password", NEW_PASSWORD)]).await;
    assert!(page.status == 403 && page.body.contains("This form is no longer valid"), "S-15: {}", page.body);
    assert!(signs_in(&app, ADA, PASSWORD).await);
}

/// Where the project asks for the password so far, the form does from then on; wrong ones are counted (S-81).
#[tokio::test]
async fn the_current_password_is_asked_for_where_the_project_wants_it() {
    let plan = Plan { auth: |settings| settings.require_current_password = true, ..Plan::default() };
    let app = TestApp::with(plan.with("BFF_LIMITS_PASSWORD_PER_ACCOUNT", "3/15m")).await;
    let ada = app.signed_in(ADA).await;
    assert!(!ada.navigate(CHANGE).await.body.contains("current_password"), "nobody knows yet");
    let page = fill(&ada, CHANGE, &[("password", NEW_PASSWORD)]).await;
    assert_eq!(page.status, 400, "{}", page.body);
    assert!(page.body.contains("autocomplete=\"current-password\""), "{}", page.body);
    let answer = ada.post(CHANGE, &json!({ "password": NEW_PASSWORD })).await;
    let fault = json!([{ "field": "current_password", "code": "bad_request" }]);
    assert_eq!((answer.status, &answer.json()["errors"]), (400, &fault));

    let wrong = [("password", NEW_PASSWORD), ("current_password", "wrong horse 17")];
    let page = fill(&ada, CHANGE, &wrong).await;
    assert!(page.status == 401 && page.body.contains("The current password is not right."), "{}", page.body);
    let body = json!({ "password": NEW_PASSWORD, "current_password": "wrong horse 17" });
    let answer = ada.post(CHANGE, &body).await;
    let fault = json!([{ "field": "current_password", "code": "invalid_credentials" }]);
    assert_eq!((answer.status, &answer.json()["errors"]), (401, &fault));
    assert_eq!(ada.post(CHANGE, &body).await.status, 401);
    assert_eq!(ada.post(CHANGE, &body).await.code(), "rate_limited");
    app.clock.advance(Duration::minutes(5));
    let right = [("password", NEW_PASSWORD), ("current_password", PASSWORD)];
    let answer = fill(&ada, CHANGE, &right).await;
    says(&ada, &answer, "Your password is changed").await;
}

/// Where GoTrue wants digits from a mail first, they are mailed and asked for beside the new password.
#[tokio::test]
async fn digits_of_a_mail_are_asked_for_where_gotrue_wants_them() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let needed = || app.auth.fail_once(UPDATE, Fault::code(400, "reauthentication_needed"));
    needed();
    let page = fill(&ada, CHANGE, &[("password", NEW_PASSWORD)]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains(&format!("a code is on its way to {ADA}")), "{}", page.body);
    assert!(page.body.contains("autocomplete=\"one-time-code\""), "{}", page.body);
    assert_eq!(app.auth.calls("GET /auth/v1/reauthenticate"), 1);
    let mail = app.outbox().await.pop().unwrap();
    assert_eq!(mail["to"], ADA);
    needed();
    let answer = ada.post(CHANGE, &json!({ "password": NEW_PASSWORD })).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "status": "code_sent" })),
        "the first is still good"
    );

    let token = page.form_token(CHANGE);
    let fields = |code| [("form_token", &*token), ("password", NEW_PASSWORD), ("code", code)];
    for wrong in ["12", "abcdefgh"] {
        let page = ada.submit(CHANGE, &fields(wrong)).await;
        assert!(page.status == 422 && page.body.contains("This code is not right"), "{}", page.body);
    }
    app.auth.fail_once(UPDATE, Fault::code(422, "reauthentication_not_valid"));
    assert_eq!(ada.submit(CHANGE, &fields("000000")).await.status, 422);
    let answer = ada.submit(CHANGE, &fields(" 123 456 ")).await;
    says(&ada, &answer, "Your password is changed").await;
    let sent = app.auth.seen(UPDATE).pop().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&sent.body).unwrap()["nonce"], "123456", "spaces do not count");
}

/// What GoTrue wants of a second factor is told as a step-up.
#[tokio::test]
async fn a_missing_second_factor_is_a_step_up() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    app.auth.fail_once(UPDATE, Fault::code(401, "insufficient_aal"));
    let answer = ada.post(CHANGE, &json!({ "password": NEW_PASSWORD })).await;
    assert_eq!((answer.status, answer.code()), (401, "insufficient_user_authentication".to_owned()));
    assert!(answer.header("www-authenticate").contains(r#"acr_values="aal2""#));
    app.auth.fail_once(UPDATE, Fault::code(401, "insufficient_aal"));
    assert_eq!(fill(&ada, CHANGE, &[("password", NEW_PASSWORD)]).await.header("location"), PROOF);
}

/// S-44: an outage changes nothing and ends nobody's session; the form stays.
#[tokio::test]
async fn an_outage_keeps_the_form() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    for (path, fields) in [
        (CHANGE, ("password", NEW_PASSWORD)),
        (PROFILE, ("name", "Ada")),
        (EMAIL, ("email", "new@example.test")),
    ] {
        app.clock.advance(Duration::minutes(1)); // a mail of each minute
        app.auth.fail_once(UPDATE, Fault::code(500, "unexpected_failure"));
        let page = fill(&ada, path, &[fields]).await;
        assert_eq!(page.status, 503, "{path}: {}", page.body);
        assert!(page.body.contains(&format!("action=\"{path}\"")), "{path}: {}", page.body);
        assert!(page.body.contains("Signing in does not work for the moment."), "{path}: {}", page.body);
        assert!(is_alive(&ada).await, "{path}");
    }
}

/// S-24, S-71: mails go out with a challenge of our own; a taken address is answered like a free one, on the page too.
#[tokio::test]
async fn a_taken_address_is_answered_like_a_free_one() {
    let app = TestApp::start().await;
    app.signed_in("bob@example.test").await;
    let mut pages = Vec::new();
    for new in ["bob@example.test", "new@example.test"] {
        let ada = app.signed_in(&format!("ada-{}@example.test", pages.len())).await;
        let answer = fill(&ada, EMAIL, &[("email", new)]).await;
        says(&ada, &answer, &format!("If {new} is free, mails are on their way to it")).await;
        let page = ada.navigate(ACCOUNT).await.body;
        assert!(page.contains(&format!("Waits for its mails: {new}")), "{page}");
        let token = ada.navigate(ACCOUNT).await.form_token("/auth/logout");
        let page = page.replace(new, "X").replace(&format!("ada-{}@", pages.len()), "ada@");
        pages.push(
            page.replace(&token, "T").lines().filter(|l| !l.contains("form_token")).collect::<String>(),
        );
        app.clock.advance(Duration::minutes(1));
        let answer = ada.post(EMAIL, &json!({ "email": new })).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "status": "sent" })));
    }
    assert_eq!(pages[0], pages[1]);
    let to: Vec<_> = app.outbox().await.iter().map(|mail| mail["to"].clone()).collect();
    assert!(to.contains(&json!("new@example.test")) && !to.contains(&json!("bob@example.test")), "{to:?}");
    let sent = &app.auth.seen(UPDATE)[0];
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!(
        (&body["code_challenge_method"], body["code_challenge"].as_str().unwrap().len()),
        (&json!("s256"), 43)
    );
    assert!(sent.line.contains("redirect_to=http%3A%2F%2Flocalhost"), "S-22: {}", sent.line);
}

/// S-70, S-82: an address that is none is told so; one mail a minute goes out, and what is suppressed looks sent.
#[tokio::test]
async fn addresses_are_judged_and_mails_are_counted() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    for (typed, sentence) in [
        ("", "Fill in this field."),
        ("ada", "This does not look like an e-mail address."),
        ("a@evil@corp.test", "This does not look like an e-mail address."),
        ("Ada@Example.test", "This is the address you have now."),
    ] {
        let page = fill(&ada, EMAIL, &[("email", typed)]).await;
        assert!(page.status >= 400 && page.status < 500, "{typed}: {}", page.status);
        assert!(page.body.contains(sentence), "{typed}: {}", page.body);
        assert_eq!(page.field("email"), typed, "what was typed is kept");
    }
    assert_eq!(app.auth.calls(UPDATE), 0);
    for _ in 0..3 {
        assert_eq!(ada.post(EMAIL, &json!({ "email": "new@example.test" })).await.json()["status"], "sent");
    }
    assert_eq!(app.auth.calls(UPDATE), 1);
}

/// S-32: before its last step a session changes nothing.
#[tokio::test]
async fn a_limited_session_changes_nothing() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    let limited = [(before_the_code(&app).await, "/auth/mfa"), (recovering(&app).await, "/auth/reset")];
    for (browser, step) in limited {
        for path in [PROFILE, EMAIL, CHANGE, "/auth/account/identities", "/auth/start/google?intent=link"] {
            let page = browser.navigate(path).await;
            // The list has no page of its own; the one it leads to leads on.
            let to = if path.ends_with("identities") { "/auth/account/security" } else { step };
            assert_eq!(page.status, 303, "{path}: {}", page.body);
            assert_eq!(page.header("location").split('?').next(), Some(to), "{path}");
            assert!(!page.body.contains(ADA), "{path}");
        }
        let security = browser.navigate("/auth/account/security").await;
        assert_eq!(security.header("location").split('?').next(), Some(step));
        let body = json!({ "name": "Eve", "email": "eve@example.test", "password": NEW_PASSWORD });
        for path in [PROFILE, EMAIL, CHANGE, "/auth/start/google"] {
            assert_eq!(browser.post(path, &body).await.code(), "session_limited", "{path}");
        }
        let id = "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f";
        let path = format!("/auth/account/identities/{id}");
        assert_eq!(browser.json(Method::DELETE, &path, &json!({})).await.code(), "session_limited");
        assert_eq!(browser.get("/auth/account/identities").await.code(), "session_limited");
    }
    assert_eq!(app.auth.calls(UPDATE), 0);
}

/// Nobody who is not signed in sees a form, and each leads to the login page with the way back.
#[tokio::test]
async fn strangers_are_led_to_the_login_page() {
    let app = TestApp::start().await;
    let nobody = app.browser();
    for path in [PROFILE, EMAIL, CHANGE] {
        let back: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        let answer = nobody.navigate(path).await;
        assert_eq!(answer.header("location"), format!("/auth/login?return_to={back}"));
        assert_eq!(nobody.post(path, &json!({ "password": "x" })).await.code(), "session_missing");
    }
}
