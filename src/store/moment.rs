//! Moments as stores keep them: whole numbers since 1970.

use time::OffsetDateTime;

/// Whole milliseconds; what none can hold is the end of time.
pub(super) fn millis(moment: OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

/// Whole seconds.
pub(super) fn seconds(moment: OffsetDateTime) -> i64 {
    moment.unix_timestamp()
}

/// The moment of whole seconds; what is no date is the beginning of time, so that it counts as long ago.
pub(super) fn of_seconds(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
