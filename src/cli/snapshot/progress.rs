//! How far a snapshot is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::snapshot::crawl::Told;

/// URLs between two lines where there is no terminal.
const LINE_EVERY: usize = 100;

pub(super) struct Progress {
    /// Hidden where there is no terminal.
    bar: ProgressBar,
    lines: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = if is_terminal && !quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, lines: !is_terminal && !quiet }
    }

    pub(super) fn tell(&self, told: &Told<'_>) {
        self.bar.set_length((told.done + told.left) as u64);
        self.bar.set_position(told.done as u64);
        let mut at: String = told.address.target.chars().take(40).collect();
        at.extend(told.why.map(|why| format!(" ({})", why.sentence())));
        self.bar.set_message(at);
        if self.lines && told.done.is_multiple_of(LINE_EVERY) {
            eprintln!("{} URLs, {} bytes, {} to go", told.done, told.bytes, told.left);
        }
    }

    pub(super) fn say(&self, line: &str) {
        if self.lines { eprintln!("{line}") } else { self.bar.println(line) }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
