//! Links of mails: of every kind, and when people do the unexpected with them.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use time::Duration;

use crate::client::{Answer, Browser, navigation};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::mailbox::{administer, begin_change, confirmed, fill, leads, letter, log_in, press, who};
use crate::modes::Mode;
use crate::tap::Fault;

const ADA: &str = "ada@example.test";
const GRACE: &str = "grace@example.test";
const BOB: &str = "bob@example.test";
const CAROL: &str = "carol@example.test";
const NEW: &str = "lantern quarry 58 oboe";

/// Where one mailbox is not enough.
fn confirming(settings: &mut auth_server::Settings) {
    settings.confirm_email = true;
}

/// What the notice of a page says.
fn notice(answer: &Answer) -> &str {
    let (_, rest) = answer.body.split_once("id=\"notice\"").unwrap_or_else(|| panic!("{}", answer.body));
    let (_, rest) = rest.split_once("<p>").unwrap();
    rest.split_once("</p>").unwrap().0
}

/// A change of address takes both mailboxes: the first half is a state of its own, and changes nothing.
#[tokio::test]
async fn an_address_is_changed_by_two_halves() {
    for (mode, old_first) in [(Mode::Cookie, true), (Mode::Cookie, false), (Mode::Memory, true)] {
        let app = TestApp::with(Plan { auth: confirming, ..mode.plan() }).await;
        let browser = confirmed(&app, ADA).await;
        begin_change(&app, ADA, GRACE).await;
        let (first, second) = if old_first { (ADA, GRACE) } else { (GRACE, ADA) };
        let page = browser.navigate(&letter(&app, first).await.link).await;
        assert!(
            page.body.contains("<h1>Change your address</h1>") && page.body.contains("Confirm the change")
        );
        let half = press(&browser, &letter(&app, first).await.link, &[]).await;
        assert_eq!(leads(&half), (303, "/auth/account"), "{}", half.body);
        let page = browser.navigate_from("same-origin", "/auth/account").await;
        assert_eq!(
            notice(&page),
            "One half is done. Now open the mail we sent to your other address as well."
        );
        assert_eq!(who(&browser).await.0, ADA, "nothing has changed yet");

        let copy = browser.stolen();
        let whole = press(&browser, &letter(&app, second).await.link, &[]).await;
        assert_eq!(leads(&whole), (303, "/auth/account"), "{}", whole.body);
        let page = browser.navigate_from("same-origin", "/auth/account").await;
        assert_eq!(notice(&page), "Your address is now grace@example.test.");
        assert_eq!(who(&browser).await, (GRACE.to_owned(), json!(null)));
        assert_eq!(copy.get("/api/notes").await.status, 401, "S-06: the session is a new one");
        assert_eq!(log_in(&app, GRACE, PASSWORD).await.status, 200);
        assert_eq!(log_in(&app, ADA, PASSWORD).await.status, 401);
    }
}

/// The same on a device where nobody is signed in, by digits where the link lost its hash, and as JSON.
#[tokio::test]
async fn halves_are_redeemed_wherever_the_mail_is_read() {
    let app = TestApp::with(Plan { auth: confirming, ..Plan::default() }).await;
    confirmed(&app, ADA).await;
    begin_change(&app, ADA, GRACE).await;
    let phone = app.browser();
    let half = press(&phone, &letter(&app, ADA).await.link, &[]).await;
    assert_eq!(leads(&half), (303, "/auth/login"), "{}", half.body);
    let page = phone.navigate_from("same-origin", "/auth/login").await;
    assert_eq!(notice(&page), "One half is done. Now open the mail we sent to your other address as well.");
    let code = letter(&app, GRACE).await.code;
    let fields =
        [("type", "email_change"), ("email", GRACE), ("code", &*format!("{} {}", &code[..2], &code[2..]))];
    let whole = fill(&phone, "/auth/confirm?type=email_change", "/auth/confirm", &fields).await;
    assert_eq!(leads(&whole), (303, "/auth/account"), "{}", whole.body);
    assert_eq!(who(&phone).await.0, GRACE);

    app.clock.advance(Duration::minutes(2));
    begin_change(&app, GRACE, BOB).await;
    let program = app.browser();
    let redeem = async |hash: String| {
        program.post("/auth/confirm", &json!({ "token_hash": hash, "type": "email_change" })).await
    };
    let half = redeem(letter(&app, BOB).await.hash).await;
    assert_eq!((half.status, half.body.as_str()), (200, r#"{"status":"confirmed"}"#));
    assert_eq!(who(&program).await.0, "");
    let whole = redeem(letter(&app, GRACE).await.hash).await;
    assert_eq!(whole.json()["status"], "signed_in", "{}", whole.body);
    assert_eq!(who(&program).await.0, BOB);
}

/// S-30: a change of address puts nobody in the place of whoever is signed in where its mail is read; and what GoTrue
/// gave for it is revoked.
#[tokio::test]
async fn a_change_of_address_switches_nobody() {
    let app =
        TestApp::with(Plan { auth: |settings| settings.secure_email_change = false, ..Plan::default() })
            .await;
    app.signed_in(ADA).await;
    let bob = app.signed_in(BOB).await;
    begin_change(&app, ADA, GRACE).await;
    let done = press(&bob, &letter(&app, GRACE).await.link, &[]).await;
    assert_eq!(leads(&done), (303, "/auth/account"), "{}", done.body);
    let page = bob.navigate_from("same-origin", "/auth/account").await;
    assert_eq!(
        notice(&page),
        "The new address grace@example.test is confirmed. You are still signed in with this account."
    );
    assert_eq!(who(&bob).await.0, BOB);
    app.auth.arrived("/logout", 1).await;
    assert_eq!(log_in(&app, GRACE, PASSWORD).await.status, 200);

    app.clock.advance(Duration::minutes(2));
    begin_change(&app, GRACE, ADA).await;
    let body = json!({ "token_hash": letter(&app, ADA).await.hash, "type": "email_change" });
    let answer = bob.post("/auth/confirm", &body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"confirmed"}"#));
    assert_eq!(who(&bob).await.0, BOB);
}

/// An invitation leads to a first password, which is judged like any other (S-73), and which may wait.
#[tokio::test]
async fn an_invitation_leads_to_a_password() {
    let app = TestApp::with(Plan { auth: |settings| settings.sign_up = false, ..Plan::default() }).await;
    for (email, later) in [(GRACE, false), (BOB, true)] {
        let invited = administer(&app, Method::POST, "invite", &json!({ "email": email })).await;
        assert_eq!(invited.status, 200, "{}", invited.body);
        let link = letter(&app, email).await.link.replace("&next=", "&next=/notes&x=");
        assert!(link.contains("type=invite"), "{link}");
        let browser = app.browser();
        assert!(browser.navigate(&link).await.body.contains("<h1>Accept your invitation</h1>"));
        let answer = press(&browser, &link, &[]).await;
        assert_eq!(leads(&answer), (303, "/auth/reset?return_to=%2Fnotes"), "{}", answer.body);
        let place = answer.header("location").to_owned();
        let page = browser.navigate_from("same-origin", &place).await;
        assert!(page.body.contains("<h1>Set a password</h1>"), "{}", page.body);
        assert!(!page.body.contains("devices will be signed out"), "{}", page.body);
        assert!(page.body.contains("href=\"&#x2f;notes\">Go on without a password"), "{}", page.body);
        assert_eq!(browser.get("/api/notes").await.status, 200, "the session is complete");
        if later {
            app.clock.advance(Duration::minutes(6));
            assert_eq!(leads(&browser.navigate("/auth/reset").await), (303, "/auth/account"));
            continue;
        }
        let (token, back) = (page.form_token("/auth/reset"), page.field("return_to"));
        let send = async |password: &str| {
            let fields = [("form_token", token.as_str()), ("return_to", &back), ("password", password)];
            browser.submit("/auth/reset", &fields).await
        };
        for weak in ["password1", email] {
            let answer = send(weak).await;
            assert_eq!(answer.status, 422, "{weak}");
            assert!(answer.body.contains("<h1>Set a password</h1>"), "{}", answer.body);
        }
        let answer = send(NEW).await;
        assert_eq!(leads(&answer), (303, "/auth/continue?return_to=%2Fnotes"), "{}", answer.body);
        assert_eq!(who(&browser).await, (email.to_owned(), json!(null)));
        assert_eq!(log_in(&app, email, NEW).await.status, 200);
    }
}

/// A dead link of a kind that nobody can ask for again says where another one comes from.
#[tokio::test]
async fn dead_links_say_what_to_do() {
    let app = TestApp::start().await;
    for (kind, sentence, step) in [
        ("invite", "otherwise ask whoever invited you", "href=\"/auth/login\""),
        ("email_change", "start the change again", "href=\"/auth/account\""),
    ] {
        let page = press(&app.browser(), &format!("/auth/confirm?token_hash=x&type={kind}"), &[]).await;
        assert_eq!(page.status, 410, "{}", page.body);
        assert!(page.body.contains(sentence) && page.body.contains(step), "{}", page.body);
        assert!(!page.body.contains("action=\"/auth/otp\""), "{}", page.body);
    }
    let odd = app.browser().navigate("/auth/confirm?token_hash=x&type=odd").await;
    assert_eq!(odd.status, 410);
    assert!(odd.body.contains("To the start page"), "{}", odd.body);
}

/// A link that lost its hash on the way: the code of its mail does instead, and every fault stands at its field.
#[tokio::test]
async fn a_link_without_its_hash_takes_the_code() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    let asked = app.browser();
    asked.post("/auth/recover", &json!({ "email": ADA })).await;
    let code = letter(&app, ADA).await.code;
    let browser = app.browser();
    for path in ["/auth/confirm", "/auth/confirm?type=recovery"] {
        let page = browser.navigate(path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains("This link is not complete."), "{}", page.body);
    }
    let wrong = if code == "000000" { "111111" } else { "000000" };
    let send = async |email: &str, code: &str| {
        let fields = [("type", "recovery"), ("email", email), ("code", code)];
        fill(&browser, "/auth/confirm?type=recovery", "/auth/confirm", &fields).await
    };
    for (email, typed, status, sentences) in [
        ("", "", 400, &["A few things need a change.", "Fill in this field."][..]),
        ("ada@", "123456", 422, &["One thing needs a change.", "This does not look like an e-mail address."]),
        (ADA, " ", 400, &["One thing needs a change.", "Fill in this field."]),
        (ADA, wrong, 422, &["This code is not right or no longer valid."]),
    ] {
        let answer = send(email, typed).await;
        assert_eq!(answer.status, status, "{email} {typed}: {}", answer.body);
        assert!(sentences.iter().all(|sentence| answer.body.contains(sentence)), "{}", answer.body);
    }
    let bob = app.signed_in(BOB).await;
    let fields = [("type", "recovery"), ("email", ADA), ("code", &*code)];
    let question = fill(&bob, "/auth/confirm?type=recovery", "/auth/confirm", &fields).await;
    assert_eq!(question.status, 200);
    assert!(question.body.contains("You are signed in as bob@example.test."), "{}", question.body);
    assert_eq!((question.field("email"), question.field("code")), (ADA.to_owned(), code.clone()));
    let answer = send(ADA, &code).await;
    assert_eq!(leads(&answer), (303, "/auth/reset"), "{}", answer.body);
}

/// S-17, S-30: a scanner that opens links of every kind, however often, burns none.
#[tokio::test]
async fn a_scanner_burns_no_link() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    app.signed_in(CAROL).await;
    begin_change(&app, ADA, GRACE).await;
    app.browser().post("/auth/recover", &json!({ "email": CAROL })).await;
    administer(&app, Method::POST, "invite", &json!({ "email": BOB })).await;
    let mails = [(GRACE, "email_change"), (CAROL, "recovery"), (BOB, "invite")];
    let calls = app.auth.calls("POST");
    for (to, kind) in mails {
        let link = letter(&app, to).await.link;
        assert!(link.contains(&format!("type={kind}")), "{link}");
        for n in 0..6 {
            let method = if n % 2 == 0 { Method::GET } else { Method::HEAD };
            let head = navigation(["none", "cross-site"][n % 2]);
            let answer = app.browser().send(method.clone(), &link, &head, None).await;
            assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
            let answer = app.browser().send(method, &link, &[("sec-purpose", "prefetch")], None).await;
            assert!(answer.set_cookies().iter().all(|set| !set.contains("sb_session")), "{kind}");
        }
    }
    assert_eq!(app.auth.calls("POST"), calls);
    for (to, kind) in mails {
        assert_eq!(press(&app.browser(), &letter(&app, to).await.link, &[]).await.status, 303, "{kind}");
    }
}

/// How often each status came.
fn tally(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut tally = BTreeMap::new();
    answers.iter().for_each(|answer| *tally.entry(answer.status).or_default() += 1);
    tally
}

/// S-75: fifty clicks on one link in fifty browsers at once are one session, though GoTrue takes no lock; it is asked
/// once.
#[tokio::test]
async fn fifty_clicks_on_one_link_are_one_session() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_CONFIRM_PER_NETWORK", "1000/1m")).await;
    app.signed_in(ADA).await;
    for by_json in [false, true] {
        app.browser().post("/auth/otp", &json!({ "email": ADA })).await;
        let mail = letter(&app, ADA).await;
        let browsers: Vec<Browser> = (0..50).map(|_| app.browser()).collect();
        let pages = join_all(browsers.iter().map(|browser| browser.navigate(&mail.link))).await;
        let asked = app.auth.calls("/verify");
        let click = async |browser: &Browser, page: &Answer| {
            if by_json {
                let body = json!({ "token_hash": mail.hash, "type": "magiclink" });
                return browser.post("/auth/confirm", &body).await;
            }
            let token = page.form_token("/auth/confirm");
            let fields = [("form_token", &*token), ("token_hash", &mail.hash), ("type", "magiclink")];
            browser.submit("/auth/confirm", &fields).await
        };
        let answers = join_all(browsers.iter().zip(&pages).map(|(browser, page)| click(browser, page))).await;
        let success = if by_json { 200 } else { 303 };
        assert_eq!(tally(&answers), BTreeMap::from([(success, 1), (410, 49)]));
        assert_eq!(app.auth.calls("/verify"), asked + 1);
        assert_eq!(browsers.iter().filter(|browser| browser.cookie("sb_session").is_some()).count(), 1);
        app.clock.advance(Duration::minutes(2));
    }
}

/// The same for digits: five tries pass, one of them signs in.
#[tokio::test]
async fn fifty_tries_of_one_code_are_one_session() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    app.browser().post("/auth/otp", &json!({ "email": ADA })).await;
    let body = json!({ "email": ADA, "code": letter(&app, ADA).await.code });
    let browsers: Vec<Browser> = (0..50).map(|_| app.browser()).collect();
    let answers = join_all(browsers.iter().map(|browser| browser.post("/auth/otp", &body))).await;
    let tally = tally(&answers);
    assert_eq!(tally[&200], 1, "{tally:?}");
    assert_eq!(tally.values().sum::<usize>() - tally[&200], tally[&429] + tally[&422], "{tally:?}");
    assert_eq!(app.auth.calls("/verify"), 1);
}

/// A double click is no error: both clicks of one form in one browser arrive, at one session of GoTrue's.
#[tokio::test]
async fn a_double_click_is_one_sign_in() {
    for mode in [Mode::Cookie, Mode::Memory] {
        let app = TestApp::with(mode.plan()).await;
        app.signed_in(ADA).await;
        for (kind, count) in [("link", 20), ("code", 4)] {
            app.browser().post("/auth/otp", &json!({ "email": ADA })).await;
            let (mail, browser) = (letter(&app, ADA).await, app.browser());
            let asked = app.auth.calls("/verify");
            let (action, rest) = match kind {
                "link" => ("/auth/confirm", [("token_hash", mail.hash.as_str()), ("type", "magiclink")]),
                _ => ("/auth/otp", [("email", ADA), ("code", mail.code.as_str())]),
            };
            let page = if kind == "link" { mail.link.as_str() } else { "/auth/otp" };
            let token = browser.navigate(page).await.form_token(action);
            let fields = [("form_token", token.as_str()), rest[0], rest[1]];
            let clicks = (0..count).map(|_| browser.submit(action, &fields));
            let answers = join_all(clicks).await;
            assert_eq!(tally(&answers), BTreeMap::from([(303, count)]), "{kind}");
            assert_eq!(app.auth.calls("/verify"), asked + 1, "{kind}");
            assert_eq!(who(&browser).await.0, ADA);
            app.clock.advance(Duration::minutes(2));
        }
    }
}

/// GoTrue away in the middle: the page comes back with its button, and the link still works.
#[tokio::test]
async fn an_outage_burns_no_link() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    app.browser().post("/auth/otp", &json!({ "email": ADA })).await;
    let (mail, browser) = (letter(&app, ADA).await, app.browser());
    for fault in
        [Fault::Reset, Fault::code(500, "unexpected_failure"), Fault::code(429, "over_request_rate_limit")]
    {
        app.auth.fail_once("/verify", fault.clone());
        let page = press(&browser, &mail.link, &[]).await;
        assert!(matches!(page.status, 503 | 429), "{fault:?}: {}", page.body);
        assert_eq!(page.field("token_hash"), mail.hash, "{fault:?}");
        assert!(!page.header("retry-after").is_empty());
    }
    assert_eq!(press(&browser, &mail.link, &[]).await.status, 303);
}

/// The link of GoTrue's own mails, opened in a browser that knows nothing of the sign-up: the person is told what can be known,
/// that the address is confirmed if a mail led here, and signs in. What GoTrue refused says so.
#[tokio::test]
async fn a_sign_up_is_confirmed_in_another_browser_by_gotrues_own_link() {
    let verifying = |settings: &mut auth_server::Settings| {
        settings.confirm_email = true;
        settings.mail_links = auth_server::MailLinks::Verify;
    };
    let plan = Plan { auth: verifying, ..Plan::default() }.with("BFF_PAGES_LANGUAGES", "en,de");
    let app = TestApp::with(plan).await;
    let form = json!({ "email": ADA, "password": PASSWORD });
    assert_eq!(app.browser().post("/auth/signup", &form).await.json()["status"], "confirmation_sent");
    let mail = app.outbox().await.pop().unwrap()["text"].as_str().unwrap().to_owned();
    let link = mail.split_whitespace().find(|word| word.contains("/verify?")).unwrap().to_owned();
    assert_eq!(log_in(&app, ADA, PASSWORD).await.code(), "email_not_confirmed");
    let phone = app.browser();
    let (at, page) = phone.follow_from("none", &link).await;
    assert_eq!((at.as_str(), page.status), ("/auth/login", 200), "{}", page.body);
    let english = "If you opened the link of our mail, your address is confirmed now. Sign in to go on.";
    assert_eq!(notice(&page), english);
    assert_eq!(log_in(&app, ADA, PASSWORD).await.status, 200, "it is");
    let german = app.browser();
    let forged = format!("{}?code=made-up", path_of(&link));
    let answer = german.navigate_from("cross-site", &forged).await;
    assert_eq!(leads(&answer), (303, "/auth/login"), "who made the code up is promised nothing");
    let mut headers = navigation("same-origin").to_vec();
    headers.push(("accept-language", "de"));
    let page = german.send(Method::GET, "/auth/login", &headers, None).await;
    assert_eq!(
        notice(&page),
        "Wenn Sie den Link in unserer E-Mail geöffnet haben, ist Ihre Adresse jetzt bestätigt. Melden Sie sich an, um \
         fortzufahren."
    );
    let (at, page) = app.browser().follow_from("none", &link).await;
    assert_eq!((at.as_str(), page.status), ("/auth/confirm", 410), "a second time: {}", page.body);
    assert!(page.body.contains("It was used already or is too old."), "{}", page.body);
    for nothing in ["?code=", "", "?error=server_error&error_code=unexpected_failure"] {
        let answer = app.browser().navigate_from("cross-site", &format!("{}{nothing}", path_of(&link))).await;
        assert_eq!(leads(&answer), (303, "/auth/login?cookies=check"), "{nothing}");
    }
}

/// Where GoTrue leads from the link of a mail.
fn path_of(link: &str) -> String {
    let link = url::Url::parse(link).unwrap();
    let (_, target) = link.query_pairs().find(|(name, _)| name == "redirect_to").unwrap();
    url::Url::parse(&target).unwrap().path().to_owned()
}
