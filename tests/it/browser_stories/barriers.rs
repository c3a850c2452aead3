//! Everybody can use every page: axe-core finds nothing, the focus is seen, nothing moves for those who want it still.
//!
//! The pages of the BFF come from the samples of their views, so a new page is looked at once its view is in the list of
//! `web/views.rs`. Those of the embedded server, and what scripts add to the demo page, are visited.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use supabase_bff::web::assets::{Assets, PREFIX};
use supabase_bff::web::templates::{Development, Settings, Sheet, Templates};
use tokio::net::TcpListener;

use crate::browser::{Chromium, Script, story};
use crate::demo_app::DemoApp;
use crate::harness::PASSWORD;
use crate::headers::POLICY;

/// Pages on a port of their own, under the policy and with the files of the real ones.
pub struct Sheets {
    pub base: String,
    pub all: Vec<Sheet>,
}

impl Sheets {
    /// Every sample of every view; those that look the same once.
    pub async fn lay_out(development: Option<Development>) -> Self {
        let settings = Settings::to_look_at();
        let assets = Assets::new(&settings);
        let templates = Templates::new(&settings, &assets, development).unwrap();
        let mut seen = BTreeSet::new();
        let mut all = templates.sheets("localhost").unwrap();
        for sheet in &mut all {
            // A bounce is looked at, not followed.
            sheet.html = sheet.html.replace("http-equiv=\"refresh\"", "name=\"refresh\"");
        }
        all.retain(|sheet| seen.insert(sheet.html.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let pages: Vec<_> = all.iter().map(|sheet| sheet.html.clone()).collect();
        let router = Router::new().fallback(async move |request: Request| serve(&pages, &assets, &request));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, all }
    }

    pub fn at(&self, number: usize) -> String {
        format!("{}/{number}", self.base)
    }
}

/// A page or a file of the pages.
fn serve(pages: &[String], assets: &Assets, request: &Request) -> Response {
    let path = request.uri().path();
    if let Some((bytes, kind)) = path.strip_prefix(PREFIX).and_then(|name| assets.get(name)) {
        return ([(header::CONTENT_TYPE, kind)], bytes).into_response();
    }
    match path[1..].parse::<usize>().ok().and_then(|number| pages.get(number)) {
        Some(html) => {
            let policy = if html.contains("<script") { script_policy() } else { POLICY.to_owned() };
            let kind = "text/html; charset=utf-8".to_owned();
            ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)], html.clone())
                .into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn script_policy() -> String {
    format!("{POLICY}; script-src 'self'; connect-src 'self'")
}

/// Looks at a page narrow and wide, light and dark.
async fn is_open_to_all(chromium: &Chromium, page: &str, swapped: bool) -> Vec<String> {
    let schemes = if swapped { ["dark", "light"] } else { ["light", "dark"] };
    let mut found = Vec::new();
    for ((width, height), scheme) in [(320, 640), (1280, 800)].into_iter().zip(schemes) {
        chromium.looks_at(width, height, scheme, 16).await;
        let barriers = chromium.barriers().await;
        found
            .extend(barriers.into_iter().map(|barrier| format!("{page}, {width} wide, {scheme}: {barrier}")));
    }
    found
}

/// Every state of every page in both languages: English narrow in the light and wide in the dark, German the other way
/// round.
#[tokio::test]
async fn no_page_has_a_barrier() {
    let development = Development { outbox_url: Some("/outbox".to_owned()), demo_url: Some("/".to_owned()) };
    let sheets = Sheets::lay_out(Some(development)).await;
    let half = |remainder: usize| {
        let sheets = &sheets;
        async move {
            let mut found = Vec::new();
            let found_here = &mut found;
            story(&format!("barriers_{remainder}"), Script::On, async move |chromium| {
                chromium.brings_axe().await;
                for (number, sheet) in sheets.all.iter().enumerate().filter(|(at, _)| at % 2 == remainder) {
                    chromium.open(&sheets.at(number)).await;
                    let name = format!("{} #{} {}", sheet.template, sheet.number, sheet.language);
                    found_here.extend(is_open_to_all(chromium, &name, sheet.language == "de").await);
                }
            })
            .await;
            found
        }
    };
    let (mut found, more) = tokio::join!(half(0), half(1));
    found.extend(more);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Pages of the embedded server, and the demo page as its script leaves it.
#[tokio::test]
async fn no_page_of_the_development_server_has_a_barrier() {
    let app = DemoApp::with(|settings| settings.confirm_email = true).await;
    story("barriers_development", Script::On, async |chromium| {
        chromium.brings_axe().await;
        let outbox = format!("{}/outbox", app.auth.url());
        let mut found = Vec::new();
        let mut look = async |page: &str| {
            found.extend(is_open_to_all(chromium, page, false).await);
            found.extend(is_open_to_all(chromium, page, true).await);
            chromium.looks_at(1280, 900, "light", 16).await;
        };
        chromium.open(&outbox).await;
        look("outbox, empty").await;
        chromium.open(&app.at("/auth/login")).await;
        chromium.presses("Continue with Google").await;
        chromium.says("Pretend Google").await;
        look("pretend provider").await;
        chromium.types("email", "ada").await;
        chromium.presses("Someone new").await;
        chromium.says("Enter an e-mail address").await;
        look("pretend provider, wrong").await;
        chromium.open(&app.at("/auth/signup?return_to=/")).await;
        chromium.types("email", "ada@example.test").await;
        chromium.types("password", PASSWORD).await;
        chromium.presses("Create account").await;
        chromium.says("Check your mail").await;
        chromium.open(&outbox).await;
        look("outbox").await;
        chromium.presses("Open the link: Confirm your address, ada@example.test").await;
        chromium.presses("Confirm").await;
        chromium.reaches(&app.at("/")).await;
        for (call, ..) in super::CALLS {
            chromium.presses(&format!("Call {call}")).await;
        }
        chromium.shows("#status-refresh", "204").await;
        look("demo, by script").await;
        assert!(found.is_empty(), "{}", found.join("\n"));
    })
    .await;
}

/// The check hears: a field without a label, a ring that is gone, a thing that moves, a text too pale.
#[tokio::test]
async fn a_barrier_is_found() {
    let app = DemoApp::start().await;
    story("barriers_found", Script::On, async |chromium| {
        chromium.brings_axe().await;
        chromium.open(&app.at("/auth/login")).await;
        chromium.looks_at(320, 640, "light", 16).await;
        assert_eq!(chromium.barriers().await, Vec::<String>::new());
        for (spoil, rule) in [
            ("document.querySelector('label[for=email]').remove()", "label:"),
            ("document.querySelector('h1').style.color = '#ccc'", "color-contrast:"),
            (
                "document.getElementById('password').style.outline = 'none'",
                "no focus ring: <input id=\"password\"",
            ),
            ("document.querySelector('button').style.transition = 'color 1s'", "moves: <button"),
            ("document.querySelector('h1').style.width = '400px'", "scrolls sideways by"),
        ] {
            chromium.open(&app.at("/auth/login")).await;
            chromium.evaluates(spoil).await;
            let found = chromium.barriers().await;
            assert!(found.len() == 1 && found[0].starts_with(rule), "{spoil}: {found:#?}");
        }
    })
    .await;
}
