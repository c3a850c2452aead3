//! A person signs up, signs in, is known, signs out.

use http::Method;
use serde_json::json;

use crate::client::{Answer, Browser, navigation};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::tap::Fault;

/// The main job, by forms alone: sign up, be known, sign out, sign in again.
#[tokio::test]
async fn a_person_signs_up_out_and_in_by_forms() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let page = browser.navigate("/auth/signup?return_to=/notes").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let token = page.form_token("/auth/signup");
    let fields = [
        ("form_token", token.as_str()),
        ("email", "ada@example.test"),
        ("password", PASSWORD),
        ("return_to", "/notes"),
    ];
    let answer = browser.submit("/auth/signup", &fields).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/auth/continue?return_to=%2Fnotes"),
        "{}",
        answer.body
    );

    let session = browser.get("/auth/session").await.json();
    assert_eq!(session["authenticated"], true);
    assert_eq!(session["user"]["email"], "ada@example.test");
    assert_eq!(session["roles"], json!(["user"]));
    assert_eq!(session["scopes"], json!(["items:read"]));

    let page = browser.navigate("/auth/account").await;
    assert!(page.body.contains("ada@example.test"), "{}", page.body);
    let fields = [("form_token", page.form_token("/auth/logout"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = browser.submit("/auth/logout", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/auth/login"));
    assert_eq!(app.auth.calls("/logout?scope=local"), 1);
    let session = browser.get("/auth/session").await.json();
    assert_eq!((&session["authenticated"], &session["reason"]), (&json!(false), &json!("user")));

    let page = browser.navigate("/auth/login").await;
    assert!(page.body.contains("You are signed out."), "{}", page.body);
    let token = page.form_token("/auth/login");
    let fields = [("form_token", token.as_str()), ("email", "ada@example.test"), ("password", "wrong horse")];
    let answer = browser.submit("/auth/login", &fields).await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("E-mail or password is not right."), "{}", answer.body);
    assert_eq!(answer.field("email"), "ada@example.test", "the address is kept");
    assert!(!answer.body.contains("wrong horse"), "S-69: no password is echoed");
    let fields = [("form_token", token.as_str()), ("email", "ada@example.test"), ("password", PASSWORD)];
    let answer = browser.submit("/auth/login", &fields).await;
    assert_eq!(answer.status, 303);
    assert_eq!(browser.get("/api/notes").await.status, 200);
    let bearer = app.echo.last();
    assert!(bearer.bearer().starts_with("Bearer eyJ"), "the upstream gets the user's token");
    assert!(bearer.headers.get("cookie").is_none(), "S-50: and not our cookies");
}

/// The same flow as JSON.
#[tokio::test]
async fn a_script_signs_up_in_and_out_by_json() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    let wrong =
        browser.post("/auth/login", &json!({ "email": "ada@example.test", "password": "wrong horse" })).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "invalid_credentials"));
    assert_eq!(wrong.header("content-type"), "application/problem+json");
    let right = json!({ "email": "ada@example.test", "password": PASSWORD, "return_to": "/notes" });
    let answer = browser.post("/auth/login", &right).await.json();
    assert_eq!((&answer["status"], &answer["return_to"]), (&json!("signed_in"), &json!("/notes")));
    assert_eq!(answer["session"]["user"]["email"], "ada@example.test");
}

/// S-24, S-25, S-28: to the pretend provider and back, with a challenge, under a clean address.
#[tokio::test]
async fn a_person_signs_in_at_a_provider() {
    for provider in ["google", "github"] {
        let app = TestApp::start().await;
        let browser = app.browser();
        let page = browser.navigate("/auth/login?return_to=/notes").await;
        assert!(page.body.contains(&format!("/auth/start/{provider}")), "{}", page.body);
        let start = browser
            .navigate_from(
                "same-origin",
                &format!("/auth/start/{provider}?return_to=/notes&x=1&client_id=evil&redirect_to=evil"),
            )
            .await;
        let location: url::Url = start.header("location").parse().unwrap();
        let names: Vec<_> = location.query_pairs().map(|(name, _)| name.into_owned()).collect();
        let known = ["provider", "redirect_to", "code_challenge", "code_challenge_method", "prompt"];
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "S-28: {names:?}");
        let challenge = location.query_pairs().find(|(name, _)| name == "code_challenge").unwrap().1.len();
        assert_eq!(challenge, 43);

        let chooser = browser.follow_from("cross-site", location.as_str()).await;
        let back = choose(&browser, &chooser.0, &chooser.1, "ada@example.test").await;
        assert_eq!(back.0, "/notes", "{}", back.1.body);
        let session = browser.get("/auth/session").await.json();
        assert_eq!(session["user"]["email"], "ada@example.test");
        assert_eq!(session["user"]["provider"], provider);
        assert_eq!(app.auth.calls("grant_type=pkce"), 1);
        assert!(browser.cookie("sb_flow_").is_none(), "S-26: the flow is used up");
    }
}

/// Types an address on the pretend provider's page and follows the way back.
async fn choose(browser: &Browser, at: &str, page: &Answer, email: &str) -> (String, Answer) {
    let origin = at.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let state = page.field("state");
    let fields = [("state", state.as_str()), ("email", email), ("name", "Ada"), ("verified", "on")];
    let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut headers = navigation("same-origin").to_vec();
    headers.push(("content-type", "application/x-www-form-urlencoded"));
    headers.push(("origin", &origin));
    let answer = browser.send(Method::POST, at, &headers, Some(text)).await;
    let next =
        answer.refresh_url().unwrap_or_else(|| panic!("no way back: {} {}", answer.status, answer.body));
    let next = if next.starts_with('/') { format!("{origin}{next}") } else { next };
    browser.follow_from("cross-site", &next).await
}

/// S-71: known, unknown and banned look the same, byte for byte, but for what differs in every answer.
#[tokio::test]
async fn unknown_and_wrong_are_answered_alike() {
    let app = TestApp::start().await;
    app.signed_in("ada@example.test").await;
    let ask = async |email: &str| {
        let answer =
            app.browser().post("/auth/login", &json!({ "email": email, "password": "wrong horse" })).await;
        let mut body = answer.json();
        body["request_id"] = json!("");
        (answer.status, body)
    };
    let known = ask("ada@example.test").await;
    assert_eq!(known, ask("nobody@example.test").await);
    app.auth.fail_once("grant_type=password", Fault::code(400, "user_banned"));
    assert_eq!(known, ask("banned@example.test").await);
}

/// S-71, S-82: a sign-up that needs a mail is answered alike for new and known addresses.
#[tokio::test]
async fn sign_up_tells_nobody_who_has_an_account() {
    let plan = Plan { auth: |settings| settings.confirm_email = true, ..Plan::default() };
    let app = TestApp::with(plan).await;
    let ask = async |email: &str| {
        let answer =
            app.browser().post("/auth/signup", &json!({ "email": email, "password": PASSWORD })).await;
        (answer.status, answer.body)
    };
    let fresh = ask("ada@example.test").await;
    assert_eq!(fresh, (200, r#"{"status":"confirmation_sent"}"#.to_owned()));
    assert_eq!(ask("ada@example.test").await, fresh);
    app.clock.advance(time::Duration::minutes(2));
    assert_eq!(ask("ada@example.test").await, fresh);
}
