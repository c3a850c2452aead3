//! Sign-in at GitHub: the whole way, and the ways off it.

use serde_json::json;

use super::github::Answer;
use super::place::{Place, random};
use crate::client::Browser;
use crate::provider::at_login;

/// Somebody whom GitHub knows and the project does not.
fn somebody(place: &Place) -> (Answer, String) {
    let email = place.address();
    let id = random().as_fields().0;
    (Answer::Agrees { id, login: "ada".to_owned(), email: email.clone() }, email)
}

/// Starts at the login page's button and stops where GoTrue leads back to the BFF: the address with the code.
async fn up_to_the_callback(place: &Place, browser: &Browser) -> String {
    let start = browser.navigate_from("same-origin", "/auth/start/github?return_to=/notes").await;
    assert_eq!(start.status, 303, "{}", start.body);
    let mut at = start.header("location").to_owned();
    while !at.starts_with(&place.base) {
        let answer = browser.navigate_from("cross-site", &at).await;
        assert!((300..400).contains(&answer.status), "{at}: {} {}", answer.status, answer.body);
        at = answer.header("location").to_owned();
    }
    at.split_off(place.base.len())
}

fn parameter(path: &str, name: &str) -> String {
    let url: url::Url = format!("http://localhost{path}").parse().unwrap();
    let value = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    value.unwrap_or_else(|| panic!("no {name}: {path}"))
}

/// S-24, S-25, S-28: with a challenge, under a clean address, to the same account the second time.
pub async fn a_person_signs_in_at_github(place: Place) {
    let (answer, email) = somebody(&place);
    place.github().answer(answer);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let browser = place.browser();
        let page = browser.navigate("/auth/login?return_to=/notes").await;
        assert!(page.body.contains("/auth/start/github"), "{}", page.body);
        let start = browser
            .navigate_from("same-origin", "/auth/start/github?return_to=/notes&login=ada&scope=repo")
            .await;
        let (at, page) = browser.follow_from("cross-site", start.header("location")).await;
        assert_eq!(at, "/notes", "{}", page.body);
        let asked = place.github().asked();
        assert_eq!(asked.get("login").map(String::as_str), Some("ada"), "allowed to pass");
        assert!(!asked["scope"].contains("repo"), "not allowed to pass: {asked:?}");
        assert_eq!(asked["redirect_uri"], format!("{}/auth/v1/callback", place.project));
        let session = browser.get("/auth/session").await.json();
        assert_eq!(
            (&session["user"]["email"], &session["user"]["provider"]),
            (&json!(email), &json!("github"))
        );
        assert_eq!(session["user"]["name"], "Ada");
        assert_eq!(session["amr"], json!(["oauth"]));
        assert_eq!(browser.get("/api/notes").await.status, 200);
        assert!(browser.cookie("sb_flow_").is_none(), "S-26: the flow is used up");
        let provider_token = place.tokens()["provider_token"].as_str().unwrap_or_default().to_owned();
        assert!(provider_token.is_empty() || !session.to_string().contains(&provider_token), "S-10");
        ids.push(session["user"]["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
}

/// A person who presses "Cancel" at GitHub reads so at the login page, and no text of GitHub's.
pub async fn a_no_at_github_is_no_session(place: Place) {
    place.github().answer(Answer::Denies);
    let browser = place.browser();
    let callback = up_to_the_callback(&place, &browser).await;
    assert_eq!(parameter(&callback, "error"), "access_denied");
    let back = browser.navigate_from("cross-site", &callback).await;
    assert_eq!((back.status, back.header("location")), (303, "/auth/login"));
    let page = browser.navigate_from("same-origin", "/auth/login").await;
    assert!(page.body.contains("You came back from GitHub without signing in."), "{}", page.body);
    assert!(!page.body.contains("denied your application"), "S-68: {}", page.body);
    assert!(browser.cookie("sb_session_").is_none() && browser.cookie("sb_flow_").is_none());
    assert_eq!(place.tap.calls("grant_type=pkce"), 0);
}

/// A state that GoTrue does not know leads to the Site URL, and from there to no session.
pub async fn a_forged_state_leads_nowhere(place: Place) {
    let (answer, _) = somebody(&place);
    place.github().answer(answer);
    let browser = place.browser();
    up_to_the_callback(&place, &browser).await; // a flow is open in this browser
    for state in [random().to_string(), "x".to_owned(), String::new()] {
        let url = format!("{}/auth/v1/callback?code=code0&state={state}", place.project);
        let answer = browser.navigate_from("cross-site", &url).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let site: url::Url = answer.header("location").parse().unwrap();
        let (_, code) =
            site.query_pairs().find(|(name, _)| name == "error_code").expect("an error at the Site URL");
        assert!(["bad_oauth_state", "bad_oauth_callback"].contains(&&*code), "{site}");
        // Whoever runs the Site URL on the BFF sees a page, whatever stands in the query.
        let (at, page) = browser.follow_from("cross-site", &site[url::Position::BeforePath..]).await;
        assert!(at.starts_with("/auth/login"), "{at}");
        assert_eq!(page.status, 200);
    }
    assert!(browser.cookie("sb_session_").is_none());
}

/// S-25, S-26: a code is of no use to another browser, nor to this one a second time.
pub async fn a_code_is_good_once_and_in_one_browser(place: Place) {
    let (answer, email) = somebody(&place);
    place.github().answer(answer);
    let (victim, attacker) = (place.browser(), place.browser());
    let callback = up_to_the_callback(&place, &victim).await;
    let code = parameter(&callback, "code");
    let flow_of = async |browser: &Browser| {
        let callback = up_to_the_callback(&place, browser).await;
        callback[..callback.find('?').unwrap()].to_owned()
    };
    // A stranger with a flow of his own, before the owner arrives, and one without any.
    let stolen = format!("{}?code={code}", flow_of(&attacker).await);
    for (thief, path) in [(&attacker, stolen.as_str()), (&place.browser(), callback.as_str())] {
        let answer = thief.navigate_from("cross-site", path).await;
        assert_eq!((answer.status, at_login(&answer)), (303, "/auth/login"));
        assert!(thief.cookie("sb_session_").is_none());
    }
    // GoTrue did not use the code up, and neither did we.
    let copy = victim.stolen();
    let (first, second) = tokio::join!(
        victim.navigate_from("cross-site", &callback),
        copy.navigate_from("cross-site", &callback)
    );
    for answer in [&first, &second] {
        assert_eq!(answer.header("location"), "/auth/continue?return_to=%2Fnotes", "{}", answer.body);
    }
    assert_eq!(victim.get("/auth/session").await.json()["user"]["email"], email);
    let exchanges = place.tap.seen("grant_type=pkce");
    let own = exchanges.iter().filter(|call| call.body.contains(&code)).count();
    assert_eq!(own, 2, "the thief's, and one for both of the owner's tabs");
    // The same once more, after the owner is in.
    let late = format!("{}?code={code}", flow_of(&attacker).await);
    let answer = attacker.navigate_from("cross-site", &late).await;
    assert_eq!(
        (answer.status, at_login(&answer)),
        (303, "/auth/login"),
        "S-25: the code alone is no session"
    );
    assert!(attacker.cookie("sb_session_").is_none());
    // And a code that nobody ever gave out.
    let unknown = format!("{}?code={}", flow_of(&attacker).await, random());
    assert_eq!(at_login(&attacker.navigate_from("cross-site", &unknown).await), "/auth/login");
    assert!(attacker.cookie("sb_session_").is_none());
}

/// An address that both GitHub and the project have confirmed is one person.
pub async fn github_joins_the_account_of_its_address(place: Place) {
    let (_, email) = place.account().await;
    let id = place.tokens()["user"]["id"].clone();
    place.github().answer(Answer::Agrees {
        id: random().as_fields().0,
        login: "ada".to_owned(),
        email: email.clone(),
    });
    let browser = place.browser();
    let callback = up_to_the_callback(&place, &browser).await;
    assert_eq!(browser.navigate_from("cross-site", &callback).await.status, 303);
    let session = browser.get("/auth/session").await.json();
    assert_eq!((&session["user"]["id"], &session["user"]["email"]), (&id, &json!(email)));
    assert_eq!(session["user"]["providers"], json!(["email", "github"]));
    assert_eq!(place.sign_in(&email, super::place::PASSWORD).await.1.status, 200, "the password stays");
}
