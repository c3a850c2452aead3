//! What ends other sessions takes a fresh proof and GoTrue's word (S-46).

use http::Method;
use serde_json::json;
use time::Duration;

use crate::devices::{ADA, LIST, PAGE, end, id_of, is_alive, list, three, told};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::provider::up_to_callback;
use crate::tap::Fault;

/// The login page that asks for a new proof, with the way back to the devices.
const PROOF: &str = "/auth/login?prompt=login&return_to=%2Fauth%2Faccount%2Fsecurity";
const USER: &str = "GET /auth/v1/user";

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

/// S-46: whoever came through a provider is asked for that provider, and no password; back from there the proof is fresh.
#[tokio::test]
async fn a_linked_provider_is_a_proof() {
    let app = TestApp::with(Plan::in_memory()).await;
    let person = app.browser();
    let back =
        up_to_callback(&person, "/auth/start/google?return_to=/auth/account", "grace@example.test").await;
    assert_eq!(person.follow_from("cross-site", &back).await.0, "/auth/account");
    app.clock.advance(Duration::minutes(6));
    assert_eq!(person.post("/auth/logout", &json!({ "scope": "others" })).await.status, 401);
    let proof = person.navigate_from("same-origin", PROOF).await.body;
    assert!(proof.contains("Confirm that it is you") && proof.contains("Continue with Google"), "{proof}");
    for absent in ["type=\"password\"", "Continue with GitHub", "Create an account"] {
        assert!(!proof.contains(absent), "{absent}: {proof}");
    }
    let start = format!("/auth/start/google?return_to={PAGE}");
    let back = up_to_callback(&person, &start, "grace@example.test").await;
    assert_eq!(person.follow_from("cross-site", &back).await.0, PAGE);
    assert_eq!(person.post("/auth/logout", &json!({ "scope": "others" })).await.status, 204);
}

/// `prompt=login` is for whoever is signed in; anybody else gets the login page as ever. A proof keeps what was said about
/// staying signed in.
#[tokio::test]
async fn the_page_for_a_proof_is_for_whoever_is_signed_in() {
    let app = TestApp::with(Plan::in_memory()).await;
    app.signed_in(ADA).await;
    let stranger = app.browser().navigate(PROOF).await.body;
    assert!(stranger.contains("<h1>Sign in</h1>") && stranger.contains("type=\"password\""), "{stranger}");
    for remember in [false, true] {
        let person = app.browser();
        let login = json!({ "email": ADA, "password": PASSWORD, "remember": remember });
        assert_eq!(person.post("/auth/login", &login).await.status, 200);
        let token = person.navigate(PROOF).await.form_token("/auth/login");
        let fields = [("form_token", &*token), ("prompt", "login"), ("password", PASSWORD)];
        let answer = person.submit("/auth/login", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let set = answer.set_cookies().into_iter().find(|set| set.starts_with("sb_session")).unwrap();
        assert_eq!(set.contains("Max-Age="), remember, "{set}");
    }
}

/// A route that wants a fresh sign-in leads to the page that asks for one, not round in a circle.
#[tokio::test]
async fn a_route_that_wants_a_fresh_proof_leads_to_one() {
    let rules = "site = { url = '{echo}', kind = 'app', token = 'none' }\n\
                 [[rules]]\nname = 'fresh'\npath = '/fresh'\nto = 'site'\nmax_age = '5m'\n";
    let app = TestApp::with(Plan { rules: rules.to_owned(), ..Plan::default() }).await;
    let person = app.signed_in(ADA).await;
    app.clock.advance(Duration::minutes(6));
    let page = person.navigate("/fresh").await;
    let url = "/auth/login?prompt=login&return_to=%2Ffresh";
    assert_eq!((page.status, page.header("location")), (303, url));
    let proof = person.navigate_from("same-origin", url).await;
    assert!(proof.body.contains("Confirm that it is you"), "{}", proof.body);
    let (token, back) = (proof.form_token("/auth/login"), proof.field("return_to"));
    let fields = [("form_token", &*token), ("return_to", &back), ("prompt", "login"), ("password", PASSWORD)];
    assert_eq!(person.submit("/auth/login", &fields).await.status, 303);
    assert_eq!(person.navigate("/fresh").await.status, 200);
}
