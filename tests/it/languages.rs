//! Pages speak the language of their reader: as the browser says, or as the switch at their foot was used.

use http::Method;
use serde_json::json;

use crate::client::{Answer, Browser, navigation};
use crate::harness::{PASSWORD, Plan, TestApp};

const ADA: &str = "ada@example.test";

async fn two_languages() -> TestApp {
    TestApp::with(Plan::default().with("BFF_PAGES_LANGUAGES", "en,de")).await
}

async fn accepting(browser: &Browser, accepted: &str, path: &str) -> Answer {
    let mut headers = navigation("none").to_vec();
    headers.push(("accept-language", accepted));
    browser.send(Method::GET, path, &headers, None).await
}

/// Sends a form from the page under `page`, as browsers do by our `Referrer-Policy`.
async fn submit_from(
    app: &TestApp,
    browser: &Browser,
    page: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let referer = format!("{}{page}", app.base);
    let mut headers = navigation("same-origin").to_vec();
    headers.push(("content-type", "application/x-www-form-urlencoded"));
    headers.push(("origin", &app.base));
    headers.push(("referer", &referer));
    browser.send(Method::POST, path, &headers, Some(body)).await
}

fn spoken(page: &Answer) -> &str {
    let said = page.header("content-language");
    assert!(page.body.contains(&format!("<html lang=\"{said}\">")), "{}", page.body);
    assert!(page.headers.get_all("vary").iter().any(|value| value == "Accept-Language"));
    said
}

/// The links of the switch, as `hreflang` and address.
fn switch(page: &Answer) -> Vec<(String, String)> {
    let links = page.body.split("<a ").filter(|tag| tag.contains("hreflang="));
    let value = |tag: &str, name: &str| {
        let rest = tag.split(&format!("{name}=\"")).nth(1).unwrap_or_default();
        let raw = rest.split('"').next().unwrap_or_default();
        raw.replace("&#x2f;", "/").replace("&amp;", "&")
    };
    links.map(|tag| (value(tag, " hreflang"), value(tag, "href"))).collect()
}

#[tokio::test]
async fn a_page_speaks_the_language_that_the_browser_asks_for() {
    let app = two_languages().await;
    let browser = app.browser();
    for (accepted, code, words) in [
        ("de-AT, de;q=0.9, en;q=0.8", "de", "Neu hier?"),
        ("fr, en;q=0.5, de;q=0.4", "en", "New here?"),
        ("fr", "en", "New here?"),
        ("\u{1f600}, ;;q=, de-", "en", "New here?"),
    ] {
        let page = accepting(&browser, accepted, "/auth/login").await;
        assert_eq!((page.status, spoken(&page)), (200, code), "{accepted}");
        assert!(page.body.contains(words), "{accepted}: {}", page.body);
    }
    assert_eq!(spoken(&browser.navigate("/auth/login").await), "en", "without the header");
    let missing = accepting(&browser, "de", "/auth/nowhere").await;
    assert_eq!((missing.status, spoken(&missing)), (404, "de"));
    assert!(missing.body.contains("Hier ist nichts") && missing.body.contains("Zur Startseite"));
}

/// The switch is a link. It needs no cookie of its own, keeps the way back and leaves open forms valid (S-15).
#[tokio::test]
async fn the_switch_is_remembered_and_nothing_is_lost_by_it() {
    let app = two_languages().await;
    let browser = app.browser();
    let login = browser.navigate("/auth/login?return_to=/notes").await;
    let form = login.form_token("/auth/login");
    assert_eq!(switch(&login), [("de".to_owned(), "/auth/login?return_to=/notes&lang=de".to_owned())]);
    assert!(login.body.contains("<b aria-current=\"true\">English</b>"), "{}", login.body);

    let german = browser.navigate(&switch(&login)[0].1).await;
    assert_eq!(spoken(&german), "de");
    assert_eq!(german.field("return_to"), "/notes");
    assert_eq!(switch(&german), [("en".to_owned(), "/auth/login?return_to=/notes&lang=en".to_owned())]);
    let cookies = browser.cookie_names();
    assert!(cookies.len() == 1 && cookies[0].starts_with("sb_form"), "{cookies:?}");
    assert_eq!(spoken(&accepting(&browser, "en", "/auth/signup").await), "de", "it stays so");

    let fields = [("form_token", form.as_str()), ("email", ADA), ("password", "wrong horse 17")];
    let page = "/auth/login?return_to=/notes";
    let wrong = submit_from(&app, &browser, page, "/auth/login", &fields).await;
    assert_eq!((wrong.status, spoken(&wrong)), (401, "de"), "the form of before the switch: {}", wrong.body);
    assert!(wrong.body.contains("E-Mail oder Passwort stimmt nicht."), "{}", wrong.body);
    assert_eq!(switch(&wrong)[0].1, "/auth/login?return_to=/notes&lang=en");
    let elsewhere = submit_from(&app, &browser, "@evil.test/auth/login", "/auth/login", &fields).await;
    assert_eq!(switch(&elsewhere), [], "only a page of ours is switched");

    let back = browser.navigate(&switch(&german)[0].1).await;
    assert_eq!(spoken(&back), "en");
    assert_eq!(spoken(&accepting(&browser, "de", "/auth/signup").await), "en");
}

#[tokio::test]
async fn messages_after_a_redirect_speak_it_too() {
    let app = two_languages().await;
    let ada = app.signed_in(ADA).await;
    let account = ada.navigate("/auth/account?lang=de").await;
    assert!(account.body.contains("Ihr Konto"), "{}", account.body);
    let form = account.form_token("/auth/logout");
    assert_eq!(ada.submit("/auth/logout", &[("form_token", &form)]).await.status, 303);
    let login = ada.navigate("/auth/login").await;
    assert!(login.body.contains("Sie sind abgemeldet."), "{}", login.body);
    assert_eq!(spoken(&login), "de");
    let away = app.browser();
    assert_eq!(away.navigate("/auth?lang=de").await.status, 303);
    assert_eq!(spoken(&away.navigate("/auth/login").await), "de", "a redirect keeps it as well");
}

/// With cookies off a page still comes in the language of its address.
#[tokio::test]
async fn the_switch_works_without_cookies() {
    let app = two_languages().await;
    for _ in 0..2 {
        let page = app.browser().navigate("/auth/signup?lang=de").await;
        assert!(page.body.contains("Konto erstellen"), "{}", page.body);
    }
}

/// S-02, S-17: from another site the Strict cookie did not come along, so nothing is written over it; the bounce brings
/// the language to where it did.
#[tokio::test]
async fn a_link_of_another_site_may_choose_the_language() {
    let app = two_languages().await;
    let browser = app.browser();
    let bounce = browser.navigate_from("cross-site", "/auth/login?lang=de").await;
    assert!(bounce.body.contains("Einen Moment") && bounce.set_cookies().is_empty(), "{bounce:?}");
    let (at, login) = browser.follow_from("cross-site", "/auth/login?lang=de").await;
    assert_eq!((at.as_str(), spoken(&login)), ("/auth/login?lang=de", "de"));
    let script = browser.get("/auth/session?lang=en").await;
    assert!(script.set_cookies().is_empty(), "a script is no reader: {script:?}");
    assert_eq!(spoken(&browser.navigate("/auth/signup").await), "de");
}

/// S-68: a language that is none is passed over, and comes back as no more than the text of an address.
#[tokio::test]
async fn an_odd_language_changes_nothing() {
    let app = two_languages().await;
    for odd in ["fr", "", "DE", "%22%3E%3Cscript%3E", "\"><script>", "../de", "de%00"] {
        let odd = odd.replace('"', "%22").replace('<', "%3C").replace('>', "%3E");
        let page = app.browser().navigate(&format!("/auth/login?lang={odd}&a=%22%3E%3Cscript%3E")).await;
        assert_eq!((page.status, spoken(&page)), (200, "en"), "{odd}");
        assert!(!page.body.contains("<script") && !page.body.contains("lang=fr"), "{odd}: {}", page.body);
    }
}

/// S-27: the address of a callback holds a code, so its page does not repeat it.
#[tokio::test]
async fn a_callback_has_no_switch() {
    let app = two_languages().await;
    let path = "/auth/callback/AAAAAAAAAAAAAAAAAAAAAA?code=0b5f6f1e-0000-4000-8000-000000000000&a=1&a=2";
    let page = accepting(&app.browser(), "de", path).await;
    assert!(!page.body.contains("0b5f6f1e"), "{}", page.body);
    assert_eq!(switch(&page), []);
}

/// Titles and details of problems are matched, searched for and pasted into reports: they are English for everybody.
#[tokio::test]
async fn json_stays_english() {
    let app = two_languages().await;
    let mut headers = crate::client::script().to_vec();
    headers.push(("accept-language", "de"));
    let answer = app.browser().send(Method::GET, "/api/notes?lang=de", &headers, None).await;
    assert_eq!((answer.status, answer.header("content-language")), (401, "en"));
    assert_eq!(answer.json()["title"], "Nobody is signed in.");
    let body = json!({ "email": ADA, "password": PASSWORD });
    let refused = app.browser().post("/auth/login", &body).await;
    assert_eq!((refused.code().as_str(), refused.header("content-language")), ("invalid_credentials", "en"));
}

/// A site in one language has pages in one language, and no switch.
#[tokio::test]
async fn one_language_is_no_choice() {
    let app = TestApp::start().await;
    let page = accepting(&app.browser(), "de", "/auth/login?lang=de").await;
    assert_eq!((page.header("content-language"), page.header("vary")), ("en", ""));
    assert!(page.body.contains("<html lang=\"en\">") && switch(&page).is_empty(), "{}", page.body);
    let app = TestApp::with(Plan::default().with("BFF_PAGES_LANGUAGES", "de")).await;
    let page = accepting(&app.browser(), "en", "/auth/login").await;
    assert!(page.body.contains("<html lang=\"de\">") && page.body.contains("Passwort"), "{}", page.body);
}
