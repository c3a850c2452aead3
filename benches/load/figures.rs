//! What Linux knows about a process, and the middle of several figures.

use anyhow::Context;

/// Clock ticks a second in `/proc/<pid>/stat`: 100 on every Linux that programs see.
const TICKS: f64 = 100.0;

/// Seconds that process `id` has computed, in user mode and in the kernel.
pub fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("the form of stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<f64>().ok()).context("a number of ticks");
    Ok((ticks()? + ticks()?) / TICKS)
}

/// Memory of process `id` that lies in RAM, in MiB.
pub fn resident_mib(id: u32) -> anyhow::Result<f64> {
    status_mib(id, "VmRSS:")
}

/// The most of it that there was since the start, or since `5` was written to `/proc/<id>/clear_refs`.
pub fn peak_mib(id: u32) -> anyhow::Result<f64> {
    status_mib(id, "VmHWM:")
}

fn status_mib(id: u32, name: &'static str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context(name)?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// The middle of `values`.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
