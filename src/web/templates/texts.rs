//! The sentences of the pages, one language a file, in Fluent syntax.
//!
//! Of Fluent this reads what these sentences need: a message a line, `{ $place }` in it, and a message that is only
//! another one (`reason-hook = { reason-admin }`).

use std::collections::HashMap;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// All sentences of one language, by key.
#[derive(Debug)]
pub(super) struct Texts(HashMap<String, String>);

impl Texts {
    /// Reads a file of texts. Lines without ` = ` are comments or blank.
    pub(super) fn read(file: &str) -> Self {
        let lines = file.lines().filter(|line| !line.starts_with('#'));
        let own: HashMap<_, _> = lines.filter_map(|line| line.split_once(" = ")).collect();
        let follow = |text: &str| {
            let other = text.strip_prefix("{ ").and_then(|text| text.strip_suffix(" }"));
            other.and_then(|key| own.get(key)).copied().unwrap_or(text).to_owned()
        };
        Self(own.iter().map(|(key, text)| ((*key).to_owned(), follow(text))).collect())
    }

    /// Every key with its sentence.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, text)| (key.as_str(), text.as_str()))
    }

    /// The sentence of `key` as it stands in the file.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The function `t` of the templates.
    ///
    /// `message` is a key, a list of keys of which the first known one is taken, or a problem or notice of a view:
    /// its field `text` is the key, its other fields are values. More values come by name; `wait` in seconds.
    pub(super) fn say(&self, message: &Value, values: &Kwargs) -> Result<String, Error> {
        let key = self.key(message)?;
        let text = self.0.get(&key).ok_or_else(|| fault("no such text"))?;
        let mut said = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("{ $") {
            let (place, after) =
                after.split_once(" }").ok_or_else(|| fault("a place in a text has no end"))?;
            said.push_str(before);
            said.push_str(&self.value(place, message, values)?);
            rest = after;
        }
        said.push_str(rest);
        Ok(said)
    }

    fn key(&self, message: &Value) -> Result<String, Error> {
        let key = match message.kind() {
            ValueKind::String => Some(message.clone()),
            ValueKind::Seq => {
                message.try_iter()?.find(|key| key.as_str().is_some_and(|key| self.0.contains_key(key)))
            }
            _ => Some(message.get_attr("text")?),
        };
        let key = key.as_ref().and_then(Value::as_str).map(str::to_owned);
        key.ok_or_else(|| fault("a text is asked for by its key"))
    }

    fn value(&self, place: &str, message: &Value, values: &Kwargs) -> Result<String, Error> {
        let value = match values.peek::<Option<Value>>(place)? {
            None if message.kind() == ValueKind::Map => message.get_attr(place)?,
            given => given.unwrap_or_default(),
        };
        match place {
            _ if value.is_undefined() || value.is_none() => Err(fault("a place in a text stays empty")),
            "wait" => self.wait(value.as_i64().unwrap_or(0)),
            _ => Ok(value.to_string()),
        }
    }

    /// A wait in rounded words: nobody counts seconds.
    fn wait(&self, seconds: i64) -> Result<String, Error> {
        let minutes = seconds.div_euclid(60) + i64::from(seconds % 60 > 0);
        let key = match seconds {
            ..=10 => "wait-second",
            11..=90 => "wait-minute",
            _ => "wait-minutes",
        };
        self.say(&Value::from(key), &Kwargs::from_iter([("n", Value::from(minutes))]))
    }
}

fn fault(detail: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}
