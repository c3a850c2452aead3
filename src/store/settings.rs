//! `session.store` and `session.prefix`: where sessions rest.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use base::secret::Secret;
use base::vars::{self, Found, Problems, Raw, Vars};
use url::Url;

use crate::session::store::Failure;

const STORE: &str = "session.store";
const PREFIX: &str = "session.prefix";

/// Where sessions rest. `session.store`; default `cookie`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// `cookie`: in the browser, sealed; there is no store.
    Cookie,
    /// `sqlite:<path>`: in a file of this machine.
    Sqlite(PathBuf),
    /// `redis://…` or `rediss://…`: on a server for all nodes.
    Redis(Box<Server>),
}

/// A Redis or Valkey, and the place of this deployment on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The whole URL, user and password included.
    pub url: Secret<String>,
    /// The same without them, for people.
    pub address: String,
    /// What all names of this deployment begin with. `session.prefix`; default the host of the public URL.
    pub prefix: String,
}

/// Without user and password.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie => f.write_str("cookie"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(server) => f.write_str(&server.address),
        }
    }
}

impl Settings {
    /// Whether sessions rest on our side.
    pub fn is_store(&self) -> bool {
        *self != Self::Cookie
    }

    /// Reads both settings; connects to nothing. `plain_http` are the hosts of `danger_plain_http`, `public` is the
    /// canonical public URL. Faults: BFF-STORE-002 for a connection that others could read or use (S-90).
    pub fn read(
        vars: &dyn Vars,
        plain_http: &[String],
        public: &Url,
        problems: &mut Problems,
    ) -> Option<Self> {
        let prefix = vars::text(vars, PREFIX, problems);
        let (text, place) = match text(vars, problems)? {
            Some(set) => set,
            None => (Secret::new("cookie".to_owned()), vars::variable(STORE)),
        };
        let whole = text.expose().trim();
        let (kind, rest) = whole.split_once(':').unwrap_or((whole, ""));
        if prefix.is_some() && !["redis", "rediss"].contains(&kind) {
            let why = "A prefix has no effect without a Redis store.";
            problems.fault("BFF-CONF-003", place_of(vars, PREFIX), prefix.as_deref(), why, "Remove it.");
            return None;
        }
        match kind {
            "cookie" if whole == "cookie" => Some(Self::Cookie),
            "sqlite" if cfg!(feature = "sqlite") => sqlite(rest, place, problems),
            "redis" | "rediss" if cfg!(feature = "redis") => {
                let reading = Reading { whole, place, in_file: in_file(vars), plain_http, public, prefix };
                reading.server(vars, problems).map(|server| Self::Redis(Box::new(server)))
            }
            "sqlite" | "redis" | "rediss" => {
                let why = "This program was built without that store.";
                problems.fault(
                    "BFF-CONF-003",
                    place,
                    Some(kind),
                    why,
                    format!("Build it with the feature {kind}."),
                );
                None
            }
            _ => {
                let why = "There is no such store.";
                let fix = "Set it to cookie, sqlite:data/sessions.db or rediss://user:password@host:6379/0.";
                problems.fault("BFF-CONF-002", place, Some(kind), why, fix); // the rest may hold a password
                None
            }
        }
    }

    /// Adds the fault BFF-STORE-001: the start could not open this store.
    pub fn report(&self, failure: &Failure, problems: &mut Problems) {
        let mut why = format!("The session store cannot be used: {}", failure.source);
        let mut cause = failure.source.source();
        while let Some(deeper) = cause {
            why = format!("{why}: {deeper}");
            cause = deeper.source();
        }
        let fix = match self {
            Self::Redis(_) => "Start the server, or mend the address, user or password.",
            _ => "Name a file of our own that this user can read and write.",
        };
        problems.fault("BFF-STORE-001", vars::variable(STORE), Some(&self.to_string()), why, fix);
    }
}

/// The text and its place; the outer `None` after a fault.
fn text(vars: &dyn Vars, problems: &mut Problems) -> Option<Option<(Secret<String>, String)>> {
    let variable = vars::variable(STORE);
    if vars.get(&format!("{variable}_FILE")).is_some() {
        return vars::secret(vars, &variable, problems).map(|text| Some((text, format!("{variable}_FILE"))));
    }
    match vars.get(STORE) {
        None => Some(None),
        Some(Found { raw: Raw::Text(text), place }) => Some(Some((Secret::new(text), place))),
        Some(Found { raw: Raw::List(_), place }) => {
            problems.fault("BFF-CONF-002", place, None, "There is one store, not a list.", "Set one text.");
            None
        }
    }
}

/// Whether `bff.toml` says it: no variable does.
fn in_file(vars: &dyn Vars) -> bool {
    let variable = vars::variable(STORE);
    vars.get(&variable).is_none() && vars.get(&format!("{variable}_FILE")).is_none()
}

fn place_of(vars: &dyn Vars, name: &str) -> String {
    vars.get(name).map_or_else(|| vars::variable(name), |found| found.place)
}

fn sqlite(path: &str, place: String, problems: &mut Problems) -> Option<Settings> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(':') {
        let why = "This names no file.";
        problems.fault("BFF-CONF-002", place, Some("sqlite"), why, "Set it to sqlite:data/sessions.db.");
        return None;
    }
    Some(Settings::Sqlite(PathBuf::from(path)))
}

struct Reading<'a> {
    whole: &'a str,
    place: String,
    in_file: bool,
    plain_http: &'a [String],
    public: &'a Url,
    prefix: Option<String>,
}

impl Reading<'_> {
    fn server(self, vars: &dyn Vars, problems: &mut Problems) -> Option<Server> {
        let url: Option<Url> = self.whole.parse().ok();
        let sound = url.as_ref().filter(|url| {
            let number = url.path().trim_start_matches('/');
            let database = number.is_empty() || number.parse::<u16>().is_ok();
            database && url.query().is_none() && url.fragment().is_none()
        });
        let Some((url, host)) = sound.and_then(|url| Some((url, url.host_str()?))) else {
            let why = "This is no address of a Redis.";
            let fix = "Write it like rediss://user:password@host:6379/0, with %40 for an @ in the password.";
            problems.fault("BFF-CONF-002", self.place, Some(kind_of(self.whole)), why, fix);
            return None;
        };
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let password = url.password().is_some_and(|password| !password.is_empty());
        let address = address(url, &host);
        let before = problems.list().len();
        let mut fault = |code, why: &str, fix: String| {
            problems.fault(code, self.place.clone(), Some(&address), why, fix);
        };
        if !is_loopback(&host) {
            let named = |entry: &String| entry.trim_matches(['[', ']']).eq_ignore_ascii_case(&host);
            if url.scheme() == "redis" && !self.plain_http.iter().any(named) {
                let why = "Whoever reads this connection could end and forge sessions: it is not encrypted.";
                fault("BFF-STORE-002", why, format!("Use rediss, or add \"{host}\" to danger_plain_http."));
            }
            if !password {
                let why =
                    "Whoever reaches this server could end and forge sessions: it asks for no password.";
                fault(
                    "BFF-STORE-002",
                    why,
                    "Give the server a user and a password, and name them.".to_owned(),
                );
            }
        }
        if password && self.in_file {
            let why = "A password does not belong into this file.";
            fault("BFF-CONF-002", why, format!("Move it to {0} or {0}_FILE.", vars::variable(STORE)));
        }
        let prefix = self.prefix(&host, vars, problems)?;
        let url = Secret::new(self.whole.to_owned());
        (problems.list().len() == before).then_some(Server { url, address, prefix })
    }

    fn prefix(&self, host: &str, vars: &dyn Vars, problems: &mut Problems) -> Option<String> {
        let place = place_of(vars, PREFIX);
        if let Some(prefix) = &self.prefix {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
            if prefix.len() > 64 || !prefix.chars().all(plain) {
                let why = "A prefix has up to 64 letters, digits and any of . _ : -";
                problems.fault("BFF-CONF-002", place, Some(prefix), why, "Choose another.");
                return None;
            }
            return Some(prefix.clone());
        }
        if base::http::is_loopback(self.public) && !is_loopback(host) {
            let why = "Every deployment on a server needs a prefix of its own, and that of the public URL is everybody's.";
            problems.fault(
                "BFF-STORE-002",
                place,
                None,
                why,
                "Set session.prefix to a name of this deployment.",
            );
            return None;
        }
        let host = self.public.host_str()?.trim_matches(['[', ']']);
        Some(self.public.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }
}

fn kind_of(whole: &str) -> &str {
    whole.split(':').next().unwrap_or_default()
}

/// The URL without user and password.
fn address(url: &Url, host: &str) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = url.port().unwrap_or(6379);
    format!("{}://{host}:{port}/{}", url.scheme(), url.path().trim_start_matches('/'))
}

/// The parser of URLs knows numbers for addresses in `http` and its like alone, so this looks for itself.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests;
