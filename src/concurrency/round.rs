//! A handful of requests under one limit, compared with those at home.

use std::time::Duration;

use super::Sample;
use crate::clock::Mono;

/// Requests that a comparison takes at least, and at most.
const LEAST: u32 = 8;
const MOST: u32 = 150;
/// A latency counts for at most this many times its route's usual one: one straggler decides nothing.
const OUTLIER: f64 = 8.0;
/// How much of what was known of home is kept when it is measured again and is as it was.
const KEPT: f64 = 0.7;

/// Latencies of one route.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// The mean at home, seconds; zero: not known.
    home: f64,
    count: u32,
    sum: f64,
}

/// What a round says of its latencies, over those at home.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) ratio: f64,
}

#[derive(Debug, Default)]
pub(super) struct Round {
    began: Mono,
    kinds: Vec<Kind>,
    /// Over all requests of routes that are known: latency over home's.
    count: u32,
    sum: f64,
    squares: f64,
    /// Requests of routes that are not.
    strangers: u32,
}

impl Round {
    pub(super) fn begin(&mut self, now: Mono) {
        self.began = now;
        (self.count, self.sum, self.squares, self.strangers) = (0, 0.0, 0.0, 0);
        for kind in &mut self.kinds {
            (kind.count, kind.sum) = (0, 0.0);
        }
    }

    pub(super) fn began(&self) -> Mono {
        self.began
    }

    /// Forgets what home was like.
    pub(super) fn forget(&mut self) {
        self.kinds.clear();
    }

    /// Whether a request belongs to this round: what began before was under another limit.
    pub(super) fn takes(&self, sample: &Sample) -> bool {
        sample.started >= self.began
    }

    pub(super) fn add(&mut self, sample: &Sample) {
        if sample.kind >= self.kinds.len() {
            self.kinds.resize(sample.kind + 1, Kind::default());
        }
        let Some(kind) = self.kinds.get_mut(sample.kind) else { return };
        let latency = sample.latency.max(Duration::from_micros(100)).as_secs_f64();
        kind.count += 1;
        kind.sum += latency;
        if kind.home == 0.0 {
            self.strangers += 1;
            return;
        }
        let ratio = (latency / kind.home).min(OUTLIER);
        self.count += 1;
        self.sum += ratio;
        self.squares += ratio * ratio;
    }

    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }

    /// The mean's standard error; of few requests never zero.
    fn error(&self) -> f64 {
        let n = f64::from(self.count.max(2));
        let variance = (self.squares / n - self.mean().powi(2)).max(0.0) * n / (n - 1.0);
        (variance / n).sqrt() + 0.02 / n
    }

    /// Home's own latencies against what they were, once that is clear; a first measurement is as
    /// it is.
    pub(super) fn against_home(&self, changed: f64) -> Option<Verdict> {
        if self.count < LEAST {
            return (self.strangers >= LEAST).then_some(Verdict { ratio: 1.0 });
        }
        let (mean, error) = (self.mean(), self.error());
        let clear = ((mean - 1.0).abs() - changed).abs() > 2.0 * error;
        if self.count >= MOST || (clear && self.count >= 2 * LEAST) || (clear && (mean - 1.0).abs() > changed) {
            // What is not clear by then is noise.
            return Some(Verdict { ratio: if clear { mean } else { 1.0 } });
        }
        None
    }

    /// Whether a limit that is `scale` times home's gains more than `worth`; none: not known yet.
    pub(super) fn is_better(&self, scale: f64, worth: f64) -> Option<bool> {
        if self.count < LEAST {
            return None;
        }
        let gain = scale / self.mean();
        let error = gain * self.error() / self.mean();
        if (gain - worth).abs() > 2.0 * error {
            return Some(gain > worth);
        }
        // In doubt it is not.
        (self.count >= MOST).then_some(gain - error > worth)
    }

    /// Takes this round's latencies for home's.
    pub(super) fn settle(&mut self) {
        let ratio = if self.count >= LEAST { self.mean() } else { 1.0 };
        let same = (ratio - 1.0).abs() < 0.1;
        for kind in &mut self.kinds {
            let mean = kind.sum / f64::from(kind.count.max(1));
            kind.home = match (kind.count, kind.home) {
                (0, 0.0) => 0.0,
                (_, 0.0) => mean,
                // Few of this route came: they tell less than all together.
                (0..LEAST, home) => home * ratio,
                (_, home) if same => home * KEPT + mean * (1.0 - KEPT),
                _ => mean,
            };
        }
    }
}
