//! From measurements to what is printed: medians over the rounds, the table, the goals and how far each is reached.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::load::Measured;
use crate::target::Target;
use crate::workload::Row;

/// One figure over several rounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figure {
    /// The middle value.
    pub median: f64,
    /// Half the distance from the lowest to the highest, as a share of the median.
    pub spread: f64,
}

impl Figure {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2).copied().unwrap_or(0.0);
        let range = values.last().unwrap_or(&0.0) - values.first().unwrap_or(&0.0);
        Self { median, spread: if median > 0.0 { range / 2.0 / median } else { 0.0 } }
    }
}

/// What a target did in a row at a number of connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// The server's processor time per operation, in microseconds.
    pub cpu: Figure,
    /// Operations per second.
    pub throughput: Figure,
    /// The median latency in microseconds.
    pub p50: Figure,
    /// The 99th percentile of latency in microseconds.
    pub p99: Figure,
}

impl Summary {
    /// The summary of a row's rounds.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn of(rounds: &[Measured]) -> Self {
        let figure = |value: &dyn Fn(&Measured) -> f64| Figure::of(rounds.iter().map(value).collect());
        let latency = |quantile: f64| move |round: &Measured| round.latency.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            cpu: figure(&|round| round.cpu.as_secs_f64() * 1e6 / (round.operations.max(1) as f64)),
            throughput: figure(&|round| round.operations as f64 / round.elapsed.as_secs_f64()),
            p50: figure(&latency(0.5)),
            p99: figure(&latency(0.99)),
        }
    }
}

/// All that a run found out.
#[derive(Default)]
pub struct Findings {
    /// By row, connections and target.
    pub summaries: BTreeMap<(&'static str, usize, Target), Summary>,
    /// The processor time of one engine read, in microseconds.
    pub engine_get: f64,
    /// Synced writes per second done by hand, one after another.
    pub synced_writes: f64,
    /// The open loop at half of the highest rate: the rate, and what came of it.
    pub half_rate: Option<(f64, Summary)>,
}

impl Findings {
    fn get(&self, row: &'static str, connections: usize, target: Target) -> Option<&Summary> {
        self.summaries.get(&(row, connections, target))
    }

    fn cpu(&self, row: &'static str, target: Target) -> Option<f64> {
        self.get(row, 16, target).map(|summary| summary.cpu.median).filter(|cpu| *cpu > 0.0)
    }

    fn rate(&self, row: &'static str, connections: usize, target: Target) -> Option<f64> {
        self.get(row, connections, target).map(|summary| summary.throughput.median).filter(|rate| *rate > 0.0)
    }

    /// The table of all measurements.
    pub fn table(&self, rows: &[Row]) -> String {
        let mut out = String::from(
            "| row | connections | server | CPU µs/op | × bare | ops/s | p50 µs | p99 µs |\n|---|--:|---|--:|--:|--:|--:|--:|\n",
        );
        for row in rows {
            for ((_, connections, target), summary) in self.summaries.iter().filter(|((id, ..), _)| *id == row.id) {
                let bare = self.get(row.id, *connections, Target::Bare).map(|bare| bare.cpu.median);
                let times = bare.map_or_else(String::new, |bare| format!("{:.2}", summary.cpu.median / bare));
                line(
                    &mut out,
                    format_args!(
                        "| {} | {connections} | {} | {:.1} ±{:.0} % | {times} | {:.0} ±{:.0} % | {:.0} | {:.0} |",
                        row.title,
                        target.title(),
                        summary.cpu.median,
                        summary.cpu.spread * 100.0,
                        summary.throughput.median,
                        summary.throughput.spread * 100.0,
                        summary.p50.median,
                        summary.p99.median,
                    ),
                );
            }
        }
        out
    }

    /// The goals, and what this run reached of each. Goals whose servers were not there are left out.
    pub fn goals(&self) -> String {
        use Target::{Bare, Dynalite, DynamoDbLocal, DynoxideDisk, DynoxideMemory, PartitaMemory, PartitaSync};
        let mut out = String::from("| what | goal | reached | |\n|---|--:|--:|---|\n");
        let mut most = |what: &str, goal: f64, reached: Option<f64>| {
            add(&mut out, what, ("at most", goal), reached, |reached| reached <= goal);
        };
        let bare_and_get = self.cpu("get", Bare).map(|bare| bare + self.engine_get);
        most(
            "GetItem, CPU ÷ (bare server + one engine get)",
            1.25,
            ratio(self.cpu("get", PartitaMemory), bare_and_get),
        );
        let put = self.cpu("put", PartitaMemory);
        most("PutItem in memory, CPU ÷ bare server", 2.5, ratio(put, self.cpu("put", Bare)));
        if let Some((rate, summary)) = &self.half_rate {
            let what = format!("GetItem at half of the highest rate ({rate:.0}/s, open loop), p99 in ms");
            most(&what, 1.0, Some(summary.p99.median / 1e3));
        }
        let mut least = |what: &str, goal: f64, reached: Option<f64>| {
            add(&mut out, what, ("at least", goal), reached, |reached| reached >= goal);
        };
        let rate = |row, target| self.rate(row, 128, target);
        least("GetItem throughput at 128 ÷ bare server", 0.75, ratio(rate("get", PartitaMemory), rate("get", Bare)));
        for (row, title, goals) in [
            ("get", "GetItem", [2.2, 5.0, 4.0]),
            ("put", "PutItem in memory", [3.0, 9.0, 4.0]),
            ("count", "UpdateItem counter", [3.5, 12.0, 3.5]),
            ("query10", "Query of 10", [5.0, 8.0, 15.0]),
        ] {
            for (peer, goal) in [DynoxideMemory, DynamoDbLocal, Dynalite].into_iter().zip(goals) {
                let reached = ratio(self.cpu(row, peer), self.cpu(row, PartitaMemory));
                least(&format!("{title}, CPU of {} ÷ Partita", peer.title()), goal, reached);
            }
        }
        let synced = rate("put", PartitaSync);
        least("PutItem sync at 128 ÷ dynoxide on disk, throughput", 6.0, ratio(synced, rate("put", DynoxideDisk)));
        least("PutItem sync at 128 ÷ one fsync per write by hand", 5.0, ratio(synced, Some(self.synced_writes)));
        least("hot-key counter sync at 128 ÷ PutItem sync", 1.0, ratio(rate("hot", PartitaSync), synced));
        let plain = rate("put", PartitaMemory);
        least(
            "3 GSIs and a stream ÷ the plain table, writes at 128",
            0.35,
            ratio(rate("indexed", PartitaMemory), plain),
        );
        out
    }
}

fn ratio(above: Option<f64>, below: Option<f64>) -> Option<f64> {
    Some(above? / below.filter(|below| *below > 0.0)?)
}

fn add(out: &mut String, what: &str, (bound, goal): (&str, f64), reached: Option<f64>, holds: impl Fn(f64) -> bool) {
    let Some(reached) = reached else { return };
    let verdict = if holds(reached) { "reached" } else { "**not reached**" };
    line(out, format_args!("| {what} | {bound} {goal} | {reached:.2} | {verdict} |"));
}

fn line(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(arguments);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_medians_with_their_spread() {
        let figure = Figure::of(vec![12.0, 10.0, 8.0]);
        assert!((figure.median - 10.0).abs() < 1e-9 && (figure.spread - 0.2).abs() < 1e-9);
        assert!(Figure::of(Vec::new()).median.abs() < 1e-9);
    }

    #[test]
    fn goals_without_their_server_are_left_out() {
        let mut findings = Findings { engine_get: 2.0, ..Findings::default() };
        let cpu = |median| Summary { cpu: Figure { median, spread: 0.0 }, ..Summary::default() };
        findings.summaries.insert(("get", 16, Target::Bare), cpu(10.0));
        findings.summaries.insert(("get", 16, Target::PartitaMemory), cpu(14.0));
        let goals = findings.goals();
        assert!(goals.contains("| GetItem, CPU ÷ (bare server + one engine get) | at most 1.25 | 1.17 | reached |"));
        assert_eq!(goals.lines().count(), 3);
    }
}
