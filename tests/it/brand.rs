//! A site's own name, logo, colours, templates and sentences on its pages.

use std::path::Path;

use crate::client::Browser;
use crate::harness::{Plan, TestApp};

/// A folder as an operator makes it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    std::fs::create_dir(folder.path().join("icons")).unwrap();
    write(
        "logout.html",
        "{% extends \"base.html\" %}{% set headline = t(\"logout-headline\") %}{% block main %}<h1>Ahoy</h1>{% endblock %}",
    );
    write("texts.en.ftl", "login-headline = Come aboard\n");
    write("texts.fr.ftl", "language-name = Français\nlogin-headline = Se connecter\n");
    write("brand.css", "@font-face { font-family: House; src: url(house.woff2) }\n");
    write("house.woff2", "wOF2");
    write("icons/google.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
    write("logo.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
    folder
}

async fn branded(folder: &Path) -> TestApp {
    let at = |name: &str| folder.join(name).display().to_string();
    let plan = Plan::default()
        .with("BFF_PAGES_TEMPLATES", folder.to_str().unwrap())
        .with("BFF_PAGES_TITLE", "Harbour & Co")
        .with("BFF_PAGES_LOGO", &at("logo.svg"))
        .with("BFF_PAGES_ACCENT", "#7a1fa2")
        .with("BFF_PAGES_LANGUAGES", "en,fr");
    TestApp::with(plan).await
}

/// The files that a page loads, with what they hold.
async fn files(browser: &Browser, page: &str) -> Vec<(String, String, String)> {
    let page = page.replace("&#x2f;", "/");
    let mut names: Vec<&str> = page.split('"').filter(|value| value.starts_with("/auth/assets/")).collect();
    names.dedup();
    let mut files = Vec::new();
    for name in names {
        let answer = browser.get(name).await;
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        files.push((name.to_owned(), answer.header("content-type").to_owned(), answer.body));
    }
    files
}

#[tokio::test]
async fn a_site_looks_and_speaks_as_its_owner_wants() {
    let folder = folder();
    let app = branded(folder.path()).await;
    let browser = app.browser();
    let login = browser.navigate("/auth/login").await;
    assert!(login.body.contains("<title>Come aboard · Harbour &amp; Co</title>"), "{}", login.body);
    assert!(login.body.contains("<h1>Come aboard</h1>") && login.body.contains(">Password</label>"));
    assert!(login.body.contains("alt=\"Harbour &amp; Co\"") && !login.body.contains("class=\"tile\""));

    let files = files(&browser, &login.body).await;
    let named =
        |part: &str| files.iter().find(|(name, ..)| name.contains(part)).unwrap_or_else(|| panic!("{part}"));
    assert!(named("/style.").2.contains("--brand-accent:#7a1fa2;"));
    assert_eq!(named("/logo.").1, "image/svg+xml; charset=utf-8");
    assert_eq!(named("/icons-google.").1, "image/svg+xml; charset=utf-8");
    let sheet = &named("/brand.").2;
    let font = sheet.split("url(").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    assert_eq!(browser.get(font).await.body, "wOF2", "{sheet}");
    let order: Vec<_> =
        files.iter().filter(|(name, ..)| name.ends_with(".css")).map(|(name, ..)| name).collect();
    assert!(
        order.len() == 2 && order[1].contains("/brand."),
        "the site's own sheet has the last word: {order:?}"
    );

    assert!(browser.navigate("/auth/logout").await.body.contains("<h1>Ahoy</h1>"));
    let french = browser.navigate("/auth/login?lang=fr").await;
    assert_eq!(french.header("content-language"), "fr");
    assert!(french.body.contains("<h1>Se connecter</h1>") && french.body.contains(">Password</label>"));
}

/// BFF-PAGE-001 and BFF-PAGE-002 are found before the first request; the folder is not read again after the start.
#[tokio::test]
async fn the_folder_is_read_once() {
    let folder = folder();
    let app = branded(folder.path()).await;
    std::fs::write(folder.path().join("logout.html"), "{% broken").unwrap();
    std::fs::remove_file(folder.path().join("logo.svg")).unwrap();
    let page = app.browser().navigate("/auth/logout").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<h1>Ahoy</h1>"), "{}", page.body);
    for (_, _, content) in files(&app.browser(), &page.body).await {
        assert!(!content.is_empty());
    }

    let faults = |name: &str, value: &str| {
        let vars = vec![(name.to_owned(), value.to_owned())];
        let mut problems = base::vars::Problems::default();
        supabase_bff::web::templates::Settings::read(&vars, &mut problems);
        problems.list().iter().map(|problem| problem.to_string()).collect::<Vec<_>>()
    };
    let broken = faults("BFF_PAGES_TEMPLATES", folder.path().to_str().unwrap());
    assert!(broken.len() == 1 && broken[0].contains("BFF-PAGE-002"), "{broken:?}");
    assert!(broken[0].contains("logout.html") && broken[0].contains("hint: "), "{broken:?}");
    let pale = faults("BFF_PAGES_ACCENT", "#ffd500");
    assert!(pale.len() == 1 && pale[0].contains("BFF-PAGE-001") && pale[0].contains("hint: "), "{pale:?}");
}
