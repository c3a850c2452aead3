//! A sign-out that meets a step of the same sign-in, in whichever order: it wins (S-43).

use http::Method;
use serde_json::json;
use supabase_bff::event::Reason;
use supabase_bff::gotrue::Tokens;
use supabase_bff::session::{Error, SignOut, Slot};

use crate::client::Browser;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::model::{slot, with_cookies_of};
use crate::modes::Mode;
use crate::tap::Fault;

/// New tokens of the session at GoTrue that `slot` carries, as a further proof brings them. `None` if it has ended there.
async fn further_tokens(app: &TestApp, slot: &Slot) -> Option<Tokens> {
    let session = app.sessions.current(slot).await.ok()?.session;
    let path = format!("{}/auth/v1/token?grant_type=refresh_token", app.auth.url());
    let body = json!({ "refresh_token": session.refresh_token.expose() }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = app.browser().send(Method::POST, &path, &headers, Some(body)).await;
    (answer.status == 200).then(|| Tokens::from_json(answer.body.as_bytes()).unwrap())
}

/// A step of the sign-in of `tab`: the status that its request would have.
pub async fn step_up(app: &TestApp, tab: &Browser) -> u16 {
    let slot = slot(tab);
    let Some(tokens) = further_tokens(app, &slot).await else { return 401 };
    let Some(earlier) = app.sessions.peek(&slot) else { return 401 };
    let Ok(made) = app.sessions.step(tokens, &earlier, Some("totp")).await else { return 401 };
    match app.sessions.adopt(&slot, &made).await {
        Ok(()) => {
            with_cookies_of(&app.sessions, &slot, tab);
            200
        }
        Err(Error::Ended(_)) => 401,
        Err(other) => panic!("{other}"),
    }
}

async fn state(browser: &Browser) -> (u16, String) {
    let answer = browser.get("/api/notes").await;
    (answer.status, answer.header("x-session-ended").to_owned())
}

/// S-43: the cookie from before a step signs out what took its place, on every node and at GoTrue.
#[tokio::test]
async fn a_sign_out_with_an_old_cookie_ends_the_sign_in() {
    for mode in [Mode::Cookie, Mode::Memory, Mode::Sqlite, Mode::redis()] {
        for (scope, reason) in [("local", "user"), ("global", "user_everywhere")] {
            let app = TestApp::with(mode.plan()).await;
            let second = app.node(&[]).await;
            let here = app.signed_in("ada@example.test").await;
            let old = here.stolen();
            assert_eq!(step_up(&app, &here).await, 200);
            assert_eq!(state(&old).await, (401, "replaced".to_owned()));
            assert_eq!(state(&here).await.0, 200);
            let left = old.post("/auth/logout", &json!({ "scope": scope })).await;
            assert_eq!(left.status, 204);
            let cleared = |line: &&str| line.starts_with("sb_session") && line.contains("Max-Age=0");
            assert!(
                left.set_cookies().iter().any(cleared),
                "whichever answer comes last, the browser is out"
            );
            let copy = here.stolen();
            assert_eq!(state(&here).await, (401, reason.to_owned()), "{scope}");
            if !matches!(mode, Mode::Cookie) {
                assert_eq!(state(&copy.at(&second)).await, (401, reason.to_owned()), "{scope}");
            }
            app.auth.arrived(&format!("/logout?scope={scope}"), 1).await;
            assert_eq!(old.post("/auth/logout", &json!({})).await.status, 204, "once more does no harm");
            assert_eq!(app.auth.calls("/logout?"), 1, "and GoTrue is told once");
        }
    }
}

/// S-06: what a new sign-in replaced is over; a sign-out with its cookie leaves the new one alone.
#[tokio::test]
async fn a_new_sign_in_outlives_the_cookie_before_it() {
    for mode in [Mode::Cookie, Mode::Memory] {
        let app = TestApp::with(mode.plan()).await;
        let here = app.signed_in("ada@example.test").await;
        let old = here.stolen();
        let login = json!({ "email": "ada@example.test", "password": PASSWORD });
        assert_eq!(here.post("/auth/login", &login).await.status, 200);
        assert_eq!(old.post("/auth/logout", &json!({ "scope": "global" })).await.status, 204);
        assert_eq!(state(&here).await.0, 200);
    }
}

/// S-43: a sign-out on another node while a step is under way: the step begins nothing.
#[tokio::test]
async fn a_step_after_a_sign_out_begins_nothing() {
    for mode in [Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let app = TestApp::with(mode.plan()).await;
        let second = app.node(&[]).await;
        let here = app.signed_in("ada@example.test").await;
        let slot = slot(&here);
        let tokens = further_tokens(&app, &slot).await.unwrap();
        let earlier = app.sessions.peek(&slot).unwrap();
        let made = app.sessions.step(tokens, &earlier, Some("totp")).await.unwrap();
        assert_eq!(here.stolen().at(&second).post("/auth/logout", &json!({})).await.status, 204);
        let adopted = app.sessions.adopt(&slot, &made).await;
        assert!(matches!(adopted, Err(Error::Ended(Reason::User))), "{adopted:?}");
        let mut devices = Vec::new();
        if let Ok(known) = app.sessions.devices(&made.session).await {
            devices = known;
        }
        assert!(devices.is_empty(), "it is in no list");
        let tab = app.browser();
        let header = app.sessions.cookie_header(&made.session).unwrap();
        let (name, value) = header.split_once('=').unwrap();
        tab.set_cookie(name, value);
        assert_eq!(state(&tab).await, (401, "user".to_owned()), "nor does its cookie open anything");
    }
}

/// S-43: a request that waited for a refresh, and goes on after somebody signed out, finds that.
#[tokio::test]
async fn a_sign_out_wins_over_who_only_waited() {
    for mode in [Mode::Cookie, Mode::Memory] {
        let app = TestApp::with(mode.plan()).await;
        let browser = app.signed_in("ada@example.test").await;
        app.past_expiry();
        app.auth.fail_once("grant_type=refresh_token", Fault::Hold);
        let (late, prompt, leaving) = (slot(&browser), slot(&browser), slot(&browser));
        let mut waiting = std::pin::pin!(app.sessions.current(&late));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("the refresh is held"),
            () = std::future::ready(()) => {} // its task looks no further until it is asked again
        }
        app.auth.arrived("grant_type=refresh_token", 1).await;
        app.auth.release();
        app.sessions.current(&prompt).await.expect("the refresh is done");
        assert!(app.sessions.sign_out(&leaving, SignOut::Local).await.unwrap());
        let outcome = waiting.await;
        assert!(matches!(outcome, Err(Error::Ended(Reason::User))), "{outcome:?}");
    }
}

/// S-45: times of a sign-in are finer than seconds, so a sign-out everywhere ends what began just before it, cookies that
/// nobody has a list of among them, and nothing that began after it.
#[tokio::test]
async fn a_sign_out_everywhere_goes_by_the_order_within_a_second() {
    let app = TestApp::with(Plan::default()).await;
    let here = app.signed_in("ada@example.test").await;
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    let sign_in = async || {
        app.clock.advance(time::Duration::milliseconds(200));
        let browser = app.browser();
        assert_eq!(browser.post("/auth/login", &login).await.status, 200);
        browser
    };
    let before = sign_in().await;
    app.clock.advance(time::Duration::milliseconds(200));
    assert_eq!(here.post("/auth/logout", &json!({ "scope": "global" })).await.status, 204);
    let after = sign_in().await;
    assert_eq!(state(&before).await, (401, "user_everywhere".to_owned()));
    assert_eq!(state(&after).await.0, 200);
}
