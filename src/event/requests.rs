//! Requests by route, method and status, and how long they took. Counting one is a search in a short list and three
//! additions: no lock, no memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// The route of everything that no path template and no rule names.
const NO_ROUTE: &str = "none";

/// As many routes have figures of their own. Reloads cannot make more of them without end.
const MOST: usize = 4096;

const METHODS: [&str; 8] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", super::metrics::OTHER];

/// The statuses that have a number of their own: those of the HTTP status code registry, unassigned ones left out. Any
/// other is its class, such as `5xx`.
const STATUSES: [u16; 62] = [
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307,
    308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422,
    423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520,
];

const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", super::metrics::OTHER];

const WIDTH: usize = STATUSES.len() + CLASSES.len();

/// Upper ends of the buckets, in seconds.
const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The figures of every route.
#[derive(Debug)]
pub struct Requests {
    /// In order. Rules that a reload brought are added; none is ever taken away.
    routes: ArcSwap<Vec<(String, Arc<Route>)>>,
    none: Route,
}

#[derive(Debug)]
struct Route {
    /// By method, then by status.
    answers: Box<[AtomicU64]>,
    /// One for each bound and one for all that took longer.
    times: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Route {
    fn new() -> Self {
        Self {
            answers: (0..METHODS.len() * WIDTH).map(|_| AtomicU64::new(0)).collect(),
            times: std::array::from_fn(|_| AtomicU64::new(0)),
            nanoseconds: AtomicU64::new(0),
        }
    }
}

impl Requests {
    pub(super) fn new(routes: Vec<String>) -> Self {
        let requests = Self { routes: ArcSwap::default(), none: Route::new() };
        requests.add(routes);
        requests
    }

    /// Counts `more` routes from now on, each under its name; there are at most 4,096.
    pub fn add(&self, more: Vec<String>) {
        self.routes.rcu(|known| {
            let mut routes = Vec::clone(known);
            for name in more.iter().filter(|name| *name != NO_ROUTE) {
                let at = routes.binary_search_by(|(known, _)| known.as_str().cmp(name));
                if let (Err(at), true) = (at, routes.len() < MOST) {
                    routes.insert(at, (name.clone(), Arc::new(Route::new())));
                }
            }
            routes
        });
    }

    /// Counts `route` under its name from now on: the path template of an application that nobody listed before.
    pub fn learn(&self, route: &str) {
        let routes = self.routes.load();
        let at = routes.binary_search_by(|(known, _)| known.as_str().cmp(route));
        if at.is_err() && routes.len() < MOST {
            self.add(vec![route.to_owned()]);
        }
    }

    /// Counts one answer of `route`: a path template or the name of a rule; any other counts as none. `took` ends with
    /// the head of the answer.
    pub fn count(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let routes = self.routes.load();
        let at = routes.binary_search_by(|(known, _)| known.as_str().cmp(route)).ok();
        let route = at.and_then(|at| routes.get(at)).map_or(&self.none, |(_, route)| &**route);
        if let Some(cell) = route.answers.get(method_number(method) * WIDTH + status_number(status.as_u16()))
        {
            cell.fetch_add(1, Ordering::Relaxed);
        }
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        route.times[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        route.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn all<'a>(&'a self, routes: &'a [(String, Arc<Route>)]) -> impl Iterator<Item = (&'a str, &'a Route)> {
        let none = std::iter::once((NO_ROUTE, &self.none));
        routes.iter().map(|(name, route)| (name.as_str(), &**route)).chain(none)
    }
}

/// Routes that were never asked for are left out, and so are statuses that were never answered.
impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let routes = self.routes.load_full();
        let help = "Requests by route, method and status";
        let mut metric = encoder.encode_descriptor("bff_http_requests", help, None, MetricType::Counter)?;
        for (name, route) in self.all(&routes) {
            for (at, cell) in route.answers.iter().enumerate() {
                let count = cell.load(Ordering::Relaxed);
                if count > 0 {
                    let status = status_word(at % WIDTH);
                    let labels =
                        [("route", name), ("method", METHODS[at / WIDTH]), ("status", status.as_str())];
                    metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
                }
            }
        }
        let (name, help) = ("bff_http_request_duration_seconds", "Time until the head of the answer");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (name, route) in self.all(&routes) {
            let times = route.times.each_ref().map(|cell| cell.load(Ordering::Relaxed));
            let count = times.iter().sum();
            if count > 0 {
                let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(times).collect();
                let seconds = route.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
                let labels = [("route", name)];
                metric
                    .encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

fn method_number(method: &Method) -> usize {
    METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1)
}

fn status_number(status: u16) -> usize {
    STATUSES.binary_search(&status).unwrap_or_else(|_| {
        let class = usize::from(status / 100).saturating_sub(1).min(CLASSES.len() - 1);
        STATUSES.len() + class
    })
}

fn status_word(number: usize) -> String {
    match STATUSES.get(number) {
        Some(status) => status.to_string(),
        None => CLASSES.get(number - STATUSES.len()).copied().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    fn text(requests: Requests) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(requests));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    /// The buckets are cumulative, as OpenMetrics has them, and the sum is in seconds.
    #[test]
    fn a_request_is_counted_once_and_timed_once() {
        let requests = Requests::new(vec!["/auth/login".to_owned(), "api".to_owned()]);
        requests.count("api", &Method::GET, StatusCode::OK, Duration::from_millis(1));
        requests.count("api", &Method::GET, StatusCode::OK, Duration::from_millis(2));
        requests.count("api", &Method::GET, StatusCode::BAD_GATEWAY, Duration::from_secs(11));
        let text = text(requests);
        for line in [
            r#"bff_http_requests_total{route="api",method="GET",status="200"} 2"#,
            r#"bff_http_requests_total{route="api",method="GET",status="502"} 1"#,
            r#"bff_http_request_duration_seconds_sum{route="api"} 11.003"#,
            r#"bff_http_request_duration_seconds_count{route="api"} 3"#,
            r#"bff_http_request_duration_seconds_bucket{le="0.001",route="api"} 1"#,
            r#"bff_http_request_duration_seconds_bucket{le="0.0025",route="api"} 2"#,
            r#"bff_http_request_duration_seconds_bucket{le="10.0",route="api"} 2"#,
            r#"bff_http_request_duration_seconds_bucket{le="+Inf",route="api"} 3"#,
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(!text.contains("/auth/login"), "nobody asked for it");
    }

    /// S-97: paths, methods and statuses of strangers do not make new labels.
    #[test]
    fn unknown_words_share_a_label() {
        let requests = Requests::new(vec!["api".to_owned()]);
        let odd = Method::from_bytes(b"PROPFIND").unwrap();
        for n in 0..900_u16 {
            let status = StatusCode::from_u16(100 + n).unwrap();
            requests.count(&format!("/x/{n}"), &odd, status, Duration::ZERO);
        }
        let lines = text(requests).lines().filter(|line| line.starts_with("bff_http_requests_total")).count();
        assert!(lines <= WIDTH, "{lines}");
    }

    #[test]
    fn every_status_has_its_place() {
        assert!(STATUSES.is_sorted());
        let word = |status| status_word(status_number(status));
        assert_eq!(
            (word(200), word(418), word(599), word(299), word(999)),
            ("200".to_owned(), "4xx".to_owned(), "5xx".to_owned(), "2xx".to_owned(), "other".to_owned())
        );
    }
}
