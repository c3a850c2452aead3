//! Mail links and codes, and what nobody may learn from the answers.

use http::Method;
use serde_json::json;
use time::Duration;

use crate::client::{Answer, Browser, navigation};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mailbox::press;
use crate::tap::Fault;

async fn with_mails() -> TestApp {
    TestApp::with(Plan { auth: |settings| settings.confirm_email = true, ..Plan::default() }).await
}

/// Signs up and returns the path of the mailed link.
async fn mailed(app: &TestApp, browser: &Browser, email: &str) -> String {
    let answer = browser.post("/auth/signup", &json!({ "email": email, "password": PASSWORD })).await;
    assert_eq!(answer.body, r#"{"status":"confirmation_sent"}"#);
    let mail = app.outbox().await.into_iter().rfind(|mail| mail["to"] == email).expect("a mail");
    let text = mail["text"].as_str().unwrap();
    let link = text
        .split_whitespace()
        .find(|word| word.contains("/auth/confirm?"))
        .unwrap_or_else(|| panic!("{text}"));
    link.strip_prefix(&app.base).expect("a link of the public URL").to_owned()
}

/// S-17, S-30: looking at a link, however often, redeems nothing; the click does, once; the second is explained.
#[tokio::test]
async fn a_link_is_redeemed_by_a_click_alone() {
    let app = with_mails().await;
    let browser = app.browser();
    let link = mailed(&app, &browser, "ada@example.test").await;
    for n in 0..20 {
        let method = if n % 2 == 0 { Method::GET } else { Method::HEAD };
        let site = ["none", "cross-site", "same-origin"][n % 3];
        let answer = app.browser().send(method.clone(), &link, &navigation(site), None).await;
        assert_eq!(answer.status, 200);
        assert!(answer.set_cookies().iter().all(|cookie| !cookie.contains("sb_session")));
        let scanner = app.browser().send(method, &link, &[], None).await;
        assert_eq!((scanner.status, scanner.header("cache-control")), (200, "no-store"));
    }
    assert_eq!(app.auth.calls("/verify"), 0);

    let elsewhere = app.browser();
    let answer = press(&elsewhere, &link, &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(elsewhere.get("/auth/session").await.json()["user"]["email"], "ada@example.test");
    let late = app.browser();
    let answer = press(&late, &link, &[]).await;
    assert_eq!(answer.status, 410);
    assert!(answer.header("content-type").starts_with("text/html") && late.cookie("sb_session").is_none());
    let body = json!({ "token_hash": "x", "type": "signup" });
    assert_eq!(late.post("/auth/confirm", &body).await.code(), "link_expired");
}

/// S-30: with another person's session open the page asks first, and until then changes nothing.
#[tokio::test]
async fn a_link_asks_before_it_switches_people() {
    let app = with_mails().await;
    let bob = app.browser();
    let link = mailed(&app, &bob, "bob@example.test").await;
    assert_eq!(press(&bob, &link, &[]).await.status, 303);
    let link = mailed(&app, &app.browser(), "ada@example.test").await;
    let asked = app.auth.calls("/verify");
    let question = press(&bob, &link, &[]).await;
    assert_eq!(question.status, 200, "{}", question.body);
    assert!(question.body.contains("bob@example.test"), "it says whose session is open: {}", question.body);
    assert_eq!(app.auth.calls("/verify"), asked, "nothing was redeemed");
    assert_eq!(bob.get("/auth/session").await.json()["user"]["email"], "bob@example.test");

    let copy = bob.stolen();
    let answer = press(&bob, &link, &[("switch", "1")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(bob.get("/auth/session").await.json()["user"]["email"], "ada@example.test");
    assert_eq!(copy.get("/api/x").await.status, 401, "S-06: the old session ended");
}

/// S-30: a program that redeems a link is asked as well: 409, and nothing is redeemed until it says so.
#[tokio::test]
async fn json_asks_before_it_switches_people() {
    let app = with_mails().await;
    let bob = app.browser();
    let link = mailed(&app, &bob, "bob@example.test").await;
    assert_eq!(press(&bob, &link, &[]).await.status, 303);
    let link = mailed(&app, &app.browser(), "ada@example.test").await;
    let hash = app.browser().navigate(&link).await.field("token_hash");
    let asked = app.auth.calls("/verify");
    for consent in [json!(null), json!(false), json!("no")] {
        let body = json!({ "token_hash": hash, "type": "signup", "switch": consent });
        let answer = bob.post("/auth/confirm", &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "session_open"), "{consent}");
    }
    assert_eq!(app.auth.calls("/verify"), asked, "nothing was redeemed");
    assert_eq!(bob.get("/auth/session").await.json()["user"]["email"], "bob@example.test");
    let body = json!({ "token_hash": hash, "type": "signup", "switch": true });
    let answer = bob.post("/auth/confirm", &body).await;
    assert_eq!(answer.json()["status"], "signed_in", "{}", answer.body);
    assert_eq!(bob.get("/auth/session").await.json()["user"]["email"], "ada@example.test");
}

/// The page of a dead link offers another mail of the kind, and sends it.
#[tokio::test]
async fn a_dead_link_leads_to_a_new_mail() {
    let app = with_mails().await;
    let link = mailed(&app, &app.browser(), "ada@example.test").await;
    mailed(&app, &app.browser(), "bob@example.test").await; // who is not confirmed
    assert_eq!(press(&app.browser(), &link, &[]).await.status, 303);
    app.clock.advance(Duration::hours(2));
    for (kind, email) in [
        ("signup", "bob@example.test"),
        ("magiclink", "ada@example.test"),
        ("email", "ada@example.test"),
        ("recovery", "ada@example.test"),
    ] {
        let later = app.browser();
        let page = press(&later, &format!("/auth/confirm?token_hash=x&type={kind}"), &[]).await;
        assert_eq!(page.status, 410, "{}", page.body);
        let (token, purpose) = (page.form_token("/auth/otp"), page.field("purpose"));
        let fields =
            [("form_token", token.as_str()), ("purpose", &purpose), ("again", "true"), ("email", email)];
        let sent = app.outbox().await.len();
        let answer = later.submit("/auth/otp", &fields).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/auth/otp"), "{}", answer.body);
        let mails = app.outbox().await;
        assert_eq!(mails.len(), sent + 1, "{kind}");
        let text = mails.last().unwrap()["text"].as_str().unwrap();
        let same = if kind == "email" { "magiclink" } else { kind };
        assert!(text.contains(&format!("type={same}")), "{kind}: {text}");
        app.clock.advance(Duration::minutes(2));
    }
}

/// S-13, S-15, S-16: a click of another site, or of another browser's form, redeems nothing.
#[tokio::test]
async fn a_click_must_be_made_here() {
    let app = with_mails().await;
    let browser = app.browser();
    let link = mailed(&app, &browser, "ada@example.test").await;
    let other = app.browser().navigate(&link).await.form_token("/auth/confirm");
    let page = browser.navigate(&link).await;
    let (hash, login) =
        (page.field("token_hash"), browser.navigate("/auth/login").await.form_token("/auth/login"));
    for token in ["", "x", other.as_str(), login.as_str()] {
        let fields = [("form_token", token), ("token_hash", hash.as_str()), ("type", "signup")];
        let answer = browser.submit("/auth/confirm", &fields).await;
        assert_eq!(answer.status, 403, "{token}");
        assert_eq!(answer.field("token_hash"), hash, "the new form can be sent");
    }
    let token = page.form_token("/auth/confirm");
    let body = format!("form_token={token}&token_hash={hash}&type=signup");
    for (origin, site) in
        [("https://evil.test", "cross-site"), ("null", "cross-site"), ("http://localhost", "same-site")]
    {
        let mut headers = navigation(site).to_vec();
        headers.extend([("origin", origin), ("content-type", "application/x-www-form-urlencoded")]);
        let answer = browser.send(Method::POST, "/auth/confirm", &headers, Some(body.clone())).await;
        assert_eq!(answer.status, 403, "{origin}");
    }
    app.clock.advance(Duration::hours(2) + Duration::seconds(1));
    let fields = [("form_token", token.as_str()), ("token_hash", hash.as_str()), ("type", "signup")];
    assert_eq!(browser.submit("/auth/confirm", &fields).await.status, 403, "two hours are over");
    assert_eq!(app.auth.calls("/verify"), 0);
}

/// S-82: five wrong codes, then even the right one is refused for a while.
#[tokio::test]
async fn codes_cannot_be_guessed() {
    let app = with_mails().await;
    let browser = app.browser();
    mailed(&app, &browser, "ada@example.test").await;
    let mail = app.outbox().await.pop().unwrap();
    let text = mail["text"].as_str().unwrap();
    let code = text
        .split_whitespace()
        .map(|w| w.trim_matches('.'))
        .find(|w| w.len() == 6 && w.bytes().all(|b| b.is_ascii_digit()));
    let code = code.unwrap_or_else(|| panic!("a code: {text}"));
    let wrong = if code == "000000" { "111111" } else { "000000" };
    for _ in 0..5 {
        let answer = browser.post("/auth/otp", &json!({ "email": "ada@example.test", "code": wrong })).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "code_wrong"));
    }
    let asked = app.auth.calls("/verify");
    let answer = browser.post("/auth/otp", &json!({ "email": "ada@example.test", "code": code })).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(app.auth.calls("/verify"), asked, "GoTrue was not asked");
    assert!(browser.cookie("sb_session").is_none());
}

/// An answer without what differs in every answer: ids, times, sealed values.
pub fn plain(answer: &Answer) -> (u16, Vec<String>, String) {
    let mut headers: Vec<String> = Vec::new();
    for (name, value) in &answer.headers {
        let value = value.to_str().unwrap();
        headers.push(match name.as_str() {
            "date" | "x-request-id" => format!("{name}: {}", value.len()),
            "set-cookie" => {
                let (pair, attributes) = value.split_once(';').unwrap();
                let (key, sealed) = pair.split_once('=').unwrap();
                let key = if key.starts_with("sb_flow_") { "sb_flow" } else { key };
                format!("{name}: {key}={}; {attributes}", sealed.len())
            }
            _ => format!("{name}: {value}"),
        });
    }
    headers.sort();
    let mut body = answer.body.clone();
    for (before, after) in [("name=\"form_token\" value=\"", '"'), ("\"request_id\":\"", '"')] {
        let mut from = 0;
        while let Some(at) = body[from..].find(before) {
            from += at + before.len();
            let end = from + body[from..].find(after).unwrap();
            body.replace_range(from..end, "");
        }
    }
    (answer.status, headers, body)
}

/// S-71: the answers to a sign-in are alike to the byte for unknown, known, banned and unconfirmed accounts, as a page
/// and as JSON, and whatever word GoTrue uses.
#[tokio::test]
async fn a_sign_in_tells_nobody_who_is_known() {
    let app = with_mails().await;
    let browser = app.browser();
    let link = mailed(&app, &browser, "known@example.test").await;
    assert_eq!(press(&browser, &link, &[]).await.status, 303);
    mailed(&app, &app.browser(), "fresh@example.test").await; // not confirmed
    let by_json = async |email: &str| {
        plain(&app.browser().post("/auth/login", &json!({ "email": email, "password": "wrong horse" })).await)
    };
    let by_form = async |email: &str| {
        let browser = app.browser();
        let token = browser.navigate("/auth/login").await.form_token("/auth/login");
        let fields = [("form_token", token.as_str()), ("email", email), ("password", "wrong horse")];
        plain(&browser.submit("/auth/login", &fields).await)
    };
    let (json, form) = (by_json("known@example.test").await, by_form("known@example.test").await);
    assert_eq!((json.0, form.0), (401, 401));
    for email in ["other@example.test", "fresh@example.test", "never@example.test"] {
        assert_eq!(by_json(email).await, json, "{email}");
        let own = |body: &str| body.replace(email, "").replace("known@example.test", "");
        let other = by_form(email).await;
        assert_eq!((other.0, own(&other.2)), (form.0, own(&form.2)), "{email}");
    }
    for code in ["user_banned", "invalid_credentials", "validation_failed"] {
        app.auth.fail_once("grant_type=password", Fault::code(400, code));
        assert_eq!(by_json("known@example.test").await, json, "{code}");
    }
    let odd = by_json("no address").await;
    assert_eq!(odd, json, "and for what is no address");
}

/// S-71, S-82: neither sign-up nor the wish for another mail tells who is known, and GoTrue's limits do not either.
#[tokio::test]
async fn a_mail_tells_its_reader_alone() {
    let app = with_mails().await;
    let browser = app.browser();
    let link = mailed(&app, &browser, "known@example.test").await;
    assert_eq!(press(&browser, &link, &[]).await.status, 303);
    app.clock.advance(Duration::minutes(2));
    let sign_up = async |email: &str| {
        plain(&app.browser().post("/auth/signup", &json!({ "email": email, "password": PASSWORD })).await)
    };
    let again = async |email: &str| {
        plain(&app.browser().post("/auth/otp", &json!({ "email": email, "again": true })).await)
    };
    // GoTrue answers a wish for another mail with an empty object, whoever is meant.
    let sent = || app.auth.fail("/resend", Fault::Answer(200, "application/json", "{}".into()));
    sent();
    let (first, second) = (sign_up("newer@example.test").await, again("other@example.test").await);
    assert_eq!((first.0, second.0), (200, 200));
    assert_eq!(sign_up("known@example.test").await, first);
    assert_eq!(sign_up("known@example.test").await, first, "within the minute as well");
    assert_eq!(again("known@example.test").await, second);
    assert_eq!(again("third@example.test").await, second);
    for code in ["user_already_exists", "email_exists"] {
        app.clock.advance(Duration::minutes(2));
        app.auth.fail_once("/signup", Fault::code(422, code));
        assert_eq!(sign_up("known@example.test").await, first, "{code}");
    }
    for (code, part) in [("over_email_send_rate_limit", "/signup"), ("over_email_send_rate_limit", "/resend")]
    {
        app.clock.advance(Duration::minutes(2));
        app.auth.heal();
        app.auth.fail_once(part, Fault::code(429, code));
        let answer = if part == "/signup" {
            sign_up("known@example.test").await
        } else {
            again("known@example.test").await
        };
        assert_eq!(answer, if part == "/signup" { first.clone() } else { second.clone() }, "{part}");
    }
    sent();
    let before = app.auth.calls("/resend");
    app.clock.advance(Duration::minutes(2));
    for _ in 0..20 {
        again("mass@example.test").await;
    }
    assert_eq!(app.auth.calls("/resend"), before + 1, "one mail a minute");
}
