//! `bff.toml`: parsed into a table first and each part alone, so that one fault does not hide the next.

use std::collections::BTreeMap;
use std::ops::Range;

use base::vars::{Found, Problems, Raw};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::known::{self, closest};

/// The text of the file and the plain settings in it.
#[derive(Debug, Default)]
pub(super) struct File {
    name: String,
    text: String,
    plain: BTreeMap<String, Found>,
}

/// An entry of a section whose names are the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// As written.
    pub name: String,
    /// For messages: `bff.toml line 7: upstreams.orders`.
    pub place: String,
    /// What was read.
    pub value: T,
}

impl File {
    pub(super) fn read(name: String, text: String, problems: &mut Problems) -> Self {
        let mut file = Self { name, text, plain: BTreeMap::new() };
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        for error in errors {
            let line = error.span().map_or(1, |span| file.line(&span));
            let why = format!("This is not TOML: {}.", error.message());
            let place = format!("{} line {line}", file.name);
            problems.fault("BFF-CONF-002", place, None, why, "Mend the line, or put the value into quotes.");
        }
        let mut plain = BTreeMap::new();
        for (key, value) in in_order(table.get_ref()) {
            let name = key.get_ref().to_string();
            match value.get_ref().as_table() {
                _ if known::SECTIONS.contains(&name.as_str()) => {}
                Some(inner) if !known::KEYS.contains(&name.as_str()) => {
                    for (key, value) in in_order(inner) {
                        file.plain_value(
                            format!("{name}.{}", key.get_ref()),
                            key,
                            value,
                            &mut plain,
                            problems,
                        );
                    }
                }
                _ => file.plain_value(name, key, value, &mut plain, problems),
            }
        }
        file.plain = plain;
        file
    }

    pub(super) fn get(&self, name: &str) -> Option<Found> {
        self.plain.get(name).cloned()
    }

    pub(super) fn plain(&self) -> impl Iterator<Item = (&String, &Found)> {
        self.plain.iter()
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.as_bytes()[..span.start.min(self.text.len())].iter().filter(|b| **b == b'\n').count() + 1
    }

    fn place(&self, span: &Range<usize>, name: &str) -> String {
        format!("{} line {}: {name}", self.name, self.line(span))
    }

    fn plain_value(
        &self,
        name: String,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
        plain: &mut BTreeMap<String, Found>,
        problems: &mut Problems,
    ) {
        let place = self.place(&key.span(), &name);
        if !known::KEYS.contains(&name.as_str()) {
            return unknown_key(&name, place, problems);
        }
        match raw(value.get_ref()) {
            Some(Raw::Text(text)) if text.is_empty() => {}
            Some(raw) => {
                plain.insert(name, Found { raw, place });
            }
            None => {
                let why = format!("A {} cannot stand here.", value.get_ref().type_str());
                problems.fault("BFF-CONF-002", place, None, why, "Write one text, number or list of texts.");
            }
        }
    }

    /// Reads the entries of `[section]` in the order of the file, each alone. `unknown` is the code of an unknown key.
    pub(super) fn entries<T: DeserializeOwned>(
        &self,
        section: &str,
        unknown: &'static str,
        problems: &mut Problems,
    ) -> Vec<Entry<T>> {
        let (table, _) = DeTable::parse_recoverable(&self.text); // its errors were listed by `read`
        let Some((key, value)) = table.get_ref().get_key_value(section) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            let place = self.place(&key.span(), section);
            problems.fault("BFF-CONF-002", place, None, "This is no table.", format!("Write [{section}]."));
            return Vec::new();
        };
        let read = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let path = format!("{section}.{name}");
            let place = self.place(&key.span(), &path);
            let value = self.decode(value, &path, unknown, problems)?;
            Some(Entry { name: name.to_string(), place, value })
        };
        in_order(table).into_iter().filter_map(read).collect()
    }

    /// Reads the tables of `[[section]]`, each alone. An entry's name is its key `name`, or its number.
    pub(super) fn items<T: DeserializeOwned>(&self, section: &str, problems: &mut Problems) -> Vec<Entry<T>> {
        let (table, _) = DeTable::parse_recoverable(&self.text);
        let Some((key, value)) = table.get_ref().get_key_value(section) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            let place = self.place(&key.span(), section);
            problems.fault("BFF-CONF-002", place, None, "This is no list.", format!("Write [[{section}]]."));
            return Vec::new();
        };
        let read = |(index, value): (usize, &Spanned<DeValue<'_>>)| {
            let name = value.get_ref().get("name").and_then(|name| name.get_ref().as_str());
            let name = name.map_or_else(|| (index + 1).to_string(), str::to_owned);
            let path = format!("{section}.{name}");
            let place = self.place(&value.span(), &path);
            let value = self.decode(value, &path, "BFF-CONF-001", problems)?;
            Some(Entry { name, place, value })
        };
        items.iter().enumerate().filter_map(read).collect()
    }

    /// A key that is at fault is listed and left out, then the rest is tried again: so that each of them is found.
    fn decode<T: DeserializeOwned>(
        &self,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        unknown: &'static str,
        problems: &mut Problems,
    ) -> Option<T> {
        let mut rest = value.clone();
        let mut left_out: Vec<String> = Vec::new();
        loop {
            let error = match T::deserialize(ValueDeserializer::from(rest.clone())) {
                Ok(value) => return left_out.is_empty().then_some(value),
                Err(error) => error,
            };
            let missing = error.message().strip_prefix("missing field `").and_then(|m| m.split('`').next());
            if missing.is_some_and(|name| left_out.iter().any(|known| known == name)) {
                return None;
            }
            let span = error.span().unwrap_or(value.span());
            let culprit = culprit(&rest, &span);
            let name = culprit.as_deref().map_or_else(|| path.to_owned(), |key| format!("{path}.{key}"));
            self.report(error.message(), self.place(&span, &name), unknown, problems);
            let table = match rest.get_mut() {
                DeValue::Table(table) => table,
                _ => return None,
            };
            let key = culprit?;
            table.remove(key.as_str())?;
            left_out.push(key);
        }
    }

    fn report(&self, message: &str, place: String, unknown: &'static str, problems: &mut Problems) {
        let why = format!("{}.", sentence(message));
        if message.starts_with("unknown field") {
            let mut words = message.split('`').skip(1).step_by(2);
            let word = words.next().unwrap_or_default();
            problems.fault(unknown, place, None, why, fix_unknown(closest(word, words)));
        } else {
            problems.fault("BFF-CONF-002", place, None, why, "Change the value, or remove the key.");
        }
    }
}

fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>)> {
    let mut all: Vec<_> = table.iter().collect();
    all.sort_by_key(|(key, _)| key.span().start);
    all
}

fn culprit(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    let holds = |outer: Range<usize>| outer.start <= span.start && span.start < outer.end;
    let table = value.get_ref().as_table()?;
    let (key, _) = table.iter().find(|(key, value)| holds(key.span()) || holds(value.span()))?;
    Some(key.get_ref().to_string())
}

fn raw(value: &DeValue<'_>) -> Option<Raw> {
    match value {
        DeValue::Array(items) => {
            items.iter().map(|item| scalar(item.get_ref())).collect::<Option<_>>().map(Raw::List)
        }
        other => scalar(other).map(Raw::Text),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn unknown_key(name: &str, place: String, problems: &mut Problems) {
    let last = name.rsplit('.').next().unwrap_or_default();
    if ["domain", "cookie_domain"].contains(&last) {
        let why = "Session cookies never have a Domain: every sub-domain could then read and replace them.";
        let fix = "Remove the key; each host mounts /auth itself and is listed in public_url.";
        problems.fault("BFF-COOKIE-003", place, None, why, fix);
        return;
    }
    let variable = base::vars::variable(name);
    if known::VARIABLES.contains(&variable.as_str()) {
        let fix = format!("Set {variable} in the environment or in .env.");
        problems.fault("BFF-CONF-001", place, None, "Secrets do not belong into this file.", fix);
        return;
    }
    let guess = closest(name, known::KEYS.iter().chain(known::SECTIONS).copied());
    problems.fault("BFF-CONF-001", place, None, "There is no setting of this name.", fix_unknown(guess));
}

fn fix_unknown(guess: Option<&str>) -> String {
    guess.map_or_else(|| "Remove it.".to_owned(), |name| format!("Did you mean {name}?"))
}

/// The first line of a message, with a capital.
fn sentence(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim_end_matches('.');
    let mut chars = line.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
