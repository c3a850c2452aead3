//! The fields of a span or an event, each already in the form in which it will stand in the line.

use std::fmt::{self, Write as _};

use base::decimal;
use tracing::field::{Field, Visit};

use super::{Form, line};

/// The field that is the line's message.
const MESSAGE: &str = "message";

/// Fields as they will stand behind the message, in the order in which they came.
#[derive(Default)]
pub(super) struct Fields {
    text: String,
    /// As it came: it stands in front of the others.
    message: String,
}

impl Fields {
    pub(super) fn with_room_for_a_request() -> Self {
        Self { text: String::with_capacity(96), message: String::new() }
    }

    /// Everything that the span around has.
    pub(super) fn copy(&mut self, span: &Self) {
        self.text.push_str(&span.text);
    }

    /// The fields, each with what separates it from the one before.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.message.clear();
        self.text.shrink_to(4 << 10); // one long line is not remembered for ever
    }
}

/// Takes the fields of a span or an event, with their types.
pub(super) struct Recorder<'a> {
    pub(super) form: Form,
    pub(super) fields: &'a mut Fields,
}

impl Recorder<'_> {
    /// The text, up to the place of the value.
    fn at(&mut self, field: &Field) -> &mut String {
        line::name(&mut self.fields.text, self.form, field.name());
        &mut self.fields.text
    }

    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        let _ = write!(self.at(field), "{value}"); // a String takes everything
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
            line::value(self.at(field), form, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        decimal::push(self.at(field), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        decimal::push_padded(self.at(field), value, 1);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let thousandths = value * 1e3;
        if (0.0..1e12).contains(&thousandths) && thousandths.fract() == 0.0 {
            // Times are in milliseconds with up to three places: no need for the general way.
            let (whole, rest) = (thousandths as u64 / 1000, thousandths as u64 % 1000);
            let text = self.at(field);
            decimal::push_padded(text, whole, 1);
            if rest > 0 {
                text.push('.');
                decimal::push_padded(text, rest, 3);
                text.truncate(text.trim_end_matches('0').len());
            }
        } else if value.is_finite() {
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
