//! Further ways to sign in: linked, refused, taken away; never the last one.

use http::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::client::{Answer, Browser};
use crate::devices::{ADA, PAGE, is_alive, told};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::provider::{comes_back, up_to_callback};
use crate::tap::Fault;

const LIST: &str = "/auth/account/identities";
const START: &str = "/auth/start/github";
const ASK: &str = "/auth/start/github?intent=link";
const EXCHANGE: &str = "grant_type=pkce";

pub async fn ways(browser: &Browser) -> Vec<Value> {
    let answer = browser.get(LIST).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["identities"].as_array().expect("a list").clone()
}

async fn names(browser: &Browser) -> Vec<String> {
    ways(browser).await.iter().map(|way| way["provider"].as_str().unwrap().to_owned()).collect()
}

/// Presses "Continue to" `provider` and goes on to the chooser of the pretend one.
async fn up_to_chooser(browser: &Browser, provider: &str) -> (String, Answer) {
    let start = format!("/auth/start/{provider}");
    let ask = browser.navigate_from("same-origin", &format!("{start}?intent=link")).await;
    assert!(ask.status == 200 && ask.body.contains("?</h1>"), "{}", ask.body);
    let bounce = browser.submit(&start, &[("form_token", &ask.form_token(&start))]).await;
    assert_eq!(bounce.status, 200, "S-65: no redirect answers a form: {}", bounce.body);
    let url = bounce.refresh_url().expect("it leads on");
    assert!(url.starts_with("http://127.0.0.1"), "{url}");
    browser.follow_from("cross-site", &url).await
}

/// At GitHub as whoever has `email` there: the address of the callback.
async fn up_to_return(browser: &Browser, email: &str) -> String {
    back_from(browser, "github", email).await
}

/// The whole way at `provider`.
pub async fn link(browser: &Browser, provider: &str, email: &str) {
    let callback = back_from(browser, provider, email).await;
    let page = lands(browser, &callback).await;
    assert!(page.contains("is connected."), "{page}");
}

async fn back_from(browser: &Browser, provider: &str, email: &str) -> String {
    let (at, chooser) = up_to_chooser(browser, provider).await;
    comes_back(browser, &at, &chooser, email).await
}

/// Ends the flow of `callback`, and what the security page says then.
async fn lands(browser: &Browser, callback: &str) -> String {
    let answer = browser.navigate_from("cross-site", callback).await;
    assert_eq!(answer.header("location"), "/auth/continue?return_to=%2Fauth%2Faccount%2Fsecurity");
    assert_eq!(answer.header("cache-control"), "no-store");
    let (at, page) = browser.follow_from("cross-site", answer.header("location")).await;
    assert_eq!((at.as_str(), page.status), (PAGE, 200), "{}", page.body);
    page.body
}

async fn remove(browser: &Browser, id: &str) -> Answer {
    browser.json(Method::DELETE, &format!("{LIST}/{id}"), &json!({})).await
}

fn id_of(all: &[Value], provider: &str) -> String {
    let way = all.iter().find(|way| way["provider"] == provider);
    way.unwrap_or_else(|| panic!("{all:?}"))["id"].as_str().unwrap().to_owned()
}

/// S-24, S-29: linked with a challenge of our own under the same account; the session that asked goes on and knows of it,
/// the one that GoTrue made on the way is revoked. Signing in by it then leads to the same account.
#[tokio::test]
async fn a_provider_is_linked_to_the_account_that_asked() {
    for plan in [Plan::default(), Plan::in_memory()] {
        let app = TestApp::with(plan).await;
        let ada = app.signed_in(ADA).await;
        let before = ada.get("/auth/session").await.json();
        let page = ada.navigate(PAGE).await.body;
        assert!(page.contains("Connect GitHub") && page.contains("Connect Google"), "{page}");
        assert!(!page.contains("Disconnect"), "S-46: the last way has no button: {page}");
        let callback = up_to_return(&ada, "elsewhere@example.test").await;
        let page = lands(&ada, &callback).await;
        assert!(page.contains("GitHub is connected.") && page.contains("elsewhere@example.test"), "{page}");
        assert!(page.contains("Disconnect GitHub"), "{page}");
        let after = ada.get("/auth/session").await.json();
        assert_eq!(
            (&after["user"]["id"], &after["session"]["id"]),
            (&before["user"]["id"], &before["session"]["id"])
        );
        assert_eq!(after["user"]["providers"], json!(["email", "github"]));
        assert_eq!(names(&ada).await, ["email", "github"]);
        app.auth.arrived("/logout?scope=local", 1).await;
        let asked = app.auth.seen("GET /auth/v1/user/identities/authorize").pop().unwrap();
        assert!(asked.line.contains("code_challenge_method=s256"), "{}", asked.line);

        let other = app.browser();
        let callback = up_to_callback(&other, START, "elsewhere@example.test").await;
        assert_eq!(other.navigate_from("cross-site", &callback).await.status, 303);
        assert_eq!(other.get("/auth/session").await.json()["user"]["id"], before["user"]["id"]);
        assert!(!ada.navigate(PAGE).await.body.contains("is connected."), "said once");
    }
}

/// S-46: an old proof asks for a new one first, and the wish is taken up again afterwards; JSON is told to step up.
#[tokio::test]
async fn to_link_takes_a_fresh_proof() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let token = ada.navigate(ASK).await.form_token(START);
    app.clock.advance(Duration::minutes(5) + Duration::SECOND);
    let proof = "/auth/login?prompt=login&return_to=%2Fauth%2Faccount%2Fsecurity%3Fconnect%3Dgithub";
    for answer in [ada.navigate(ASK).await, ada.submit(START, &[("form_token", &token)]).await] {
        assert_eq!((answer.status, answer.header("location")), (303, proof));
    }
    assert_eq!(told(&ada.post(START, &json!({})).await).1, "insufficient_user_authentication");
    assert_eq!(app.auth.calls("identities/authorize"), 0);
    let page = ada.navigate_from("same-origin", proof).await;
    let (token, back) = (page.form_token("/auth/login"), page.field("return_to"));
    let fields =
        [("form_token", &*token), ("return_to", &*back), ("prompt", "login"), ("password", PASSWORD)];
    let answer = ada.submit("/auth/login", &fields).await;
    let (at, page) = ada.follow_from("same-origin", answer.header("location")).await;
    assert!(at == ASK && page.body.contains("Connect GitHub?"), "{at}: {}", page.body);
}

/// The same by JSON: a page of the site's own leads its browser on.
#[tokio::test]
async fn a_script_begins_to_link() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let answer = ada.post(START, &json!({})).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("continue")));
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("http") && ada.cookie("sb_flow_").is_some());
    assert_eq!(ada.post("/auth/start/nobody", &json!({})).await.code(), "provider_unknown");
    assert_eq!(app.browser().post(START, &json!({})).await.code(), "session_missing");
    assert_eq!(
        app.browser().navigate(ASK).await.header("location"),
        "/auth/login?return_to=%2Fauth%2Faccount%2Fsecurity"
    );
}

/// S-68: whoever says no there, or has what belongs to somebody else, comes back to a page that says so in our words;
/// nothing has changed and nobody is signed out.
#[tokio::test]
async fn a_link_that_comes_to_nothing_says_why() {
    let app = TestApp::start().await;
    let eve = app.browser();
    let callback = up_to_callback(&eve, START, "taken@example.test").await;
    eve.navigate_from("cross-site", &callback).await;
    let ada = app.signed_in(ADA).await;
    let page = {
        let callback = up_to_return(&ada, "taken@example.test").await;
        assert!(callback.contains("identity_already_exists"), "{callback}");
        lands(&ada, &callback).await
    };
    assert!(page.contains("This GitHub account belongs to another account here."), "{page}");
    for (query, sentence) in [
        ("error=access_denied&error_description=canary", "You came back from GitHub without connecting it."),
        ("error=server_error&error_code=unexpected_failure", "Connecting GitHub did not work this time."),
        ("", "Connecting GitHub did not work this time."),
    ] {
        let callback = up_to_return(&ada, "fresh@example.test").await;
        let path = callback.split_once('?').unwrap().0;
        let page = lands(&ada, &format!("{path}?{query}")).await;
        assert!(page.contains(sentence) && !page.contains("canary"), "{page}");
        assert!(page.contains("Connect Google"), "the next step is on the page: {page}");
    }
    assert_eq!(app.auth.calls(EXCHANGE), 1, "Eve's");
    assert!(is_alive(&ada).await);
}

/// S-29: tokens of another person link nothing here; they are revoked, and the old session is untouched.
#[tokio::test]
async fn tokens_of_another_person_link_nothing() {
    let app = TestApp::start().await;
    app.signed_in("eve@example.test").await;
    let ada = app.signed_in(ADA).await;
    let callback = up_to_return(&ada, "fresh@example.test").await;
    let tokens = app.tokens("eve@example.test", PASSWORD).await;
    app.auth.fail_once(EXCHANGE, Fault::Answer(200, "application/json", tokens.to_string()));
    let page = lands(&ada, &callback).await;
    assert!(page.contains("Connecting GitHub did not work this time."), "{page}");
    assert_eq!(ada.get("/auth/session").await.json()["user"]["email"], ADA);
    app.auth.arrived("/logout?scope=local", 1).await;
    let revoked = app.auth.seen("/logout?scope=local").pop().unwrap();
    let bearer = revoked.headers["authorization"].to_str().unwrap().to_owned();
    assert_eq!(bearer, format!("Bearer {}", tokens["access_token"].as_str().unwrap()));
}

/// S-25: the flow of a link is of the person who began it; whoever is signed in by then is not told of it.
#[tokio::test]
async fn another_person_is_not_told_of_a_link() {
    let app = TestApp::start().await;
    let browser = app.signed_in(ADA).await;
    let callback = up_to_return(&browser, "fresh@example.test").await;
    browser.post("/auth/logout", &json!({})).await;
    let body = json!({ "email": "bob@example.test", "password": PASSWORD });
    assert_eq!(browser.post("/auth/signup", &body).await.status, 200);
    let page = lands(&browser, &callback).await;
    assert!(!page.contains("is connected.") && !page.contains("fresh@example.test"), "{page}");
    assert_eq!(names(&browser).await, ["email"]);
    assert_eq!(browser.get("/auth/session").await.json()["user"]["email"], "bob@example.test");
}

/// S-46: a way is taken away after a question, with a fresh proof; the last one and the address stay.
#[tokio::test]
async fn a_way_is_taken_away_but_never_the_last() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let callback = up_to_return(&ada, "elsewhere@example.test").await;
    lands(&ada, &callback).await;
    let all = ways(&ada).await;
    assert_eq!((&all[0]["removable"], &all[1]["removable"]), (&json!(false), &json!(true)));
    let (email, github) = (id_of(&all, "email"), id_of(&all, "github"));
    for id in [&email, "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f", "x", "%2e%2e"] {
        let answer = remove(&ada, id).await;
        let status = if *id == email { 422 } else { 404 };
        assert!(answer.status == status || answer.status == 400, "{id}: {}", answer.body);
    }
    assert_eq!(remove(&ada, &email).await.code(), "last_identity");

    let path = format!("{LIST}/{github}/delete");
    let ask = ada.navigate(&path).await;
    assert!(ask.body.contains("Disconnect GitHub?") && ask.body.contains("button danger"), "{}", ask.body);
    let token = ask.form_token(&path);
    app.clock.advance(Duration::minutes(5) + Duration::SECOND);
    let back: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    let proof = format!("/auth/login?prompt=login&return_to={back}");
    for answer in [ada.navigate(&path).await, ada.submit(&path, &[("form_token", &token)]).await] {
        assert_eq!((answer.status, answer.header("location")), (303, proof.as_str()));
    }
    assert_eq!(remove(&ada, &github).await.code(), "insufficient_user_authentication");
    let page = ada.navigate_from("same-origin", &proof).await;
    let login =
        [("form_token", &*page.form_token("/auth/login")), ("prompt", "login"), ("password", PASSWORD)];
    assert_eq!(ada.submit("/auth/login", &login).await.status, 303);

    assert_eq!(ada.submit(&path, &[("form_token", "x")]).await.status, 403, "S-15");
    for notice in [true, false] {
        let answer = ada.submit(&path, &[("form_token", &token)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, PAGE), "pressed twice: {}", answer.body);
        let page = ada.navigate(PAGE).await.body;
        assert_eq!(page.contains("GitHub is disconnected."), notice, "{page}");
        assert!(page.contains("Connect GitHub"), "{page}");
    }
    assert_eq!(ada.get("/auth/session").await.json()["user"]["providers"], json!(["email"]));
    assert_eq!(ada.navigate(&path).await.header("location"), PAGE);
}

/// Whoever came by a provider alone has no other way yet: the page says so in place of a button.
#[tokio::test]
async fn the_only_way_says_that_it_stays() {
    let app = TestApp::start().await;
    let person = app.browser();
    let callback =
        up_to_callback(&person, "/auth/start/google?return_to=/auth/account", "g@example.test").await;
    person.navigate_from("cross-site", &callback).await;
    let page = person.navigate(PAGE).await.body;
    assert!(page.contains("Your only way to sign in. Add another one before you remove it."), "{page}");
    assert!(!page.contains("Disconnect"), "{page}");
    let id = id_of(&ways(&person).await, "google");
    assert_eq!(remove(&person, &id).await.code(), "last_identity");
    let page = person.navigate("/auth/account").await.body;
    assert!(page.contains("None yet") && page.contains("Set a password"), "{page}");
}

/// S-102: an identity of somebody else has no name here.
#[tokio::test]
async fn another_persons_identity_is_nobodys() {
    let app = TestApp::start().await;
    let ada = app.signed_in(ADA).await;
    let callback = up_to_return(&ada, "elsewhere@example.test").await;
    lands(&ada, &callback).await;
    let github = id_of(&ways(&ada).await, "github");
    let eve = app.signed_in("eve@example.test").await;
    let callback = up_to_return(&eve, "eve-2@example.test").await;
    lands(&eve, &callback).await;
    assert_eq!(remove(&eve, &github).await.code(), "not_found");
    let path = format!("{LIST}/{github}/delete");
    assert_eq!(eve.navigate(&path).await.header("location"), PAGE);
    assert_eq!(names(&ada).await, ["email", "github"]);
}

/// A project that links nothing is asked once; then the page offers it no more.
#[tokio::test]
async fn a_project_without_linking_is_not_asked_again() {
    let plan = Plan { auth: |settings| settings.linking = false, ..Plan::default() };
    let app = TestApp::with(plan).await;
    let ada = app.signed_in(ADA).await;
    let token = ada.navigate(ASK).await.form_token(START);
    let answer = ada.submit(START, &[("form_token", &token)]).await;
    assert!(answer.status == 404 && answer.body.contains("This way is not offered here."), "{}", answer.body);
    assert!(!ada.navigate(PAGE).await.body.contains("Connect"), "it is not offered");
    assert_eq!(ada.post(START, &json!({})).await.code(), "feature_disabled");
}

/// S-44: while GoTrue is away the page says so, and the devices are there as ever.
#[tokio::test]
async fn an_outage_hides_the_ways_alone() {
    let app = TestApp::with(Plan::in_memory()).await;
    let ada = app.signed_in(ADA).await;
    for fault in [Fault::Reset, Fault::code(500, "unexpected_failure"), Fault::code(403, "bad_jwt")] {
        app.auth.fail_once("GET /auth/v1/user", fault);
        let page = ada.navigate(PAGE).await;
        assert!(
            page.status == 200 && page.body.contains("They cannot be shown for the moment."),
            "{}",
            page.body
        );
        assert!(page.body.contains("This device"), "{}", page.body);
    }
    app.auth.fail_once("GET /auth/v1/user", Fault::code(403, "session_not_found"));
    assert_eq!(
        ada.navigate(PAGE).await.header("location"),
        "/auth/login?return_to=%2Fauth%2Faccount%2Fsecurity"
    );
    assert!(!is_alive(&ada).await);
}
