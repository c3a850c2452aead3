//! The life of a session: refresh, sign-out, and ends that come from elsewhere.

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use super::place::{PASSWORD, Place};
use crate::client::Browser;
use crate::tap::bounded;

const GONE: (u16, &str) = (400, "refresh_token_not_found");

fn is(answer: &(u16, String), wanted: (u16, &str)) -> bool {
    (answer.0, answer.1.as_str()) == wanted
}

/// A refresh on request must end the session with `reason`.
async fn ends_with(browser: &Browser, reasons: &[&str]) {
    let answer = browser.post("/auth/refresh", &json!({})).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_ended"), "{}", answer.body);
    let reason = answer.header("x-session-ended");
    assert!(reasons.contains(&reason), "{reason}");
    assert_eq!(answer.json()["reason"], reason);
    assert!(browser.cookie("sb_session_").is_none());
    let session = browser.get("/auth/session").await.json();
    assert_eq!((&session["authenticated"], &session["reason"]), (&json!(false), &json!(reason)));
}

/// S-11: the refresh token is dead at GoTrue, copies of the cookie are dead here, and other devices stay signed in.
pub async fn a_sign_out_reaches_gotrue_for_this_session_alone(place: Place) {
    let (browser, email) = place.account().await;
    let token = place.refresh_token();
    let (other, _) = place.sign_in(&email, PASSWORD).await;
    let others_token = place.refresh_token();
    let copy = browser.stolen();
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    assert_eq!(place.tap.calls("/logout?scope=local"), 1);
    let answer = place.trade(&token).await;
    assert!(is(&answer, GONE), "{answer:?}");
    let answer = copy.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "user"));
    assert_eq!(other.get("/api/notes").await.status, 200);
    assert_eq!(place.trade(&others_token).await.0, 200);
}

/// S-11, S-45: with `global` the other devices are out at once on this node, and at GoTrue.
pub async fn a_sign_out_everywhere_ends_the_others(place: Place) {
    let (browser, email) = place.account().await;
    let (other, _) = place.sign_in(&email, PASSWORD).await;
    let others_token = place.refresh_token();
    place.another_second().await;
    assert_eq!(browser.post("/auth/logout", &json!({ "scope": "global" })).await.status, 204);
    let answer = place.trade(&others_token).await;
    assert!(is(&answer, GONE), "{answer:?}");
    ends_with(&other, &["user_everywhere"]).await;
    assert_eq!(place.sign_in(&email, PASSWORD).await.1.status, 200);
}

/// S-11: with `others` this session goes on.
pub async fn a_sign_out_of_the_others_keeps_this_one(place: Place) {
    let (other, email) = place.account().await;
    let (browser, _) = place.sign_in(&email, PASSWORD).await;
    place.a_moment();
    assert_eq!(browser.post("/auth/logout", &json!({ "scope": "others" })).await.status, 204);
    // Without a store we have no list of them: GoTrue ends them.
    let reasons: &[_] =
        if place.in_cookies { &["refresh_not_found", "session_not_found"] } else { &["other_device"] };
    ends_with(&other, reasons).await;
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    assert_eq!(browser.get("/api/notes").await.status, 200);
}

/// A new pair of tokens in a new cookie; the old cookie gets the same session without another call.
pub async fn a_refresh_on_request_rotates_the_cookie(place: Place) {
    let (browser, _) = place.account().await;
    let (before, token) = (browser.cookie("sb_session_").unwrap(), place.refresh_token());
    let old = browser.stolen();
    place.a_moment();
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    assert_ne!(browser.cookie("sb_session_").unwrap(), before);
    assert_ne!(place.refresh_token(), token);
    assert_eq!(place.refreshes(), 1);
    assert_eq!(old.post("/auth/refresh", &json!({})).await.status, 204);
    assert_eq!(place.refreshes(), 1, "the second tab shares the first one's refresh");
    for browser in [&browser, &old] {
        assert_eq!(browser.get("/api/notes").await.status, 200);
        let bearer = format!("Bearer {}", place.tokens()["access_token"].as_str().unwrap());
        assert_eq!(place.echo.last().bearer(), bearer);
    }
    place.a_moment();
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204, "the rotated token is good");
    assert_eq!(place.refreshes(), 2);
}

/// S-41: at expiry GoTrue is asked once, everybody is served, and it works again at the next expiry.
pub async fn an_expired_token_is_refreshed_once_for_fifty_requests(place: Place) {
    let (browser, _) = place.account().await;
    for round in 1..=2 {
        let before = browser.cookie("sb_session_").unwrap();
        place.until_expiry().await;
        let answers = join_all((0..50).map(|_| browser.get("/api/notes"))).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        assert_eq!(place.refreshes(), round);
        assert_eq!(browser.cookie("sb_session_").unwrap() != before, place.in_cookies);
        let seen = place.echo.seen();
        let newest = format!("Bearer {}", place.tokens()["access_token"].as_str().unwrap());
        assert!(seen[seen.len() - 50..].iter().all(|seen| seen.bearer() == newest), "one new token for all");
    }
}

/// The person signed out everywhere by another client of the project.
pub async fn a_session_that_was_revoked_elsewhere_ends_with_a_reason(place: Place) {
    let (browser, email) = place.account().await;
    let credentials = json!({ "email": email, "password": PASSWORD });
    let other =
        place.gotrue(Method::POST, "token?grant_type=password", None, Some(&credentials)).await.json();
    let bearer = other["access_token"].as_str();
    let answer = place.gotrue(Method::POST, "logout?scope=global", bearer, None).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(browser.get("/api/notes").await.status, 200, "the token is good to its end");
    place.a_moment();
    ends_with(&browser, &["refresh_not_found", "session_not_found"]).await;
}

/// S-71: a ban ends the session at its next refresh, and a sign-in does not tell of it. GoTrue keeps a banned person's
/// sessions and refuses to refresh them; the embedded server ends them at once (S-78).
pub async fn a_banned_person_is_out_at_the_next_refresh(place: Place) {
    let (browser, email) = place.account().await;
    let path = format!("admin/users/{}", place.tokens()["user"]["id"].as_str().unwrap());
    let banned = place.administer(Method::PUT, &path, &json!({ "ban_duration": "24h" })).await;
    assert_eq!(banned.status, 200, "{}", banned.body);
    place.a_moment();
    let reason = if place.is_embedded() { "refresh_not_found" } else { "user_banned" };
    ends_with(&browser, &[reason]).await;
    for password in [PASSWORD, "another 42 gantry mist"] {
        let (_, answer) = place.sign_in(&email, password).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_credentials"));
    }
    let pardoned = place.administer(Method::PUT, &path, &json!({ "ban_duration": "none" })).await;
    assert_eq!(pardoned.status, 200, "{}", pardoned.body);
    assert_eq!(place.sign_in(&email, PASSWORD).await.1.status, 200);
}

/// A password that an administrator sets, and a removed account, end every session of the person.
pub async fn what_an_administrator_does_ends_sessions(place: Place) {
    let (browser, email) = place.account().await;
    let path = format!("admin/users/{}", place.tokens()["user"]["id"].as_str().unwrap());
    let changed =
        place.administer(Method::PUT, &path, &json!({ "password": "another 42 gantry mist" })).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    place.a_moment();
    ends_with(&browser, &["refresh_not_found", "session_not_found"]).await;
    assert_eq!(place.sign_in(&email, PASSWORD).await.1.status, 401);
    let (browser, answer) = place.sign_in(&email, "another 42 gantry mist").await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    let removed = place.administer(Method::DELETE, &path, &json!({})).await;
    assert_eq!(removed.status, 200, "{}", removed.body);
    place.a_moment();
    ends_with(&browser, &["refresh_not_found", "session_not_found"]).await;
    let (_, answer) = place.sign_in(&email, "another 42 gantry mist").await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_credentials"));
}

/// S-04: a token that does not fit into one cookie is split over several, and stays whole through a refresh; more
/// than any session could hold is not even sent to GoTrue.
pub async fn a_large_profile_is_split_over_cookies(place: Place) {
    let sign_up = async |size: usize| {
        let browser = place.browser();
        let data = json!({ "note": "ü".repeat(size / 2) });
        let body = json!({ "email": place.address(), "password": PASSWORD, "data": data });
        (browser.post("/auth/signup", &body).await, browser)
    };
    let (answer, browser) = sign_up(4000).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    place.a_moment();
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    let parts = browser.cookie_names().into_iter().filter(|name| name.starts_with("sb_session_")).count();
    assert!(parts > 1, "{:?}", browser.cookie_names());
    assert_eq!(browser.get("/api/notes").await.status, 200);

    let (answer, browser) = sign_up(40_000).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{}", answer.body);
    assert!(browser.cookie("sb_session_").is_none());
}

/// S-44: a cookie two refreshes behind looks stolen: GoTrue ends the session, and so do we, for both holders.
pub async fn a_copy_that_fell_behind_ends_the_session(place: Place) {
    let (browser, _) = place.account().await;
    let copy = browser.stolen();
    for _ in 0..2 {
        place.a_moment();
        assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    }
    place.half_a_minute().await;
    ends_with(&copy, &["refresh_reused"]).await;
    let answer = browser.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "refresh_reused"), "{}", answer.body);
    let newest = place.refresh_token();
    // The older form of refresh tokens is good again for the reuse interval (contract, trap 8).
    if newest.len() > 12 {
        let answer = place.trade(&newest).await;
        assert!(is(&answer, GONE), "{answer:?}");
    }
}

/// The drop-in: the project's key and the user's token reach the project, our cookies do not; a stranger asks as anon.
pub async fn the_mount_carries_the_key_and_the_users_token(place: Place) {
    let (browser, _) = place.account().await;
    let headers = [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("apikey", "anything"),
    ];
    for (browser, whose) in [(&browser, "the user's"), (&place.browser(), "nobody's")] {
        browser.send(Method::GET, "/supabase/rest/v1/notes?select=*", &headers, None).await;
        let call = place.tap.seen("/rest/v1/notes").pop().expect("the call arrived");
        assert_eq!(call.line, "GET /rest/v1/notes?select=*");
        let header = |name: &str| call.headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("apikey"), place.key, "{whose}");
        assert_eq!(header("cookie"), "", "{whose}");
        let user = format!("Bearer {}", place.tokens()["access_token"].as_str().unwrap());
        assert_eq!(
            header("authorization") == user,
            whose == "the user's",
            "{whose}: {}",
            header("authorization")
        );
    }
}

/// S-06: whoever signs in over an open session ends it, here and at GoTrue.
pub async fn a_new_sign_in_replaces_the_session(place: Place) {
    let (browser, _) = place.account().await;
    let (copy, token) = (browser.stolen(), place.refresh_token());
    let (_, other) = place.account().await;
    let answer = browser.post("/auth/login", &json!({ "email": other, "password": PASSWORD })).await;
    assert_eq!(answer.json()["session"]["user"]["email"], other, "{}", answer.body);
    let answer = copy.get("/api/notes").await;
    assert_eq!((answer.status, answer.header("x-session-ended")), (401, "replaced"));
    place.tap.arrived("/logout?scope=local", 1).await;
    // The call may still be under way: GoTrue forgets the token once it is through.
    bounded("the end at GoTrue", async {
        while place.tap.answers("/logout?scope=local").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = place.trade(&token).await;
    assert!(is(&answer, GONE), "{answer:?}");
}

/// A limit that the project sets on sessions ends them at the next refresh.
pub async fn a_session_at_the_limit_of_the_project_ends(place: Place) {
    let (browser, _) = place.account().await;
    place.until_the_session_limit().await;
    ends_with(&browser, &["upstream_expired"]).await;
}
