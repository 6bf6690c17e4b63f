//! How the origin does, from what was admitted alone: so that shedding does not look like health,
//! nor what was shed like sickness.

use std::time::Duration;

use crate::clock::Mono;

/// Latencies looked at for the 95th percentile.
const RECENT: usize = 128;
/// And for so long: what was slow then says nothing of now, and a level that lets nobody through
/// would otherwise hold itself.
const RECENT_FOR: Duration = Duration::from_secs(10);
/// Of fewer there is no 95th percentile.
const RECENT_LEAST: usize = 20;
/// How long errors are remembered.
const ERROR_MEMORY: Duration = Duration::from_secs(1);
/// A route's usual latency is the mean of its last requests, about so many.
const USUAL_MEMORY: f64 = 1000.0;
/// How much the best is forgotten with each block of [`RECENT`].
const FORGET: f64 = 1.005;

#[derive(Debug)]
pub(super) struct Pulse {
    /// The usual latency of each route, seconds, and how many requests made it.
    usual: Vec<(f64, f64)>,
    /// Latencies over their route's usual one, and when they were.
    ratios: [(f32, Mono); RECENT],
    seen: usize,
    /// The least 95th percentile of a whole block.
    best: f64,
    ended: f64,
    failed: f64,
    at: Mono,
}

impl Default for Pulse {
    fn default() -> Self {
        let ratios = [(1.0, Mono::ZERO); RECENT];
        Self { usual: Vec::new(), ratios, seen: 0, best: f64::INFINITY, ended: 0.0, failed: 0.0, at: Mono::ZERO }
    }
}

impl Pulse {
    pub(super) fn answered(&mut self, kind: usize, latency: Duration, now: Mono) {
        self.ended(false, now);
        if kind >= self.usual.len() {
            self.usual.resize(kind + 1, (0.0, 0.0));
        }
        let Some((usual, count)) = self.usual.get_mut(kind) else { return };
        // Half a millisecond is the network's noise on one machine.
        let latency = latency.as_secs_f64().max(0.0005);
        *count = (*count + 1.0).min(USUAL_MEMORY);
        *usual += (latency - *usual) / *count;
        if let Some(place) = self.ratios.get_mut(self.seen % RECENT) {
            *place = ((latency / *usual) as f32, now);
        }
        self.seen += 1;
        if self.seen.is_multiple_of(RECENT) {
            self.best = (self.best * FORGET).min(self.p95(Mono::ZERO).unwrap_or(self.best));
        }
    }

    pub(super) fn ended(&mut self, failed: bool, now: Mono) {
        let fade = (-(now.since(self.at).as_secs_f64() / ERROR_MEMORY.as_secs_f64())).exp();
        self.ended = self.ended * fade + 1.0;
        self.failed = self.failed * fade + if failed { 1.0 } else { 0.0 };
        self.at = self.at.max(now);
    }

    /// The 95th percentile of late, over the best there was; 1.0 while too little is known.
    pub(super) fn latency_ratio(&self, now: Mono) -> f64 {
        if !self.best.is_finite() {
            return 1.0;
        }
        let since = Mono::ZERO.after(now.since(Mono::ZERO).saturating_sub(RECENT_FOR));
        self.p95(since).map_or(1.0, |p95| (p95 / self.best).max(1.0))
    }

    /// Of those that ended since; none: too few.
    fn p95(&self, since: Mono) -> Option<f64> {
        let mut sorted = [0.0; RECENT];
        let recent = self.ratios.iter().filter(|(_, at)| *at >= since).map(|(ratio, _)| *ratio);
        let count = sorted.iter_mut().zip(recent).map(|(place, ratio)| *place = ratio).count();
        let sorted = sorted.get_mut(..count).filter(|_| count >= RECENT_LEAST)?;
        let (_, p95, _) = sorted.select_nth_unstable_by(count * 95 / 100, f32::total_cmp);
        Some(f64::from(*p95))
    }

    /// The share of requests that the origin could not answer, of late; of a handful, none.
    pub(super) fn error_rate(&self, now: Mono) -> f64 {
        let fade = (-(now.since(self.at).as_secs_f64() / ERROR_MEMORY.as_secs_f64())).exp();
        if self.ended * fade < 5.0 { 0.0 } else { self.failed / self.ended }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn each_route_is_measured_against_what_is_usual_for_it() {
        let mut pulse = Pulse::default();
        for t in 0..2000 {
            pulse.answered((t % 2) as usize, Duration::from_millis(if t % 2 == 0 { 10 } else { 900 }), ms(t * 10));
        }
        assert!((0.99..1.01).contains(&pulse.latency_ratio(ms(20_000))));
        for t in 2000..2100 {
            pulse.answered(0, Duration::from_millis(30), ms(t * 10));
        }
        assert!((2.0..3.1).contains(&pulse.latency_ratio(ms(21_000))));
    }

    #[test]
    fn what_was_slow_says_nothing_once_nobody_asks() {
        let mut pulse = Pulse::default();
        for t in 0..1200 {
            let latency = if t < 1000 { 10 } else { 50 };
            pulse.answered(0, Duration::from_millis(latency), ms(t * 10));
        }
        assert!(pulse.latency_ratio(ms(12_000)) > 1.5);
        assert_eq!(pulse.latency_ratio(ms(60_000)), 1.0, "or a level that lets nobody through would last for ever");
    }

    #[test]
    fn errors_are_a_share_and_are_forgotten() {
        let mut pulse = Pulse::default();
        for t in 0..100 {
            pulse.ended(t % 10 == 0, ms(t * 10));
        }
        assert!((0.08..0.12).contains(&pulse.error_rate(ms(1000))));
        assert_eq!(pulse.error_rate(ms(60_000)), 0.0);
    }
}
