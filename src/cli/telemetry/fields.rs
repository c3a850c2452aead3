//! The fields of a span or an event, each already in the form in which it will stand in the line.

use std::fmt::{self, Write as _};
use std::ops::Range;

use base::decimal;
use tracing::field::{Field, Visit};

use super::{Form, line};

/// The field that is the line's message.
const MESSAGE: &str = "message";

/// Names and values, each name once: a later value replaces an earlier one. There are a dozen at most.
#[derive(Default)]
pub(super) struct Fields {
    text: String,
    parts: Vec<(&'static str, Range<usize>)>,
    /// As it came, for both forms escape it in their own way.
    message: String,
}

impl Fields {
    pub(super) fn with_room_for_a_request() -> Self {
        Self { text: String::with_capacity(96), parts: Vec::with_capacity(4), message: String::new() }
    }

    /// Everything that `other` holds.
    pub(super) fn copy(&mut self, other: &Self) {
        for (name, value) in other.iter() {
            self.put(name, |text| text.push_str(value));
        }
    }

    fn put(&mut self, name: &'static str, value: impl FnOnce(&mut String)) {
        let from = self.text.len();
        value(&mut self.text);
        let place = from..self.text.len();
        match self.parts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, earlier)) => *earlier = place,
            None => self.parts.push((name, place)),
        }
    }

    pub(super) fn sort(&mut self) {
        self.parts.sort_unstable_by_key(|(name, _)| *name);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.parts.iter().map(|(name, place)| (*name, &self.text[place.clone()]))
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.parts.clear();
        self.message.clear();
        self.text.shrink_to(4 << 10);
    }
}

/// Takes the fields of a span or an event, with their types.
pub(super) struct Recorder<'a> {
    pub(super) form: Form,
    pub(super) fields: &'a mut Fields,
}

impl Recorder<'_> {
    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.fields.put(field.name(), |text| {
            let _ = write!(text, "{value}"); // a String takes everything
        });
    }
}

impl Visit for Recorder<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE {
            self.fields.message.clear();
            let _ = write!(self.fields.message, "{value:?}"); // as above
        } else {
            self.record_str(field, &format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            value.clone_into(&mut self.fields.message);
        } else {
            let form = self.form;
            self.fields.put(field.name(), |text| line::value(text, form, value));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.put(field.name(), |text| decimal::push(text, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.put(field.name(), |text| decimal::push_padded(text, value, 1));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare(field, value);
        } else {
            self.record_str(field, &value.to_string()); // JSON has no such number
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &value.to_string());
    }
}
