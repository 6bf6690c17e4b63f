//! What the demo says: what will be shown, and at the end the figures side by side.

use std::fmt::Write as _;

use super::crowd::Storm;
use super::policy::Addresses;
use super::shop::Shape;
use super::{Outcome, Side};

/// What will be shown, and what it is made of.
pub(super) fn opening(shape: Shape, crowd: &Storm, overload: &Storm, seed: u64) -> String {
    let mut text = format!(
        "A record shop with {} workers that take {} ms a page: {:.0} requests/s at best. Every further request\n\
         in flight slows the others down, so it collapses under load, as real applications do. It gets:\n",
        shape.workers,
        shape.service.as_millis(),
        shape.capacity()
    );
    if let Storm::FlashCrowd { visitors_per_second, arriving, scraper_per_second, lasts } = crowd {
        let _ = write!(
            text,
            "\n  a flash crowd   {:.0} visitors within {:.0} s who look around, put a record into the cart and check out;\n\
             \x20                 they reload what fails and leave after 15 s without a page. Beside them a scraper\n\
             \x20                 searches {scraper_per_second:.0} times a second. {:.0} s.",
            visitors_per_second * arriving.as_secs_f64(),
            arriving.as_secs_f64(),
            lasts.as_secs_f64()
        );
    }
    if let Storm::Overload { requests_per_second, lasts } = overload {
        let _ = write!(
            text,
            "\n  10 × overload   {requests_per_second:.0} requests/s for one page that nothing may cache. {:.0} s.",
            lasts.as_secs_f64()
        );
    }
    let _ = write!(
        text,
        "\n\nFirst the shop alone, then the same with Seawall in front (config/demo.toml). All of it is real HTTP over\n\
         loopback on this machine. Good means: the page asked for, within 500 ms. Seed {seed}. Ctrl-C ends it.\n"
    );
    text
}

/// How to walk through the open shop.
pub(super) fn open(at: Addresses) -> String {
    format!(
        "The shop is open behind Seawall, with a crowd that keeps its waiting room busy.\n\n\
         \x20 http://{edge}             the shop; any record leads into the waiting room\n\
         \x20 http://{edge}/search?q=tide   search: try it a few dozen times quickly\n\
         \x20 http://{admin}/api/v1/status   what Seawall sees\n\
         \x20 http://{admin}/metrics   the same for Prometheus\n\
         \x20 http://{origin}             the shop itself, unprotected\n\n\
         Ctrl-C closes everything.\n",
        edge = at.edge,
        admin = at.admin,
        origin = at.origin
    )
}

/// Figures for programs.
pub(super) fn json(shape: Shape, seed: u64, bare: Side, protected: Side) -> anyhow::Result<String> {
    let figures = serde_json::json!({
        "seed": seed,
        "capacity_per_second": shape.capacity(),
        "good_within_ms": super::crowd::GOOD_WITHIN.as_millis(),
        "bare": bare,
        "seawall": protected,
        "goodput_share": { "bare": share(shape, &bare.overload), "seawall": share(shape, &protected.overload) },
    });
    Ok(serde_json::to_string_pretty(&figures)?)
}

/// The figures side by side, each with what it means.
pub(super) fn closing(shape: Shape, bare: &Side, protected: &Side) -> String {
    let mut table = Table(String::new());
    table.head("FLASH CROWD");
    crowd_rows(&mut table, &bare.flash_crowd, &protected.flash_crowd);
    table.head("10 × OVERLOAD");
    overload_rows(&mut table, shape, &bare.overload, &protected.overload);
    let _ = write!(
        table.0,
        "\nShop, edge and crowd shared this machine, so these figures show the difference, not Seawall's speed.\n\
         `seawall demo --open` lets you walk through the waiting room yourself.\n"
    );
    table.0
}

fn crowd_rows(table: &mut Table, bare: &Outcome, protected: &Outcome) {
    let mut row = |label, cell: &dyn Fn(&Outcome) -> String, why| table.row(label, cell(bare), cell(protected), why);
    row("visitors who bought", &|o| of(o.crowd.orders, o.crowd.visitors), "of those who came");
    row("left without patience", &|o| o.crowd.gave_up.to_string(), "15 s without the page they wanted");
    row("good pages", &|o| format!("{:.0}/s", per_second(o.crowd.good, o)), "arrived within 500 ms");
    row("p50 / p99 of pages", &millis, "of all that arrived, good or late");
    row("errors and timeouts", &|o| (o.crowd.errors + o.crowd.timeouts).to_string(), "broken, or nothing within 5 s");
    row("refused", &|o| o.crowd.refused.to_string(), "told at once to come back (429, 503)");
    row("most in the room", &|o| o.crowd.waiting_peak.to_string(), "visitors waiting with a place kept");
    row("from the cache", &|o| of(o.crowd.hits, o.crowd.good + o.crowd.late), "pages the shop did not have to make");
    row(
        "scraper's searches",
        &|o| of(o.crowd.scraper_served, o.crowd.scraper_served + o.crowd.scraper_refused),
        "answered; the rest refused or failed",
    );
    row("peak in flight", &|o| o.shop.peak_in_flight.to_string(), "requests at the shop at once");
}

fn overload_rows(table: &mut Table, shape: Shape, bare: &Outcome, protected: &Outcome) {
    let mut row = |label, cell: &dyn Fn(&Outcome) -> String, why| table.row(label, cell(bare), cell(protected), why);
    let goodput = |o: &Outcome| format!("{:.0}/s ({:.0} %)", per_second(o.crowd.good, o), share(shape, o) * 100.0);
    row("goodput", &goodput, "good pages, and the share of what the shop can do");
    row("p50 / p99 of pages", &millis, "of all that arrived, good or late");
    row("refused", &|o| o.crowd.refused.to_string(), "told at once to come back (503)");
    row("errors and timeouts", &|o| (o.crowd.errors + o.crowd.timeouts).to_string(), "broken, or nothing within 5 s");
    row("not even sent", &|o| o.crowd.unsent.to_string(), "too many of the crowd's requests under way");
    row("peak in flight", &|o| o.shop.peak_in_flight.to_string(), "requests at the shop at once");
}

struct Table(String);

impl Table {
    fn head(&mut self, title: &str) {
        let _ = write!(self.0, "\n{title:26}{:>16}{:>18}\n{}\n", "bare shop", "with Seawall", "─".repeat(60));
    }

    fn row(&mut self, label: &str, bare: String, protected: String, why: &str) {
        let _ = writeln!(self.0, "{label:26}{bare:>16}{protected:>18}   {why}");
    }
}

fn of(part: u64, whole: u64) -> String {
    match (part * 100).checked_div(whole) {
        Some(percent) => format!("{part} ({percent} %)"),
        None => "–".to_owned(),
    }
}

fn millis(outcome: &Outcome) -> String {
    if outcome.crowd.good + outcome.crowd.late == 0 {
        return "–".to_owned();
    }
    format!("{:.0} / {:.0} ms", outcome.crowd.p50_ms, outcome.crowd.p99_ms)
}

fn share(shape: Shape, outcome: &Outcome) -> f64 {
    per_second(outcome.crowd.good, outcome) / shape.capacity()
}

fn per_second(count: u64, outcome: &Outcome) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / outcome.seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nothing_is_no_number() {
        assert_eq!(of(0, 0), "–");
        assert_eq!(of(1, 3), "1 (33 %)");
    }
}
