//! Two-step sign-in: the code after the password, the way up within a session, and back to where the person was.

mod trouble;

use http::Method;
use serde_json::{Value, json};
use time::Duration;
use totp_rs::{Builder, Secret, Totp};

use crate::client::{Answer, Browser};
use crate::devices::told;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::modes::Mode;

pub const ADA: &str = "ada@example.test";
const FACTORS: &str = "/auth/account/factors";

/// An authenticator app on somebody's phone.
pub struct Phone {
    pub id: String,
    totp: Totp,
}

impl Phone {
    /// As the JSON of an enrolment describes it.
    pub fn scan(enrolled: &Value) -> Self {
        let secret = Secret::try_from_base32(enrolled["secret"].as_str().unwrap()).unwrap();
        let totp = Builder::new().with_secret(secret).build().unwrap();
        Self { id: enrolled["id"].as_str().unwrap().to_owned(), totp }
    }

    /// The code of a step, counted from now.
    pub fn code_at(&self, now: i64, steps: i64) -> String {
        self.totp.generate((now + 30 * steps).unsigned_abs()).to_string()
    }

    /// The code of the next step, to which the story moves: none is used twice.
    pub fn code(&self, app: &TestApp) -> String {
        app.clock.advance(Duration::seconds(30));
        self.code_at(app.clock_now(), 0)
    }

    /// Six digits that are no code now.
    pub fn wrong_code(&self, app: &TestApp) -> String {
        let right = [-1, 0, 1, 2].map(|steps| self.code_at(app.clock_now(), steps));
        (0..).map(|n| format!("{n:06}")).find(|code| !right.contains(code)).unwrap()
    }
}

/// Adds an app to the account of a browser whose proof is fresh, by JSON; the browser is at the second level then.
pub async fn add_app(app: &TestApp, browser: &Browser, name: &str) -> Phone {
    let made = browser.post(FACTORS, &json!({ "name": name })).await;
    assert_eq!((made.status, &made.json()["status"]), (200, &json!("code_required")), "{}", made.body);
    let phone = Phone::scan(&made.json());
    let path = format!("{FACTORS}/{}/verify", phone.id);
    let done = browser.post(&path, &json!({ "code": phone.code(app) })).await;
    assert_eq!((done.status, &done.json()["status"]), (200, &json!("signed_in")), "{}", done.body);
    phone
}

/// A site with an account that has an app, and nobody signed in.
pub async fn with_app(plan: Plan) -> (TestApp, Phone) {
    let app = TestApp::with(plan).await;
    let browser = app.signed_in(ADA).await;
    let phone = add_app(&app, &browser, "phone").await;
    browser.post("/auth/logout", &json!({})).await;
    (app, phone)
}

/// Ada after her password, by JSON.
async fn half_way(app: &TestApp) -> (Browser, Answer) {
    let browser = app.browser();
    let answer = half_way_at(&browser).await;
    (browser, answer)
}

/// The same in this browser.
pub async fn half_way_at(browser: &Browser) -> Answer {
    let answer = browser.post("/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

pub async fn prove(browser: &Browser, code: &str) -> Answer {
    browser.post("/auth/mfa", &json!({ "code": code })).await
}

pub async fn session(browser: &Browser) -> Value {
    browser.get("/auth/session").await.json()
}

/// The form of `/auth/mfa`, filled in.
async fn type_code(browser: &Browser, page: &Answer, code: &str) -> Answer {
    let [token, back, factor] =
        [page.form_token("/auth/mfa"), page.field("return_to"), page.field("factor_id")];
    let fields = [("form_token", &*token), ("return_to", &back), ("factor_id", &factor), ("code", code)];
    browser.submit("/auth/mfa", &fields).await
}

/// Every mode that needs no server.
pub fn modes() -> [Mode; 3] {
    [Mode::Cookie, Mode::Memory, Mode::Sqlite]
}

/// S-32: after the password comes the code, and only then anything opens; S-06: under another id each time. By JSON, in
/// every mode.
#[tokio::test]
async fn a_sign_in_takes_the_code_of_the_app() {
    for mode in modes() {
        let (app, phone) = with_app(mode.plan()).await;
        let logouts = app.auth.calls("/logout");
        let (browser, answer) = half_way(&app).await;
        let body = answer.json();
        assert_eq!(body["status"], "mfa_required");
        assert_eq!(body["factors"], json!([{ "id": phone.id, "type": "totp", "name": "phone" }]));
        assert_eq!(session(&browser).await["limited"], "mfa");
        assert_eq!(browser.get("/api/notes").await.code(), "session_limited");
        let before = browser.stolen();
        let wrong = prove(&browser, &phone.wrong_code(&app)).await;
        assert_eq!((wrong.status, wrong.code().as_str()), (422, "code_wrong"), "{}", wrong.body);
        assert_eq!(wrong.json()["errors"], json!([{ "field": "code", "code": "code_wrong" }]));
        let code = phone.code(&app);
        let right = prove(&browser, &format!(" {} {}", &code[..3], &code[3..])).await;
        assert_eq!((right.status, &right.json()["status"]), (200, &json!("signed_in")), "{}", right.body);
        let now = session(&browser).await;
        assert_eq!((&now["aal"], &now["next_aal"], &now["limited"]), (&json!(2), &json!(2), &Value::Null));
        assert_ne!(now["session"]["id"], body["session"]["session"]["id"], "S-06");
        assert_eq!(browser.get("/api/vault").await.status, 200);
        assert_eq!(told(&before.get("/api/notes").await).2, "replaced");
        assert_eq!(app.auth.calls("/logout"), logouts, "this is one session at GoTrue");
    }
}

/// The same on the pages: from a link into the site to the password, the code, and on to that link.
#[tokio::test]
async fn the_pages_lead_from_a_link_by_password_and_code_to_it() {
    let rules = "site = { url = '{echo}', kind = 'app', token = 'none' }\n\
                 [[rules]]\nname = 'site'\npath = '/**'\nto = 'site'\n";
    let (app, phone) = with_app(Plan { rules: rules.to_owned(), ..Plan::default() }).await;
    let browser = app.browser();
    let (at, login) = browser.follow_from("none", "/notes?page=2").await;
    assert_eq!(at, "/auth/login?return_to=%2Fnotes%3Fpage%3D2");
    let (token, back) = (login.form_token("/auth/login"), login.field("return_to"));
    let fields = [("form_token", &*token), ("return_to", &back), ("email", ADA), ("password", PASSWORD)];
    let answer = browser.submit("/auth/login", &fields).await;
    let code_page = "/auth/mfa?return_to=%2Fnotes%3Fpage%3D2";
    assert_eq!((answer.status, answer.header("location")), (303, code_page));

    // Whatever else is opened now leads to the code, and from there on to it.
    let elsewhere = browser.navigate("/other").await;
    assert_eq!((elsewhere.status, elsewhere.header("location")), (303, "/auth/mfa?return_to=%2Fother"));
    let account = browser.navigate("/auth/account").await;
    assert_eq!(account.header("location"), "/auth/mfa?return_to=%2Fauth%2Faccount");
    let login = browser.navigate("/auth/login").await;
    assert_eq!(login.header("location"), "/auth/mfa?return_to=%2F");
    assert!(app.echo.seen().is_empty());

    let page = browser.navigate(code_page).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for part in ["Enter your code", "autocomplete=\"one-time-code\"", "Cancel and sign out", "Lost your app?"]
    {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(!page.body.contains("Which app?") && !page.body.contains("once more"), "{}", page.body);
    let wrong = type_code(&browser, &page, &phone.wrong_code(&app)).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.body.contains("This code is not right.") && wrong.body.contains("Problem: Enter"),
        "{}",
        wrong.body
    );
    let empty = type_code(&browser, &wrong, "  ").await;
    assert!(empty.status == 400 && empty.body.contains("Fill in this field."), "{}", empty.body);
    let right = type_code(&browser, &empty, &phone.code(&app)).await;
    assert_eq!(
        (right.status, right.header("location")),
        (303, "/auth/continue?return_to=%2Fnotes%3Fpage%3D2")
    );
    assert_eq!(browser.follow_from("same-origin", right.header("location")).await.0, "/notes?page=2");
    assert_eq!(app.echo.last().line, "GET /notes?page=2");
}

/// The way out of a sign-in without the phone: signed out, and nothing is left.
#[tokio::test]
async fn whoever_has_no_phone_at_hand_signs_out() {
    let (app, _) = with_app(Plan::default()).await;
    let (browser, _) = half_way(&app).await;
    let page = browser.navigate("/auth/mfa").await;
    let token = page.form_token("/auth/logout");
    let answer = browser.submit("/auth/logout", &[("form_token", &token)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/auth/login"));
    assert_eq!(session(&browser).await["authenticated"], false);
    let (at, _) = browser.follow_from("none", "/auth/mfa?return_to=/auth/account").await;
    assert_eq!(
        at, "/auth/login?return_to=%2Fauth%2Faccount",
        "nobody is signed in: the password comes first"
    );
    assert_eq!(prove(&browser, "123456").await.status, 401);
}

/// S-100: a rule with `aal = 2` leads a page to the proof and back; a program gets the challenge and completes it.
#[tokio::test]
async fn a_rule_leads_to_the_second_step_and_back() {
    let rules = "site = { url = '{echo}', kind = 'app', token = 'none' }\n\
                 [[rules]]\nname = 'vault'\npath = '/vault'\nto = 'site'\naal = 2\n\
                 [[rules]]\nname = 'site'\npath = '/**'\nto = 'site'\n";
    let plan = Plan { rules: rules.to_owned(), ..Plan::default() }.with("BFF_MFA_ENFORCE", "per_rule");
    let (app, phone) = with_app(plan).await;
    let (browser, answer) = half_way(&app).await;
    assert_eq!(answer.json()["status"], "signed_in", "per_rule leaves it to the rules");
    let now = session(&browser).await;
    assert_eq!((&now["aal"], &now["next_aal"], &now["limited"]), (&json!(1), &json!(2), &Value::Null));
    assert_eq!(browser.navigate("/notes").await.status, 200);
    let refused = browser.get("/vault").await;
    assert_eq!(told(&refused).1, "insufficient_user_authentication");
    assert_eq!(
        refused.header("www-authenticate"),
        r#"Bearer realm="supabase-bff", error="insufficient_user_authentication", acr_values="aal2""#
    );
    assert_eq!(refused.json()["login_url"], "/auth/mfa");
    let page = browser.navigate("/vault").await;
    assert_eq!((page.status, page.header("location")), (303, "/auth/mfa?return_to=%2Fvault"));
    let page = browser.navigate(page.header("location")).await;
    assert!(page.body.contains("once more") && !page.body.contains("sign out<"), "{}", page.body);
    let right = type_code(&browser, &page, &phone.code(&app)).await;
    assert_eq!(browser.follow_from("same-origin", right.header("location")).await.0, "/vault");
    assert_eq!(app.echo.last().line, "GET /vault");

    let (program, _) = half_way(&app).await;
    assert_eq!(program.get("/vault").await.status, 401);
    let apps = program.get("/auth/mfa").await.json();
    assert_eq!(apps["factors"], json!([{ "id": phone.id, "type": "totp", "name": "phone" }]));
    let body = json!({ "factor_id": phone.id, "code": phone.code(&app) });
    assert_eq!(program.post("/auth/mfa", &body).await.json()["status"], "signed_in");
    assert_eq!(program.get("/vault").await.status, 200);
}

/// S-100: `max_age` is met by the code where there is an app: a fresh proof without the password.
#[tokio::test]
async fn a_code_is_a_fresh_proof() {
    let rules = "site = { url = '{echo}', kind = 'app', token = 'none' }\n\
                 [[rules]]\nname = 'fresh'\npath = '/fresh'\nto = 'site'\nmax_age = '5m'\n";
    let (app, phone) = with_app(Plan { rules: rules.to_owned(), ..Plan::default() }).await;
    let (browser, _) = half_way(&app).await;
    assert_eq!(prove(&browser, &phone.code(&app)).await.status, 200);
    let began = session(&browser).await["session"]["created_at"].clone();
    assert_eq!(browser.navigate("/fresh").await.status, 200);
    app.clock.advance(Duration::minutes(6));
    let refused = browser.get("/fresh").await;
    assert!(refused.header("www-authenticate").ends_with("max_age=300"), "{refused:?}");
    let page = browser.navigate("/fresh").await;
    assert_eq!(page.header("location"), "/auth/mfa?return_to=%2Ffresh");
    let page = browser.navigate(page.header("location")).await;
    assert_eq!(type_code(&browser, &page, &phone.code(&app)).await.status, 303);
    assert_eq!(browser.navigate("/fresh").await.status, 200);
    let now = session(&browser).await["session"].clone();
    assert_eq!(now["created_at"], began, "S-08: the absolute limit counts from the sign-in");
    assert_ne!(now["auth_time"], began);
}

/// S-100: where a rule asks for a second step and the person has no app, the page says so and leads to one, and from
/// there to the rule's page.
#[tokio::test]
async fn whoever_has_no_app_is_led_to_one() {
    let rules = "site = { url = '{echo}', kind = 'app', token = 'none' }\n\
                 [[rules]]\nname = 'vault'\npath = '/vault'\nto = 'site'\naal = 2\n";
    let app = TestApp::with(Plan { rules: rules.to_owned(), ..Plan::default() }).await;
    let browser = app.signed_in(ADA).await;
    let (at, page) = browser.follow_from("none", "/vault").await;
    assert_eq!(at, "/auth/mfa?return_to=%2Fvault");
    assert!(page.body.contains("Two-step sign-in needed"), "{}", page.body);
    assert!(
        page.body.contains("href=\"/auth/account/factors/new?return_to=&#x2f;vault\"")
            || page.body.contains("href=\"/auth/account/factors/new?return_to=/vault\""),
        "{}",
        page.body
    );
    let page = browser.navigate("/auth/account/factors/new?return_to=/vault").await;
    let fields = [("form_token", page.form_token(FACTORS)), ("return_to", page.field("return_to"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let scan = browser.submit(FACTORS, &fields).await;
    assert_eq!(scan.status, 200, "{}", scan.body);
    let phone = crate::factors::scanned(&scan);
    let verify = format!("{FACTORS}/{}/verify", phone.id);
    let [token, kept, back] = [scan.form_token(&verify), scan.field("enrolment"), scan.field("return_to")];
    let code = phone.code(&app);
    let fields = [("form_token", &*token), ("enrolment", &kept), ("return_to", &back), ("code", &code)];
    let done = browser.submit(&verify, &fields).await;
    assert_eq!(browser.follow_from("same-origin", done.header("location")).await.0, "/vault");
}

/// With several apps the person says which; without a word the page asks, and JSON names the field.
#[tokio::test]
async fn several_apps_are_chosen_from() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let phone = add_app(&app, &browser, "My phone").await;
    let tablet = add_app(&app, &browser, "").await;
    let (browser, answer) = half_way(&app).await;
    assert_eq!(answer.json()["factors"].as_array().unwrap().len(), 2);
    let unclear = prove(&browser, &tablet.code(&app)).await;
    assert_eq!((unclear.status, &unclear.json()["errors"][0]["field"]), (400, &json!("factor_id")));
    let page = browser.navigate("/auth/mfa").await;
    assert!(page.body.contains("Which app?") && page.body.contains("My phone"), "{}", page.body);
    assert!(page.body.contains(">Authenticator app<"), "an app without a name: {}", page.body);
    let token = page.form_token("/auth/mfa");
    let none = browser.submit("/auth/mfa", &[("form_token", &token), ("code", &phone.code(&app))]).await;
    assert!(none.status == 400 && none.body.contains("factor-problem"), "{}", none.body);
    let code = tablet.code(&app);
    let fields = [("form_token", &*token), ("factor_id", &tablet.id), ("code", &code)];
    assert_eq!(browser.submit("/auth/mfa", &fields).await.status, 303);
    assert_eq!(session(&browser).await["aal"], 2);
}

/// S-82: wrong codes count for the person: five, and a new sign-in changes nothing; later they may try again.
#[tokio::test]
async fn five_wrong_codes_are_the_last_for_a_while() {
    let (app, phone) = with_app(Plan::default()).await;
    let (browser, _) = half_way(&app).await;
    app.clock.advance(Duration::minutes(20)); // past what adding the app has counted
    for _ in 0..5 {
        assert_eq!(prove(&browser, &phone.wrong_code(&app)).await.code(), "code_wrong");
    }
    let (again, _) = half_way(&app).await;
    let asked = app.auth.calls("/challenge");
    let refused = prove(&again, &phone.code(&app)).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"), "{}", refused.body);
    assert!(!refused.header("retry-after").is_empty());
    let page = again.navigate("/auth/mfa").await;
    let page = type_code(&again, &page, &phone.code(&app)).await;
    assert_eq!(page.status, 429);
    assert!(page.body.contains("That was the last try for now."), "{}", page.body);
    assert_eq!(app.auth.calls("/challenge"), asked, "GoTrue is not asked");
    app.clock.advance(Duration::minutes(16));
    assert_eq!(prove(&again, &phone.code(&app)).await.status, 200);
}

/// S-32: an app that somebody else removes is no step any more: nobody waits for a code that no phone can show. One that
/// comes to a session of the first level makes it wait for its code.
#[tokio::test]
async fn the_step_that_is_missing_follows_the_factors() {
    let (app, phone) = with_app(Plan::default()).await;
    let (browser, answer) = half_way(&app).await;
    let user = answer.json()["session"]["user"]["id"].as_str().unwrap().to_owned();
    let key = format!("Bearer {}", app.auth_server().admin_key().expose());
    let path = format!("{}/auth/v1/admin/users/{user}/factors/{}", app.auth.url(), phone.id);
    let gone = app.browser().send(Method::DELETE, &path, &[("authorization", &key)], None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    app.clock.advance(Duration::seconds(20));
    let (at, _) = browser.follow_from("same-origin", "/auth/mfa?return_to=/auth/account").await;
    assert_eq!(at, "/auth/account");
    assert_eq!(session(&browser).await["limited"], Value::Null);
}

/// S-102: the app of somebody else is answered like one that does not exist.
#[tokio::test]
async fn the_app_of_another_person_is_unknown() {
    let (app, phone) = with_app(Plan::default()).await;
    let bob = app.signed_in("bob@example.test").await;
    for id in [phone.id.as_str(), "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f", "no-id"] {
        let body = json!({ "factor_id": id, "code": phone.code(&app) });
        let answer = bob.post("/auth/mfa", &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "factor_unknown"), "{id}: {}", answer.body);
    }
    assert_eq!(prove(&bob, "123456").await.code(), "factor_unknown", "and who has none has none");
}

/// S-32: recovery does not skip the second factor: the code comes first, and the new password is still missing then.
#[tokio::test]
async fn a_recovery_link_does_not_skip_the_code() {
    let (app, phone) = with_app(Plan::default()).await;
    let browser = crate::limited::recovering(&app).await;
    assert_eq!(session(&browser).await["limited"], "mfa");
    let answer = prove(&browser, &phone.code(&app)).await;
    assert_eq!(answer.json()["session"]["limited"], "recovery", "{}", answer.body);
    assert_eq!(browser.get("/api/notes").await.code(), "session_limited");
}

/// The provider's way in ends at the code as well.
#[tokio::test]
async fn a_provider_does_not_skip_the_code() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let start = "/auth/start/google?return_to=/auth/account";
    let back = crate::provider::up_to_callback(&browser, start, "grace@example.test").await;
    browser.follow_from("cross-site", &back).await;
    let phone = add_app(&app, &browser, "phone").await;
    let other = app.browser();
    let back = crate::provider::up_to_callback(&other, start, "grace@example.test").await;
    let (at, page) = other.follow_from("cross-site", &back).await;
    assert_eq!(at, "/auth/mfa?return_to=%2Fauth%2Faccount");
    let answer = type_code(&other, &page, &phone.code(&app)).await;
    assert_eq!(answer.header("location"), "/auth/account");
    assert_eq!(session(&other).await["aal"], 2);
}
