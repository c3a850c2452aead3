//! Quotas and their arithmetic.
