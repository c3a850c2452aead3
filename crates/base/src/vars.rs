//! Settings: where they are read from, what they may be, and every fault in one list.
//!
//! A name with capitals is an environment variable (`SUPABASE_URL`). Any other is a setting of `bff.toml`, whose
//! variable follows from it: `session.refresh_margin` is `BFF_SESSION_REFRESH_MARGIN`, `listen` is `BFF_LISTEN`.

mod parse;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

pub use parse::{Rate, duration, rate, size};

use crate::secret::Secret;

/// A value as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// One text; numbers and booleans of the file come as text as well.
    Text(String),
    /// A list of the file. In the environment a list is a text with commas.
    List(Vec<String>),
}

/// A value and the place that set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub raw: Raw,
    /// For messages: `BFF_LISTEN` or `bff.toml: listen`.
    pub place: String,
}

impl Found {
    /// One text found at `place`.
    pub fn text(text: impl Into<String>, place: impl Into<String>) -> Self {
        Self { raw: Raw::Text(text.into()), place: place.into() }
    }
}

/// Layers of settings, the strongest first. Empty texts count as absent.
pub trait Vars {
    /// The value of `name` in the strongest layer that has one.
    fn get(&self, name: &str) -> Option<Found>;
}

/// The environment variable that belongs to `name`.
pub fn variable(name: &str) -> String {
    if name.bytes().any(|b| b.is_ascii_lowercase()) {
        format!("BFF_{}", name.to_ascii_uppercase().replace('.', "_"))
    } else {
        name.to_owned()
    }
}

/// Variables given by hand, for tests and for the embedded server's defaults.
impl Vars for Vec<(String, String)> {
    fn get(&self, name: &str) -> Option<Found> {
        let variable = variable(name);
        let found = self.iter().find(|(key, value)| *key == variable && !value.is_empty());
        found.map(|(_, value)| Found::text(value, variable.clone()))
    }
}

/// Remembers which names were asked for, so that a test can hold documentation to them.
#[derive(Debug)]
pub struct Recording<V> {
    inner: V,
    asked: Mutex<BTreeSet<String>>,
}

impl<V> Recording<V> {
    /// Reads through to `inner`.
    pub fn new(inner: V) -> Self {
        Self { inner, asked: Mutex::default() }
    }

    /// Every variable that was asked for.
    pub fn variables(&self) -> BTreeSet<String> {
        self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl<V: Vars> Vars for Recording<V> {
    fn get(&self, name: &str) -> Option<Found> {
        self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(variable(name));
        self.inner.get(name)
    }
}

/// Whether a finding ends the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The program does not start.
    Fault,
    /// It starts and says so.
    Warning,
}

/// One finding about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Ends the start, or not.
    pub weight: Weight,
    /// Stable, such as `BFF-COOKIE-001`.
    pub code: &'static str,
    /// The variable or key at fault, as its owner wrote it.
    pub place: String,
    /// The value seen; `None` where there is none, `[redacted]` for a secret.
    pub seen: Option<String>,
    /// Why it is refused.
    pub why: String,
    /// One way to mend it.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.weight == Weight::Fault { "error" } else { "warning" };
        write!(f, "{kind}[{}] {}", self.code, self.place)?;
        if let Some(seen) = &self.seen {
            write!(f, " = {seen}")?;
        }
        write!(f, "\n  {}\n  hint: {}", self.why, self.fix)
    }
}

/// All findings of one reading.
#[derive(Debug, Clone, Default)]
pub struct Problems(Vec<Problem>);

/// What stands in place of a secret's value.
pub const REDACTED: &str = "[redacted]";

impl Problems {
    /// Adds a finding that ends the start.
    pub fn fault(
        &mut self,
        code: &'static str,
        place: impl Into<String>,
        seen: Option<&str>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(Weight::Fault, code, place.into(), seen, why.into(), fix.into());
    }

    /// Adds a finding that is printed and no more.
    pub fn warning(
        &mut self,
        code: &'static str,
        place: impl Into<String>,
        seen: Option<&str>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(Weight::Warning, code, place.into(), seen, why.into(), fix.into());
    }

    fn push(
        &mut self,
        weight: Weight,
        code: &'static str,
        place: String,
        seen: Option<&str>,
        why: String,
        fix: String,
    ) {
        let seen = seen.map(|text| text.chars().take(120).collect());
        self.0.push(Problem { weight, code, place, seen, why, fix });
    }

    /// Whether the start must end.
    pub fn has_faults(&self) -> bool {
        self.0.iter().any(|p| p.weight == Weight::Fault)
    }

    /// The findings, faults first, otherwise in the order of reading.
    pub fn list(&self) -> Vec<&Problem> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|p| p.weight);
        all
    }
}

/// A value of any type with a [`FromStr`]; `form` says what it looks like, such as `127.0.0.1:8080`.
pub fn parsed<T: FromStr>(vars: &dyn Vars, name: &str, form: &str, problems: &mut Problems) -> Option<T> {
    read(vars, name, form, problems, |text| text.parse().ok())
}

/// The text of `name`; `None` if it is absent. A list of the file is a fault.
pub fn text(vars: &dyn Vars, name: &str, problems: &mut Problems) -> Option<String> {
    read(vars, name, "one text", problems, |text| Some(text.to_owned()))
}

/// A `true` or `false`.
pub fn flag(vars: &dyn Vars, name: &str, default: bool, problems: &mut Problems) -> bool {
    let parse = |text: &str| match text {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    };
    read(vars, name, "true or false", problems, parse).unwrap_or(default)
}

/// A duration such as `90s`, `5m`, `12h`, `7d`.
pub fn span(vars: &dyn Vars, name: &str, default: time::Duration, problems: &mut Problems) -> time::Duration {
    read(vars, name, "a duration such as 90s, 5m, 12h or 7d", problems, duration).unwrap_or(default)
}

/// A size such as `64KiB`, `10MiB`, `1GiB`, in bytes.
pub fn bytes(vars: &dyn Vars, name: &str, default: u64, problems: &mut Problems) -> u64 {
    read(vars, name, "a size such as 64KiB, 10MiB or 1GiB", problems, size).unwrap_or(default)
}

/// A list: in the environment separated by commas.
pub fn list(vars: &dyn Vars, name: &str) -> Option<Vec<String>> {
    vars.get(name).map(|found| match found.raw {
        Raw::List(items) => items,
        Raw::Text(text) => text.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect(),
    })
}

/// One of a few words.
pub fn choice<T: Copy>(
    vars: &dyn Vars,
    name: &str,
    words: &[(&str, T)],
    default: T,
    problems: &mut Problems,
) -> T {
    let form = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    let parse = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    read(vars, name, &format!("one of {form}"), problems, parse).unwrap_or(default)
}

/// A secret from `NAME` or from the file that `NAME_FILE` names. Never from `bff.toml`.
///
/// Both at once, a file that cannot be read, and one that others than its owner can read are faults (S-87).
pub fn secret(vars: &dyn Vars, name: &str, problems: &mut Problems) -> Option<Secret<String>> {
    let file_name = format!("{name}_FILE");
    let (direct, file) = (vars.get(name), vars.get(&file_name));
    match (direct, file) {
        (Some(_), Some(_)) => {
            let why = format!("{name} and {file_name} are both set");
            problems.fault("BFF-CONF-002", name, Some(REDACTED), why, "Keep one of them.");
            None
        }
        (Some(Found { raw: Raw::Text(text), .. }), None) => Some(Secret::new(text)),
        (Some(Found { place, .. }), None) => {
            problems.fault("BFF-CONF-002", place, Some(REDACTED), "A secret is one text.", "Set one value.");
            None
        }
        (None, Some(Found { raw: Raw::Text(path), .. })) => secret_file(&file_name, &path, problems),
        (None, _) => None,
    }
}

fn secret_file(variable: &str, path: &str, problems: &mut Problems) -> Option<Secret<String>> {
    use std::os::unix::fs::PermissionsExt;
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) => {
            let why = format!("The file cannot be read: {error}.");
            problems.fault("BFF-CONF-002", variable, Some(path), why, "Name a file that this user can read.");
            return None;
        }
    };
    if meta.permissions().mode() & 0o077 != 0 {
        let why = "Others than its owner can open this file.";
        problems.fault("BFF-CONF-002", variable, Some(path), why, format!("Run: chmod 600 {path}"));
        return None;
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(error) => {
            let why = format!("The file cannot be read as text: {error}.");
            problems.fault("BFF-CONF-002", variable, Some(path), why, "Put the secret alone into the file.");
            None
        }
    }
}

fn read<T>(
    vars: &dyn Vars,
    name: &str,
    form: &str,
    problems: &mut Problems,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let found = vars.get(name)?;
    let value = match &found.raw {
        Raw::Text(text) => parse(text.trim()),
        Raw::List(_) => None,
    };
    if value.is_none() {
        let seen = match &found.raw {
            Raw::Text(text) => text.clone(),
            Raw::List(items) => format!("[{}]", items.join(", ")),
        };
        let why = format!("This value cannot be read; it should be {form}.");
        problems.fault("BFF-CONF-002", found.place, Some(&seen), why, format!("Set it to {form}."));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_dotted_name_has_its_variable() {
        assert_eq!(variable("session.refresh_margin"), "BFF_SESSION_REFRESH_MARGIN");
        assert_eq!(variable("listen"), "BFF_LISTEN");
        assert_eq!(variable("SUPABASE_URL"), "SUPABASE_URL");
    }

    #[test]
    fn every_fault_is_listed_with_its_place_and_a_fix() {
        let vars = vars(&[("BFF_SESSION_IDLE", "soon"), ("BFF_CORS_MAX_AGE", "10m"), ("BFF_DRAIN", "-1s")]);
        let mut problems = Problems::default();
        let week = time::Duration::days(7);
        assert_eq!(span(&vars, "session.idle", week, &mut problems), week);
        assert_eq!(span(&vars, "cors.max_age", week, &mut problems), time::Duration::minutes(10));
        span(&vars, "drain", week, &mut problems);
        let places: Vec<_> = problems.list().iter().map(|p| p.place.clone()).collect();
        assert_eq!(places, ["BFF_SESSION_IDLE", "BFF_DRAIN"]);
        assert!(problems.list()[0].to_string().contains("= soon"), "{}", problems.list()[0]);
    }

    #[test]
    fn empty_is_absent_and_recording_remembers() {
        let recording = Recording::new(vars(&[("SUPABASE_URL", "")]));
        let mut problems = Problems::default();
        assert_eq!(text(&recording, "SUPABASE_URL", &mut problems), None);
        assert!(flag(&recording, "bearer.enabled", true, &mut problems));
        assert_eq!(
            recording.variables().into_iter().collect::<Vec<_>>(),
            ["BFF_BEARER_ENABLED", "SUPABASE_URL"]
        );
    }

    /// S-87: a key file that others can read stops the start, without its content being shown.
    #[test]
    fn a_secret_file_must_be_private() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("bff-secret-{}", std::process::id()));
        std::fs::write(&path, "s3cret\n").unwrap();
        let named = vars(&[("BFF_SESSION_KEYS_FILE", path.to_str().unwrap())]);
        let read = |mode, problems: &mut Problems| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            secret(&named, "BFF_SESSION_KEYS", problems)
        };
        let mut problems = Problems::default();
        assert!(read(0o600, &mut problems).unwrap().same_as(b"s3cret"));
        assert!(!problems.has_faults());
        assert!(read(0o640, &mut problems).is_none() && problems.has_faults());
        assert!(!format!("{problems:?}").contains("s3cret"));
        std::fs::remove_file(&path).unwrap();
    }
}
