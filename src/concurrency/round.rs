//! A handful of requests under one limit, compared with those at home.

use std::time::Duration;

use super::Sample;
use super::turns::Turns;
use crate::clock::Mono;

/// Requests that a comparison takes at least, and at most; or so many turns of the limit, if that is
/// more: those that end first are the quick ones, and say little of the rest.
const LEAST: u32 = 8;
const LEAST_TURNS: u32 = 3;
const MOST: u32 = 250;
const MOST_TURNS: u32 = 8;
/// Standard errors that make a difference clear. Two would do for one look; here each request is one.
const CLEAR: f64 = 3.0;
/// The share of a coarse step up that must be gained in throughput: what gains less, a fine one finds.
const WORTH_UP: f64 = 0.15;
/// And of the throughput by any step up: where a worker waits for its next request, one more in flight fills
/// the gap, which is seldom more than a few in a hundred.
const GAINED_LEAST: f64 = 0.01;
/// So little is the line's gain; those for whom a place is kept would wait behind that one more.
const GAINED_LEAST_KEPT: f64 = 0.03;
/// The share of a step down that may be lost; of the throughput no more than would be a gain.
const WORTH_DOWN: f64 = 0.1;
/// The share of a step down that may seem to be lost, where to be surer would take long.
const FREE: f64 = 0.2;
/// Standard errors that are enough to give a trial up: what was wrongly given up is tried again, while
/// each further request at a limit that is worse costs throughput.
const DOUBTFUL: f64 = 1.5;
/// Where it was plainly a loss the last time, less will do, and fewer: that and no more is the question.
const DOUBTED: f64 = 0.5;
const DOUBTED_LEAST: u32 = 4;
/// Standard errors by which what is not clear after long must be better, to be worth a step up; beyond
/// half of the least gain, which is near enough.
const LIKELY: f64 = 2.0;
/// A latency counts for at most this many times its route's usual one: one straggler decides nothing.
const OUTLIER: f64 = 8.0;
/// Rounds that home is to be known by.
const KNOWN_LEAST: f64 = 3.0;
/// The share of a comparison's variance from which on it is home that must be measured.
const UNKNOWN: f64 = 0.75;
/// How much of the least latency is forgotten each time that home is measured.
const FORGET: f64 = 1.003;
/// Requests that home is known by at most: older ones fade.
const KNOWN_MOST: f64 = 500.0;

/// Latencies of one route.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// The mean at home, seconds; zero: not known.
    home: f64,
    /// The least that was; forgotten little by little.
    floor: f64,
    count: u32,
    sum: f64,
}

/// What a round says of its latencies, over those at home.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) ratio: f64,
}

/// What a trial is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    More,
    Less,
    /// Home must be measured longer.
    Unknown,
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
    /// About how many requests made what is known of home, and the relative variance of one.
    home_count: f64,
    home_variance: Option<f64>,
    /// The limit that is measured.
    limit: usize,
    coarse: bool,
    /// It was plainly a loss the last time.
    doubted: bool,
    /// A place is kept.
    kept: bool,
    /// At the limit that is measured, and at the one before.
    turns: Turns,
    last_turns: Turns,
    least: u32,
    most: u32,
}

impl Round {
    /// Begins to measure a limit. What began before then says nothing of it. A `coarse` comparison is
    /// between limits so far apart that few requests tell.
    pub(super) fn begin(&mut self, limit: usize, coarse: bool, now: Mono) {
        self.began = now;
        self.limit = limit;
        self.coarse = coarse;
        self.doubted = false;
        self.resume(limit);
        let turns = |n: u32| n.saturating_mul(u32::try_from(limit).unwrap_or(u32::MAX));
        self.least = LEAST.max(turns(if coarse { 1 } else { LEAST_TURNS }));
        self.most = MOST.max(turns(MOST_TURNS));
        (self.count, self.sum, self.squares, self.strangers) = (0, 0.0, 0.0, 0);
        for kind in &mut self.kinds {
            (kind.count, kind.sum) = (0, 0.0);
        }
    }

    /// What is measured again and again goes on where it was left.
    fn resume(&mut self, limit: usize) {
        if self.turns.limit() != limit {
            self.turns.interrupt();
            std::mem::swap(&mut self.turns, &mut self.last_turns);
        }
        if self.turns.limit() != limit {
            self.turns = Turns::new(limit);
        }
    }

    /// What begins now was plainly a loss the last time.
    pub(super) fn doubt(&mut self) {
        self.doubted = true;
    }

    pub(super) fn began(&self) -> Mono {
        self.began
    }

    /// Forgets what home was like.
    pub(super) fn forget(&mut self) {
        self.kinds.clear();
        self.home_variance = None;
        (self.turns, self.last_turns) = (Turns::new(self.limit), Turns::default());
    }

    /// Whether a request that has been answered belongs to this round. It saw this limit's worth of
    /// others from its beginning on, if it was the one to take the last place.
    pub(super) fn takes(&self, sample: &Sample) -> bool {
        sample.full && sample.started >= self.began
    }

    pub(super) fn add(&mut self, sample: &Sample) {
        if sample.kind >= self.kinds.len() {
            self.kinds.resize(sample.kind + 1, Kind::default());
        }
        self.kept = sample.kept;
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
        self.turns.add(ratio);
    }

    /// The mean, of those still in flight too: they are the slow ones. Of a steady flow each is on
    /// average `1 + cv²` times the mean long (the inspection paradox), so those that ended are
    /// short by `cv²` for each that has not. What takes turns is not by chance so long.
    fn mean(&self) -> f64 {
        let n = f64::from(self.count.max(1));
        let mean = self.sum / n;
        mean + mean * self.spread() * (self.limit as f64 / n).min(1.0)
    }

    fn variance(&self) -> f64 {
        let n = f64::from(self.count.max(2));
        (self.squares / n - (self.sum / n).powi(2)).max(0.0) * n / (n - 1.0)
    }

    /// The relative variance of one request, as the mean of so many of them shows it.
    fn spread(&self) -> f64 {
        let n = f64::from(self.count.max(1));
        let alone = self.variance() / (self.sum / n).powi(2).max(f64::MIN_POSITIVE);
        match self.turns.variance() {
            // The last turn may have been cut short.
            Some(variance) if !self.turns.are_few(self.count) => variance + alone / n,
            _ => alone,
        }
    }

    /// The mean's relative standard error, and what of its square is home's; of few requests never zero.
    fn error(&self) -> (f64, f64) {
        let n = f64::from(self.count.max(2));
        let spread = self.spread();
        let (own, home) = (spread / n, self.home_variance.unwrap_or(spread) / self.home_count.max(1.0));
        ((own + home).sqrt() + 0.02 / n, home / (own + home).max(f64::MIN_POSITIVE))
    }

    /// Whether it is known how far home's latencies spread.
    pub(super) fn knows_home(&self) -> bool {
        self.home_variance.is_some()
    }

    /// Home's own latencies against what they were, once that is clear; a first measurement is as
    /// it is.
    pub(super) fn against_home(&self, changed: f64) -> Option<Verdict> {
        if self.count < self.least {
            return (self.strangers >= self.least).then_some(Verdict { ratio: 1.0 });
        }
        let mean = self.mean();
        let error = mean * self.error().0;
        let off = (mean - 1.0).abs();
        let clear = (off - changed).abs() > CLEAR * error;
        // Known by few, it is rather learnt than compared.
        let known = self.home_count >= KNOWN_LEAST * f64::from(self.least);
        if self.count < self.most && !clear && known {
            return None;
        }
        // What is not clear by then is noise.
        Some(Verdict { ratio: if clear { mean } else { 1.0 } })
    }

    /// What a limit that is `scale` times home's gains, and whether it is worth it; none: not known yet.
    pub(super) fn gain(&self, scale: f64) -> Option<(f64, Worth)> {
        let doubted = self.doubted && self.count < self.least;
        if self.count < if doubted { DOUBTED_LEAST } else { LEAST } {
            return None;
        }
        let n = f64::from(self.count);
        let gain = scale / self.mean();
        let (error, of_home) = self.error();
        let error = gain * error;
        let up = scale > 1.0;
        let least = if self.kept { GAINED_LEAST_KEPT } else { GAINED_LEAST };
        let enough = self.count >= self.least;
        let given_up = if doubted { DOUBTED } else { DOUBTFUL } * error;
        let worth = match (up, self.coarse) {
            (true, true) => 1.0 + (WORTH_UP * (scale - 1.0)).max(least),
            (true, false) => 1.0 + least,
            (false, _) => (1.0 - WORTH_DOWN * (1.0 - scale)).max(1.0 - least),
        };
        // Half of a step down is lost: that can't be free, while what little is lost takes long to tell.
        let hopeless = match up {
            true if doubted => 1.0,
            true => worth,
            false => f64::midpoint(1.0, scale),
        };
        // A step down that loses so little is taken: another can be tried from there.
        let free = 1.0 - FREE * (1.0 - scale);
        // Of few, their own spread is not well known either (Student's t).
        let clear = CLEAR * error * (1.0 + 4.0 / n);
        // In doubt it is less: what is no more than that is a queue inside the origin.
        let doubt = if up { LIKELY * (error - least / 2.0).max(0.0) } else { 0.0 };
        let worth = match gain {
            _ if gain + given_up < hopeless || gain + clear < worth => Worth::Less,
            _ if enough && gain + given_up < worth => Worth::Less,
            // The first to end are the quick ones, and say little of the rest.
            _ if enough && gain - clear > worth => Worth::More,
            _ if enough && !up && (self.kept || error > least) && gain - DOUBTFUL * error > free => Worth::More,
            _ if self.count >= self.most && gain - doubt > worth => Worth::More,
            _ if self.count >= self.most => Worth::Less,
            // Home is known by so few that more of these would tell nothing.
            _ if enough && of_home > UNKNOWN && self.home_count < KNOWN_MOST => Worth::Unknown,
            _ => return None,
        };
        Some((gain, worth))
    }

    /// How many times the shortest latency that a route had at any home it now has.
    pub(super) fn stretch(&self) -> f64 {
        let known = self.kinds.iter().filter(|kind| kind.home > 0.0);
        let (home, floor) = known.fold((0.0, 0.0), |(home, floor), kind| {
            let weight = f64::from(kind.count);
            (home + weight * kind.home / kind.floor, floor + weight)
        });
        if floor > 0.0 { home / floor } else { 1.0 }
    }

    /// Takes this round's latencies for home's; where home has `moved`, what was known says nothing of it.
    pub(super) fn settle(&mut self, moved: bool) {
        let ratio = if self.count >= LEAST { self.mean() } else { 1.0 };
        let seen = f64::from(self.count + self.strangers);
        let few = self.home_count < KNOWN_LEAST * f64::from(self.least);
        let same = !moved && ((ratio - 1.0).abs() < 0.1 || few && (ratio - 1.0).abs() < 0.5);
        let kept = self.home_count / (self.home_count + seen).max(1.0);
        if self.count >= LEAST {
            let (now, before) = (self.spread(), self.home_variance.filter(|_| same));
            let few = before.map_or(now, |before| before * kept + now * (1.0 - kept));
            self.home_variance = Some(self.turns.variance().unwrap_or(few));
        }
        let moves = if same { kept + ratio * (1.0 - kept) } else { ratio };
        self.turns.rebase(moves);
        self.last_turns.rebase(moves);
        self.home_count = if same { (self.home_count + seen).min(KNOWN_MOST) } else { seen };
        for kind in &mut self.kinds {
            let mean = kind.sum / f64::from(kind.count.max(1));
            kind.home = match (kind.count, kind.home) {
                (0, 0.0) => 0.0,
                (_, 0.0) => mean,
                // Few of this route came: they tell less than all together.
                (0..8, home) => home * ratio,
                (_, home) if same => home * kept + mean * (1.0 - kept),
                _ => mean,
            };
            kind.floor = match kind.floor {
                0.0 => kind.home,
                floor => (floor * FORGET).min(kind.home),
            };
        }
    }
}

#[cfg(test)]
mod tests;
