//! How far a mean of latencies may be off, of requests that are not independent.
//!
//! What stands behind one another inside an origin takes turns: where five are in flight and four are
//! worked on, each fifth takes twice as long, and that in regular order. Such latencies spread far,
//! and their mean hardly at all; one by one they would have to be very many to tell that something is
//! gained. And where many are slow together, by a pause, one by one they would seem to tell too much.
//! So they are taken by a few turns of the limit at a time (the method of batch means).

/// Turns of the limit that are taken together.
const TURNS: u32 = 4;
/// Of fewer such batches nothing is said.
const BATCHES_LEAST: f64 = 5.0;
/// By so many more batches a variance is taken to be greater than it looks.
const FEW: f64 = 3.0;
/// From so many on, half are forgotten.
const BATCHES_MOST: f64 = 40.0;

/// Latencies in flight at one limit, over home's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    limit: usize,
    size: u32,
    count: u32,
    sum: f64,
    batches: f64,
    means: f64,
    squares: f64,
}

impl Turns {
    pub(super) fn new(limit: usize) -> Self {
        let size = u32::try_from(limit).unwrap_or(u32::MAX).saturating_mul(TURNS);
        Self { limit, size, ..Self::default() }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Home's latency has become so many times what it was.
    pub(super) fn rebase(&mut self, times: f64) {
        let over = times.max(f64::MIN_POSITIVE);
        (self.sum, self.means, self.squares) = (self.sum / over, self.means / over, self.squares / (over * over));
    }

    /// Whether so many are more than one batch or two, of which a part would be an accident.
    pub(super) fn are_few(&self, n: u32) -> bool {
        n < self.size.saturating_mul(2)
    }

    /// Those of a batch must have followed each other.
    pub(super) fn interrupt(&mut self) {
        (self.count, self.sum) = (0, 0.0);
    }

    pub(super) fn add(&mut self, ratio: f64) {
        self.count += 1;
        self.sum += ratio;
        if self.count < self.size {
            return;
        }
        let mean = self.sum / f64::from(self.size);
        self.interrupt();
        if self.batches >= BATCHES_MOST {
            (self.batches, self.means, self.squares) = (self.batches / 2.0, self.means / 2.0, self.squares / 2.0);
        }
        (self.batches, self.means, self.squares) = (self.batches + 1.0, self.means + mean, self.squares + mean * mean);
    }

    /// The relative variance that a single one would have if they were independent, and their mean as
    /// sure as it is.
    pub(super) fn variance(&self) -> Option<f64> {
        if self.batches < BATCHES_LEAST {
            return None;
        }
        let mean = self.means / self.batches;
        // Of few, their own spread is not well known: it may have come out small by accident.
        let few = (self.batches + FEW) / (self.batches - 1.0);
        let variance = (self.squares / self.batches - mean * mean).max(0.0) * few;
        Some(variance * f64::from(self.size) / (mean * mean).max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(limit: usize, latencies: impl Iterator<Item = f64>) -> Option<f64> {
        let mut turns = Turns::new(limit);
        latencies.for_each(|latency| turns.add(latency));
        turns.variance()
    }

    #[test]
    fn what_takes_turns_tells_more_than_what_comes_by_chance() {
        let waits = (0..100).map(|n| if n % 4 == 3 { 2.0 } else { 1.0 });
        assert!(of(5, waits).is_some_and(|variance| variance < 1e-9));
    }

    #[test]
    fn what_is_slow_together_tells_less() {
        let waves = (0..200).map(|n| if n / 40 % 2 == 1 { 2.0 } else { 1.0 });
        let alone = 0.25 / (1.5 * 1.5);
        assert!(of(5, waves).is_some_and(|variance| variance > 10.0 * alone));
    }

    #[test]
    fn of_a_few_turns_nothing_is_said() {
        assert_eq!(of(5, std::iter::repeat_n(1.0, 99)), None);
    }
}
