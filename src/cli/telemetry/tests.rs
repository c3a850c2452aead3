//! Lines as they are written.

use std::sync::Mutex;

use base::clock::ManualClock;
use time::macros::datetime;
use tracing::{Dispatch, info, info_span, warn};

use super::*;
use crate::event::{self, Outcome, Record};

#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn written(form: Form, level: Level, work: impl FnOnce()) -> String {
    let out = Out::default();
    let clock = ManualClock::at(datetime!(2026-01-01 13:00 +01:00));
    let lines = Lines::new(form, level, Arc::new(clock), Pen::new(out.clone()));
    // A lone dispatcher would let threads without one switch call sites off for everybody.
    let _second = Dispatch::new(tracing::subscriber::NoSubscriber::default());
    tracing::dispatcher::with_default(&Dispatch::new(Registry::default().with(lines)), work);
    String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
}

const TEXT: Form = Form::Text { colour: false };

fn story() {
    let request = info_span!(
        "request",
        request_id = "r1",
        http.route = "/auth/login",
        http.status = tracing::field::Empty
    );
    let _inside = request.enter();
    request.record("http.status", 303_u16);
    let user = Some("0123456789ab");
    event::emit(&Record { user, ..Record::of(event::Event::SignIn, Outcome::Ok) });
    info!(duration_ms = 12.5, refresh = true, "answered");
}

/// S-88: one JSON object a line, the time in UTC, the fields of the request beside those of the event.
#[test]
fn json_lines_carry_the_request_and_the_event() {
    insta::assert_snapshot!(written(Form::Json, Level::INFO, story), @r#"
    {"ts":"2026-01-01T12:00:00Z","level":"info","msg":"sign-in: ok","request_id":"r1","http.route":"/auth/login","http.status":303,"event":"sign_in","event.outcome":"ok","user.hash":"0123456789ab"}
    {"ts":"2026-01-01T12:00:00Z","level":"info","msg":"answered","request_id":"r1","http.route":"/auth/login","http.status":303,"duration_ms":12.5,"refresh":true}
    "#);
}

#[test]
fn text_lines_say_the_same() {
    insta::assert_snapshot!(written(TEXT, Level::INFO, story), @"
    12:00:00Z INFO  sign-in: ok  request_id=r1  http.route=/auth/login  http.status=303  event=sign_in  event.outcome=ok  user.hash=0123456789ab
    12:00:00Z INFO  answered  request_id=r1  http.route=/auth/login  http.status=303  duration_ms=12.5  refresh=true
    ");
}

/// S-88: CR, LF, ANSI and C1 codes of callers stay text, in both forms, in fields and messages.
#[test]
fn nothing_forges_a_line() {
    let evil = "a\r\n{\"event\":\"sign_in\"}\u{1b}[2J\u{9b}31m\u{7f}\u{85}";
    let log = || {
        let span = info_span!("request", agent = evil);
        let _inside = span.enter();
        warn!(path = %evil, shown = ?evil, "said {evil}");
    };
    for form in [Form::Json, TEXT] {
        let text = written(form, Level::INFO, log);
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.trim_end_matches('\n').chars().all(|c| !c.is_control()), "{text:?}");
    }
    let line: serde_json::Value = serde_json::from_str(&written(Form::Json, Level::INFO, log)).unwrap();
    assert_eq!(line["path"], evil, "and a program reads exactly what came");
}

/// S-86: libraries are not heard below `warn`, however loud the log.
#[test]
fn libraries_stay_quiet_at_trace() {
    let log = || {
        tracing::trace!(target: "h2::codec", "authorization: Bearer canary");
        info!(target: "hyper_util::client", "canary");
        tracing::trace!(target: "supabase_bff::web", "ours");
        warn!(target: "rustls", "heard");
    };
    let text = written(TEXT, Level::TRACE, log);
    assert!(!text.contains("canary") && text.contains("ours") && text.contains("heard"), "{text}");
    assert_eq!(written(TEXT, Level::ERROR, log), "");
}

#[test]
fn the_form_follows_the_terminal_unless_it_is_named() {
    assert_eq!(Form::chosen(LogFormat::Auto, true), Form::Text { colour: true });
    assert_eq!(Form::chosen(LogFormat::Auto, false), Form::Json);
    assert_eq!(Form::chosen(LogFormat::Text, false), TEXT);
    assert_eq!(Form::chosen(LogFormat::Json, true), Form::Json);
}
