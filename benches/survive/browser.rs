//! One browser with many tabs: they share their cookies, and what happened to them is counted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, header};

/// The browser. Clones are tabs.
#[derive(Clone)]
pub struct Browser {
    base: String,
    http: reqwest::Client,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
    tally: Arc<Mutex<Tally>>,
}

/// What came of requests.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub requests: usize,
    /// How many answers had a status; 0 stands for no answer at all.
    pub statuses: BTreeMap<u16, usize>,
    /// Answers that ended the session: 401, `X-Session-Ended`, or a session cookie that is taken away.
    pub sign_outs: usize,
    pub slowest: Duration,
}

impl Browser {
    pub fn new(base: &str, http: reqwest::Client) -> Self {
        Self { base: base.to_owned(), http, cookies: Arc::default(), tally: Arc::default() }
    }

    /// Takes the cookies of an answer over.
    pub fn keep(&self, pairs: &str) {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in pairs.split("; ").filter_map(|pair| pair.split_once('=')) {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// What happened since the last call.
    pub fn take_tally(&self) -> Tally {
        std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A GET by the page's script: its status (0 for no answer) and its body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let begun = Instant::now();
        let request = self.http.get(format!("{}{path}", self.base));
        let request = request.header(header::COOKIE, self.header()).header("sec-fetch-site", "same-origin");
        let answer = request.header("sec-fetch-mode", "cors").header("x-csrf", "1").send().await;
        let (status, headers, body) = match answer {
            Ok(answer) => {
                let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
                (status, headers, answer.text().await.unwrap_or_default())
            }
            Err(_) => (0, HeaderMap::new(), String::new()),
        };
        let cleared = self.take_over(&headers);
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.requests += 1;
        *tally.statuses.entry(status).or_default() += 1;
        tally.slowest = tally.slowest.max(begun.elapsed());
        if cleared || status == 401 || headers.contains_key("x-session-ended") {
            tally.sign_outs += 1;
        }
        (status, body)
    }

    fn header(&self) -> String {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Sets and deletes cookies; whether the session's was deleted.
    fn take_over(&self, headers: &HeaderMap) -> bool {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cleared = false;
        for line in headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            if attributes.contains("Max-Age=0") {
                cookies.remove(name);
                cleared |= name.starts_with("sb_session") && !name.contains('.');
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        cleared
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |status: u16| self.statuses.get(&status).copied().unwrap_or_default();
        let known = of(200) + of(503) + of(401) + of(0);
        write!(
            f,
            "{:>9} {:>7} {:>7} {:>5} {:>6} {:>10} {:>10} {:>9.0}",
            self.requests,
            of(200),
            of(503),
            of(401),
            self.requests - known,
            of(0),
            self.sign_outs,
            self.slowest.as_secs_f64() * 1e3,
        )
    }
}
