//! Off to a provider and back to the client's own page: with phantoms or a code of ours, never GoTrue's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;
use time::Duration;

use super::story::only_phantoms;
use super::{Client, parts};
use crate::client::{Answer, Browser};
use crate::harness::{Plan, TestApp};
use crate::provider::up_to_callback;

/// Verifier and challenge of a client.
pub fn pkce() -> (String, String) {
    let verifier = "v".repeat(56);
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    (verifier, URL_SAFE_NO_PAD.encode(hash.as_ref()))
}

/// Where the bounce behind `answer` leads.
pub async fn landing(browser: &Browser, answer: &Answer) -> url::Url {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let bounce = browser.navigate_from("cross-site", answer.header("location")).await;
    let url = bounce.refresh_url().unwrap_or_else(|| panic!("no bounce: {}", bounce.body));
    url::Url::parse("http://localhost/").unwrap().join(&url).unwrap()
}

/// A pair of the fragment.
pub fn pair(url: &url::Url, name: &str) -> Option<String> {
    let fragment = url.fragment().unwrap_or_default();
    url::form_urlencoded::parse(fragment.as_bytes())
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.into_owned())
}

fn query(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

/// Section 9: without a challenge the fragment holds the session, as auth-js expects it; S-20 judges where it goes.
#[tokio::test]
async fn the_implicit_way_back_carries_phantoms() {
    let app = TestApp::start().await;
    for (wanted, path) in
        [("/welcome?a=b", "/welcome"), ("https://evil.test/x", "/"), (&format!("{}/in#x", app.base), "/in")]
    {
        let browser = app.browser();
        let wanted: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
        let start =
            format!("/supabase/auth/v1/authorize?provider=google&redirect_to={wanted}&prompt=x&scopes=a");
        let callback = up_to_callback(&browser, &start, "ada@example.test").await;
        let answer = browser.navigate_from("cross-site", &callback).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let url = landing(&browser, &answer).await;
        assert_eq!(url.path(), path);
        assert_eq!(query(&url, "a").as_deref(), (path == "/welcome").then_some("b"));
        assert!(query(&url, "code").is_none() && pair(&url, "type").is_none());
        let token = pair(&url, "access_token").unwrap();
        assert_eq!(parts(&token).1["email"], "ada@example.test");
        assert_eq!(only_phantoms(url.as_str(), "the address"), 1);
        assert!(pair(&url, "refresh_token").unwrap().starts_with("phantom_"));
        assert_eq!(
            (pair(&url, "token_type").as_deref(), pair(&url, "expires_in").as_deref()),
            (Some("bearer"), Some("1800"))
        );
        let client = Client { browser, session: json!({ "access_token": token }) };
        assert_eq!(client.get("user").await.json()["email"], "ada@example.test");
    }
    for asked in app.auth.seen("/authorize") {
        assert!(!asked.line.contains("prompt=x") && !asked.line.contains("scopes"), "S-28: {}", asked.line);
        assert!(!asked.line.contains("evil") && !asked.line.contains("welcome"), "S-22: {}", asked.line);
    }
}

/// Section 9, S-76: with a challenge it is a code of ours: for a minute, once, for this session and this verifier.
#[tokio::test]
async fn the_code_is_ours_and_works_once() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let (verifier, challenge) = pkce();
    let start = |method: &str, challenge: &str| {
        format!(
            "/supabase/auth/v1/authorize?provider=google&redirect_to=%2Fwelcome&code_challenge={challenge}&code_challenge_method={method}"
        )
    };
    for (method, challenge) in
        [("plain", verifier.as_str()), ("s256", "short"), ("", &challenge), ("s256", "")]
    {
        let answer = browser.navigate_from("same-origin", &start(method, challenge)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "validation_failed"),
            "{method} {challenge}"
        );
        assert!(browser.cookie("sb_flow").is_none());
    }
    let mut codes = Vec::new();
    for _ in 0..2 {
        let callback = up_to_callback(&browser, &start("s256", &challenge), "ada@example.test").await;
        let gotrues = callback.split_once("code=").unwrap().1.to_owned();
        let url = landing(&browser, &browser.navigate_from("cross-site", &callback).await).await;
        assert!(url.fragment().is_none());
        codes.push(query(&url, "code").unwrap());
        assert!(codes.iter().all(|code| code.starts_with("bffc_")) && !url.as_str().contains(&gotrues));
    }
    let client = Client::of(&browser);
    let trade = async |client: &Client, code: &str, verifier: &str| {
        let body = json!({ "auth_code": code, "code_verifier": verifier });
        let answer = client.post("token?grant_type=pkce", &body).await;
        (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
    };
    let unknown = (404, "flow_state_not_found".to_owned());
    let (old, code) = (codes[0].clone(), codes[1].clone());
    assert_eq!(trade(&client, &old, &verifier).await, unknown, "of a session that is over");
    assert_eq!(trade(&client, &code, &"w".repeat(56)).await, (400, "bad_code_verifier".to_owned()));
    assert_eq!(trade(&Client::new(&app), &code, &verifier).await, unknown, "S-31: it makes no session");
    let other = Client::signed_up(&app, "bob@example.test").await;
    assert_eq!(trade(&other, &code, &verifier).await, unknown, "of somebody else");
    for odd in
        ["", "bffc_", "bffc_x", "00000000-0000-4000-8000-000000000000", &code[5..], &format!("{code}x")]
    {
        assert_eq!(trade(&client, odd, &verifier).await, unknown, "{odd}");
    }
    assert_eq!(trade(&client, &code, &verifier).await, (200, String::new()));
    assert_eq!(trade(&client, &code, &verifier).await, unknown, "once");
    let callback = up_to_callback(&browser, &start("s256", &challenge), "ada@example.test").await;
    let url = landing(&browser, &browser.navigate_from("cross-site", &callback).await).await;
    app.clock.advance(Duration::minutes(1));
    assert_eq!(trade(&client, &query(&url, "code").unwrap(), &verifier).await, unknown, "a minute later");
}

/// S-68: a refusal comes in GoTrue's words and ours, in query and fragment, never a provider's.
#[tokio::test]
async fn a_refusal_is_told_as_gotrue_tells_it() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let start = "/supabase/auth/v1/authorize?provider=google&redirect_to=%2Fwelcome%3Fa%3Db";
    let callback = up_to_callback(&browser, start, "ada@example.test").await;
    let path = callback.split('?').next().unwrap();
    let evil = format!("{path}?error=%3Cscript%3E&error_description=canary&return_to=%2Fevil");
    let url = landing(&browser, &browser.navigate_from("cross-site", &evil).await).await;
    assert_eq!((url.path(), query(&url, "a").as_deref()), ("/welcome", Some("b")));
    assert_eq!(query(&url, "error").as_deref(), Some("access_denied"));
    assert_eq!(pair(&url, "error").as_deref(), Some("access_denied"));
    assert!(pair(&url, "error_description").is_some() && pair(&url, "access_token").is_none());
    assert!(!url.as_str().contains("canary") && !url.as_str().contains("%3Cscript"));
}

/// S-16, S-17, S-28: a start from another site shows the login page, a prefetch begins nothing, unknown providers are told.
#[tokio::test]
async fn a_start_belongs_to_the_page() {
    let app = TestApp::start().await;
    let start = "/supabase/auth/v1/authorize?provider=google&redirect_to=%2Fwelcome";
    for site in ["cross-site", "same-site"] {
        let browser = app.browser();
        let answer = browser.navigate_from(site, start).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/auth/login?return_to=%2Fwelcome"),
            "{site}"
        );
        assert!(browser.cookie("sb_flow").is_none());
    }
    let browser = app.browser();
    let mut headers = crate::client::navigation("same-origin").to_vec();
    headers.push(("sec-purpose", "prefetch"));
    assert_eq!(
        browser.send(Method::GET, start, &headers, None).await.header("location"),
        "/auth/login?return_to=%2Fwelcome"
    );
    for provider in ["nowhere", "azure", ""] {
        let path = format!("/supabase/auth/v1/authorize?provider={provider}");
        let answer = browser.navigate_from("same-origin", &path).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "validation_failed"), "{provider}");
    }
    let answer = browser
        .navigate_from("same-origin", &format!("{start}&prompt=login&login_hint=ada&x=1&scopes=all"))
        .await;
    let location: url::Url = answer.header("location").parse().unwrap();
    assert_eq!(query(&location, "login_hint").as_deref(), Some("ada"), "named in allow_params");
    assert_eq!(query(&location, "prompt").as_deref(), Some("select_account"), "that of the configuration");
    assert!(query(&location, "x").is_none() && query(&location, "scopes").is_none());
    assert!(query(&location, "redirect_to").unwrap().starts_with(&format!("{}/auth/callback/", app.base)));
}

/// S-28: where `allow_params` names `scopes` those of a page go along, each once and in the form of RFC 6749; what is
/// configured stays.
#[tokio::test]
async fn allowed_scopes_go_along() {
    let providers = "[providers]\ngithub = { scopes = 'read:user', allow_params = ['scopes'] }\ngoogle = { scopes = 'openid' }\n";
    let rules = format!("{providers}{}", crate::harness::RULES);
    let app = TestApp::with(Plan { rules, ..Plan::default() }).await;
    let browser = app.browser();
    let asked = async |provider: &str, scopes: &str| {
        let scopes: String = url::form_urlencoded::byte_serialize(scopes.as_bytes()).collect();
        let start = format!("/supabase/auth/v1/authorize?provider={provider}&scopes={scopes}");
        let answer = browser.navigate_from("same-origin", &start).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let location: url::Url = answer.header("location").parse().unwrap();
        query(&location, "scopes").unwrap_or_default()
    };
    assert_eq!(asked("github", "repo read:org").await, "read:user repo read:org");
    assert_eq!(asked("github", "read:user  repo repo").await, "read:user repo");
    assert_eq!(asked("github", "repo a\"b c\\d ü\u{0} gist").await, "read:user repo gist");
    assert_eq!(asked("github", &"x".repeat(257)).await, "read:user");
    assert_eq!(asked("google", "drive").await, "openid", "it names none");
}

/// Section 9: linking is our own flow, begun by a ticket; what comes back is no token.
#[tokio::test]
async fn linking_runs_through_our_own_flow() {
    let app = TestApp::start().await;
    let client = Client::signed_up(&app, "ada@example.test").await;
    let ask = "user/identities/authorize?provider=github&redirect_to=%2Fsettings&skip_http_redirect=true";
    let answer = client.get(ask).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    let start = url.strip_prefix(&app.base).unwrap();
    assert!(start.starts_with("/auth/start/github?ticket="), "{start}");
    for stranger in [app.browser(), Client::signed_up(&app, "bob@example.test").await.browser] {
        let answer = stranger.navigate_from("same-origin", start).await;
        assert!(!answer.header("location").starts_with("http"), "S-29: a ticket belongs to its session");
    }
    assert_ne!(client.browser.navigate_from("cross-site", start).await.status, 302);
    let callback = up_to_callback(&client.browser, start, "ada-at-work@example.test").await;
    let url = landing(&client.browser, &client.browser.navigate_from("cross-site", &callback).await).await;
    assert_eq!((url.path(), url.query(), url.fragment()), ("/settings", None, None));
    let user = client.get("user").await.json();
    let ways = user["identities"].as_array().unwrap();
    let github = ways.iter().find(|way| way["provider"] == "github").expect("it is linked");
    let path = format!("auth/v1/user/identities/{}", github["identity_id"].as_str().unwrap());
    let answer = client.call(Method::DELETE, &path, None).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert_eq!(client.get("user").await.json()["identities"].as_array().unwrap().len(), 1);
    let answer = client.call(Method::DELETE, &path, None).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "identity_not_found"));
    app.clock.advance(Duration::minutes(2));
    let late = client.browser.navigate_from("same-origin", start).await;
    assert!(!late.header("location").starts_with("http"), "an old ticket begins nothing");
    let own = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")];
    let answer = client.browser.send(Method::GET, &format!("/supabase/auth/v1/{ask}"), &own, None).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "csrf_header"));
}

/// Section 9: an ID token is passed on, from a page of ours alone; GoTrue's no is one for all.
#[tokio::test]
async fn an_id_token_is_passed_on() {
    let app = TestApp::with(Plan::default()).await;
    let client = Client::new(&app);
    let body = json!({ "provider": "google", "id_token": "eyJ.x.y", "nonce": "n", "client_id": "x", "gotrue_meta_security": {} });
    let answer = client.post("token?grant_type=id_token", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_credentials"), "{}", answer.body);
    let call = app.auth.seen("grant_type=id_token").pop().unwrap();
    assert_eq!(call.body, r#"{"provider":"google","id_token":"eyJ.x.y","nonce":"n"}"#);
    let count = app.auth.calls("grant_type=id_token");
    let headers = [("apikey", "bff"), ("content-type", "application/json")];
    let path = "/supabase/auth/v1/token?grant_type=id_token";
    let answer = client.browser.send(Method::POST, path, &headers, Some(body.to_string())).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "cross_origin"));
    assert_eq!(app.auth.calls("grant_type=id_token"), count);
}
