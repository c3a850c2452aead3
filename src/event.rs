//! The audit trail: one closed list of events, each written as one log line with an outcome and a reason (S-88).
//!
//! Persons and sessions appear as keyed hashes alone. What the request's span carries (request id, client address,
//! route) is not repeated here.

mod hash;
mod metrics;
mod names;
mod requests;

use std::sync::Arc;

pub use hash::LogHash;
pub use metrics::{CONTENT_TYPE, Lists, Metrics, OpenSocket, Refreshed};
pub use names::{Event, Outcome, Reason};
pub use requests::Requests;

/// One line of the audit trail. Start from [`Record::of`] and fill in what is known.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// What happened.
    pub event: Event,
    /// How it ended.
    pub outcome: Outcome,
    /// Why a session ended.
    pub reason: Option<Reason>,
    /// The code that the caller was answered with, such as `csrf_header`.
    pub code: Option<&'a str>,
    /// Who, from [`LogHash::user`].
    pub user: Option<&'a str>,
    /// Which session, from [`LogHash::session`].
    pub session: Option<&'a str>,
    /// How: `password`, `google`, `refresh`; for a refused hook its name.
    pub method: Option<&'a str>,
    /// The rule that refused.
    pub rule: Option<&'a str>,
    /// The bucket that was empty.
    pub bucket: Option<&'a str>,
}

impl Record<'_> {
    /// `event` ended with `outcome`; nothing more is known.
    pub fn of(event: Event, outcome: Outcome) -> Self {
        Self {
            event,
            outcome,
            reason: None,
            code: None,
            user: None,
            session: None,
            method: None,
            rule: None,
            bucket: None,
        }
    }
}

/// Where the events of one app go: into the log, and into its figures. Clones count together.
#[derive(Debug, Clone)]
pub struct Trail(Arc<Metrics>);

impl Trail {
    /// A trail that counts in `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(metrics))
    }

    /// The figures.
    pub fn metrics(&self) -> &Metrics {
        &self.0
    }

    /// Writes `record` as one line, and counts it.
    pub fn emit(&self, record: &Record<'_>) {
        emit(record);
        self.0.count(record);
    }
}

impl Default for Trail {
    /// Figures that nobody reads, for parts that stand alone.
    fn default() -> Self {
        Self::new(Metrics::new(Lists::default()))
    }
}

/// The `target` of every line of the audit trail, for filters.
pub const TARGET: &str = "supabase_bff::audit";

/// Writes `record` as one line, for events that [`Trail`] does not count: a refusal is counted by the code of its
/// answer. A warning if something was refused or failed, else for information.
pub fn emit(record: &Record<'_>) {
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                target: TARGET,
                $level,
                event = record.event.as_str(),
                event.outcome = record.outcome.as_str(),
                event.reason = record.reason.map(Reason::as_str),
                event.method = record.method,
                error.code = record.code,
                user.hash = record.user,
                session.hash = record.session,
                policy.rule = record.rule,
                limit.bucket = record.bucket,
                "{}: {}",
                record.event.sentence(),
                record.outcome.as_str(),
            )
        };
    }
    match record.outcome {
        Outcome::Ok => line!(tracing::Level::INFO),
        Outcome::Failed | Outcome::Refused | Outcome::RemoteFailed => line!(tracing::Level::WARN),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// With one subscriber alone, `tracing` asks only the thread that meets a line first whether anybody wants it; a
    /// test that listens to nothing would say no for all. A second one, for the life of the process, ends that.
    static SECOND: std::sync::OnceLock<tracing::Dispatch> = std::sync::OnceLock::new();

    fn written(record: &Record<'_>) -> String {
        SECOND.get_or_init(|| {
            tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish())
        });
        let lines = Lines::default();
        let sink = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || sink.clone()).finish();
        // A lone dispatcher would let threads without one switch call sites off for everybody.
        let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
        tracing::subscriber::with_default(subscriber, || emit(record));
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    /// S-88: one JSON line with the dotted names, and no field for what is not known.
    #[test]
    fn an_event_is_one_line_with_its_fields() {
        let text = written(&Record {
            reason: Some(Reason::RefreshReused),
            user: Some("0123456789ab"),
            ..Record::of(Event::SessionEnded, Outcome::Ok)
        });
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["event"], "session_ended");
        assert_eq!(line["event.outcome"], "ok");
        assert_eq!(line["event.reason"], "refresh_reused");
        assert_eq!(line["user.hash"], "0123456789ab");
        assert_eq!((line["level"].as_str(), line.get("session.hash")), (Some("INFO"), None));
    }

    /// S-11, S-88: a sign-out that GoTrue did not hear of is a warning of its own outcome.
    #[test]
    fn a_failed_remote_end_is_a_warning() {
        let text = written(&Record::of(Event::SignOut, Outcome::RemoteFailed));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (line["event.outcome"].as_str(), line["level"].as_str()),
            (Some("remote_failed"), Some("WARN"))
        );
    }

    /// S-88: nothing that a caller can influence breaks the line.
    #[test]
    fn a_line_break_in_a_field_stays_on_its_line() {
        let text = written(&Record {
            method: Some("x\r\n{\"event\":\"sign_in\"}"),
            ..Record::of(Event::SignIn, Outcome::Failed)
        });
        assert_eq!(text.lines().count(), 1);
    }
}
