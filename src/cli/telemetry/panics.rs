//! A panic in the log: where it was, never what it said, for its message may hold what it stumbled over (S-86, S-89).

use std::panic::{PanicHookInfo, set_hook};

/// Every panic of this process becomes a line of the log, within the span of its request.
pub(super) fn install() {
    set_hook(Box::new(report));
}

/// Logs the place of one panic.
pub fn report(panic: &PanicHookInfo<'_>) {
    let (file, line) = panic.location().map_or(("unknown", 0), |place| (place.file(), place.line()));
    tracing::error!(code.file = file, code.line = line, "a panic: this is a fault of the program");
}
