//! A mail server that is away behind GoTrue: it meets that for some addresses alone, and nobody may see which (S-71).

use http::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::client::Browser;
use crate::confirm::plain;
use crate::harness::PASSWORD;
use crate::logs::Log;
use crate::mailbox::{confirmed, fill, letters};
use crate::recovery::everybody;
use crate::tap::Fault;

const KNOWN: &str = "known@example.test";
const NEVER: &str = "never@example.test";

/// As GoTrue says it, and as a gateway in front that gave it up.
fn failures() -> [Fault; 2] {
    [Fault::code(500, "unexpected_failure"), Fault::Answer(504, "text/html", "<h1>Time-out</h1>".into())]
}

/// The mails that did not go out, by what they were for.
fn failed(log: &Log) -> Vec<Value> {
    let events = log.events().into_iter().filter(|event| event["event"] == "mail_failed");
    events.map(|event| event["event.method"].clone()).collect()
}

/// Recovery, code, sign-up and "send it again", as JSON: byte for byte what everybody else hears; the operator hears more.
#[tokio::test]
async fn a_mail_server_that_is_away_tells_nobody_who_is_known() {
    let (log, _guard) = Log::listen(tracing::Level::WARN);
    let app = everybody().await;
    let wishes = [
        ("/auth/recover", "/recover", "recovery", json!({})),
        ("/auth/otp", "/otp", "email", json!({})),
        ("/auth/otp", "/resend", "signup", json!({ "again": true, "purpose": "signup" })),
        ("/auth/signup", "/signup", "signup", json!({ "password": PASSWORD })),
    ];
    for (path, part, purpose, wish) in wishes {
        let body = |email: &str| {
            let mut body = wish.clone();
            body["email"] = email.into();
            body
        };
        let said = plain(&app.browser().post(path, &body(NEVER)).await);
        assert_eq!(said.0, 200, "{path}: {}", said.2);
        for fault in failures() {
            app.clock.advance(Duration::minutes(2));
            log.events();
            app.auth.fail(part, fault.clone());
            assert_eq!(plain(&app.browser().post(path, &body(KNOWN)).await), said, "{path}, {fault:?}");
            assert_eq!(failed(&log), [purpose], "{path}, {fault:?}");
            app.auth.heal();
        }
        app.clock.advance(Duration::minutes(2));
    }
    let figures = crate::metrics::figures(&app).await;
    let away = "bff_gotrue_requests_total{endpoint=\"recover\",outcome=\"server_error\"}";
    assert_eq!(figures.get(away).copied(), Some(2.0), "counted as well");
    // The account was not made: whoever asks again once the mails go out gets one.
    assert_eq!(
        app.browser()
            .post("/auth/signup", &json!({ "email": "late@example.test", "password": PASSWORD }))
            .await
            .status,
        200
    );
    assert_eq!(letters(&app, "late@example.test").await.len(), 1);
}

/// The same on the pages, where the way goes on to the page that waits for the mail.
#[tokio::test]
async fn the_pages_say_the_same_without_mails() {
    let app = everybody().await;
    for (page, part) in [("/auth/recover", "/recover"), ("/auth/otp", "/otp")] {
        let ask = async |email: &str| {
            let browser = app.browser();
            let asked = fill(&browser, page, page, &[("email", email)]).await;
            let shown = browser.navigate_from("same-origin", "/auth/otp").await;
            (asked.status, asked.header("location").to_owned(), shown.body.replace(email, "somebody"))
        };
        let said = ask(NEVER).await;
        assert_eq!((said.0, said.1.as_str()), (303, "/auth/otp"));
        app.auth.fail(part, Fault::code(500, "unexpected_failure"));
        assert_eq!(without_tokens(ask(KNOWN).await), without_tokens(said), "{page}");
        app.auth.heal();
        app.clock.advance(Duration::minutes(2));
    }
}

/// A page without what differs in every answer.
fn without_tokens((status, location, page): (u16, String, String)) -> (u16, String, String) {
    let mut parts = page.split("name=\"form_token\" value=\"");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('"').map_or("", |(_, rest)| rest));
    (status, location, std::iter::once(first.as_str()).chain(rest).collect())
}

/// A change of address: a taken one, of which GoTrue says so before it would send anything, and a free one.
#[tokio::test]
async fn a_change_of_address_says_the_same_without_mails() {
    let app = everybody().await;
    let browser = confirmed(&app, "ada@example.test").await;
    let ask = async |browser: &Browser, email: &str| {
        let answer = browser.json(Method::POST, "/auth/account/email", &json!({ "email": email })).await;
        (answer.status, answer.body)
    };
    let said = ask(&browser, KNOWN).await;
    assert_eq!(said, (200, r#"{"status":"sent"}"#.to_owned()));
    app.auth.fail("PUT /auth/v1/user", Fault::code(500, "unexpected_failure"));
    assert_eq!(ask(&browser, "free@example.test").await, said);
}

/// What is away for everybody is told to everybody: nobody waits for a mail that cannot come.
#[tokio::test]
async fn an_auth_server_that_is_away_is_told() {
    let app = everybody().await;
    for (fault, path) in [
        (Fault::Reset, "/recover"),
        (Fault::Answer(503, "text/plain", "no upstream".into()), "/recover"),
        (Fault::Answer(502, "text/html", "<h1>Bad gateway</h1>".into()), "/recover"),
    ] {
        app.auth.fail(path, fault.clone());
        let answer = app.browser().post("/auth/recover", &json!({ "email": KNOWN })).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "auth_unavailable"), "{fault:?}");
        app.auth.heal();
        app.clock.advance(Duration::minutes(2));
    }
}
