//! To a provider and back, against whoever interferes on the way.

use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use time::Duration;

use crate::client::{Answer, Browser, navigation};
use crate::harness::{PASSWORD, TestApp};
use crate::tap::Fault;

const EXCHANGE: &str = "grant_type=pkce";

/// Starts at Google and goes on until the address of the callback is known; nobody opens it.
pub async fn up_to_callback(browser: &Browser, start: &str, email: &str) -> String {
    let begun = browser.navigate_from("same-origin", start).await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    let (at, page) = browser.follow_from("cross-site", begun.header("location")).await;
    comes_back(browser, &at, &page, email).await
}

/// Chooses to be whoever has `email` at the pretend provider, whose page at `at` is `chooser`: the address of the callback.
pub async fn comes_back(browser: &Browser, at: &str, chooser: &Answer, email: &str) -> String {
    let origin = at.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let state = chooser.field("state");
    let fields = [("state", state.as_str()), ("email", email), ("name", "Ada"), ("verified", "on")];
    let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut headers = navigation("same-origin").to_vec();
    headers.extend([("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())]);
    let chosen = browser.send(Method::POST, at, &headers, Some(text)).await;
    let next = chosen.refresh_url().expect("the chooser leads on");
    let next = if next.starts_with('/') { format!("{origin}{next}") } else { next };
    let back = browser.send(Method::GET, &next, &navigation("cross-site"), None).await;
    let location: url::Url = back.header("location").parse().unwrap();
    location[url::Position::BeforePath..].to_owned()
}

/// The flow and the code of a callback's address.
fn parts(callback: &str) -> (&str, &str) {
    let (path, query) = callback.split_once('?').unwrap();
    (path.rsplit('/').next().unwrap(), query.strip_prefix("code=").unwrap())
}

async fn is_signed_in(browser: &Browser) -> bool {
    browser.get("/auth/session").await.json()["authenticated"] == true
}

/// Where a callback led to, whether or not it has the page look for cookies.
pub fn at_login(answer: &Answer) -> &str {
    let location = answer.header("location");
    location.strip_suffix("?cookies=check").unwrap_or(location)
}

/// Not a flow of this browser: back at the login page, which says so, and nobody is signed in.
async fn refused(browser: &Browser, answer: &Answer) {
    assert_eq!((answer.status, at_login(answer)), (303, "/auth/login"), "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert!(browser.cookie("sb_session_").is_none());
    let page = browser.navigate_from("same-origin", "/auth/login").await;
    assert!(page.body.contains("sign-in"), "{}", page.body);
    assert!(!is_signed_in(browser).await);
}

/// S-25: without the cookie, under another id, with a moved cookie or 301 s late the code goes to nobody.
#[tokio::test]
async fn a_callback_without_its_own_flow_asks_nobody() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/google", "ada@example.test").await;
    let (flow, code) = parts(&callback);
    let name = browser.cookie_names().into_iter().find(|name| name.starts_with("sb_flow_")).unwrap();

    let stranger = app.browser();
    refused(&stranger, &stranger.navigate_from("cross-site", &callback).await).await;

    let other_id = "abcdefghijklmnopqrstuv";
    let moved = app.browser();
    moved.set_cookie(&name.replace(flow, other_id), &browser.cookie("sb_flow_").unwrap());
    let answer = moved.navigate_from("cross-site", &format!("/auth/callback/{other_id}?code={code}")).await;
    refused(&moved, &answer).await;

    for odd in
        ["x", "..%2flogin", "%00", "a%3Db%3B%20Domain%3Dtest%3B%20x", "%0d%0aX-Evil:%201", &"a".repeat(2000)]
    {
        let answer = browser.navigate_from("cross-site", &format!("/auth/callback/{odd}?code={code}")).await;
        assert_eq!((answer.status, at_login(&answer)), (303, "/auth/login"), "{odd}");
        let set = answer.set_cookies();
        assert!(
            set.iter().all(|cookie| cookie.starts_with("sb_form_")),
            "S-01: the path names no cookie: {set:?}"
        );
    }

    let late = browser.stolen();
    app.clock.advance(Duration::seconds(301));
    refused(&late, &late.navigate_from("cross-site", &callback).await).await;
    assert_eq!(app.auth.calls(EXCHANGE), 0, "GoTrue was not asked");
}

/// S-25: 300 s are in time.
#[tokio::test]
async fn a_callback_in_time_signs_in() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/google?return_to=/a", "ada@example.test").await;
    app.clock.advance(Duration::seconds(299));
    let answer = browser.navigate_from("cross-site", &callback).await;
    assert_eq!(answer.header("location"), "/auth/continue?return_to=%2Fa", "{}", answer.body);
    assert!(is_signed_in(&browser).await);
}

/// S-25: two tabs both come back; a sixth start drops the first.
#[tokio::test]
async fn tabs_have_flows_of_their_own() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let first = up_to_callback(&browser, "/auth/start/google?return_to=/1", "ada@example.test").await;
    let second = up_to_callback(&browser, "/auth/start/github?return_to=/2", "ada@example.test").await;
    for (callback, target) in [(&second, "%2F2"), (&first, "%2F1")] {
        let answer = browser.navigate_from("cross-site", callback).await;
        assert_eq!(answer.header("location"), format!("/auth/continue?return_to={target}"));
    }

    let browser = app.browser();
    let mut callbacks = Vec::new();
    for _ in 0..6 {
        callbacks.push(up_to_callback(&browser, "/auth/start/google", "ada@example.test").await);
        app.clock.advance(Duration::seconds(1));
    }
    assert_eq!(browser.cookie_names().iter().filter(|name| name.starts_with("sb_flow_")).count(), 5);
    let asked = app.auth.calls(EXCHANGE);
    let answer = browser.navigate_from("cross-site", &callbacks[0]).await;
    assert_eq!((at_login(&answer), app.auth.calls(EXCHANGE)), ("/auth/login", asked));
    let answer = browser.navigate_from("cross-site", &callbacks[1]).await;
    assert!(answer.header("location").starts_with("/auth/continue"), "{:?}", answer.headers);
}

/// S-26: twenty parallel callbacks make one exchange and one session; a replay goes on with it and asks nobody.
#[tokio::test]
async fn one_code_is_exchanged_once() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/google?return_to=/a", "ada@example.test").await;
    let tabs: Vec<_> = (0..20).map(|_| browser.stolen()).collect();
    let answers = join_all(tabs.iter().map(|tab| tab.navigate_from("cross-site", &callback))).await;
    assert_eq!(app.auth.calls(EXCHANGE), 1);
    let mut ids = std::collections::HashSet::new();
    for (tab, answer) in tabs.iter().zip(&answers) {
        assert_eq!(answer.header("location"), "/auth/continue?return_to=%2Fa", "{}", answer.body);
        assert!(tab.cookie("sb_flow_").is_none(), "the flow is used up");
        ids.insert(tab.get("/auth/session").await.json()["session"]["id"].to_string());
    }
    assert_eq!(ids.len(), 1, "one session: {ids:?}");

    app.clock.advance(Duration::seconds(31));
    let replay = tabs[0].send(Method::GET, &callback, &navigation("none"), None).await;
    assert_eq!(replay.status, 303);
    assert!(replay.header("location").starts_with("/auth/continue"), "{:?}", replay.headers);
    assert!(is_signed_in(&tabs[0]).await, "the session that exists goes on");
    let elsewhere = app.browser();
    refused(&elsewhere, &elsewhere.navigate_from("cross-site", &callback).await).await;
    assert_eq!(app.auth.calls(EXCHANGE), 1);
}

/// S-24, S-26: a code that somebody stole is worth nothing in a flow of his own, neither before its owner's callback
/// nor in the moment after it, and does the owner no harm.
#[tokio::test]
async fn a_stolen_code_belongs_to_the_flow_it_was_made_for() {
    for thief_comes_first in [true, false] {
        let app = TestApp::start().await;
        let (owner, thief) = (app.browser(), app.browser());
        let callback = up_to_callback(&owner, "/auth/start/google", "ada@example.test").await;
        let own = up_to_callback(&thief, "/auth/start/google", "eve@example.test").await;
        let stolen = format!("/auth/callback/{}?code={}", parts(&own).0, parts(&callback).1);
        if thief_comes_first {
            refused(&thief, &thief.navigate_from("cross-site", &stolen).await).await;
        }
        let answer = owner.navigate_from("cross-site", &callback).await;
        assert!(answer.header("location").starts_with("/auth/continue"), "first: {thief_comes_first}");
        assert_eq!(owner.get("/auth/session").await.json()["user"]["email"], "ada@example.test");
        if !thief_comes_first {
            refused(&thief, &thief.navigate_from("cross-site", &stolen).await).await;
        }
    }
}

/// S-27: frames, doubled parameters and HEAD are refused, and the flow stays usable.
#[tokio::test]
async fn the_code_reaches_no_frame_and_no_second_reading() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/google", "ada@example.test").await;
    for dest in ["iframe", "frame", "embed", "object", "image", "script", "empty"] {
        let headers =
            [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)];
        let answer = browser.send(Method::GET, &callback, &headers, None).await;
        assert_eq!(answer.status, 403, "{dest}");
        assert!(answer.set_cookies().iter().all(|cookie| !cookie.starts_with("sb_session")), "{dest}");
    }
    for doubled in ["&code=b", "&error=x&error=y", "&c%6fde=b"] {
        let answer = browser.navigate_from("cross-site", &format!("{callback}{doubled}")).await;
        assert_eq!((answer.status, answer.header("cache-control")), (400, "no-store"), "{doubled}");
    }
    let head = browser.send(Method::HEAD, &callback, &navigation("cross-site"), None).await;
    assert_eq!(head.status, 405);
    assert_eq!(app.auth.calls(EXCHANGE), 0);
    let answer = browser.navigate_from("cross-site", &callback).await;
    assert!(answer.header("location").starts_with("/auth/continue"), "{:?}", answer.headers);
}

/// S-21: what somebody adds to the callback's address changes nothing.
#[tokio::test]
async fn the_target_is_read_from_the_flow_alone() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/google?return_to=/notes", "ada@example.test").await;
    let added = format!(
        "{callback}&return_to=/else&next=/else&redirect_to=//evil.test&state=x&iss=https://evil.test"
    );
    let answer = browser.navigate_from("cross-site", &added).await;
    assert_eq!(answer.header("location"), "/auth/continue?return_to=%2Fnotes");
}

/// S-24, S-31: tokens on a callback's address are no session, and a flow without a code ends at the login page.
#[tokio::test]
async fn tokens_on_the_callback_are_ignored() {
    let app = TestApp::start().await;
    let other = app.signed_in("eve@example.test").await;
    assert_eq!(other.get("/api/x").await.status, 200);
    let token = app.echo.last().bearer().trim_start_matches("Bearer ").to_owned();
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/google", "ada@example.test").await;
    let path = callback.split_once('?').unwrap().0;
    let query = format!("access_token={token}&refresh_token=abcdefghijkl&expires_in=3600&token_type=bearer");
    refused(&browser, &browser.navigate_from("cross-site", &format!("{path}?{query}")).await).await;
    assert_eq!(app.auth.calls(EXCHANGE), 0);
}

/// S-24: every flow has a challenge of its own, S256 and 43 characters long.
#[tokio::test]
async fn every_start_has_its_own_challenge() {
    let app = TestApp::start().await;
    let mut all = std::collections::HashSet::new();
    for _ in 0..200 {
        let start = app.browser().navigate_from("same-origin", "/auth/start/github").await;
        let location: url::Url = start.header("location").parse().unwrap();
        let get = |name: &str| location.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        assert_eq!(get("code_challenge_method"), "s256");
        assert_eq!(get("code_challenge").len(), 43);
        assert!(get("redirect_to").starts_with(&format!("{}/auth/callback/", app.base)));
        all.insert(get("code_challenge"));
    }
    assert_eq!(all.len(), 200);
}

/// S-16, S-17, S-28: a start that another site caused, a prefetch, HEAD and an unknown provider begin no flow.
#[tokio::test]
async fn only_a_person_here_begins_a_flow() {
    let app = TestApp::start().await;
    let browser = app.browser();
    for site in ["cross-site", "same-site"] {
        let answer = browser.send(Method::GET, "/auth/start/google", &navigation(site), None).await;
        assert_eq!((answer.status, answer.header("location")), (200, ""), "{site}");
    }
    let mut prefetch = navigation("same-origin").to_vec();
    prefetch.push(("sec-purpose", "prefetch;prerender"));
    assert_eq!(browser.send(Method::GET, "/auth/start/google", &prefetch, None).await.status, 200);
    assert_eq!(browser.send(Method::HEAD, "/auth/start/google", &navigation("none"), None).await.status, 405);
    for unknown in ["gitlab", "Google", "google%20", "..", "google%00"] {
        let answer = browser.navigate_from("same-origin", &format!("/auth/start/{unknown}")).await;
        assert!(matches!(answer.status, 400 | 404), "{unknown}: {}", answer.status);
    }
    assert!(browser.cookie("sb_flow_").is_none());
}

/// S-68: what the provider says in its error is never shown; a no of the person there is no failure.
#[tokio::test]
async fn an_error_of_the_provider_is_told_in_our_words() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/google", "ada@example.test").await;
    let path = callback.split_once('?').unwrap().0;
    let query = "error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3Ecanary";
    let answer = browser.navigate_from("cross-site", &format!("{path}?{query}")).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/auth/login"));
    assert!(browser.cookie("sb_flow_").is_none(), "S-26: the first callback uses the flow up");
    let page = browser.navigate_from("same-origin", "/auth/login").await;
    assert!(page.body.contains("Google") && !page.body.contains("canary"), "{}", page.body);
    assert_eq!(app.auth.calls(EXCHANGE), 0);
}

/// S-29, S-34: tokens that do not belong together make no session and are revoked.
#[tokio::test]
async fn tokens_of_somebody_else_make_no_session() {
    let app = TestApp::start().await;
    app.signed_in("eve@example.test").await;
    let mut tokens = app.tokens("eve@example.test", PASSWORD).await;
    tokens["user"]["id"] = json!("00000000-0000-4000-8000-000000000001");
    let browser = app.browser();
    let callback = up_to_callback(&browser, "/auth/start/google", "ada@example.test").await;
    let revoked = app.auth.calls("/logout?scope=local");
    app.auth.fail_once(EXCHANGE, Fault::Answer(200, "application/json", tokens.to_string()));
    let answer = browser.navigate_from("cross-site", &callback).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/auth/login"));
    assert!(browser.cookie("sb_session_").is_none());
    app.auth.arrived("/logout?scope=local", revoked + 1).await;
}

/// S-06: a sign-in over another person's session ends that one, here and at GoTrue, once.
#[tokio::test]
async fn a_sign_in_over_another_session_ends_it() {
    let app = TestApp::start().await;
    let browser = app.signed_in("eve@example.test").await;
    let copy = browser.stolen();
    let callback = up_to_callback(&browser, "/auth/start/google", "ada@example.test").await;
    let tabs: Vec<_> = (0..5).map(|_| browser.stolen()).collect();
    let answers = join_all(tabs.iter().map(|tab| tab.navigate(&callback))).await;
    assert!(answers.iter().all(|answer| answer.header("location").starts_with("/auth/continue")));
    assert_eq!(tabs[0].get("/auth/session").await.json()["user"]["email"], "ada@example.test");
    let answer = copy.get("/api/x").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "replaced"));
    app.auth.arrived("/logout?scope=local", 1).await;
    assert_eq!(copy.get("/api/x").await.status, 401);
    assert_eq!(app.auth.calls("/logout?scope=local"), 1, "once, however many tabs came back");
}
