//! Where a person is signed in: the list, the end of one session, of all others, and what it takes.

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
const LIST: &str = "/auth/account/sessions";
const PAGE: &str = "/auth/account/security";
const PROOF: &str = "/auth/login?prompt=login&return_to=%2Fauth%2Faccount%2Fsecurity";
const USER: &str = "GET /auth/v1/user";

/// A browser that calls itself `agent`, in which Ada has just signed in.
pub async fn device(app: &TestApp, agent: &str) -> Browser {
    let browser = app.browser();
    let body = json!({ "email": ADA, "password": PASSWORD }).to_string();
    let headers = [("content-type", "application/json"), ("user-agent", agent)];
    assert_eq!(browser.send(Method::POST, "/auth/login", &headers, Some(body)).await.status, 200);
    browser
}

/// Ada with three devices, one a minute: a laptop, a phone, something that does not say what it is.
async fn three(plan: Plan) -> (TestApp, [Browser; 3]) {
    let app = TestApp::with(plan).await;
    app.signed_in(ADA).await.post("/auth/logout", &json!({})).await;
    let mut browsers = Vec::new();
    for agent in [LINUX, ANDROID, ""] {
        app.clock.advance(Duration::minutes(1));
        browsers.push(device(&app, agent).await);
    }
    (app, browsers.try_into().unwrap_or_else(|_| panic!("three")))
}

async fn list(browser: &Browser) -> Vec<Value> {
    let answer = browser.get(LIST).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["sessions"].as_array().expect("a list").clone()
}

/// The id of a browser's own session, as its page knows it.
async fn id_of(browser: &Browser) -> String {
    browser.get("/auth/session").await.json()["session"]["id"].as_str().unwrap().to_owned()
}

async fn end(browser: &Browser, id: &str) -> Answer {
    browser.json(Method::DELETE, &format!("{LIST}/{id}"), &json!({})).await
}

async fn is_alive(browser: &Browser) -> bool {
    browser.stolen().get("/api/notes").await.status == 200
}

fn told(answer: &Answer) -> (u16, String, &str) {
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

/// S-46: five minutes after the sign-in it asks for another, whatever was refreshed meanwhile; after that it does.
#[tokio::test]
async fn an_old_proof_asks_for_a_new_one() {
    let (app, [laptop, phone, other]) = three(Plan::in_memory()).await;
    app.clock.advance(Duration::minutes(3)); // the laptop was first: five minutes ago
    let (phone_id, other_id) = (id_of(&phone).await, id_of(&other).await);
    assert_eq!(end(&laptop, &other_id).await.status, 204);
    app.clock.advance(Duration::SECOND);
    assert_eq!(laptop.post("/auth/refresh", &json!({})).await.status, 204);
    assert_eq!(app.refreshes(), 1);
    for answer in
        [end(&laptop, &phone_id).await, laptop.post("/auth/logout", &json!({ "scope": "others" })).await]
    {
        assert_eq!(told(&answer), (401, "insufficient_user_authentication".to_owned(), ""));
        let challenge =
            r#"Bearer realm="supabase-bff", error="insufficient_user_authentication", max_age=300"#;
        assert_eq!(answer.header("www-authenticate"), challenge);
        assert_eq!(answer.json()["login_url"], "/auth/login?prompt=login");
    }
    let page = laptop.navigate(PAGE).await;
    assert_eq!(page.status, 200, "to look at the list needs none");
    let action = format!("{LIST}/{phone_id}/delete");
    let one = laptop.submit(&action, &[("form_token", &page.form_token(&action))]).await;
    let token = page.form_token("/auth/logout");
    let all = laptop.submit("/auth/logout", &[("form_token", &token), ("scope", "others")]).await;
    for answer in [one, all] {
        assert_eq!((answer.status, answer.header("location")), (303, PROOF));
    }
    assert!(is_alive(&phone).await);

    let before = laptop.stolen();
    let proof = laptop.navigate_from("same-origin", PROOF).await;
    assert!(proof.body.contains("Confirm that it is you"), "{}", proof.body);
    assert!(proof.body.contains(&format!("value=\"{ADA}\" readonly")), "{}", proof.body);
    let (token, back) = (proof.form_token("/auth/login"), proof.field("return_to"));
    let fields = |password| {
        // Another address than that of the page changes nothing: it is this person who is asked.
        let email = ("email", "eve@example.test");
        [("form_token", &*token), ("return_to", &*back), ("prompt", "login"), email, ("password", password)]
    };
    let wrong = laptop.submit("/auth/login", &fields("wrong horse 17")).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("Confirm that it is you") && wrong.body.contains(ADA), "{}", wrong.body);
    let right = laptop.submit("/auth/login", &fields(PASSWORD)).await;
    assert_eq!((right.status, right.header("location")), (303, PAGE));
    assert_eq!(told(&before.get("/api/notes").await).2, "replaced", "S-06: a step makes a new session");
    assert_eq!(list(&laptop).await.len(), 2);
    assert_eq!(end(&laptop, &phone_id).await.status, 204);
    assert!(!is_alive(&phone).await);
}

/// S-46: a factor that was added since the sign-in counts: its level is asked for.
#[tokio::test]
async fn a_second_factor_is_asked_for_where_there_is_one() {
    let (app, [laptop, phone, _]) = three(Plan::in_memory()).await;
    let mut user = app.tokens(ADA, PASSWORD).await["user"].clone();
    user["factors"] = json!([{
        "id": "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f",
        "factor_type": "totp",
        "status": "verified",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }]);
    app.auth.fail_once(USER, Fault::Answer(200, "application/json", user.to_string()));
    let answer = end(&laptop, &id_of(&phone).await).await;
    assert_eq!(told(&answer).1, "insufficient_user_authentication");
    assert!(answer.header("www-authenticate").contains(r#"acr_values="aal2""#));
    assert!(is_alive(&phone).await);
}

/// S-46: a session that GoTrue has ended ends nobody's, though its token still verifies; it is over on all nodes.
#[tokio::test]
async fn gotrue_is_asked_before_a_session_ends_another() {
    let (app, [laptop, phone, _]) = three(Plan::in_memory()).await;
    let second = laptop.stolen().at(&app.node(&[]).await);
    let id = id_of(&phone).await;
    let tokens = app.tokens(ADA, PASSWORD).await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let path = format!("{}/auth/v1/logout?scope=global", app.auth.url());
    let gone = app.browser().send(Method::POST, &path, &[("authorization", &bearer)], None).await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    assert_eq!(laptop.get("/api/notes").await.status, 200, "the token verifies as ever");
    let answer = end(&laptop, &id).await;
    assert_eq!(told(&answer), (401, "session_ended".to_owned(), "session_not_found"));
    assert_eq!(laptop.cookie("sb_session"), None);
    assert_eq!(told(&second.get("/api/notes").await).2, "session_not_found");
    assert!(is_alive(&phone).await, "nothing else was changed");

    let answer = {
        app.auth.fail_once(USER, Fault::code(403, "user_banned"));
        phone.post("/auth/logout", &json!({ "scope": "others" })).await
    };
    assert_eq!(told(&answer), (401, "session_ended".to_owned(), "user_banned"));
}

/// S-44, S-46: an outage is no answer: nothing is ended, neither the others nor the one that asks.
#[tokio::test]
async fn an_outage_ends_no_session() {
    let (app, [laptop, phone, _]) = three(Plan::in_memory()).await;
    let id = id_of(&phone).await;
    for fault in [
        Fault::Reset,
        Fault::Truncate,
        Fault::code(500, "unexpected_failure"),
        Fault::code(429, "over_request_rate_limit"),
        Fault::code(403, "bad_jwt"),
        Fault::code(400, "session_not_found"),
        Fault::Answer(401, "application/json", r#"{"message":"No API key found"}"#.to_owned()),
        Fault::Answer(403, "text/html", "<h1>403</h1>".to_owned()),
    ] {
        app.auth.fail_once(USER, fault.clone());
        let answer = end(&laptop, &id).await;
        assert_eq!(told(&answer), (503, "auth_unavailable".to_owned(), ""), "{fault:?}");
        assert!(!answer.header("retry-after").is_empty());
        assert!(is_alive(&laptop).await && is_alive(&phone).await, "{fault:?}");
    }
    assert_eq!(end(&laptop, &id).await.status, 204);
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
        assert!(page.status == 403 && !page.body.contains(&id), "{}", page.body);
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
