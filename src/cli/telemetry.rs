//! What is logged, and how a line looks: JSON for programs, text for people, both without a way to forge a line.
//!
//! A line has `ts` (UTC), `level`, `msg`, then the fields of the spans around it, outermost first, and its own. A later
//! field of a name replaces an earlier one. Only the modules of this program are heard at the chosen level: libraries
//! would print headers and bodies at `trace`, so they are heard from `warn` on (S-86).

mod line;
mod panics;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use base::clock::{SharedClock, SystemClock};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::config::{Log, LogFormat};

pub use panics::report as report_panic;

/// The modules that are heard at the chosen level.
const OWN: [&str; 3] = ["supabase_bff", "auth_server", "base"];

/// Makes standard error the log of this process, for its panics as well.
///
/// # Errors
///
/// When the process has a log already.
pub fn install(log: &Log) -> Result<(), SetGlobalDefaultError> {
    let form = Form::chosen(log.format, std::io::stderr().is_terminal());
    let lines = Lines::new(form, log.level, Arc::new(SystemClock), std::io::stderr());
    tracing::subscriber::set_global_default(Registry::default().with(lines))?;
    panics::install();
    Ok(())
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object.
    Json,
    /// For people; in colour on a terminal.
    Text {
        /// Whether colours may be used.
        colour: bool,
    },
}

impl Form {
    fn chosen(format: LogFormat, terminal: bool) -> Self {
        match (format, terminal) {
            (LogFormat::Json, _) | (LogFormat::Auto, false) => Self::Json,
            (LogFormat::Text, colour) => Self::Text { colour },
            (LogFormat::Auto, true) => Self::Text { colour: true },
        }
    }
}

/// Writes each event as one line to `out`.
pub struct Lines<W> {
    form: Form,
    level: Level,
    clock: SharedClock,
    out: Mutex<W>,
}

impl<W> fmt::Debug for Lines<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("form", &self.form).field("level", &self.level).finish_non_exhaustive()
    }
}

impl<W: Write> Lines<W> {
    /// Events of this program up to `level`, those of libraries from `warn` on.
    pub fn new(form: Form, level: Level, clock: SharedClock, out: W) -> Self {
        Self { form, level, clock, out: Mutex::new(out) }
    }

    fn hears(&self, metadata: &Metadata<'_>) -> bool {
        let module = metadata.target().split("::").next().unwrap_or_default();
        let loudest = if OWN.contains(&module) { self.level } else { self.level.min(Level::WARN) };
        *metadata.level() <= loudest
    }
}

/// Names and values, in the order in which they came, each name once. There are a dozen at most.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, earlier)) => *earlier = value,
            None => self.0.push((name, value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + Send + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.hears(metadata)
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields(Vec::with_capacity(16));
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(Fields(of_span)) = span.extensions().get() {
                of_span.iter().for_each(|(name, value)| fields.put(name, value.clone()));
            }
        }
        event.record(&mut fields);
        let message = match fields.take("message") {
            Some(Value::String(text)) => text,
            _ => event.metadata().name().to_owned(),
        };
        let Fields(mut fields) = fields;
        fields.sort_unstable_by_key(|(name, _)| *name);
        let now = self.clock.now();
        let text = match self.form {
            Form::Json => line::json(now, *event.metadata().level(), &message, &fields),
            Form::Text { colour } => line::text(now, *event.metadata().level(), &message, &fields, colour),
        };
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(text.as_bytes()); // a log that cannot be written must not end a request
    }
}

/// Takes the fields of a span or an event, with their types.
impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field.name(), value.to_string().into());
    }
}

#[cfg(test)]
mod tests;
