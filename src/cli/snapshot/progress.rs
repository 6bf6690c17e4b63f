//! How far a snapshot is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;

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
        let (done, of, message) = match *told {
            Told::Settled { done, left, address, why, .. } => {
                let mut at: String = address.target.chars().take(40).collect();
                at.extend(why.map(|why| format!(" ({})", why.sentence())));
                (done, done + left, at)
            }
            Told::Formed { done, of } => (done, of, "smaller forms".to_owned()),
        };
        self.bar.set_length(of as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(message);
        if self.lines && done.is_multiple_of(LINE_EVERY) {
            match *told {
                Told::Settled { left, bytes, .. } => eprintln!("{done} URLs, {bytes} bytes, {left} to go"),
                Told::Formed { .. } => eprintln!("smaller forms of {done} bodies, of {of}"),
            }
        }
    }

    /// Says what it waits for, each time that there is something else.
    pub(super) fn watch(&self, mut busy: watch::Receiver<Option<String>>) -> impl Future<Output = ()> + use<> {
        let (bar, lines) = (self.bar.clone(), self.lines);
        async move {
            let mut waits = false;
            loop {
                let line = match &*busy.borrow_and_update() {
                    Some(why) => Some(format!("waiting: {why} (--regardless goes on)")),
                    None => waits.then(|| "going on".to_owned()),
                };
                waits = busy.borrow().is_some();
                match line {
                    Some(line) if lines => eprintln!("{line}"),
                    Some(line) => bar.println(line),
                    None => {}
                }
                if busy.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    pub(super) fn say(&self, line: &str) {
        if self.lines { eprintln!("{line}") } else { self.bar.println(line) }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
