//! What is logged, and how a line looks: JSON for programs, text for people, both without a way to forge a line.
//!
//! A line has `ts` (UTC), `level`, `msg`, then the fields of the spans around it, outermost first, and its own. Only the
//! modules of this program are heard at the chosen level: libraries would print headers and bodies at `trace`, so they
//! are heard from `warn` on (S-86).

mod fields;
mod line;
mod panics;
mod pen;

use std::cell::Cell;
use std::fmt;
use std::io::{IsTerminal, Stderr, Write};
use std::sync::Arc;

use base::clock::{SharedClock, SystemClock};
use tracing::subscriber::{Interest, SetGlobalDefaultError};
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::config::{Log, LogFormat};
use crate::web;
use fields::{Fields, Recorder};

pub use panics::report as report_panic;
pub use pen::Pen;

/// The modules that are heard at the chosen level.
const OWN: [&str; 3] = ["supabase_bff", "auth_server", "base"];

/// Makes standard error the log of this process, for its panics as well.
///
/// # Errors
///
/// When the process has a log already.
pub fn install(log: &Log) -> Result<Pen<Stderr>, SetGlobalDefaultError> {
    let form = Form::chosen(log.format, std::io::stderr().is_terminal());
    let pen = Pen::new(std::io::stderr());
    let lines = Lines::new(form, log.level, Arc::new(SystemClock), pen.clone());
    tracing::subscriber::set_global_default(Registry::default().with(lines))?;
    panics::install();
    Ok(pen)
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

/// Writes each event as one line.
pub struct Lines<W> {
    form: Form,
    level: Level,
    clock: SharedClock,
    pen: Pen<W>,
}

impl<W> fmt::Debug for Lines<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("form", &self.form).field("level", &self.level).finish_non_exhaustive()
    }
}

impl<W: Write> Lines<W> {
    /// Events of this program up to `level`, those of libraries from `warn` on.
    pub fn new(form: Form, level: Level, clock: SharedClock, pen: Pen<W>) -> Self {
        Self { form, level, clock, pen }
    }

    fn hears(&self, metadata: &Metadata<'_>) -> bool {
        let module = metadata.target().split("::").next().unwrap_or_default();
        let loudest = if OWN.contains(&module) { self.level } else { self.level.min(Level::WARN) };
        *metadata.level() <= loudest
    }
}

thread_local! {
    /// What one line needs while it is made, kept from line to line.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

#[derive(Default)]
struct Scratch {
    fields: Fields,
    line: String,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + Send + 'static,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.hears(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.hears(metadata)
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::with_room_for_a_request();
        attributes.record(&mut Recorder { form: self.form, fields: &mut fields });
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(&mut Recorder { form: self.form, fields });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Taken, not borrowed: a value that logs while it is printed finds an empty one.
        let mut scratch = SCRATCH.take();
        let Scratch { fields, line } = &mut scratch;
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.copy(of_span);
            }
        }
        event.record(&mut Recorder { form: self.form, fields });
        line::write(line, self.form, self.clock.now(), event.metadata(), fields);
        if event.metadata().target() == web::REQUEST_LINE {
            self.pen.write_soon(line.as_bytes());
        } else {
            self.pen.write(line.as_bytes());
        }
        scratch.clear();
        SCRATCH.set(scratch);
    }
}

impl Scratch {
    fn clear(&mut self) {
        self.fields.clear();
        self.line.clear();
        self.line.shrink_to(4 << 10); // one long line is not remembered for ever
    }
}

#[cfg(test)]
mod tests;
