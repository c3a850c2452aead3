//! One line, in either form. Control characters never stand in it as they are (S-88).

use std::cell::Cell;
use std::fmt::Write as _;

use base::decimal;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use tracing::{Level, Metadata};

use super::Form;
use super::fields::Fields;

/// Makes the line of an event that happened at `now`.
pub(super) fn write(
    line: &mut String,
    form: Form,
    now: OffsetDateTime,
    metadata: &Metadata<'_>,
    fields: &Fields,
) {
    match form {
        Form::Json => json(line, now, metadata, fields),
        Form::Text { colour } => text(line, now, metadata, fields, colour),
    }
}

/// The name of a field, with what separates it from the one before and from its value. It stands in the source and holds
/// nothing to escape.
pub(super) fn name(line: &mut String, form: Form, name: &str) {
    let (before, after) = match form {
        Form::Json => (",\"", "\":"),
        Form::Text { .. } => ("  ", "="),
    };
    line.extend([before, name, after]);
}

/// A value as it stands behind its name.
pub(super) fn value(line: &mut String, form: Form, text: &str) {
    match form {
        Form::Json => json_text(line, text),
        Form::Text { .. } if plain(text) => line.push_str(text),
        Form::Text { .. } => {
            line.push('"');
            for c in text.chars() {
                match c {
                    '"' | '\\' => line.extend(['\\', c]),
                    c => escaped(line, c),
                }
            }
            line.push('"');
        }
    }
}

fn message<'a>(metadata: &Metadata<'a>, fields: &'a Fields) -> &'a str {
    if fields.message().is_empty() { metadata.name() } else { fields.message() }
}

/// `{"ts":…,"level":…,"msg":…, fields}`.
fn json(line: &mut String, now: OffsetDateTime, metadata: &Metadata<'_>, fields: &Fields) {
    line.push_str("{\"ts\":\"");
    stamp(line, now);
    line.push_str(match *metadata.level() {
        Level::ERROR => "\",\"level\":\"error\",\"msg\":",
        Level::WARN => "\",\"level\":\"warn\",\"msg\":",
        Level::INFO => "\",\"level\":\"info\",\"msg\":",
        Level::DEBUG => "\",\"level\":\"debug\",\"msg\":",
        Level::TRACE => "\",\"level\":\"trace\",\"msg\":",
    });
    json_text(line, message(metadata, fields));
    line.push_str(fields.text());
    line.push_str("}\n");
}

/// RFC 3339 in UTC with microseconds, where there are any. The part up to the second is kept from line to line.
fn stamp(line: &mut String, now: OffsetDateTime) {
    thread_local! {
        static SECOND: Cell<(i64, String)> = const { Cell::new((i64::MIN, String::new())) };
    }
    let (mut known, mut text) = SECOND.take();
    if known != now.unix_timestamp() || text.is_empty() {
        known = now.unix_timestamp();
        let whole = now.to_offset(UtcOffset::UTC).replace_nanosecond(0).unwrap_or(now);
        text = whole.format(&Rfc3339).unwrap_or_default();
        text.truncate(text.trim_end_matches('Z').len());
    }
    line.push_str(&text);
    if now.microsecond() > 0 {
        line.push('.');
        decimal::push_padded(line, now.microsecond().into(), 6);
    }
    line.push('Z');
    SECOND.set((known, text));
}

fn json_text(line: &mut String, text: &str) {
    line.push('"');
    if text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        line.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' | '\\' => line.extend(['\\', c]),
                // JSON itself escapes C0 alone; DEL and C1, which terminals obey too, would be text to it. Every control
                // character has at most four digits.
                c if c.is_control() => {
                    let _ = write!(line, "\\u{:04x}", u32::from(c)); // a String takes everything
                }
                c => line.push(c),
            }
        }
    }
    line.push('"');
}

/// `12:00:00 INFO  message  name=value …`.
fn text(line: &mut String, now: OffsetDateTime, metadata: &Metadata<'_>, fields: &Fields, colour: bool) {
    let clock = format_description!("[hour]:[minute]:[second]");
    line.push_str(&now.to_offset(UtcOffset::UTC).format(&clock).unwrap_or_default());
    let (start, end) = match (colour, *metadata.level()) {
        (false, _) => ("", ""),
        (true, Level::ERROR) => ("\u{1b}[31m", "\u{1b}[0m"),
        (true, Level::WARN) => ("\u{1b}[33m", "\u{1b}[0m"),
        (true, Level::INFO) => ("\u{1b}[32m", "\u{1b}[0m"),
        (true, _) => ("\u{1b}[2m", "\u{1b}[0m"),
    };
    let _ = write!(line, "Z {start}{:<5}{end} ", metadata.level().as_str()); // a String takes everything
    message(metadata, fields).chars().for_each(|c| escaped(line, c));
    line.push_str(fields.text());
    line.push('\n');
}

fn plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./:*{}@".contains(c))
}

fn escaped(line: &mut String, c: char) {
    if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
}
