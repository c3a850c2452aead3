//! Two servers in turns, and their ratio.
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::time::{Duration, Instant};

use super::drive::{self, Requests, Round};
use super::figures;
use super::rig::{self, Process};

/// Rounds of a bare server and of ours, in turns.
#[derive(Default)]
pub struct Pairs {
    bare: Vec<Round>,
    ours: Vec<Round>,
}

impl Pairs {
    /// Adds the rounds of these two processes.
    pub async fn measure(
        &mut self,
        bare: (&Process, u16, impl Into<Requests>),
        ours: (&Process, u16, impl Into<Requests>),
    ) -> anyhow::Result<()> {
        let (bare, ours) = ((bare.0, bare.1, bare.2.into()), (ours.0, ours.1, ours.2.into()));
        let rounds: usize = rig::option("rounds", 5)?;
        let length = Duration::from_secs_f64(rig::option("seconds", 1.0)?);
        let connections: usize = rig::option("connections", 32)?;
        for number in 0..=rounds {
            for ((process, port, requests), rounds) in [(&bare, &mut self.bare), (&ours, &mut self.ours)] {
                let before = figures::cpu_seconds(process.0.id())?;
                let begun = Instant::now();
                let answers = drive::run(*port, requests, connections, length).await?;
                let round = Round {
                    answers,
                    seconds: begun.elapsed().as_secs_f64(),
                    cpu: figures::cpu_seconds(process.0.id())? - before,
                };
                if number > 0 {
                    rounds.push(round); // the first warms up
                }
            }
        }
        Ok(())
    }

    pub fn print(&self, title: &str) {
        println!("\n{title}: {} rounds", self.ours.len());
        println!(
            "{:>7}  {:>12} {:>12} {:>8}  {:>14} {:>14}",
            "round", "bare /s", "ours /s", "ratio", "bare /cpu s", "ours /cpu s"
        );
        for (number, (bare, ours)) in self.bare.iter().zip(&self.ours).enumerate() {
            println!(
                "{:>7}  {:>12.0} {:>12.0} {:>8.3}  {:>14.0} {:>14.0}",
                number + 1,
                bare.per_second(),
                ours.per_second(),
                ours.per_second() / bare.per_second(),
                bare.per_cpu_second(),
                ours.per_cpu_second(),
            );
        }
        let middle = |rounds: &[Round], of: fn(&Round) -> f64| {
            figures::median(&rounds.iter().map(of).collect::<Vec<_>>())
        };
        let ratio = |of: fn(&Round) -> f64| middle(&self.ours, of) / middle(&self.bare, of);
        let ratios =
            self.bare.iter().zip(&self.ours).map(|(bare, ours)| ours.per_second() / bare.per_second());
        println!("  median of the rounds' ratios: {:.3}", figures::median(&ratios.collect::<Vec<_>>()));
        println!(
            "  ratio of medians: {:.3} by the clock, {:.3} by processor time; core busy {:.0} % and {:.0} %",
            ratio(Round::per_second),
            ratio(Round::per_cpu_second),
            100.0 * middle(&self.bare, Round::busy),
            100.0 * middle(&self.ours, Round::busy),
        );
    }
}
