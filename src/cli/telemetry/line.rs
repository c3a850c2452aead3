//! One line, in either form. Control characters never stand in it as they are (S-88).

use std::fmt::Write as _;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use tracing::Level;

/// `{"ts":…,"level":…,"msg":…, fields}`.
pub(super) fn json(now: OffsetDateTime, level: Level, message: String, fields: Map<String, Value>) -> String {
    let ts = now.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default();
    let mut line = String::with_capacity(256);
    line.push('{');
    let own = [("ts", ts), ("level", level.as_str().to_ascii_lowercase()), ("msg", message)];
    for (name, value) in own {
        member(&mut line, name, &Value::String(value));
    }
    for (name, value) in fields {
        member(&mut line, &name, &value);
    }
    line.push_str("}\n");
    line
}

fn member(line: &mut String, name: &str, value: &Value) {
    if line.len() > 1 {
        line.push(',');
    }
    // JSON escapes C0 controls by itself; DEL and C1, which terminals obey too, are text to it.
    let pair = format!("{}:{value}", Value::from(name));
    for c in pair.chars() {
        if c.is_control() { write_json_escape(line, c) } else { line.push(c) }
    }
}

fn write_json_escape(line: &mut String, c: char) {
    let _ = write!(line, "\\u{:04x}", u32::from(c)); // every control character has at most four digits
}

/// `12:00:00 INFO  message  name=value …`.
pub(super) fn text(
    now: OffsetDateTime,
    level: Level,
    message: &str,
    fields: &Map<String, Value>,
    colour: bool,
) -> String {
    let clock = format_description!("[hour]:[minute]:[second]");
    let mut line = now.to_offset(time::UtcOffset::UTC).format(&clock).unwrap_or_default();
    let (start, end) = match (colour, level) {
        (false, _) => ("", ""),
        (true, Level::ERROR) => ("\u{1b}[31m", "\u{1b}[0m"),
        (true, Level::WARN) => ("\u{1b}[33m", "\u{1b}[0m"),
        (true, Level::INFO) => ("\u{1b}[32m", "\u{1b}[0m"),
        (true, _) => ("\u{1b}[2m", "\u{1b}[0m"),
    };
    let _ = write!(line, "Z {start}{:<5}{end} ", level.as_str()); // a String takes everything
    escaped(&mut line, message);
    for (name, value) in fields {
        line.push_str("  ");
        escaped(&mut line, name);
        line.push('=');
        match value {
            Value::String(text) if plain(text) => line.push_str(text),
            Value::String(text) => {
                line.push('"');
                escaped(&mut line, &text.replace('\\', "\\\\").replace('"', "\\\""));
                line.push('"');
            }
            other => escaped(&mut line, &other.to_string()),
        }
    }
    line.push('\n');
    line
}

fn plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./:*{}@".contains(c))
}

fn escaped(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
}
