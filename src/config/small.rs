//! `[cors]` and `[log]`: two short sections.

use base::vars::{self, Problems, Vars};
use time::Duration;
use url::Url;

use super::network::is_origin;
use super::place;

/// Which other sites may call with the user's cookies (S-18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Exact origins as browsers write them. `cors.origins`; default none.
    pub origins: Vec<String>,
    /// How long a browser may keep a preflight's answer. `cors.max_age`; default `10m`.
    pub max_age: Duration,
}

impl Cors {
    /// Reads `cors.*`. A wildcard and `null` are faults, as is anything but scheme, host and port.
    pub fn read(vars: &dyn Vars, problems: &mut Problems) -> Self {
        let mut origins = Vec::new();
        for text in vars::list(vars, "cors.origins").unwrap_or_default() {
            match text.parse::<Url>() {
                Ok(url)
                    if ["https", "http"].contains(&url.scheme())
                        && is_origin(&url)
                        && !text.contains('*') =>
                {
                    origins.push(url.origin().ascii_serialization());
                }
                _ => {
                    let why = "This is no exact origin: scheme, host and port.";
                    let fix = "Write it like https://app.example.com.";
                    problems.fault("BFF-CONF-002", place(vars, "cors.origins"), Some(&text), why, fix);
                }
            }
        }
        Self { origins, max_age: vars::span(vars, "cors.max_age", Duration::minutes(10), problems) }
    }
}

/// What is written to the log, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`. `log.level`; default `info`.
    pub level: tracing::Level,
    /// `log.format`; default `auto`.
    pub format: LogFormat,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Log {
    /// Reads `log.*`.
    pub fn read(vars: &dyn Vars, problems: &mut Problems) -> Self {
        use tracing::Level;
        let levels = [
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ];
        let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
        Self {
            level: vars::choice(vars, "log.level", &levels, Level::INFO, problems),
            format: vars::choice(vars, "log.format", &formats, LogFormat::Auto, problems),
        }
    }
}
