//! Mails that people ask for: recovery, codes, magic links, invitations, both halves of a change of address.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::mail::Mail;
use super::place::{PASSWORD, Place};
use crate::client::{Answer, Browser};
use crate::mailbox::{fill, leads, press, who};

const NEW: &str = "lantern quarry 58 oboe";

/// The `type` of its link.
fn kind(mail: &Mail) -> String {
    mail.link.query_pairs().find(|(name, _)| name == "type").unwrap().1.into_owned()
}

/// Where its link leads at the BFF, whichever template made it.
fn path(mail: &Mail) -> String {
    format!("/auth/confirm?token_hash={}&type={}", mail.hash(), kind(mail))
}

/// Asks for a mail on `page`, and waits for it.
async fn ask(place: &Place, page: &str, email: &str) -> (Browser, Mail) {
    let browser = place.browser();
    let before = place.mails(email).await;
    let answer = fill(
        &browser,
        &format!("{page}?return_to=/notes"),
        page,
        &[("email", email), ("return_to", "/notes")],
    )
    .await;
    assert_eq!(leads(&answer), (303, "/auth/otp"), "{}", answer.body);
    (browser, place.mail(email, before + 1).await)
}

async fn enter(browser: &Browser, code: &str) -> Answer {
    fill(browser, "/auth/otp", "/auth/otp", &[("code", code)]).await
}

/// S-32, S-45: a link leads to a session that can set a password and nothing else; afterwards that password alone counts,
/// and no other session does.
pub async fn a_recovery_link_leads_to_a_new_password(place: Place) {
    let (before, email) = place.account().await;
    let old = place.refresh_token();
    place.another_second().await;
    let (_, mail) = ask(&place, "/auth/recover", &email).await;
    assert_eq!(kind(&mail), "recovery");
    let phone = place.browser();
    let answer = press(&phone, &path(&mail), &[]).await;
    assert_eq!(leads(&answer), (303, "/auth/reset"), "{}", answer.body);
    assert_eq!(who(&phone).await, (email.clone(), json!("recovery")));
    assert_eq!(phone.get("/api/notes").await.code(), "session_limited");
    for (password, sentence) in
        [("password1", "This password is easy to guess."), (PASSWORD, "This is the password you have now.")]
    {
        let answer = fill(&phone, "/auth/reset", "/auth/reset", &[("password", password)]).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        assert!(answer.body.contains(sentence), "{}", answer.body);
    }
    let answer = fill(&phone, "/auth/reset", "/auth/reset", &[("password", NEW)]).await;
    assert_eq!(leads(&answer), (303, "/auth/account"), "{}", answer.body);
    assert_eq!(who(&phone).await, (email.clone(), Value::Null));
    assert_eq!(phone.get("/api/notes").await.status, 200);
    place.a_moment();
    assert_eq!(phone.post("/auth/refresh", &json!({})).await.status, 204);
    assert_eq!(before.get("/api/notes").await.header("x-session-ended"), "password_changed");
    let (status, code) = place.trade(&old).await;
    assert!(status == 400 && code != "validation_failed", "GoTrue has ended it too: {code}");
    assert_eq!(place.sign_in(&email, PASSWORD).await.1.status, 401);
    assert_eq!(place.sign_in(&email, NEW).await.1.status, 200);
    let again = press(&place.browser(), &path(&mail), &[]).await;
    assert_eq!(again.status, 410);
}

/// The digits of the same mail, and GoTrue's own link, which comes back to the callback of the browser that asked.
pub async fn a_recovery_has_other_ways_in(place: Place) {
    let (_, email) = place.account().await;
    let (browser, mail) = ask(&place, "/auth/recover", &email).await;
    let spaced = format!("{} {}", &mail.code[..3], &mail.code[3..]);
    assert_eq!(leads(&enter(&browser, &spaced).await), (303, "/auth/reset"));
    assert_eq!(who(&browser).await.1, "recovery");

    let (browser, mail) = ask(&place, "/auth/recover", &email).await;
    let link = own_link(&place, &browser, &mail);
    let (at, page) = browser.follow_from("none", &link).await;
    assert_eq!((at.as_str(), page.status), ("/auth/reset", 200), "{}", page.body);
    assert_eq!(who(&browser).await.1, "recovery");
    let (browser, _) = ask(&place, "/auth/recover", &email).await;
    let link = own_link(&place, &browser, &mail);
    let (at, page) = browser.follow_from("none", &link).await;
    assert_eq!((at.as_str(), page.status), ("/auth/confirm", 410), "{}", page.body);
    assert_eq!(page.field("purpose"), "recovery", "the page offers another of the kind");
}

/// GoTrue's own link, whichever template made the mail.
fn own_link(place: &Place, browser: &Browser, mail: &Mail) -> String {
    let flow = browser.cookie_names().into_iter().find(|name| name.starts_with("sb_flow_")).unwrap();
    let flow = flow.trim_start_matches("sb_flow_").rsplit_once('_').unwrap().0;
    let back = format!("{}/auth/callback/{flow}", place.base);
    let mut url: url::Url = format!("{}/auth/v1/verify", place.project).parse().unwrap();
    let (hash, kind) = (mail.hash(), kind(mail));
    url.query_pairs_mut().extend_pairs([("token", &hash), ("type", &kind), ("redirect_to", &back)]);
    url.into()
}

/// A known person by code, by link elsewhere, by GoTrue's own link; each mail opens once.
pub async fn a_mail_signs_in(place: Place) {
    let (_, email) = place.account().await;
    let (browser, mail) = ask(&place, "/auth/otp", &email).await;
    let answer = enter(&browser, &mail.code).await;
    assert_eq!(leads(&answer), (303, "/auth/continue?return_to=%2Fnotes"), "{}", answer.body);
    assert_eq!(who(&browser).await, (email.clone(), Value::Null));
    let used = place.browser().post("/auth/otp", &json!({ "email": email, "code": mail.code })).await;
    assert_eq!(used.code(), "code_wrong");

    let (_, mail) = ask(&place, "/auth/otp", &email).await;
    let phone = place.browser();
    assert_eq!(press(&phone, &path(&mail), &[]).await.status, 303);
    assert_eq!(who(&phone).await.0, email);
    let either = json!({ "token_hash": mail.hash(), "type": "email" });
    assert_eq!(place.browser().post("/auth/confirm", &either).await.code(), "link_expired");

    let (browser, mail) = ask(&place, "/auth/otp", &email).await;
    let link = own_link(&place, &browser, &mail);
    let (at, page) = browser.follow_from("none", &link).await;
    assert_eq!(at, "/notes", "{}", page.body);
    assert_eq!(who(&browser).await.0, email);
}

/// Whoever has no account gets one by the same way; the type `email` opens its mail too.
pub async fn a_code_makes_an_account(place: Place) {
    let email = place.address();
    let (browser, mail) = ask(&place, "/auth/otp", &email).await;
    assert_eq!(enter(&browser, &mail.code).await.status, 303);
    assert_eq!(who(&browser).await.0, email);
    let email = place.address();
    let (_, mail) = ask(&place, "/auth/otp", &email).await;
    let phone = place.browser();
    let answer = phone.post("/auth/confirm", &json!({ "token_hash": mail.hash(), "type": "email" })).await;
    assert_eq!(answer.json()["status"], "signed_in", "{}", answer.body);
    assert_eq!(who(&phone).await.0, email);
}

/// S-71: GoTrue's own differences between known and unknown addresses do not come through.
pub async fn a_wish_for_a_mail_is_answered_alike(place: Place) {
    let (_, email) = place.account().await;
    for path in ["/auth/recover", "/auth/otp"] {
        let mut said = Vec::new();
        for email in [&email, &email, &place.address(), &place.address()] {
            let answer = place.browser().post(path, &json!({ "email": email })).await;
            said.push((answer.status, answer.body));
        }
        assert!(said.iter().all(|answer| *answer == (200, r#"{"status":"sent"}"#.to_owned())), "{said:?}");
    }
}

/// Both halves of a change of address: the first changes nothing, the second signs in under the new address.
pub async fn an_address_is_changed_by_both_links(place: Place) {
    let (browser, old) = place.account().await;
    let (new, tokens) = (place.address(), place.tokens());
    let (to_old, to_new) = (place.mails(&old).await + 1, 1);
    let body = json!({ "email": new });
    let changed = place.gotrue(Method::PUT, "user", tokens["access_token"].as_str(), Some(&body)).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let (first, second) = (place.mail(&old, to_old).await, place.mail(&new, to_new).await);
    assert_eq!((kind(&first), kind(&second)), ("email_change".to_owned(), "email_change".to_owned()));
    let half = press(&browser, &path(&first), &[]).await;
    assert_eq!(leads(&half), (303, "/auth/account"), "{}", half.body);
    let page = browser.navigate_from("same-origin", "/auth/account").await;
    assert!(page.body.contains("One half is done."), "{}", page.body);
    assert_eq!(who(&browser).await.0, old);
    let whole = press(&browser, &path(&second), &[]).await;
    assert_eq!(leads(&whole), (303, "/auth/account"), "{}", whole.body);
    let page = browser.navigate_from("same-origin", "/auth/account").await;
    assert!(page.body.contains(&format!("Your address is now {new}.")), "{}", page.body);
    assert_eq!(who(&browser).await.0, new);
    assert_eq!(press(&place.browser(), &path(&second), &[]).await.status, 410);
    assert_eq!(place.sign_in(&new, PASSWORD).await.1.status, 200);
}

/// An invitation leads to a first password.
pub async fn an_invitation_leads_to_a_password(place: Place) {
    let email = place.address();
    let invited = place.administer(Method::POST, "invite", &json!({ "email": email })).await;
    assert_eq!(invited.status, 200, "{}", invited.body);
    let mail = place.mail(&email, 1).await;
    let browser = place.browser();
    let answer = press(&browser, &path(&mail), &[]).await;
    assert_eq!(leads(&answer), (303, "/auth/reset?return_to=%2F"), "{}", answer.body);
    let answer = fill(&browser, "/auth/reset", "/auth/reset", &[("password", NEW)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(place.sign_in(&email, NEW).await.1.status, 200);
}

/// S-75: GoTrue redeems in several steps and takes no lock; we ask it once.
pub async fn fifty_clicks_on_one_link_are_one_session(place: Place) {
    let (_, email) = place.account().await;
    let (_, mail) = ask(&place, "/auth/otp", &email).await;
    let body = json!({ "token_hash": mail.hash(), "type": kind(&mail) });
    let browsers: Vec<Browser> = (0..50).map(|_| place.browser()).collect();
    let answers = join_all(browsers.iter().map(|browser| browser.post("/auth/confirm", &body))).await;
    let status = |wanted| answers.iter().filter(|answer| answer.status == wanted).count();
    assert_eq!((status(200), status(410)), (1, 49));
}
