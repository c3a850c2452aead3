//! With scripts: the demo page calls the API, and nothing that a script could reach is a token.

use time::Duration;

use crate::browser::{Chromium, Script, story, token_shapes};
use crate::demo_app::DemoApp;
use crate::harness::PASSWORD;

const ADA: &str = "ada@example.test";

/// S-10: no token reaches the browser, through sign-up, sign-in at a provider, calls, a refresh and sign-outs.
#[tokio::test]
async fn the_demo_page_calls_the_api_and_holds_no_token() {
    let app = DemoApp::start().await;
    story("demo_by_script", Script::On, async |chromium| {
        chromium.open(&app.at("/")).await;
        chromium.says("\"authenticated\": false").await;
        chromium.presses("Call Read items").await;
        chromium.shows("#status-read", "401").await;
        holds_nothing(chromium).await;

        chromium.presses("Create account").await;
        chromium.types("email", ADA).await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Create account").await;
        chromium.reaches(&app.at("/")).await;
        chromium.says("\"email\": \"ada@example.test\"").await;
        app.clock.advance(Duration::minutes(1)); // a session is renewed once in ten seconds
        for (call, id, status, words) in super::CALLS {
            chromium.presses(&format!("Call {call}")).await;
            chromium.shows(&format!("#status-{id}"), status).await;
            chromium.says(words).await;
        }
        let lines: Vec<_> = app.answered().into_iter().map(|answer| answer.line).collect();
        for call in
            ["GET /api/items", "POST /api/items", "GET /api/vault", "GET /api/users/me", "POST /auth/refresh"]
        {
            assert!(lines.iter().any(|line| line == call), "{call} was not the script's: {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line == "POST /"), "a form was sent in place of a call");
        assert_eq!(app.auth.calls("grant_type=refresh_token"), 1, "the session was renewed when asked for");
        app.clock.advance(Duration::minutes(31));
        chromium.presses("Call Ask who the API sees").await;
        chromium.says("app_metadata").await;
        assert_eq!(app.auth.calls("grant_type=refresh_token"), 2, "and when its token was over");
        holds_nothing(chromium).await;
        let sealed: Vec<_> =
            chromium.cookies().await.iter().map(|cookie| cookie.value().to_owned()).collect();
        chromium.presses("Sign out").await;
        chromium.says("You are signed out.").await;
        holds_nothing(chromium).await;

        chromium.presses("Continue with Google").await;
        chromium.types("email", ADA).await;
        chromium.presses("Someone new").await;
        chromium.reaches(&app.at("/")).await;
        chromium.presses("Call Ask who the API sees").await;
        chromium.shows("#status-me", "200").await;
        holds_nothing(chromium).await;
        chromium.presses("Sign out").await;
        chromium.says("You are signed out.").await;

        nothing_passed(&app, chromium, &sealed).await;
    })
    .await;
}

/// What a script of this page can read.
async fn holds_nothing(chromium: &Chromium) {
    assert_eq!(chromium.evaluates("document.cookie").await, "", "S-01: cookies are hidden from scripts");
    assert_eq!(chromium.evaluates("localStorage.length + sessionStorage.length").await, 0);
    assert_eq!(chromium.evaluates("indexedDB.databases().then(all => all.length)").await, 0);
    let page = chromium.evaluates("document.documentElement.outerHTML").await;
    assert_eq!(token_shapes(page.as_str().unwrap()), Vec::<&str>::new());
    if let Some(found) = chromium.evaluates("document.getElementById('proof')?.dataset.found").await.as_str()
    {
        assert_eq!(found, "0", "the page says so itself");
    }
    chromium.traffic().await;
}

/// Searches every URL and body of the wire, by shape and for the very secrets of this story.
async fn nothing_passed(app: &DemoApp, chromium: &Chromium, sealed: &[String]) {
    let mut secrets = sealed.to_vec();
    for call in app.auth.seen("/auth/v1/") {
        let body: serde_json::Value = serde_json::from_str(&call.body).unwrap_or_default();
        let named =
            ["refresh_token", "code_verifier", "password"].iter().filter_map(|name| body[*name].as_str());
        secrets.extend(named.map(str::to_owned));
        let bearer = call.headers.get("authorization").and_then(|value| value.to_str().ok());
        secrets.extend(bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned));
    }
    secrets.sort();
    secrets.dedup();
    let jwts = secrets.iter().filter(|secret| secret.starts_with("eyJ")).count();
    assert!(jwts >= 2, "two sign-outs told the auth server the access token: {jwts}");
    assert!(secrets.len() >= 7, "cookie, passwords, verifier, refresh token: {}", secrets.len());

    let traffic = chromium.traffic().await;
    let (urls, bodies, answers) = (traffic.urls(), traffic.bodies(), app.answered());
    assert!(
        urls.len() > 30 && bodies.len() > 15 && answers.len() > 30,
        "{} {} {}",
        urls.len(),
        bodies.len(),
        answers.len()
    );
    let mut texts: Vec<(String, String)> = urls.into_iter().map(|url| (url.clone(), url)).collect();
    texts.extend(bodies);
    for answer in answers {
        let mut headers = answer.headers;
        headers.remove("set-cookie");
        texts.push((format!("headers of {}", answer.line), format!("{headers:?}")));
        texts.push((answer.line, answer.body));
    }
    for (place, text) in &texts {
        let mut shapes = token_shapes(text);
        if place.starts_with(&app.auth.url()) {
            shapes.retain(|shape| shape.contains("eyJ")); // the pretend provider seals its own state
        }
        assert!(shapes.is_empty(), "{place} holds {shapes:?}");
        let leaked = secrets.iter().find(|secret| text.contains(secret.as_str()));
        assert!(leaked.is_none(), "{place} holds {leaked:?}");
    }
}
