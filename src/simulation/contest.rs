//! Limiters side by side, on every scenario of the rig.

use std::fmt::Write as _;
use std::time::Duration;

use super::baselines::{Envoy, Gradient2, Vegas};
use super::rig::{self, Kind, Report, Scenario};
use crate::concurrency::{Adaptive, Fixed, Limiter};

/// A limiter by its name, and how to make one for a scenario.
pub struct Contestant {
    pub name: &'static str,
    pub make: fn(&Scenario, u64) -> Box<dyn Limiter>,
}

/// Who takes part. The first is told what the others must find: the origin's workers.
pub const CONTESTANTS: &[Contestant] = &[
    Contestant { name: "told", make: |scenario, _| Box::new(Fixed(scenario.origin.workers)) },
    Contestant { name: "adaptive", make: |_, _| Box::new(Adaptive::new(20, 2, 1000)) },
    Contestant { name: "vegas", make: |_, seed| Box::new(Vegas::new(seed)) },
    Contestant { name: "gradient2", make: |_, _| Box::new(Gradient2::default()) },
    Contestant { name: "envoy", make: |_, _| Box::new(Envoy::default()) },
];

/// What a limiter made of what a scenario asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Whether it is what was asked for.
    pub good: bool,
    pub says: String,
}

/// Judges a report by what its scenario asks.
pub fn judge(scenario: &Scenario, report: &Report) -> Mark {
    match &scenario.asks {
        Kind::Keeps { share } => {
            let kept = report.share(Duration::ZERO..scenario.lasts);
            Mark { good: kept >= *share, says: percent(kept) }
        }
        Kind::Follows { share, within, after } => {
            let mut mark = Mark { good: true, says: String::new() };
            for (index, from) in after.iter().enumerate() {
                let until = after.get(index + 1).copied().unwrap_or(scenario.lasts);
                // Long enough that the arrivals' own chance is small.
                let reached = report.reached(*share, *from, Duration::from_secs(2)).filter(|t| *from + *t < until);
                mark.good &= reached.is_some_and(|reached| reached <= *within);
                let _ = match reached {
                    Some(reached) => write!(mark.says, "{:.1} s ", reached.as_secs_f64()),
                    None => write!(mark.says, "never "),
                };
            }
            mark.says.truncate(mark.says.trim_end().len());
            mark
        }
        Kind::Loses { at_most } => {
            let lost = report.lost(scenario.lasts / 2..scenario.lasts);
            Mark { good: lost <= *at_most, says: format!("-{:.3} %", lost * 100.0) }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A table: a line a scenario, a column a contestant; what misses the mark carries a star.
pub fn table(seed: u64) -> String {
    let mut table = format!("{:<38}{:>14}", "", "asked");
    for contestant in CONTESTANTS {
        let _ = write!(table, "{:>16}", contestant.name);
    }
    for scenario in rig::all() {
        let asked = match &scenario.asks {
            Kind::Keeps { share } => percent(*share),
            Kind::Follows { within, .. } => format!("{:.1} s", within.as_secs_f64()),
            Kind::Loses { at_most } => format!("-{:.3} %", at_most * 100.0),
        };
        let _ = write!(table, "\n{:<38}{asked:>14}", scenario.name);
        for contestant in CONTESTANTS {
            let report = rig::run(&scenario, (contestant.make)(&scenario, seed), seed);
            let mark = judge(&scenario, &report);
            let _ = write!(table, "{:>16}", format!("{}{}", mark.says, if mark.good { "" } else { " *" }));
        }
    }
    table.push('\n');
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_the_workers_does_what_is_asked_of_overload() {
        for scenario in rig::all().iter().filter(|s| s.name.contains("fixed") || s.name.contains("collapsing")) {
            let report = rig::run(scenario, Box::new(Fixed(scenario.origin.workers)), 1);
            let mark = judge(scenario, &report);
            assert!(mark.good, "{}: {}", scenario.name, mark.says);
        }
    }

    #[test]
    fn the_adaptive_limit_does_what_is_asked_where_the_others_do_not() {
        // A mix of routes and a slow payment are admission's to part; here nothing does.
        for scenario in rig::all().into_iter().filter(|s| !s.name.contains("kinds") && !s.name.contains("payment")) {
            let name = scenario.name;
            for seed in 1..4 {
                let report = rig::run(&scenario, Box::new(Adaptive::new(20, 2, 1000)), seed);
                let mark = judge(&scenario, &report);
                assert!(mark.good, "{name}, seed {seed}: {}", mark.says);
            }
        }
    }

    #[test]
    fn where_more_gain_nothing_the_limit_rests_near_the_workers_so_that_nobody_queues_inside_the_origin() {
        for (sigma, most) in [(0.0, 6), (0.15, 6), (0.5, 8)] {
            let Some(mut scenario) = rig::named("10x, fixed") else { panic!("no scenario") };
            scenario.origin = scenario.origin.lognormal(sigma);
            for seed in 1..6 {
                let report = rig::run(&scenario, Box::new(Adaptive::new(20, 2, 1000)), seed);
                let mut limits: Vec<_> = report.ticks.iter().skip(50).map(|tick| tick.limit).collect();
                limits.sort_unstable();
                let median = limits[limits.len() / 2];
                assert!(median <= most, "sigma {sigma}, seed {seed}: {median}");
            }
        }
    }

    #[test]
    fn one_more_than_the_workers_is_let_go_where_it_fills_a_gap_and_not_where_the_origin_collapses() {
        for (name, rests) in [("first 10 s of 5x, turnaround", 5), ("first 10 s of 5x, turnaround, collapsing", 4)] {
            let Some(mut scenario) = rig::named(name) else { panic!("no scenario") };
            scenario.lasts = Duration::from_secs(30);
            for seed in 1..6 {
                let report = rig::run(&scenario, Box::new(Adaptive::new(20, 2, 1000)), seed);
                let mut limits: Vec<_> = report.ticks.iter().skip(50).map(|tick| tick.limit).collect();
                limits.sort_unstable();
                assert_eq!(limits[limits.len() / 2], rests, "{name}, seed {seed}");
            }
        }
    }

    #[test]
    fn every_contestant_is_in_the_table() {
        let table = table(1);
        println!("{table}");
        assert_eq!(table.lines().count(), rig::all().len() + 1);
        assert!(CONTESTANTS.iter().all(|c| table.contains(c.name)));
    }
}
