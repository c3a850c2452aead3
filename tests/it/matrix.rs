//! What each answer of GoTrue to a refresh means, at each point of a token's life, in every mode.

use futures_util::StreamExt;
use futures_util::future::join_all;

use crate::harness::TestApp;
use crate::modes::Mode;
use crate::tap::Fault;

/// Answers to a refresh that must never end a session (S-44).
fn transient() -> Vec<(&'static str, Fault)> {
    let html = Fault::Answer(502, "text/html", "<h1>Bad gateway</h1>".into());
    let gateway =
        Fault::Answer(401, "application/json", r#"{"message":"No API key found in request"}"#.into());
    vec![
        ("reset", Fault::Reset),
        ("429", Fault::code(429, "over_request_rate_limit")),
        ("409", Fault::code(409, "conflict")),
        ("500", Fault::code(500, "unexpected_failure")),
        ("502 html", html),
        ("200 html", Fault::Answer(200, "text/html", "<p>Captive portal</p>".into())),
        ("truncated", Fault::Truncate),
        ("gateway 401", gateway),
        ("403 forbidden", Fault::code(403, "forbidden")),
        ("400 unknown", Fault::code(400, "something_new")),
        ("time-out", Fault::Silence),
        ("slow body", Fault::Dribble),
    ]
}

/// The closed list of answers that end one, with the reason that each becomes (contract 5.5).
const FINAL: [(&str, &str); 6] = [
    ("refresh_token_not_found", "refresh_not_found"),
    ("refresh_token_already_used", "refresh_reused"),
    ("session_not_found", "session_not_found"),
    ("session_expired", "upstream_expired"),
    ("user_banned", "user_banned"),
    ("validation_failed", "refresh_not_found"),
];

/// What parallel requests (up to 200 of them once the token has expired) and one more tell about one cell of the fault matrix.
async fn cell(mode: &Mode, life: &str, fault: Fault) -> String {
    let app = TestApp::with(mode.plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    match life {
        "margin" => app.inside_margin(),
        "expired" => app.past_expiry(),
        _ => {}
    }
    app.auth.fail("grant_type=refresh_token", fault);
    // The answers of a real server have a second to arrive; a burst of a debug build must not take that long.
    let parallel = match (life, mode) {
        ("expired", Mode::Redis(_)) => 50,
        ("expired", _) => 200,
        _ => 20,
    };
    let answers = join_all((0..parallel).map(|_| browser.get("/api/notes"))).await;
    let statuses: std::collections::BTreeSet<_> = answers.iter().map(|answer| answer.status).collect();
    let calls = app.refreshes();
    let session = if browser.cookie("sb_session_").is_some() { "kept" } else { "ended" };
    let retry = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .all(|answer| answer.code() == "auth_unavailable" && !answer.header("retry-after").is_empty());
    assert!(retry, "503 says when to come back");
    let reason =
        answers.iter().find(|answer| answer.status == 401).map(|a| a.header("x-session-ended").to_owned());
    if session == "kept" {
        // Within the cool-down nobody asks again; afterwards, with GoTrue back, the session goes on.
        browser.get("/api/notes").await;
        assert_eq!(app.refreshes(), calls, "{life}: within the cool-down nobody asks again");
        app.auth.heal();
        app.clock.advance(time::Duration::seconds(61));
        assert_eq!(browser.get("/api/notes").await.status, 200, "{life}: afterwards");
    }
    format!("{statuses:?} calls={calls} session={session} {}", reason.unwrap_or_default())
}

/// S-41, S-44, the fault matrix: parallel requests at each point of a token's life, for every answer of GoTrue.
async fn only_final_answers_end_a_session(mode: Mode) {
    let mut cells = Vec::new();
    for (name, fault) in transient() {
        cells.push((name, "fresh", fault.clone(), "{200} calls=0 session=kept ".to_owned()));
        cells.push((name, "margin", fault.clone(), "{200} calls=1 session=kept ".to_owned()));
        cells.push((name, "expired", fault, "{503} calls=1 session=kept ".to_owned()));
    }
    for (code, reason) in FINAL {
        let fault = Fault::code(400, code);
        let ended = format!("{{401}} calls=1 session=ended {reason}");
        cells.push((code, "fresh", fault.clone(), "{200} calls=0 session=kept ".to_owned()));
        cells.push((code, "margin", fault.clone(), ended.clone()));
        cells.push((code, "expired", fault, ended));
    }
    let mode = &mode;
    let told = cells.into_iter().map(async |(name, life, fault, expected)| {
        assert_eq!(cell(mode, life, fault).await, expected, "{name} {life}");
    });
    // Several at once: some of them wait until a call is given up.
    let lanes = if matches!(mode, Mode::Redis(_)) { 2 } else { 4 };
    futures_util::stream::iter(told).buffer_unordered(lanes).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn fault_matrix_of_cookies() {
    only_final_answers_end_a_session(Mode::Cookie).await;
}

#[tokio::test]
async fn fault_matrix_of_memory() {
    only_final_answers_end_a_session(Mode::Memory).await;
}

#[tokio::test]
async fn fault_matrix_of_sqlite() {
    only_final_answers_end_a_session(Mode::Sqlite).await;
}

#[tokio::test]
async fn fault_matrix_of_redis() {
    only_final_answers_end_a_session(Mode::redis()).await;
}
