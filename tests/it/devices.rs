//! Where a person is signed in: the list, the end of one session, of all others.

use http::Method;
use serde_json::{Value, json};
use supabase_bff::event::Reason;
use time::Duration;

use crate::client::{Answer, Browser, navigation, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::limited::{before_the_code, recovering};
use crate::logs::Log;
use crate::modes::Mode;
use crate::tap::Fault;
use crate::weather::{Mood, Weather};

pub const ADA: &str = "ada@example.test";
pub const LINUX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
pub const ANDROID: &str = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0";
pub const LIST: &str = "/auth/account/sessions";
pub const PAGE: &str = "/auth/account/security";

/// A browser that calls itself `agent`, in which Ada has just signed in.
pub async fn device(app: &TestApp, agent: &str) -> Browser {
    let browser = app.browser();
    let body = json!({ "email": ADA, "password": PASSWORD }).to_string();
    let headers = [("content-type", "application/json"), ("user-agent", agent)];
    assert_eq!(browser.send(Method::POST, "/auth/login", &headers, Some(body)).await.status, 200);
    browser
}

/// Ada with three devices, one a minute: a laptop, a phone, something that does not say what it is.
pub async fn three(plan: Plan) -> (TestApp, [Browser; 3]) {
    let app = TestApp::with(plan).await;
    app.signed_in(ADA).await.post("/auth/logout", &json!({})).await;
    let mut browsers = Vec::new();
    for agent in [LINUX, ANDROID, ""] {
        app.clock.advance(Duration::minutes(1));
        browsers.push(device(&app, agent).await);
    }
    (app, browsers.try_into().unwrap_or_else(|_| panic!("three")))
}

pub async fn list(browser: &Browser) -> Vec<Value> {
    let answer = browser.get(LIST).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["sessions"].as_array().expect("a list").clone()
}

/// The id of a browser's own session, as its page knows it.
pub async fn id_of(browser: &Browser) -> String {
    browser.get("/auth/session").await.json()["session"]["id"].as_str().unwrap().to_owned()
}

pub async fn end(browser: &Browser, id: &str) -> Answer {
    browser.json(Method::DELETE, &format!("{LIST}/{id}"), &json!({})).await
}

pub async fn is_alive(browser: &Browser) -> bool {
    browser.stolen().get("/api/notes").await.status == 200
}

pub fn told(answer: &Answer) -> (u16, String, &str) {
    (answer.status, answer.code(), answer.header("x-session-ended"))
}

/// The one that asks comes first, then the latest use; nothing in it is good for anything but naming a session (S-10).
#[tokio::test]
async fn the_list_tells_the_devices_of_a_person() {
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let (app, [laptop, phone, other]) = three(mode.plan()).await;
        app.signed_in("eve@example.test").await;
        let answer = laptop.get(LIST).await;
        let row = |id: &str, device: Value, current: bool, minute: i64| {
            let at = format!("2026-01-01T00:0{minute}:00Z");
            json!({
                "id": id, "current": current, "device": device, "aal": 1, "created_at": at, "last_seen_at": at,
            })
        };
        let rows = [
            row(&id_of(&laptop).await, json!("Firefox on Linux"), true, 1),
            row(&id_of(&other).await, Value::Null, false, 3),
            row(&id_of(&phone).await, json!("Firefox on Android"), false, 2),
        ];
        assert_eq!(answer.json(), json!({ "status": "ok", "sessions": rows }));
        assert_eq!(answer.header("cache-control"), "no-store", "S-09");
        app.clock.advance(Duration::hours(20)); // the last use is written in tenths of the idle limit
        assert_eq!(phone.get("/api/notes").await.status, 200);
        let row = list(&phone).await.remove(0);
        assert_eq!((&row["device"], &row["current"]), (&json!("Firefox on Android"), &json!(true)));
        assert_eq!(row["created_at"], "2026-01-01T00:02:00Z");
        assert_eq!(row["last_seen_at"], "2026-01-01T20:03:00Z");
    }
}

/// The page says the same in words; people who ask for the list are led to it.
#[tokio::test]
async fn the_page_tells_the_devices_of_a_person() {
    let (app, [laptop, ..]) = three(Plan::in_memory()).await;
    app.clock.advance(Duration::hours(3));
    let answer = laptop.navigate(LIST).await;
    assert_eq!((answer.status, answer.header("location")), (303, PAGE));
    let page = laptop.navigate(PAGE).await;
    assert_eq!(page.status, 200);
    for words in [
        "<b>Firefox on Linux</b> <span class=\"chip\">This device</span>",
        "In use now",
        "Signed in 3 hours ago",
        "<b>Firefox on Android</b>",
        "<b>Unknown browser</b>",
        "Last used 3 hours ago",
        "aria-label=\"Sign out Firefox on Android\"",
        "Sign out all other devices",
    ] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert!(!page.body.contains(&format!("{}/delete", id_of(&laptop).await)), "this one signs out as ever");
    assert!(laptop.navigate("/auth/account").await.body.contains(&format!("href=\"{PAGE}\"")));
}

/// S-45: a session that another device ended is refused on every node, for its reason; the rest goes on. S-88: the end is
/// one event.
#[tokio::test]
async fn one_device_is_signed_out() {
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let (log, _guard) = Log::listen(tracing::Level::INFO);
        let (app, [laptop, phone, other]) = three(mode.plan()).await;
        let second = app.node(&[]).await;
        let copy = phone.stolen().at(&second);
        assert_eq!(copy.get("/api/notes").await.status, 200);
        let id = id_of(&phone).await;
        log.events();
        assert_eq!(end(&laptop, &id).await.status, 204);
        let ends = |events: Vec<Value>| -> Vec<_> {
            let ended = events.into_iter().filter(|event| event["event"] == "session_ended");
            ended.map(|event| event["event.reason"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ends(log.events()), ["other_device"]);
        for browser in [&copy, &phone] {
            let ended = browser.get("/api/notes").await;
            assert_eq!(told(&ended), (401, "session_ended".to_owned(), "other_device"));
        }
        assert!(is_alive(&laptop).await && is_alive(&other).await);
        assert_eq!(list(&laptop).await.len(), 2);
        assert_eq!(told(&end(&laptop, &id).await), (404, "not_found".to_owned(), ""), "it is gone");
        let page = phone.navigate("/auth/login").await;
        assert!(page.body.contains("This device was signed out from another one."), "{}", page.body);
    }
}

/// S-43: a refresh of the other device that is under way comes to nothing, and its tokens are revoked.
#[tokio::test]
async fn a_device_that_refreshes_is_signed_out_all_the_same() {
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let (app, [laptop, phone, other]) = three(mode.plan()).await;
        let id = id_of(&phone).await;
        app.past_expiry();
        assert_eq!(
            laptop.post("/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await.status,
            200
        );
        let heard = app.auth.calls("/logout?scope=local");
        app.auth.fail_once("grant_type=refresh_token", Fault::HoldAnswer);
        let waiting = tokio::spawn(async move { phone.get("/api/notes").await });
        app.auth.holding().await;
        assert_eq!(end(&laptop, &id).await.status, 204);
        app.auth.release();
        assert_eq!(told(&waiting.await.unwrap()), (401, "session_ended".to_owned(), "other_device"));
        app.auth.arrived("/logout?scope=local", heard + 1).await;
        assert!(is_alive(&other).await);
    }
}

/// The same by a form, with a word about it; pressed twice it still leads somewhere.
#[tokio::test]
async fn one_device_is_signed_out_by_a_form() {
    let (_app, [laptop, phone, other]) = three(Plan::in_memory()).await;
    let action = format!("{LIST}/{}/delete", id_of(&phone).await);
    let token = laptop.navigate(PAGE).await.form_token(&action);
    let refused = laptop.submit(&action, &[("form_token", "x")]).await;
    assert_eq!(refused.status, 403, "S-15");
    assert!(refused.body.contains("This form is no longer valid") && is_alive(&phone).await);
    for notice in [true, false] {
        let answer = laptop.submit(&action, &[("form_token", &token)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, PAGE));
        let page = laptop.navigate(PAGE).await;
        assert_eq!(page.body.contains("Firefox on Android is signed out."), notice, "{}", page.body);
    }
    assert!(!is_alive(&phone).await && is_alive(&other).await);
    let own = format!("{LIST}/{}/delete", id_of(&laptop).await);
    let answer = laptop.submit(&own, &[("form_token", &token)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/auth/login"));
    assert!(!is_alive(&laptop).await);
}

/// S-11: to end one's own session by its name is a sign-out, which needs no proof.
#[tokio::test]
async fn the_device_that_asks_signs_out() {
    let (app, [laptop, phone, _]) = three(Plan::in_memory()).await;
    let copy = laptop.stolen().at(&app.node(&[]).await);
    app.clock.advance(Duration::hours(1));
    let id = id_of(&laptop).await;
    assert_eq!(end(&laptop, &id).await.status, 204);
    assert_eq!(laptop.cookie("sb_session"), None);
    assert_eq!(told(&copy.get("/api/notes").await), (401, "session_ended".to_owned(), "user"));
    assert!(is_alive(&phone).await);
    app.auth.arrived("/logout?scope=local", 2).await; // the first was that of the sign-up
}

/// S-45: all others, by JSON and by the button of the page; this one stays.
#[tokio::test]
async fn all_other_devices_are_signed_out() {
    for form in [false, true] {
        let (app, [laptop, phone, other]) = three(Plan::in_memory()).await;
        let stranger = app.signed_in("eve@example.test").await;
        if form {
            let page = laptop.navigate(PAGE).await;
            let token = page.form_token("/auth/logout");
            let answer = laptop.submit("/auth/logout", &[("form_token", &token), ("scope", "others")]).await;
            assert_eq!((answer.status, answer.header("location")), (303, PAGE));
            let page = laptop.navigate(PAGE).await.body;
            assert!(page.contains("All other devices are signed out."), "{page}");
            assert!(page.contains("No other device is signed in.") && !page.contains("value=\"others\""));
        } else {
            assert_eq!(laptop.post("/auth/logout", &json!({ "scope": "others" })).await.status, 204);
        }
        for ended in [&phone, &other] {
            let answer = ended.get("/api/notes").await;
            assert_eq!(told(&answer), (401, "session_ended".to_owned(), "other_device"));
        }
        assert!(is_alive(&laptop).await && is_alive(&stranger).await);
        assert_eq!(list(&laptop).await.len(), 1);
        assert_eq!(app.auth.calls("/logout?scope=others"), 1, "GoTrue heard of it");
    }
}

/// S-102: another person's session has no name here, whatever is guessed or known.
#[tokio::test]
async fn another_persons_device_is_nobodys() {
    let (app, [laptop, phone, _]) = three(Plan::in_memory()).await;
    let eve = app.signed_in("eve@example.test").await;
    assert_eq!(list(&eve).await.len(), 1);
    let unknown = end(&eve, "s_AAAAAAAAAAAA").await;
    for id in [id_of(&laptop).await, id_of(&phone).await] {
        let answer = end(&eve, &id).await;
        assert_eq!(told(&answer), (404, "not_found".to_owned(), ""));
        let same = |answer: &Answer| {
            let mut body = answer.json();
            body["request_id"] = Value::Null;
            body
        };
        assert_eq!(same(&answer), same(&unknown), "nobody learns that it exists");
        let token = eve.navigate(PAGE).await.form_token("/auth/logout");
        let answer = eve.submit(&format!("{LIST}/{id}/delete"), &[("form_token", &token)]).await;
        assert_eq!(answer.status, 403, "S-15: the token of another form");
    }
    assert!(is_alive(&laptop).await && is_alive(&phone).await);
}

/// A store that does not answer is said to be away, on the page too; nobody is signed out.
#[tokio::test]
async fn a_store_that_is_away_is_said_to_be() {
    let (store, plan) = Weather::plan();
    let (_app, [laptop, phone, _]) = three(plan).await;
    let id = id_of(&phone).await;
    store.turn(Mood::Down);
    for answer in [laptop.get(LIST).await, end(&laptop, &id).await] {
        assert_eq!(told(&answer), (503, "store_unavailable".to_owned(), ""));
    }
    assert_eq!(laptop.navigate(PAGE).await.status, 503);
    store.turn(Mood::Well);
    assert!(is_alive(&laptop).await && is_alive(&phone).await);
}

/// S-32: before its last step a session neither sees nor ends others.
#[tokio::test]
async fn a_limited_session_sees_no_devices() {
    let app = TestApp::with(Plan::in_memory()).await;
    let whole = app.signed_in(ADA).await;
    let id = id_of(&whole).await;
    for browser in [before_the_code(&app).await, recovering(&app).await] {
        for answer in [
            browser.get(LIST).await,
            end(&browser, &id).await,
            browser.post(&format!("{LIST}/{id}/delete"), &json!({})).await,
            browser.post("/auth/logout", &json!({ "scope": "others" })).await,
        ] {
            assert_eq!(told(&answer), (403, "session_limited".to_owned(), ""));
        }
        let page = browser.navigate(PAGE).await;
        assert!(matches!(page.status, 303 | 403) && !page.body.contains(&id), "{}", page.body);
    }
    assert!(is_alive(&whole).await);
}

/// In cookie mode nobody knows of other devices: there is no list and no way to one, but the sign-out on all of them.
#[tokio::test]
async fn cookie_mode_has_no_list() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let own = id_of(&browser).await;
    for answer in [
        browser.get(LIST).await,
        browser.navigate(LIST).await,
        end(&browser, &own).await,
        end(&browser, "s_unknown").await,
        browser.post(&format!("{LIST}/{own}/delete"), &json!({})).await,
        app.browser().get(LIST).await,
    ] {
        assert_eq!(answer.status, 404, "{}", answer.body);
    }
    for path in ["/auth/account", PAGE] {
        let page = browser.navigate(path).await;
        assert!(page.status == 200 && !page.body.contains(LIST), "{}", page.body);
    }
    let page = browser.navigate(PAGE).await;
    assert!(page.body.contains("Not sure where you are signed in?"), "{}", page.body);
    assert!(!page.body.contains("value=\"others\""), "{}", page.body);
    let fields = [("form_token", page.form_token("/auth/logout")), ("scope", "global".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(browser.submit("/auth/logout", &fields).await.header("location"), "/auth/login");
    assert_eq!(browser.get("/api/notes").await.header("x-session-ended"), "user_everywhere");
}

/// S-13, S-14: no other site ends a session, and nobody without one sees a list.
#[tokio::test]
async fn strangers_end_nothing() {
    let (app, [laptop, phone, _]) = three(Plan::in_memory()).await;
    let path = format!("{LIST}/{}", id_of(&phone).await);
    let elsewhere = [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site"), ("x-csrf", "1")];
    let without = [script()[0], script()[1], script()[2], ("origin", &*app.base)];
    for (headers, code) in [(&elsewhere[..], "cross_origin"), (&without[..], "csrf_header")] {
        let answer = laptop.send(Method::DELETE, &path, headers, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, code));
    }
    let mut form = navigation("cross-site").to_vec();
    form.extend([("origin", "https://evil.test"), ("content-type", "application/x-www-form-urlencoded")]);
    let answer = laptop.send(Method::POST, &format!("{path}/delete"), &form, Some(String::new())).await;
    assert_eq!(answer.status, 403);
    assert!(is_alive(&phone).await);
    let nobody = app.browser();
    assert_eq!(nobody.get(LIST).await.status, 401);
    assert_eq!(nobody.json(Method::DELETE, &path, &json!({})).await.status, 401);
    let page = nobody.navigate(PAGE).await;
    assert_eq!(page.header("location"), "/auth/login?return_to=%2Fauth%2Faccount%2Fsecurity");
}

/// Every reason that a session can end with has its sentence on the login page, in words that no other page of its kind
/// borrows by accident.
#[tokio::test]
async fn every_reason_is_said_on_the_login_page() {
    let app = TestApp::start().await;
    let texts = include_str!("../../templates/texts.en.ftl");
    let text = |key: &str| {
        let line = texts.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
        line.unwrap_or_else(|| panic!("{key} has no text"))
    };
    let port = app.base.rsplit(':').next().unwrap();
    for reason in Reason::ALL {
        let own = text(&format!("reason-{}", reason.as_str()));
        let sentence = match own.strip_prefix("{ ").and_then(|own| own.strip_suffix(" }")) {
            Some(other) => text(other),
            None => own,
        };
        let browser = app.browser();
        browser.set_cookie(&format!("sb_ended_{port}"), reason.as_str());
        let page = browser.navigate("/auth/login").await.body;
        let (_, notice) = page.split_once("id=\"notice\"").unwrap_or_else(|| panic!("{reason:?}: {page}"));
        assert!(notice.contains(&format!("<p>{sentence}</p>")), "{reason:?}: {notice}");
    }
}
