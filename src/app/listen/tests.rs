//! Listeners under slow, many and large requests, and their end.
