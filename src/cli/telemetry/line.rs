//! One line, in either form. Control characters never stand in it as they are (S-88).

use std::fmt::Write as _;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use tracing::Level;

/// `{"ts":…,"level":…,"msg":…, fields}`.
pub(super) fn json(
    now: OffsetDateTime,
    level: Level,
    message: &str,
    fields: &[(&'static str, Value)],
) -> String {
    let ts = now.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default();
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let mut line = String::with_capacity(384);
    for (name, value) in [("{\"ts\":", ts.as_str()), (",\"level\":", level), (",\"msg\":", message)] {
        line.push_str(name);
        json_text(&mut line, value);
    }
    for (name, value) in fields {
        line.push(',');
        json_text(&mut line, name);
        line.push(':');
        match value {
            Value::String(text) => json_text(&mut line, text),
            other => json_escaped(&mut line, &other.to_string()),
        }
    }
    line.push_str("}\n");
    line
}

fn json_text(line: &mut String, text: &str) {
    if text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        line.push('"');
        line.push_str(text);
        line.push('"');
    } else {
        json_escaped(line, &Value::from(text).to_string());
    }
}

/// JSON escapes C0 controls by itself; DEL and C1, which terminals obey too, are text to it.
fn json_escaped(line: &mut String, json: &str) {
    for c in json.chars() {
        if c.is_control() {
            let _ = write!(line, "\\u{:04x}", u32::from(c)); // every control character has at most four digits
        } else {
            line.push(c);
        }
    }
}

/// `12:00:00 INFO  message  name=value …`.
pub(super) fn text(
    now: OffsetDateTime,
    level: Level,
    message: &str,
    fields: &[(&'static str, Value)],
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
