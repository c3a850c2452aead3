//! The figures of one running app, counted where its events happen and shown as OpenMetrics.
//!
//! Labels are closed lists, known when the parts are joined: no request, however odd, makes a new one. Nothing in them
//! names a person. The registry is a value, so that many apps can run in one process.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::count::Counts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::requests::Requests;
use super::{Event, Outcome, Reason, Record};

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Stands for every word that is not in its list.
pub const OTHER: &str = "other";

/// Ways to sign in beside the configured providers.
const METHODS: [&str; 7] =
    ["password", "signup", "invite", "magiclink", "recovery", "email_change", "anonymous"];

/// What a session store does.
const OPERATIONS: [&str; 12] = [
    "create", "read", "change", "touch", "end", "list", "lease", "renew", "release", "publish", "after",
    "probe",
];

/// The closed lists of one app, and what its other parts count by themselves.
#[derive(Debug, Default)]
pub struct Lists {
    /// Templates of our own paths and the names of rules.
    pub routes: Vec<String>,
    /// The configured providers.
    pub providers: Vec<String>,
    /// The codes of refusals, in the order of their numbers.
    pub codes: Vec<&'static str>,
    /// The buckets of the limiter.
    pub buckets: Vec<&'static str>,
    /// Calls to GoTrue by `endpoint` and `outcome`.
    pub gotrue: Option<Arc<Counts>>,
    /// Fetches of the key set by `outcome`.
    pub jwks: Option<Arc<Counts>>,
    /// Look-ups of verdicts about tokens by `result`.
    pub tokens: Option<Arc<Counts>>,
}

/// How a refresh of a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// New tokens.
    Ok,
    /// None now; the session is kept.
    Kept,
    /// None ever again, or somebody had ended it meanwhile.
    Ended,
    /// New tokens that do not fit into the cookies; the session is kept.
    TooLarge,
}

impl Refreshed {
    const WORDS: [&'static str; 4] = ["ok", "kept", "ended", "too_large"];
}

/// The figures of one app.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Arc<Requests>,
    sign_ins: Arc<Counts>,
    refreshes: Arc<Counts>,
    ended: Arc<Counts>,
    refusals: Arc<Counts>,
    limited: Arc<Counts>,
    store_errors: Arc<Counts>,
    sockets: Arc<Gauge>,
}

/// A socket that is open for as long as this is kept.
#[derive(Debug)]
pub struct OpenSocket(Arc<Gauge>);

impl Metrics {
    /// Zero everywhere.
    pub fn new(lists: Lists) -> Self {
        let providers = lists.providers.into_iter().map(Cow::Owned);
        let methods: Vec<Cow<'static, str>> =
            METHODS.map(Cow::Borrowed).into_iter().chain(providers).chain([OTHER.into()]).collect();
        let one = |name, words: Vec<&'static str>| Arc::new(Counts::new([(name, words)]));
        let outcomes = [Outcome::Ok, Outcome::Failed].map(|outcome| Cow::Borrowed(outcome.as_str()));
        let sign_ins = [("method", methods), ("outcome", outcomes.to_vec())];
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Arc::new(Requests::new(lists.routes)),
            sign_ins: Arc::new(Counts::new(sign_ins)),
            refreshes: one("outcome", Refreshed::WORDS.to_vec()),
            ended: one("reason", Reason::ALL.iter().map(|reason| reason.as_str()).collect()),
            refusals: one("code", lists.codes),
            limited: one("bucket", lists.buckets),
            store_errors: one("op", OPERATIONS.into_iter().chain([OTHER]).collect()),
            sockets: Arc::default(),
        };
        metrics.registry.register_collector(Box::new(metrics.requests.clone()));
        let counters = [
            ("bff_sign_ins", "Sign-ins that were tried", Some(metrics.sign_ins.clone())),
            ("bff_refreshes", "Refreshes of sessions", Some(metrics.refreshes.clone())),
            ("bff_sessions_ended", "Sessions that ended", Some(metrics.ended.clone())),
            ("bff_gotrue_requests", "Calls to the auth server", lists.gotrue),
            ("bff_jwks_fetches", "Fetches of the key set", lists.jwks),
            ("bff_token_cache", "Look-ups of verified tokens", lists.tokens),
            ("bff_refusals", "Answers that refuse, by their code", Some(metrics.refusals.clone())),
            ("bff_rate_limited", "Tries over a limit", Some(metrics.limited.clone())),
            ("bff_store_errors", "Failures of the session store", Some(metrics.store_errors.clone())),
        ];
        for (name, help, counts) in counters {
            if let Some(counts) = counts {
                metrics.registry.register_collector(Box::new(Counter { name, help, counts }));
            }
        }
        metrics.registry.register_collector(Box::new(metrics.sockets.clone()));
        metrics
    }

    /// Counts what `record` tells.
    pub(super) fn count(&self, record: &Record<'_>) {
        match (record.event, record.reason) {
            (Event::SignIn, _) => {
                let method = self.sign_ins.find(0, record.method.unwrap_or(OTHER));
                self.sign_ins.add(&[method, usize::from(record.outcome != Outcome::Ok)]);
            }
            (Event::SessionEnded, Some(reason)) => self.ended.add(&[reason as usize]),
            (Event::RateLimited, _) => {
                if let Some(bucket) = record.bucket {
                    self.limited.add(&[self.limited.find(0, bucket)]);
                }
            }
            _ => {}
        }
    }

    /// Counts the head of an answer: requests by route, method and status, and how long it took.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Counts the end of one refresh.
    pub fn refreshed(&self, outcome: Refreshed) {
        self.refreshes.add(&[outcome as usize]);
    }

    /// Counts an answer that refuses with the code of this number.
    pub fn refused(&self, code: usize) {
        self.refusals.add(&[code]);
    }

    /// Counts a failure of the session store.
    pub fn store_failed(&self, operation: &str) {
        self.store_errors.add(&[self.store_errors.find(0, operation)]);
    }

    /// Counts a socket as open until the answer is dropped.
    pub fn socket(&self) -> OpenSocket {
        self.sockets.0.fetch_add(1, Ordering::Relaxed);
        OpenSocket(self.sockets.clone())
    }

    /// All figures, in the format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        let _ = encode(&mut text, &self.registry); // writing to a String cannot fail
        text
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One family of counters under its name, to which the format adds `_total`.
#[derive(Debug)]
struct Counter {
    name: &'static str,
    help: &'static str,
    counts: Arc<Counts>,
}

impl Collector for Counter {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut metric = encoder.encode_descriptor(self.name, self.help, None, MetricType::Counter)?;
        let mut done = Ok(());
        self.counts.each(|labels, count| {
            if done.is_ok() {
                let one = metric.encode_family(&labels);
                done = one.and_then(|mut one| one.encode_counter::<NoLabelSet, _, f64>(&count, None));
            }
        });
        done
    }
}

#[derive(Debug, Default)]
struct Gauge(AtomicU64);

impl Collector for Gauge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "WebSockets that are open";
        let mut metric = encoder.encode_descriptor("bff_sockets_open", help, None, MetricType::Gauge)?;
        metric.encode_gauge(&self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(Lists {
            routes: vec!["/auth/login".to_owned()],
            providers: vec!["google".to_owned()],
            codes: vec!["bad_request", "not_found"],
            buckets: vec!["code"],
            ..Lists::default()
        })
    }

    fn value(metrics: &Metrics, line: &str) -> u64 {
        let text = metrics.text();
        let found = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().unwrap()
    }

    /// S-88: sessions ended are the sum of their reasons, and each event is counted once.
    #[test]
    fn each_event_is_counted_under_its_words() {
        let metrics = metrics();
        let sign_in = |method, outcome| Record { method: Some(method), ..Record::of(Event::SignIn, outcome) };
        metrics.count(&sign_in("password", Outcome::Ok));
        metrics.count(&sign_in("password", Outcome::Failed));
        metrics.count(&sign_in("google", Outcome::Ok));
        metrics.count(&sign_in("a-provider-of-yesterday", Outcome::Ok));
        let ended = |reason| Record { reason: Some(reason), ..Record::of(Event::SessionEnded, Outcome::Ok) };
        for reason in Reason::ALL {
            metrics.count(&ended(*reason));
        }
        metrics.count(&ended(Reason::StoreLost));
        metrics.count(&Record { bucket: Some("code"), ..Record::of(Event::RateLimited, Outcome::Refused) });
        metrics.refused(1);
        metrics.refreshed(Refreshed::TooLarge);
        metrics.store_failed("read");
        metrics.store_failed("something else");
        let expected = [
            (r#"bff_sign_ins_total{method="password",outcome="ok"}"#, 1),
            (r#"bff_sign_ins_total{method="password",outcome="failed"}"#, 1),
            (r#"bff_sign_ins_total{method="google",outcome="ok"}"#, 1),
            (r#"bff_sign_ins_total{method="google",outcome="failed"}"#, 0),
            (r#"bff_sign_ins_total{method="other",outcome="ok"}"#, 1),
            (r#"bff_sessions_ended_total{reason="user"}"#, 1),
            (r#"bff_sessions_ended_total{reason="store_lost"}"#, 2),
            (r#"bff_rate_limited_total{bucket="code"}"#, 1),
            (r#"bff_refusals_total{code="bad_request"}"#, 0),
            (r#"bff_refusals_total{code="not_found"}"#, 1),
            (r#"bff_refreshes_total{outcome="too_large"}"#, 1),
            (r#"bff_store_errors_total{op="read"}"#, 1),
            (r#"bff_store_errors_total{op="other"}"#, 1),
        ];
        for (line, count) in expected {
            assert_eq!(value(&metrics, line), count, "{line}");
        }
        assert!(metrics.text().ends_with("# EOF\n"));
    }

    #[test]
    fn a_socket_counts_while_it_is_open() {
        let metrics = metrics();
        let (one, two) = (metrics.socket(), metrics.socket());
        assert_eq!(value(&metrics, "bff_sockets_open"), 2);
        drop(one);
        assert_eq!(value(&metrics, "bff_sockets_open"), 1);
        drop(two);
        assert_eq!(value(&metrics, "bff_sockets_open"), 0);
    }

    /// Two apps in one process have figures of their own.
    #[test]
    fn registries_are_values() {
        let (one, two) = (metrics(), metrics());
        one.refused(0);
        let line = r#"bff_refusals_total{code="bad_request"}"#;
        assert_eq!((value(&one, line), value(&two, line)), (1, 0));
    }
}
