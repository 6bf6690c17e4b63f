//! What a day came to, in plain words.

use std::time::Duration;

use super::day::EVERYONE;
use super::figures::{Report, Span, Waits};
use crate::policy::Level;

/// Below this share of its capacity an origin stands idle, while people wait for it.
const IDLE: f64 = 0.7;

/// What a person wants to know of a day, the most important first.
pub fn verdicts(report: &Report) -> Vec<String> {
    let total = report.total();
    let mut says = vec![visitors(&total, report.still_there)];
    says.extend(waits(report, &total));
    says.extend(lines(report));
    says.extend(refusals(&total));
    says.extend(capacity(report));
    says.push(format!(
        "The origin had at most {} requests at once, and {} waited in front of it.",
        count(total.in_flight as u64),
        count(total.queued as u64)
    ));
    says.extend(levels(report));
    if total.greedy > 0 {
        says.push(format!(
            "Of the greedy client's {} requests {} were served ({}).",
            count(total.greedy),
            count(total.greedy_served),
            percent(total.greedy_served as f64 / total.greedy as f64)
        ));
    }
    says
}

fn visitors(total: &Span, still_there: u64) -> String {
    let share = percent(total.through as f64 / total.arrived.max(1) as f64);
    let mut says =
        format!("{} of {} visitors got all they came for ({share})", count(total.through), count(total.arrived));
    let lost = [
        (total.left_queue, "left the queue before their turn"),
        (total.left_refused, "gave up after refusals"),
        (total.left_shut, "found it closed"),
        (still_there, "were still there at the end"),
    ];
    for (index, (how_many, what)) in lost.iter().filter(|(how_many, _)| *how_many > 0).enumerate() {
        says.push_str(if index == 0 { "; " } else { ", " });
        says.push_str(&format!("{} {what}", count(*how_many)));
    }
    says + "."
}

fn waits(report: &Report, total: &Span) -> Option<String> {
    let most = report.spans.iter().map(|span| span.waiting).max().filter(|most| *most > 0)?;
    let Some(tail) = total.waited.map(duration) else {
        return Some(format!("{} visitors waited at once, and nobody came in from the queue.", count(most)));
    };
    Some(format!(
        "The tail waits {tail}: the longest that anyone waited who came in. At most {} waited at once.",
        count(most)
    ))
}

/// How long each line waited.
fn lines(report: &Report) -> Vec<String> {
    let line = |waits: &Waits| {
        let at = |share| waits.quantile(share).map(duration);
        let (count, name) = (count(waits.count()), &waits.line);
        let who = if name == EVERYONE { String::new() } else { format!(" by lane {name}") };
        Some(format!("{count} came in{who}: half of them waited at most {}, nine of ten {}.", at(0.5)?, at(0.9)?))
    };
    let waited = |waits: &&Waits| waits.quantile(1.0).is_some_and(|most| most >= Duration::from_secs(1));
    report.waits.iter().filter(waited).filter_map(line).collect()
}

fn refusals(total: &Span) -> Option<String> {
    let mut all: Vec<_> = total.refusals().collect();
    all.sort_by_key(|(_, how_many)| std::cmp::Reverse(*how_many));
    let words: Vec<_> =
        all.iter().map(|(reason, how_many)| format!("{} {}", count(*how_many), reason.label())).collect();
    (!words.is_empty()).then(|| format!("Refused: {}.", words.join(", ")))
}

fn capacity(report: &Report) -> Vec<String> {
    let mut says = Vec::new();
    if let Some(used) = report.used(Span::turned_away) {
        let used = percent(used);
        says.push(format!(
            "While requests were turned away for want of a place, the origin did {used} of what it can."
        ));
    }
    if let Some(used) = report.used(|span| span.waiting > 0) {
        let mut line = format!("While people waited in a room, the origin did {} of what it can", percent(used));
        if used < IDLE {
            line.push_str(": a larger capacity or admit of the room would shorten the queue");
        }
        says.push(line + ".");
    }
    says
}

fn levels(report: &Report) -> Vec<String> {
    let at = |level: Level| report.spans.iter().filter(|span| span.level == level).map(|span| span.lasts).sum();
    let worse = Level::ALL.into_iter().skip(1).map(|level| (level, at(level)));
    let worse = worse.filter(|(_, lasts): &(Level, Duration)| !lasts.is_zero());
    worse.map(|(level, lasts)| format!("The level was {} for {}.", level.name(), duration(lasts))).collect()
}

/// With a comma for thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + 4);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As people say it: to a tenth below ten, in the unit that fits.
pub fn duration(d: Duration) -> String {
    let seconds = d.as_secs_f64();
    let (value, unit) = match seconds {
        _ if seconds < 1.0 => return format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 120.0 => (seconds, "s"),
        _ if seconds < 7200.0 => (seconds / 60.0, "min"),
        _ => (seconds / 3600.0, "h"),
    };
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::reason::Reason;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([7, 1_234, 10_000_000].map(count), ["7", "1,234", "10,000,000"]);
        let s = Duration::from_secs;
        assert_eq!([s(5), s(90), s(2_520), s(10_800)].map(duration), ["5.0 s", "90 s", "42 min", "3.0 h"]);
    }

    #[test]
    fn a_tail_that_waits_and_an_idle_origin_are_named() {
        let mut span = Span { arrived: 10, through: 8, left_queue: 2, waiting: 5, ..Span::default() };
        (span.answered, span.capacity, span.waited) = (10, 100.0, Some(Duration::from_secs(2_520)));
        span.count(Reason::QueueFull);
        let said =
            verdicts(&Report { span: Duration::from_secs(1), spans: vec![span], waits: Vec::new(), still_there: 0 })
                .join("\n");
        assert!(said.contains("8 of 10 visitors got all they came for (80.0 %); 2 left the queue"), "{said}");
        assert!(said.contains("The tail waits 42 min"), "{said}");
        assert!(said.contains("did 10.0 % of what it can: a larger capacity"), "{said}");
        assert!(said.contains("Refused: 1 queue_full"), "{said}");
    }
}
