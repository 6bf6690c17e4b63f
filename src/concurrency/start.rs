//! Slow start: the first few are let go as answers come, one more for each, as TCP does (RFC 5681
//! §3.1); so a crowd that is there from the first moment tells where an origin bends before it has
//! bent. What `k` in flight are worth is by Little's law `k ÷ latency`: where twice as many are worth
//! less than the first few were, or no more than half as many, it is over, and the search goes on
//! from there.

use super::Sample;

/// In flight at the first moment: what any origin carries.
const FEW: usize = 4;
/// Answers that a step is judged by at least.
const LEAST: u32 = 4;
/// So many times the initial limit answered without using it, and it may be had.
const NOT_USED: usize = 4;
/// Standard errors that make a loss clear.
const CLEAR: f64 = 1.5;

/// Of what a step could gain, a step that gained less than this share has only made others wait.
const GAIN_LEAST: f64 = 0.26;

/// The way from a few to the initial limit.
#[derive(Debug)]
pub(super) struct Start {
    few: usize,
    initial: usize,
    limit: usize,
    answers: usize,
    /// By kind: the shortest two latencies of the first few, in seconds. The very first ones pay for
    /// connections and cold caches.
    base: Vec<[f64; 2]>,
    /// How many were worth it, and what they cost.
    reached: usize,
    cost: f64,
    /// How many are tried now, and what they cost.
    step: usize,
    count: u32,
    sum: f64,
    squares: f64,
}

impl Start {
    /// None where the initial limit is no more than a few.
    pub(super) fn new(initial: usize, min: usize) -> Option<Self> {
        let few = FEW.max(min);
        let start = Self {
            few,
            initial,
            limit: few,
            answers: 0,
            base: Vec::new(),
            reached: few,
            cost: 1.0,
            step: (few * 2).min(initial),
            count: 0,
            sum: 0.0,
            squares: 0.0,
        };
        (few < initial).then_some(start)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether this many are more than the first few.
    pub(super) fn is_beyond(&self, limit: usize) -> bool {
        limit > self.few
    }

    /// Learns from an answer; some: the start is over, with this limit.
    pub(super) fn answered(&mut self, sample: &Sample) -> Option<usize> {
        let latency = sample.latency.as_secs_f64().max(1e-4);
        if sample.kind >= self.base.len() {
            self.base.resize(sample.kind + 1, [f64::INFINITY; 2]);
        }
        let base = self.base.get_mut(sample.kind)?;
        let [least, second] = *base;
        let usual = if second.is_finite() { least.midpoint(second) } else { least };
        if sample.in_flight <= self.few {
            let [least, second] = base;
            *second = second.min(latency.max(*least));
            *least = least.min(latency);
        } else if sample.in_flight >= self.step && usual.is_finite() {
            // What so many are worth, over what the first few were: its inverse, which is a mean of latencies.
            let cost = latency / usual * self.few as f64 / sample.in_flight as f64;
            (self.count, self.sum, self.squares) = (self.count + 1, self.sum + cost, self.squares + cost * cost);
            if self.is_loss() {
                return Some(self.reached);
            }
            if self.count as usize >= (self.step / 4).max(LEAST as usize) {
                let mean = self.sum / f64::from(self.count);
                let least = 1.0 - GAIN_LEAST * (1.0 - self.reached as f64 / self.step as f64);
                if mean > least * self.cost {
                    return Some(self.reached);
                }
                if self.step >= self.initial {
                    return Some(self.initial);
                }
                // So many are worth it: on, to twice as many.
                (self.reached, self.cost) = (self.step, mean);
                self.step = (self.step * 2).min(self.initial);
                (self.count, self.sum, self.squares) = (0, 0.0, 0.0);
            }
        }
        self.answers += 1;
        self.limit = (self.limit + 1).min(self.step);
        // Nobody wants so much.
        (self.answers >= NOT_USED * self.initial).then_some(self.initial)
    }

    fn is_loss(&self) -> bool {
        let n = f64::from(self.count);
        let mean = self.sum / n;
        let variance = (self.squares / n - mean * mean).max(0.0) * n / (n - 1.0).max(1.0);
        // What they are compared with was known by few too.
        let error = (variance * (1.0 / n + 1.0 / self.few as f64)).sqrt() + 0.02;
        self.count >= LEAST && mean - CLEAR * error > 1.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Mono;
    use crate::concurrency::Outcome;

    fn answer(in_flight: usize, ms: u64) -> Sample {
        let (latency, started) = (Duration::from_millis(ms), Mono::ZERO);
        Sample { latency, started, in_flight, full: true, kept: false, kind: 0, outcome: Outcome::Answered }
    }

    #[test]
    fn one_more_is_let_go_for_each_answer_until_the_initial_limit() {
        let mut start = Start::new(20, 2).expect("20 is more than a few");
        assert_eq!(start.limit(), 4);
        let mut ends = Vec::new();
        for _ in 0..30 {
            ends.extend(start.answered(&answer(start.limit(), 20)));
        }
        assert_eq!((start.limit(), ends.first()), (20, Some(&20)));
        assert!(Start::new(4, 2).is_none());
    }

    #[test]
    fn it_is_over_where_twice_as_many_are_worth_less() {
        let mut start = Start::new(20, 2).expect("20 is more than a few");
        for n in 1..=4 {
            assert_eq!(start.answered(&answer(n, 20)), None);
        }
        let end = (0..8).find_map(|_| start.answered(&answer(start.limit(), 60)));
        assert_eq!(end, Some(4), "eight take three times as long as four");
    }

    #[test]
    fn it_is_over_where_twice_as_many_only_wait_inside_the_origin() {
        for (workers, initial, found) in [(4, 40, 4), (8, 40, 8), (16, 20, 16)] {
            let mut start = Start::new(initial, 2).expect("more than a few");
            let ms = |limit: usize| 20 * limit.div_ceil(workers) as u64;
            let end = (0..200).find_map(|_| start.answered(&answer(start.limit(), ms(start.limit()))));
            assert_eq!(end, Some(found));
        }
    }

    #[test]
    fn no_more_than_twice_as_many_are_let_go_as_are_known_to_be_no_loss() {
        let mut start = Start::new(20, 2).expect("20 is more than a few");
        for _ in 0..12 {
            assert_eq!(start.answered(&answer(4, 20)), None);
        }
        assert_eq!(start.limit(), 8);
    }
}
