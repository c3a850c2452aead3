//! Sign-in by a code or a link from a mail.

use http::Method;
use serde_json::json;
use time::Duration;

use crate::client::Browser;
use crate::confirm::plain;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mailbox::{fill, leads, letter, letters, log_in, press, who};
use crate::modes::Mode;
use crate::recovery::{EVERYBODY, everybody};
use crate::tap::Fault;

const ADA: &str = "ada@example.test";

/// Asks for a code on the page, with a way back to `/notes`.
async fn ask(browser: &Browser, email: &str) {
    let fields = [("email", email), ("return_to", "/notes")];
    let answer = fill(browser, "/auth/otp?return_to=/notes", "/auth/otp", &fields).await;
    assert_eq!(leads(&answer), (303, "/auth/otp"), "{}", answer.body);
}

/// Types a code on the page that waits.
async fn enter(browser: &Browser, code: &str) -> crate::client::Answer {
    fill(browser, "/auth/otp", "/auth/otp", &[("code", code)]).await
}

fn other_than(code: &str) -> &'static str {
    if code == "000000" { "111111" } else { "000000" }
}

/// The whole way, without script: from the login page to the code, typed as people type it, and on to where they came
/// from.
#[tokio::test]
async fn a_code_signs_in() {
    for mode in [Mode::Cookie, Mode::Memory] {
        let app = TestApp::with(mode.plan()).await;
        app.signed_in(ADA).await;
        let browser = app.browser();
        let login = browser.navigate("/auth/login?return_to=/notes").await;
        assert!(login.body.contains("href=\"/auth/otp?return_to=&#x2f;notes\""), "{}", login.body);
        for (typed, sentence) in
            [("", "Fill in this field."), ("ada@", "This does not look like an e-mail address.")]
        {
            let answer = fill(&browser, "/auth/otp", "/auth/otp", &[("email", typed)]).await;
            assert!(answer.status >= 400 && answer.body.contains(sentence), "{}", answer.body);
        }
        ask(&browser, ADA).await;
        let page = browser.navigate_from("same-origin", "/auth/otp").await;
        for part in [
            "If ada@example.test can be used here, a mail with a code is on its way.",
            "Another mail can go out in about 1 minute.",
            "href=\"&#x2f;auth&#x2f;otp?return_to=%2Fnotes\"",
        ] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }
        let code = letter(&app, ADA).await.code;
        for (typed, sentence) in [
            ("  ", "Fill in this field."),
            ("12 34", "This code is not right or no longer valid."),
            ("abcdef", "This code is not right or no longer valid."),
            (other_than(&code), "This code is not right or no longer valid."),
        ] {
            let answer = enter(&browser, typed).await;
            assert!(answer.status >= 400 && answer.body.contains(sentence), "{typed}: {}", answer.body);
        }
        let spaced = format!(" {} {}\u{a0}", &code[..3], &code[3..]);
        let answer = enter(&browser, &spaced).await;
        assert_eq!(leads(&answer), (303, "/auth/continue?return_to=%2Fnotes"), "{}", answer.body);
        assert_eq!(who(&browser).await, (ADA.to_owned(), json!(null)));
        assert_eq!(browser.get("/api/notes").await.status, 200);
        assert!(browser.cookie("sb_flow_").is_none(), "nothing waits any more");
    }
}

/// As JSON; the code may be typed on another device than the one that asked.
#[tokio::test]
async fn json_signs_in_by_a_code() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    for same in [true, false] {
        let browser = app.browser();
        let answer = browser.post("/auth/otp", &json!({ "email": ADA })).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"sent"}"#));
        let browser = if same { browser } else { app.browser() };
        let code = letter(&app, ADA).await.code;
        let wrong = browser.post("/auth/otp", &json!({ "email": ADA, "code": other_than(&code) })).await;
        assert_eq!((wrong.status, wrong.code().as_str()), (422, "code_wrong"));
        let answer = browser.post("/auth/otp", &json!({ "email": ADA, "code": code })).await;
        assert_eq!(answer.json()["status"], "signed_in", "{}", answer.body);
        assert_eq!(who(&browser).await.0, ADA);
        let used = app.browser().post("/auth/otp", &json!({ "email": ADA, "code": code })).await;
        assert_eq!((used.status, used.code().as_str()), (422, "code_wrong"));
        app.clock.advance(Duration::minutes(2));
    }
    for (body, code) in [
        (json!({ "email": "no address" }), "email_invalid"),
        (json!({}), "bad_request"),
        (json!({ "email": "no address", "code": "123456" }), "code_wrong"),
        (json!({ "code": "123456" }), "code_wrong"),
    ] {
        assert_eq!(app.browser().post("/auth/otp", &body).await.code(), code, "{body}");
    }
}

/// The link of the same mail, opened on another device, signs in there. Its code, typed afterwards, is used, and the
/// page has another to offer.
#[tokio::test]
async fn a_magic_link_signs_in_where_it_is_opened() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    let browser = app.browser();
    ask(&browser, ADA).await;
    let mail = letter(&app, ADA).await;
    assert!(mail.link.contains("type=magiclink"), "{}", mail.link);
    let phone = app.browser();
    let answer = press(&phone, &mail.link, &[]).await;
    assert_eq!(leads(&answer), (303, "/auth/continue?return_to=%2F"), "{}", answer.body);
    assert_eq!(who(&phone).await.0, ADA);
    let late = enter(&browser, &mail.code).await;
    assert_eq!(late.status, 422);
    assert!(late.body.contains("Send it again"), "{}", late.body);

    app.clock.advance(Duration::minutes(2));
    ask(&browser, ADA).await;
    let mail = letter(&app, ADA).await;
    let answer = press(&browser, &mail.link, &[]).await;
    assert_eq!(
        answer.header("location"),
        "/auth/continue?return_to=%2Fnotes",
        "here it is known where it leads"
    );
    app.clock.advance(Duration::minutes(2));
    ask(&browser, "grace@example.test").await;
    let either = letter(&app, "grace@example.test").await.link.replace("type=magiclink", "type=email");
    assert_eq!(press(&app.browser(), &either, &[]).await.status, 303, "templates that say `email` work too");
}

/// One mail a minute; the page tells how long, by this browser's own wish; only the newest code works.
#[tokio::test]
async fn another_mail_can_be_had_after_a_wait() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    for (path, count) in [("/auth/otp", 1), ("/auth/recover", 3)] {
        let browser = app.browser();
        let fields = [("email", ADA)];
        assert_eq!(fill(&browser, path, path, &fields).await.status, 303);
        let first = letter(&app, ADA).await;
        assert_eq!(letters(&app, ADA).await.len(), count);
        let again = async || {
            let page = browser.navigate_from("same-origin", "/auth/otp").await;
            let fields = [("form_token", page.form_token("/auth/otp")), ("purpose", page.field("purpose"))];
            let mut fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            fields.extend([("email", ADA), ("again", "true")]);
            let answer = browser.submit("/auth/otp", &fields).await;
            assert_eq!(leads(&answer), (303, "/auth/otp"), "{}", answer.body);
            browser.navigate_from("same-origin", "/auth/otp").await.body
        };
        app.clock.advance(Duration::seconds(52));
        let page = again().await;
        assert!(
            page.contains("At most one mail a minute goes out.") && page.contains("in about 10 seconds."),
            "{page}"
        );
        assert_eq!(letters(&app, ADA).await.len(), count, "too early");
        app.clock.advance(Duration::seconds(9));
        let page = browser.navigate_from("same-origin", "/auth/otp").await.body;
        assert!(!page.contains("Another mail can go out"), "{page}");
        let page = again().await;
        assert!(page.contains("in about 1 minute."), "{page}");
        assert_eq!(letters(&app, ADA).await.len(), count + 1);
        let second = letter(&app, ADA).await;
        if first.code != second.code {
            assert_eq!(enter(&browser, &first.code).await.status, 422);
        }
        assert_eq!(enter(&browser, &second.code).await.status, 303);
        app.clock.advance(Duration::minutes(2));
    }
}

/// Whoever has no account gets one where sign-up is open, and nothing but the same answer where it is not.
#[tokio::test]
async fn a_code_makes_an_account_where_sign_up_is_open() {
    let app = TestApp::with(Plan { auth: |settings| settings.confirm_email = true, ..Plan::default() }).await;
    let browser = app.browser();
    ask(&browser, "new@example.test").await;
    assert_eq!(enter(&browser, &letter(&app, "new@example.test").await.code).await.status, 303);
    assert_eq!(who(&browser).await.0, "new@example.test");

    let closed = TestApp::with(Plan { auth: |settings| settings.sign_up = false, ..Plan::default() }).await;
    let browser = closed.browser();
    ask(&browser, "new@example.test").await;
    assert!(closed.outbox().await.is_empty());
    let body = &closed.auth.seen("/otp")[0].body;
    assert!(body.contains(r#""create_user":false"#), "{body}");
}

/// S-71: byte for byte the same for known, unknown, banned and unconfirmed people, whatever GoTrue says.
#[tokio::test]
async fn a_wish_for_a_code_tells_nobody_who_is_known() {
    let app = everybody().await;
    let ask = async |email: &str| plain(&app.browser().post("/auth/otp", &json!({ "email": email })).await);
    let first = ask("other@example.test").await;
    assert_eq!(first.0, 200);
    for email in EVERYBODY {
        assert_eq!(ask(email).await, first, "{email}");
        assert_eq!(ask(email).await, first, "{email}, within the minute");
    }
    for (status, code) in [
        (422, "otp_disabled"),
        (422, "signup_disabled"),
        (403, "user_banned"),
        (429, "over_email_send_rate_limit"),
        (429, "over_request_rate_limit"),
    ] {
        app.auth.fail_once("/otp", Fault::code(status, code));
        app.clock.advance(Duration::minutes(2));
        assert_eq!(ask("known@example.test").await, first, "{code}");
    }
    // The code of a banned person is a wrong code.
    let code = letter(&app, "bannd@example.test").await.code;
    let body = json!({ "email": "bannd@example.test", "code": code });
    let answer = app.browser().post("/auth/otp", &body).await;
    let body = json!({ "email": "ghost@example.test", "code": "123456" });
    assert_eq!(plain(&answer), plain(&app.browser().post("/auth/otp", &body).await));
    assert_eq!(answer.code(), "code_wrong");
}

/// S-82: five wrong codes of a person, whatever they are for; a sign-in with the password gives none back.
#[tokio::test]
async fn tries_are_counted_per_person() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    let browser = app.browser();
    browser.post("/auth/otp", &json!({ "email": ADA })).await;
    let code = letter(&app, ADA).await.code;
    for purpose in ["email", "recovery", "signup", "email", "recovery"] {
        let body = json!({ "email": ADA, "code": other_than(&code), "purpose": purpose });
        assert_eq!(app.browser().post("/auth/otp", &body).await.code(), "code_wrong");
    }
    assert_eq!(log_in(&app, ADA, PASSWORD).await.status, 200);
    let asked = app.auth.calls("/verify");
    let page = enter(&browser, &code).await;
    assert_eq!(page.status, 429);
    assert!(page.body.contains("That was the last try for now. Wait about"), "{}", page.body);
    let body = json!({ "type": "magiclink", "email": ADA, "code": code });
    let answer = app.browser().post("/auth/confirm", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    assert_eq!(app.auth.calls("/verify"), asked, "GoTrue was not asked");
}

/// Where the project signs nobody in by address, the ways are not there; an outage of GoTrue is a page that keeps the
/// address.
#[tokio::test]
async fn a_project_without_addresses_offers_no_mails() {
    let app = TestApp::start().await;
    let settings =
        app.browser().send(Method::GET, &format!("{}/auth/v1/settings", app.auth.url()), &[], None).await;
    let mut settings = settings.json();
    settings["external"]["email"] = json!(false);
    app.auth.fail("/settings", Fault::Answer(200, "application/json", settings.to_string()));
    app.clock.advance(Duration::minutes(2));
    let login = app.browser().navigate("/auth/login").await.body;
    for path in ["/auth/otp", "/auth/recover"] {
        assert!(!login.contains(path), "{path}: {login}");
        assert_eq!(app.browser().get(path).await.code(), "feature_disabled");
        assert_eq!(app.browser().navigate(path).await.status, 404);
    }
    app.auth.heal();
    app.clock.advance(Duration::minutes(2));
    for (path, part) in [("/auth/otp", "/otp"), ("/auth/recover", "/recover")] {
        app.auth.fail_once(&format!("/auth/v1{part}"), Fault::Reset);
        let page = fill(&app.browser(), path, path, &[("email", ADA)]).await;
        assert_eq!(page.status, 503, "{}", page.body);
        assert!(page.body.contains("Signing in does not work for the moment.") && page.body.contains(ADA));
    }
}
