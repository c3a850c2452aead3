//! Sessions: begin, keep, refresh, end.
