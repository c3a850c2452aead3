//! What each answer of GoTrue to a refresh means, at each point of a token's life, in every mode.

use futures_util::StreamExt;
use futures_util::future::join_all;

use crate::harness::TestApp;
use crate::metrics::figures;
use crate::modes::Mode;
use crate::tap::Fault;

/// What the auth server does to a refresh.
#[derive(Clone)]
pub enum Trouble {
    /// The wire does it.
    Wire(Fault),
    /// Nobody listens any more.
    Refused,
}

/// Seconds that a busy GoTrue asks for: more than `session.refresh_cooldown`.
pub const ASKED: u64 = 45;

/// What must never end a session (S-44).
pub fn transient() -> Vec<(&'static str, Trouble)> {
    let html = Fault::Answer(502, "text/html", "<h1>Bad gateway</h1>".into());
    let gateway =
        Fault::Answer(401, "application/json", r#"{"message":"No API key found in request"}"#.into());
    let faults = [
        ("reset", Fault::Reset),
        ("429", Fault::code(429, "over_request_rate_limit")),
        ("429 with Retry-After", Fault::Busy(ASKED)),
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
    ];
    let faults = faults.map(|(name, fault)| (name, Trouble::Wire(fault)));
    std::iter::once(("connect refused", Trouble::Refused)).chain(faults).collect()
}

/// The closed list of answers that end one, with the reason that each becomes (contract 5.5).
pub const FINAL: [(&str, &str); 6] = [
    ("refresh_token_not_found", "refresh_not_found"),
    ("refresh_token_already_used", "refresh_reused"),
    ("session_not_found", "session_not_found"),
    ("session_expired", "upstream_expired"),
    ("user_banned", "user_banned"),
    ("validation_failed", "refresh_not_found"),
];

/// Refreshes that were tried, those that nobody took included.
async fn refreshes(app: &TestApp) -> f64 {
    let figures = figures(app).await;
    let tried = |name: &str| name.starts_with("bff_gotrue_requests_total") && name.contains("refresh");
    figures.iter().filter(|(name, _)| tried(name)).map(|(_, count)| count).sum()
}

/// What parallel requests (up to 200 of them once the token has expired) and one more tell about one cell of the fault matrix.
async fn cell(mode: &Mode, life: &str, trouble: Trouble) -> String {
    let app = TestApp::with(mode.plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    match life {
        "margin" => app.inside_margin(),
        "expired" => app.past_expiry(),
        _ => {}
    }
    let pause = match &trouble {
        Trouble::Wire(Fault::Busy(seconds)) => *seconds,
        _ => 1,
    };
    let before = refreshes(&app).await;
    match &trouble {
        Trouble::Wire(fault) => app.auth.fail("grant_type=refresh_token", fault.clone()),
        Trouble::Refused => app.auth.close().await,
    }
    // The answers of a real server have a second to arrive; a burst of a debug build must not take that long.
    let parallel = match (life, mode) {
        ("expired", Mode::Redis(_)) => 50,
        ("expired", _) => 200,
        _ => 20,
    };
    let answers = join_all((0..parallel).map(|_| browser.get("/api/notes"))).await;
    let statuses: std::collections::BTreeSet<_> = answers.iter().map(|answer| answer.status).collect();
    let calls = refreshes(&app).await - before;
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
        app.clock.advance(time::Duration::seconds(pause as i64 - 1));
        browser.get("/api/notes").await;
        let later = refreshes(&app).await - before;
        assert_eq!(later, calls, "{life}: within the cool-down nobody asks again");
        match trouble {
            Trouble::Wire(_) => app.auth.heal(),
            Trouble::Refused => app.auth.open(),
        }
        app.clock.advance(time::Duration::seconds(61));
        assert_eq!(browser.get("/api/notes").await.status, 200, "{life}: afterwards");
    }
    format!("{statuses:?} calls={calls} session={session} {}", reason.unwrap_or_default())
}

/// S-41, S-44, the fault matrix: parallel requests at each point of a token's life, for every answer of GoTrue.
async fn only_final_answers_end_a_session(mode: Mode) {
    let mut cells = Vec::new();
    for (name, trouble) in transient() {
        cells.push((name, "fresh", trouble.clone(), "{200} calls=0 session=kept ".to_owned()));
        cells.push((name, "margin", trouble.clone(), "{200} calls=1 session=kept ".to_owned()));
        cells.push((name, "expired", trouble, "{503} calls=1 session=kept ".to_owned()));
    }
    for (code, reason) in FINAL {
        let fault = Trouble::Wire(Fault::code(400, code));
        let ended = format!("{{401}} calls=1 session=ended {reason}");
        cells.push((code, "fresh", fault.clone(), "{200} calls=0 session=kept ".to_owned()));
        cells.push((code, "margin", fault.clone(), ended.clone()));
        cells.push((code, "expired", fault, ended));
    }
    let mode = &mode;
    let told = cells.into_iter().map(async |(name, life, trouble, expected)| {
        assert_eq!(cell(mode, life, trouble).await, expected, "{name} {life}");
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

/// With threads, as the program has: on a single one a burst of another cell would hold back answers that are there.
#[tokio::test(flavor = "multi_thread")]
async fn fault_matrix_of_redis() {
    only_final_answers_end_a_session(Mode::redis()).await;
}
