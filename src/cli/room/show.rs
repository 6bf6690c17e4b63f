//! A room on a few lines, as `seawall status` and `seawall room` show it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::status::{list, number, text};
use crate::simulation::verdict::count;
use crate::telemetry::access_log::time;

/// What it holds, what limits it, what became of those who came, and what is ordered.
pub(in crate::cli) fn room(room: &Value) -> String {
    let mut out = format!(
        "\nroom {}   {}   inside {} of {}   waiting {}   limited by {}\n",
        text(room, "name"),
        text(room, "phase"),
        count(number(room, "inside")),
        count(number(room, "capacity")),
        count(number(room, "waiting")),
        text(room, "limited_by"),
    );
    if text(room, "dry_run") == "true" {
        out.push_str("  dry run: it counts, and holds nobody\n");
    }
    let _ = writeln!(out, "  {}", pace(room));
    let _ = writeln!(out, "  {}", outcomes(room));
    if text(room, "held_by_level") == "true" {
        out.push_str("  a level holds everyone\n");
    }
    for order in list(room, "orders") {
        let _ = writeln!(out, "  {}", order_line(order));
    }
    out
}

/// `admit 120/min, 118/min now   waited 40 s (half), 3 min (nine of ten)   estimates off by 8 %`.
fn pace(room: &Value) -> String {
    let mut out = format!("admit {}", text(room, "admit"));
    if let Some(rate) = room.get("admitted_per_second").and_then(Value::as_f64).filter(|rate| *rate > 0.0) {
        let _ = write!(out, ", {:.1}/min now", rate * 60.0);
    }
    let at = |name| room.get("wait_seconds").and_then(|w| w.get(name)).and_then(Value::as_u64);
    if let (Some(half), Some(most)) = (at("p50"), at("p90")) {
        let _ = write!(out, "   waited {} (p50), {} (p90)", wait(half), wait(most));
    }
    let error = room.get("estimate_error").and_then(|e| e.get("p50")).and_then(Value::as_f64);
    if let Some(error) = error {
        let _ = write!(out, "   estimates off by {:.0} % (p50)", error * 100.0);
    }
    if let Some(left) = room.get("stock").and_then(Value::as_u64) {
        let _ = write!(out, "   {} left", count(left));
    }
    out
}

fn outcomes(room: &Value) -> String {
    let total = |name| count(number(room, name));
    let (given, missed) = (number(room, "admitted_total"), number(room, "no_shows_total"));
    let share = match given + missed {
        0 => String::new(),
        all => format!(" ({:.1} %)", missed as f64 / all as f64 * 100.0),
    };
    format!(
        "came in {}   no-shows {}{share}   left the line {}   came back {}   told full {}",
        total("admitted_total"),
        total("no_shows_total"),
        total("abandoned_total"),
        total("returns_total"),
        total("full_total"),
    )
}

/// `capacity 700 by ops until 2026-…: a second server is in`.
fn order_line(order: &Value) -> String {
    let value = match (text(order, "what").as_str(), order.get("value")) {
        ("pause", _) => "paused".to_owned(),
        ("close", _) => "closed".to_owned(),
        ("message", Some(Value::Object(texts))) => {
            let said = |(language, text): (&String, &Value)| match language.as_str() {
                "" => text.to_string(),
                language => format!("{language} {text}"),
            };
            format!("message {}", texts.iter().map(said).collect::<Vec<_>>().join(", "))
        }
        (what, _) => format!("{what} {}", text(order, "value")),
    };
    let until = match order.get("until_unix_ms").and_then(Value::as_u64) {
        Some(ms) => format!("until {}", time(ms)),
        None => "until taken back".to_owned(),
    };
    let why = text(order, "why");
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!("{value} by {} {until}{why}", text(order, "who"))
}

/// `1,204 wait. With admit 240/min and capacity 500 the tail waits 1 h 40, now 3 h 20.`
pub(super) fn forecast(forecast: &Value) -> String {
    let tail = |side: &str| match forecast.get(side).and_then(|s| s.get("tail_wait_seconds")).and_then(Value::as_u64) {
        Some(seconds) => wait(seconds),
        None => "nobody can say how long".to_owned(),
    };
    let of = |name: &str| forecast.get("then").map(|then| text(then, name)).unwrap_or_default();
    format!(
        "{} wait. With admit {} and capacity {} the tail waits {}, now {}.\n",
        count(number(forecast, "waiting")),
        of("admit"),
        of("capacity"),
        tail("then"),
        tail("now")
    )
}

/// `6 h 40`, `12 min`, `40 s`.
pub(super) fn wait(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..5400 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {:02}", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `1 visitor`, `1,204 visitors`.
pub(super) fn visitors(number: u64) -> String {
    format!("{} visitor{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn waits_are_told_as_people_tell_them() {
        assert_eq!([0, 40, 600, 24_000, 12_000].map(wait), ["0 s", "40 s", "10 min", "6 h 40", "3 h 20"]);
        assert_eq!([0, 1, 1_204].map(visitors), ["0 visitors", "1 visitor", "1,204 visitors"]);
    }

    #[test]
    fn a_forecast_says_what_would_be_and_what_is() {
        let said = forecast(&json!({
            "waiting": 48_000,
            "now": { "admit": "240/min", "capacity": 500, "tail_wait_seconds": 12_000 },
            "then": { "admit": "120/min", "capacity": 500, "tail_wait_seconds": 24_000 },
        }));
        assert_eq!(said, "48,000 wait. With admit 120/min and capacity 500 the tail waits 6 h 40, now 3 h 20.\n");
    }

    #[test]
    fn a_room_is_shown_with_what_limits_it_and_what_is_ordered() {
        let shown = room(&json!({
            "name": "launch", "phase": "open", "inside": 480, "capacity": 500, "waiting": 1_204, "limited_by": "rate",
            "admit": "240/min", "admitted_per_second": 3.5, "admitted_total": 900, "no_shows_total": 100, "abandoned_total": 7,
            "returns_total": 3, "full_total": 0, "wait_seconds": { "p50": 40, "p90": 300 },
            "estimate_error": { "p50": 0.08 }, "stock": 12,
            "orders": [
                { "what": "capacity", "value": 500, "who": "ops", "why": "a server is out", "until_unix_ms": 0 },
                { "what": "message", "value": { "": "Back at noon" }, "who": "ops", "why": "", "until_unix_ms": null },
            ],
        }));
        for part in [
            "room launch   open   inside 480 of 500   waiting 1,204   limited by rate\n",
            "admit 240/min, 210.0/min now   waited 40 s (p50), 5 min (p90)   estimates off by 8 % (p50)   12 left\n",
            "came in 900   no-shows 100 (10.0 %)   left the line 7   came back 3   told full 0\n",
            "  capacity 500 by ops until 1970-01-01T00:00:00.000Z: a server is out\n",
            "  message \"Back at noon\" by ops until taken back\n",
        ] {
            assert!(shown.contains(part), "{part}\nis not in\n{shown}");
        }
    }
}
