//! Room for open files: a thousand connections are a few thousand of them, for both of their ends are in this process.

use std::process::Command;
use std::sync::Once;

static ONCE: Once = Once::new();

/// As many as all stories at once may need.
const ENOUGH: u64 = 16 << 10;

/// Raises this process's limit towards [`ENOUGH`], as far as the system lets it.
pub fn make_room() {
    ONCE.call_once(|| {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
        let mut numbers = line.split_whitespace().skip(3).map(|number| number.parse().unwrap_or(u64::MAX));
        let (Some(soft), Some(hard)) = (numbers.next(), numbers.next()) else { return };
        if soft < ENOUGH.min(hard) {
            let own = std::process::id().to_string();
            let wanted = format!("--nofile={}:", ENOUGH.min(hard));
            let raised = Command::new("prlimit").args(["--pid", &own, &wanted]).status();
            assert!(raised.is_ok_and(|status| status.success()), "prlimit {wanted}: see docs/development.md");
        }
    });
}
