//! Where settings come from: flag, then environment, then `.env`, then `bff.toml`. Unknown names are refused (S-93).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base::vars::{self, Found, Problems, Vars};
use serde::de::DeserializeOwned;

pub use super::file::Entry;
use super::file::File;
use super::known::{self, closest};

/// What one start has to go by. The process environment is only ever read.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// From the command line: a setting's name or variable, the flag for messages, the value.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// As the process has it.
    pub environment: Vec<(OsString, OsString)>,
    /// Where `.env` and `bff.toml` are looked for.
    pub folder: PathBuf,
    /// What stands for `bff.toml`: then neither that nor `.env` is read.
    pub file: Option<String>,
    /// Names beginning with `AUTH_` that the embedded server knows.
    pub auth_variables: &'static [&'static str],
}

impl Inputs {
    /// The environment and the working folder of this process.
    pub fn of_process() -> Self {
        Self {
            environment: std::env::vars_os().collect(),
            folder: std::env::current_dir().unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// The layers, the strongest first.
#[derive(Debug, Default)]
pub struct Sources {
    flags: BTreeMap<String, Found>,
    environment: BTreeMap<String, Found>,
    dotenv: BTreeMap<String, Found>,
    file: File,
    asked: Mutex<BTreeSet<String>>,
}

impl Vars for Sources {
    fn get(&self, name: &str) -> Option<Found> {
        let variable = vars::variable(name);
        let found = self.layers().into_iter().find_map(|layer| layer.get(&variable).cloned());
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(variable);
        found.or_else(|| self.file.get(name))
    }
}

impl Sources {
    /// Reads all layers. Faults: BFF-CONF-001 for unknown names, BFF-CONF-002 for what cannot be read.
    pub fn read(inputs: &Inputs, problems: &mut Problems) -> Self {
        let mut sources = Self::default();
        for (name, flag, value) in &inputs.flags {
            if !value.is_empty() {
                sources.flags.insert(vars::variable(name), Found::text(value, *flag));
            }
        }
        for (name, value) in &inputs.environment {
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
            match value.to_str() {
                Some(value) => sources.environment_variable(name, value, inputs, problems),
                None => {
                    let why = "The value is not UTF-8.";
                    problems.fault("BFF-CONF-002", name, None, why, "Set it to readable text.");
                }
            }
        }
        #[cfg(feature = "server")]
        sources.read_dotenv(inputs, problems);
        sources.read_file(inputs, problems);
        sources
    }

    fn environment_variable(&mut self, name: &str, value: &str, inputs: &Inputs, problems: &mut Problems) {
        if is_known(name, name, inputs, problems) && !value.is_empty() {
            self.environment.insert(name.to_owned(), Found::text(value, name));
        }
    }

    /// A program that uses the library has its own way with `.env`; ours reads it.
    #[cfg(feature = "server")]
    fn read_dotenv(&mut self, inputs: &Inputs, problems: &mut Problems) {
        if inputs.file.is_some() {
            return;
        }
        let path = inputs.folder.join(".env");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => without_comments(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                let why = format!("The file cannot be read: {error}.");
                let fix = "Make it readable for this user, or remove it.";
                problems.fault("BFF-CONF-002", ".env", None, why, fix);
                return;
            }
        };
        for line in dotenvy::from_read_iter(text.as_bytes()) {
            match line {
                Ok((name, value)) if is_ours(&name) => {
                    let place = format!(".env: {name}");
                    if is_known(&name, &place, inputs, problems) && !value.is_empty() {
                        self.dotenv.insert(name, Found::text(value, place));
                    }
                }
                Ok(_) => {}
                Err(_) => {
                    // The error holds the line, and the line may hold a secret.
                    let fix = "Write NAME=value, and put a value with spaces or # into quotes.";
                    problems.fault("BFF-CONF-002", ".env", None, "A line cannot be read.", fix);
                    return;
                }
            }
        }
    }

    fn read_file(&mut self, inputs: &Inputs, problems: &mut Problems) {
        let named = vars::text(&*self, "BFF_CONFIG", problems);
        if let Some(text) = &inputs.file {
            self.file = File::read("settings".to_owned(), text.clone(), problems);
            return;
        }
        let name = named.clone().unwrap_or_else(|| "bff.toml".to_owned());
        match std::fs::read_to_string(inputs.folder.join(&name)) {
            Ok(text) => self.file = File::read(name, text, problems),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let why = format!("The file cannot be read: {error}.");
                let fix = "Name a file that this user can read, or leave BFF_CONFIG empty.";
                problems.fault("BFF-CONF-002", "BFF_CONFIG", Some(&name), why, fix);
            }
        }
    }

    fn layers(&self) -> [&BTreeMap<String, Found>; 3] {
        [&self.flags, &self.environment, &self.dotenv]
    }

    /// The variables of all names that were asked for until now.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a fault for everything that is set but was never asked for: it would have no effect (S-93). Call it last.
    /// `AUTH_…` may wait for the day on which the embedded server is used again.
    pub fn refuse_unread(&self, problems: &mut Problems) {
        let asked = self.asked();
        let variables = self.layers().into_iter().flatten().filter(|(name, _)| !name.starts_with("AUTH_"));
        let plain = self.file.plain().map(|(name, found)| (vars::variable(name), found));
        let set = variables.map(|(name, found)| (name.clone(), found)).chain(plain);
        for (_, found) in set.filter(|(name, _)| !asked.contains(name)) {
            let why = "Nothing reads this setting as things are, so it has no effect.";
            let fix = if found.place.contains("SUPABASE_") {
                "Set SUPABASE_URL as well; without it the embedded auth server is used."
            } else {
                "Remove it."
            };
            problems.fault("BFF-CONF-003", &found.place, None, why, fix);
        }
    }

    /// The entries of `[section]` in the order of the file; `unknown` is the code of a key that `T` does not know.
    pub fn entries<T: DeserializeOwned>(
        &self,
        section: &str,
        unknown: &'static str,
        problems: &mut Problems,
    ) -> Vec<Entry<T>> {
        self.file.entries(section, unknown, problems)
    }

    /// The tables of `[[section]]` in the order of the file.
    pub fn items<T: DeserializeOwned>(&self, section: &str, problems: &mut Problems) -> Vec<Entry<T>> {
        self.file.items(section, problems)
    }
}

/// The text without comments behind values that stand in no quotes: `dotenvy` takes an apostrophe in such a comment for
/// the beginning of a text of several lines.
#[cfg(feature = "server")]
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut open: Option<char> = None;
    for line in text.lines() {
        let value = line.split_once('=').map_or("", |(_, value)| value.trim_start());
        let kept = match open {
            Some(quote) => {
                open = open.filter(|_| !line.contains(quote));
                line
            }
            None if line.trim_start().starts_with('#') => "",
            None if value.starts_with(['\'', '"']) => {
                open = value.chars().next().filter(|quote| !value[1..].contains(*quote));
                line
            }
            None => match value.strip_prefix('#') {
                Some(_) => &line[..line.len() - value.len()],
                None => line.split(" #").next().unwrap_or_default(),
            },
        };
        plain.push_str(kept.trim_end());
        plain.push('\n');
    }
    plain
}

fn is_ours(name: &str) -> bool {
    ["BFF_", "AUTH_", "SUPABASE_"].iter().any(|prefix| name.starts_with(prefix))
}

/// `SUPABASE_…` has other users too (its command line, other programs): there an unknown name is a warning, and only
/// if it looks like one of ours.
fn is_known(name: &str, place: &str, inputs: &Inputs, problems: &mut Problems) -> bool {
    let settings: Vec<String> = known::KEYS.iter().map(|key| vars::variable(key)).collect();
    let all = || {
        let variables = known::VARIABLES.iter().chain(inputs.auth_variables).copied();
        settings.iter().map(String::as_str).chain(variables)
    };
    if all().any(|known| known == name) {
        return true;
    }
    let guess = closest(name, all());
    let fix = guess.map_or_else(|| "Remove it.".to_owned(), |guess| format!("Did you mean {guess}?"));
    let why = "There is no variable of this name.";
    if name.starts_with("SUPABASE_") {
        if guess.is_some() {
            problems.warning("BFF-CONF-001", place, None, why, fix);
        }
    } else if name.starts_with("BFF_") && name.ends_with("COOKIE_DOMAIN") {
        let why = "Session cookies never have a Domain: every sub-domain could then read and replace them.";
        problems.fault("BFF-COOKIE-003", place, None, why, "Remove it; each host mounts /auth itself.");
    } else {
        problems.fault("BFF-CONF-001", place, None, why, fix);
    }
    false
}

#[cfg(test)]
mod tests;
