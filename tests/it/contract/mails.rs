//! Accounts that wait for a mail: its link, its digits, and GoTrue's own link.

use http::Method;
use serde_json::json;

use super::place::{PASSWORD, Place};
use crate::client::Browser;

/// Signs up by the form, with a way back to `/notes`.
async fn sign_up(place: &Place) -> (Browser, String) {
    let (browser, email) = (place.browser(), place.address());
    let token = browser.navigate("/auth/signup?return_to=/notes").await.form_token("/auth/signup");
    let fields = [
        ("form_token", token.as_str()),
        ("email", email.as_str()),
        ("password", PASSWORD),
        ("return_to", "/notes"),
    ];
    let answer = browser.submit("/auth/signup", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/auth/otp"), "{}", answer.body);
    let page = browser.navigate_from("same-origin", "/auth/otp").await;
    assert!(page.body.contains(&email), "{}", page.body);
    (browser, email)
}

/// Where GoTrue's own link leads back to: the callback of the flow that `browser` has open.
fn callback(place: &Place, browser: &Browser) -> String {
    let flow = browser.cookie_names().into_iter().find(|name| name.starts_with("sb_flow_")).unwrap();
    let flow = flow.trim_start_matches("sb_flow_").rsplit_once('_').unwrap().0;
    format!("{}/auth/callback/{flow}~signup", place.base)
}

async fn is_signed_in(browser: &Browser, email: &str) {
    let session = browser.get("/auth/session").await.json();
    assert_eq!((&session["authenticated"], &session["user"]["email"]), (&json!(true), &json!(email)));
    assert_eq!(browser.get("/api/notes").await.status, 200);
}

/// S-30: looking at a link does nothing; a click redeems it; afterwards it is gone, in either face.
pub async fn a_link_is_redeemed_by_a_click_and_only_once(place: Place) {
    let (_, email) = sign_up(&place).await;
    let mail = place.mail(&email, 1).await;
    let path = mail.confirm_path();
    let elsewhere = place.browser(); // the mail is read on another device
    for method in [Method::HEAD, Method::GET, Method::GET] {
        let page = elsewhere.send(method, &path, &crate::client::navigation("cross-site"), None).await;
        assert_eq!(page.status, 200, "{}", page.body);
    }
    assert_eq!(place.tap.calls("/verify"), 0);

    let page = elsewhere.navigate_from("cross-site", &path).await;
    let (token, hash, kind) =
        (page.form_token("/auth/confirm"), page.field("token_hash"), page.field("type"));
    let fields = [("form_token", token.as_str()), ("token_hash", hash.as_str()), ("type", kind.as_str())];
    let answer = elsewhere.submit("/auth/confirm", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    is_signed_in(&elsewhere, &email).await;

    let again = place.browser();
    let page = again.navigate_from("cross-site", &path).await;
    let token = page.form_token("/auth/confirm");
    let fields = [("form_token", token.as_str()), ("token_hash", hash.as_str()), ("type", kind.as_str())];
    let answer = again.submit("/auth/confirm", &fields).await;
    assert_eq!(answer.status, 410, "{}", answer.body);
    let body = json!({ "token_hash": hash, "type": kind });
    let answer = again.post("/auth/confirm", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (410, "link_expired"));
    assert!(again.cookie("sb_session_").is_none());
    assert_eq!(place.sign_in(&email, PASSWORD).await.1.status, 200);
}

/// Wrong digits are refused, the right ones sign in and lead to where the sign-up began.
pub async fn the_digits_of_a_mail_confirm(place: Place) {
    let (browser, email) = sign_up(&place).await;
    let code = place.mail(&email, 1).await.code;
    let page = browser.navigate_from("same-origin", "/auth/otp").await;
    let token = page.form_token("/auth/otp");
    let wrong = if code.starts_with('1') { "200000" } else { "100000" };
    let answer = browser.submit("/auth/otp", &[("form_token", &token), ("code", wrong)]).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    let answer = browser.submit("/auth/otp", &[("form_token", &token), ("code", &spaced)]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/auth/continue?return_to=%2Fnotes"),
        "{}",
        answer.body
    );
    is_signed_in(&browser, &email).await;

    let used = browser.post("/auth/otp", &json!({ "email": email, "code": code })).await;
    assert_eq!((used.status, used.code().as_str()), (422, "code_wrong"));
}

/// S-25, S-29: a link in GoTrue's own template comes back with a code, which only the browser that signed up can use.
pub async fn a_link_of_gotrue_leads_to_the_callback(place: Place) {
    for same_browser in [true, false] {
        let (browser, email) = sign_up(&place).await;
        let back = callback(&place, &browser);
        let link = place.mail(&email, 1).await.verify_url(&place.project, &back);
        let reader = if same_browser { browser } else { place.browser() };
        let (at, page) = reader.follow_from("none", &link).await;
        if same_browser {
            assert_eq!(at, "/notes", "{}", page.body);
            is_signed_in(&reader, &email).await;
            assert!(reader.cookie("sb_flow_").is_none(), "S-26: the flow is used up");
        } else {
            assert!(at.starts_with("/auth/login"), "{at}: {}", page.body);
            assert!(page.body.contains("your address is confirmed now"), "{}", page.body);
            assert!(reader.cookie("sb_session_").is_none());
            assert_eq!(
                place.sign_in(&email, PASSWORD).await.1.status,
                200,
                "the address is confirmed all the same"
            );
        }
        let (at, page) = place.browser().follow_from("none", &link).await;
        assert_eq!((at.as_str(), page.status), ("/auth/confirm", 410), "a used link: {}", page.body);
        assert!(page.body.contains("This link no longer works"), "{}", page.body);
    }
}

/// S-71, S-82: a mail sent again confirms, by link and by digits, in the browser that asked; strangers are answered alike.
pub async fn a_mail_can_be_had_again(place: Place) {
    let (browser, email) = sign_up(&place).await;
    let first = place.mail(&email, 1).await;
    let again = async |email: &str| {
        let answer = browser.post("/auth/otp", &json!({ "email": email, "again": true })).await;
        (answer.status, answer.body)
    };
    let sent = again(&email).await;
    assert_eq!((sent.0, sent.1.as_str()), (200, r#"{"status":"sent"}"#));
    let second = place.mail(&email, 2).await;
    assert_ne!(second.hash(), first.hash());
    let old =
        place.browser().post("/auth/confirm", &json!({ "token_hash": first.hash(), "type": "signup" })).await;
    assert_eq!((old.status, old.code().as_str()), (410, "link_expired"), "{}", old.body);
    let answer = browser.post("/auth/otp", &json!({ "email": email, "code": second.code })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    is_signed_in(&browser, &email).await;
    assert_eq!(again(&place.address()).await, sent, "nobody has this address");
    assert_eq!(again(&email).await, sent, "confirmed already");
}

/// An old link of GoTrue's own, opened where the sign-up began: the page speaks of the link, and the new one works.
pub async fn an_old_link_of_gotrue_says_so(place: Place) {
    let (browser, email) = sign_up(&place).await;
    let back = callback(&place, &browser);
    let old = place.mail(&email, 1).await.verify_url(&place.project, &back);
    assert_eq!(browser.post("/auth/otp", &json!({ "email": email, "again": true })).await.status, 200);
    let code = place.mail(&email, 2).await.code;
    let (at, page) = browser.follow_from("none", &old).await;
    assert_eq!((at.as_str(), page.status), ("/auth/confirm", 410), "{}", page.body);
    assert!(page.body.contains("It was used already or is too old."), "{}", page.body);
    let answer = browser.post("/auth/otp", &json!({ "email": email, "code": code })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    is_signed_in(&browser, &email).await;
}
