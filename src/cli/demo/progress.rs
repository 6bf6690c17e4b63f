//! What a storm looks like while it rages: a bar in a terminal, a line each two seconds elsewhere.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::crowd::{Figures, Raging, Tally};
use super::shop::{ShopHandle, Stats};

const TICK: Duration = Duration::from_millis(250);
/// Ticks over which "good/s" is counted, and after which a plain line is printed.
const TICKS_A_LINE: u32 = 8;

/// Shows a storm until its last answer has come.
pub(super) async fn watch(
    title: &str,
    lasts: Duration,
    raging: Raging,
    shop: &ShopHandle,
) -> anyhow::Result<Arc<Tally>> {
    let Raging { tally, mut over } = raging;
    let mut view = View::new(title, lasts)?;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            ended = &mut over => {
                view.close(&tally.figures());
                ended.context("the crowd's thread has failed")?;
                return Ok(tally);
            }
            _ = ticks.tick() => view.show(&tally.figures(), &shop.stats()),
        }
    }
}

struct View {
    title: String,
    bar: ProgressBar,
    plain: bool,
    ticks: u32,
    good_before: u64,
    good_per_second: f64,
}

impl View {
    fn new(title: &str, lasts: Duration) -> anyhow::Result<Self> {
        let bar = ProgressBar::with_draw_target(u64::try_from(lasts.as_millis()).ok(), ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{prefix:24} {bar:24.cyan/dim} {msg}")?.progress_chars("━╸─"));
        bar.set_prefix(title.to_owned());
        let plain = bar.is_hidden();
        Ok(Self { title: title.to_owned(), bar, plain, ticks: 0, good_before: 0, good_per_second: 0.0 })
    }

    fn show(&mut self, crowd: &Figures, shop: &Stats) {
        let line_due = self.ticks.is_multiple_of(TICKS_A_LINE);
        if line_due {
            let good = u32::try_from(crowd.good - self.good_before).unwrap_or(u32::MAX);
            let over = TICK.as_secs_f64() * f64::from(TICKS_A_LINE);
            self.good_per_second = f64::from(good) / over;
            self.good_before = crowd.good;
        }
        let seconds = TICK.as_secs_f64() * f64::from(self.ticks);
        let line = format!(
            "{:>4.0} good/s · {} in the room · {} refused · {} bought · {} in flight at the shop",
            self.good_per_second, crowd.waiting, crowd.refused, crowd.orders, shop.in_flight
        );
        if !self.plain {
            self.bar.inc(u64::try_from(TICK.as_millis()).unwrap_or_default());
            self.bar.set_message(line);
        } else if line_due && self.ticks > 0 {
            eprintln!("{:24} {seconds:>4.0} s  {line}", self.title);
        }
        self.ticks += 1;
    }

    fn close(&self, crowd: &Figures) {
        let line = format!("over: {} good of {} requests", crowd.good, crowd.requests);
        if self.plain {
            eprintln!("{:24}         {line}", self.title);
        } else {
            self.bar.abandon_with_message(line);
        }
    }
}
