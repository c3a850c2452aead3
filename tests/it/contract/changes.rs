//! What people change about their accounts, and how an account without an address becomes one of its own.

use http::Method;
use serde_json::{Value, json};

use super::github::Answer;
use super::place::{PASSWORD, Place, random};
use crate::account::NEW_PASSWORD;
use crate::client::Browser;

const ACCOUNT: &str = "/auth/account";
const EMAIL: &str = "/auth/account/email";
const WAYS: &str = "/auth/account/identities";

async fn user(browser: &Browser) -> Value {
    browser.get("/auth/session").await.json()["user"].clone()
}

/// A name of any script is in the session at once.
pub async fn a_name_is_known_at_once(place: Place) {
    let (browser, _) = place.account().await;
    for name in ["שרה 👩🏽\u{200d}🚀", "Ada O'Brien <b>"] {
        let answer = browser.post("/auth/account/profile", &json!({ "name": name })).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "status": "done" })));
        assert_eq!(user(&browser).await["name"], name);
    }
    assert_eq!(browser.post("/auth/account/profile", &json!({ "name": "" })).await.status, 200);
    assert_eq!(user(&browser).await["name"], Value::Null);
}

/// S-45: a new password ends every other session here and at GoTrue; this one goes on, and can be refreshed.
pub async fn a_new_password_ends_the_other_sessions(place: Place) {
    let (browser, email) = place.account().await;
    let (other, _) = place.sign_in(&email, PASSWORD).await;
    let others_token = place.refresh_token();
    place.another_second().await;
    let answer = browser.post("/auth/account/password", &json!({ "password": PASSWORD })).await;
    assert_eq!((answer.status, answer.code()), (422, "same_password".to_owned()), "{}", answer.body);
    let answer = browser.post("/auth/account/password", &json!({ "password": NEW_PASSWORD })).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "done" })), "{}", answer.body);
    let ended = other.get("/api/notes").await;
    assert_eq!((ended.status, ended.header("x-session-ended")), (401, "password_changed"));
    assert_eq!(place.trade(&others_token).await, (400, "refresh_token_not_found".to_owned()));
    assert_eq!(browser.get("/api/notes").await.status, 200);
    place.a_moment();
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    assert_eq!(place.sign_in(&email, PASSWORD).await.1.status, 401);
    assert_eq!(place.sign_in(&email, NEW_PASSWORD).await.1.status, 200);
}

/// Goes to GitHub to link it, as whoever `answer` says, and back: where the person lands.
async fn link(place: &Place, browser: &Browser, answer: Answer) -> (String, String) {
    place.github().answer(answer);
    let begun = browser.post("/auth/start/github", &json!({})).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let (at, page) = browser.follow_from("cross-site", begun.json()["url"].as_str().unwrap()).await;
    (at, page.body)
}

/// S-24, S-29: GitHub is linked to the account that asked, in the session that asked; a second account does not get it;
/// taken away, it is nobody's.
pub async fn github_is_linked_and_taken_away(place: Place) {
    let (browser, _) = place.account().await;
    let before = browser.get("/auth/session").await.json();
    let agrees =
        || Answer::Agrees { id: random().as_fields().0, login: "ada".to_owned(), email: place.address() };
    let github = agrees();
    let (at, page) = link(&place, &browser, github.clone()).await;
    assert!(at == "/auth/account/security" && page.contains("GitHub is connected."), "{at}: {page}");
    let after = browser.get("/auth/session").await.json();
    assert_eq!(after["user"]["id"], before["user"]["id"]);
    assert_eq!(after["session"]["id"], before["session"]["id"]);
    assert_eq!(after["user"]["providers"], json!(["email", "github"]));
    assert_eq!(place.github().asked()["client_id"], "github-client");

    let (second, _) = place.account().await;
    let (_, page) = link(&place, &second, github).await;
    assert!(page.contains("This GitHub account belongs to another account here."), "{page}");
    let (_, page) = link(&place, &second, Answer::Denies).await;
    assert!(page.contains("You came back from GitHub without connecting it."), "{page}");
    assert_eq!(user(&second).await["providers"], json!(["email"]));

    let all = browser.get(WAYS).await.json()["identities"].clone();
    assert_eq!((&all[0]["removable"], &all[1]["removable"]), (&json!(false), &json!(true)), "{all}");
    let path = |way: &Value| format!("{WAYS}/{}", way["id"].as_str().unwrap());
    let refused = browser.json(Method::DELETE, &path(&all[0]), &json!({})).await;
    assert_eq!(refused.code(), "last_identity");
    assert_eq!(browser.json(Method::DELETE, &path(&all[1]), &json!({})).await.status, 204);
    assert_eq!(browser.json(Method::DELETE, &path(&all[1]), &json!({})).await.status, 404);
    assert_eq!(user(&browser).await["providers"], json!(["email"]));
}

async fn guest(place: &Place) -> (Browser, Value) {
    let browser = place.browser();
    let answer = browser.post("/auth/signup", &json!({ "anonymous": true })).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("signed_in")), "{}", answer.body);
    let user = user(&browser).await;
    assert_eq!(user["is_anonymous"], true);
    (browser, user["id"].clone())
}

/// An account without an address becomes one with an address and a password, and keeps its id.
pub async fn a_guest_keeps_the_account(place: Place) {
    let (browser, id) = guest(&place).await;
    let email = place.address();
    let answer = browser.post(EMAIL, &json!({ "email": email, "password": PASSWORD })).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "done" })), "{}", answer.body);
    let after = user(&browser).await;
    assert_eq!((&after["id"], &after["is_anonymous"]), (&id, &json!(false)));
    let (elsewhere, answer) = place.sign_in(&email, PASSWORD).await;
    assert_eq!((answer.status, &user(&elsewhere).await["id"]), (200, &id));
}

/// The same where addresses are confirmed: GoTrue's own link leads back to the browser that asked.
pub async fn a_guest_confirms_the_address(place: Place) {
    let (browser, id) = guest(&place).await;
    let email = place.address();
    let answer = browser.post(EMAIL, &json!({ "email": email, "password": PASSWORD })).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "sent" })), "{}", answer.body);
    let (at, page) = open(&place, &browser, &email, 1).await;
    assert!(at == ACCOUNT && page.contains(&format!("Your address is now {email}.")), "{at}: {page}");
    let after = user(&browser).await;
    assert_eq!((&after["id"], &after["is_anonymous"]), (&id, &json!(false)));
    let (elsewhere, answer) = place.sign_in(&email, PASSWORD).await;
    assert_eq!((answer.status, &user(&elsewhere).await["id"]), (200, &id));
}

/// Another address counts once both mails were opened: after the first half nothing has changed.
pub async fn an_address_changes_by_both_mails(place: Place) {
    let (browser, old) = place.account().await;
    let new = place.address();
    let answer = browser.post(EMAIL, &json!({ "email": new })).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "sent" })), "{}", answer.body);
    let (at, page) = open(&place, &browser, &old, 2).await;
    assert!(at == ACCOUNT && page.contains("One half is done."), "{at}: {page}");
    assert_eq!(user(&browser).await["email"], old);
    let (at, page) = open(&place, &browser, &new, 1).await;
    assert!(at == ACCOUNT && page.contains(&format!("Your address is now {new}.")), "{at}: {page}");
    assert_eq!(user(&browser).await["email"], new);
    assert_eq!(place.sign_in(&new, PASSWORD).await.1.status, 200);
    assert_eq!(place.sign_in(&old, PASSWORD).await.1.status, 401);
    // A used link says so, and the address stays.
    let (at, page) = open(&place, &browser, &new, 1).await;
    assert!(at.starts_with("/auth/"), "{at}: {page}");
    assert_eq!(user(&browser).await["email"], new);
}

/// Opens GoTrue's own link of the newest mail to `email` in `browser`: where it leads.
async fn open(place: &Place, browser: &Browser, email: &str, count: usize) -> (String, String) {
    let flow = browser.cookie_names().into_iter().find(|name| name.starts_with("sb_flow_"));
    let flow = flow.as_deref().unwrap_or("sb_flow_AAAAAAAAAAAAAAAAAAAAAA_0");
    let flow = flow.trim_start_matches("sb_flow_").rsplit_once('_').unwrap().0;
    let back = format!("{}/auth/callback/{flow}", place.base);
    let link = place.mail(email, count).await.verify_url_of(&place.project, "email_change", &back);
    let (at, page) = browser.follow_from("none", &link).await;
    (at, page.body)
}
