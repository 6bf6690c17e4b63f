//! How fast the line moves, and so how long one waits.
//!
//! Two things bring one nearer: those who are let in, and those in front who give up. With μ let in
//! a second, and a share h of those waiting that gives up each second, n in front are gone after
//! ln(1 + h·n/μ)/h seconds; n/μ where nobody gives up. Both are measured over several memories:
//! a long wait is estimated by a long memory, so that a burst of places does not shake it, and a
//! short one by a short memory.

use std::time::Duration;

/// Memories over which admissions are averaged, seconds.
const MEMORIES_S: [f64; 3] = [60.0, 150.0, 400.0];
/// A wait is estimated by the longest memory of which it is at least this share: those who came in
/// together leave together, so places come in bursts, and a memory must hold several.
const SHARE: f64 = 0.4;
/// Memory of those who give up, seconds: they are counted once in a liveness window.
const PATIENCE_MEMORY_S: f64 = 300.0;
/// Measured at least so long before anything is said, seconds.
const MEASURED_MIN_S: f64 = 3.0;

/// An average that forgets.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    value: f64,
    /// Seconds measured, up to the memory: the first ones weigh as much as they can bear.
    measured_s: f64,
}

impl Mean {
    fn observe(&mut self, value: f64, over_s: f64, memory_s: f64) {
        self.measured_s = (self.measured_s + over_s).min(memory_s);
        let weight = 1.0 - (-over_s / self.measured_s).exp();
        self.value += (value - self.value) * weight;
    }
}

/// The line's speed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    admissions: [Mean; 3],
    /// Of those waiting, the share that gives up, a second.
    giving_up: Mean,
}

impl Speed {
    /// So many were let in during `over`, while someone waited.
    pub fn observe(&mut self, admitted: u64, over: Duration) {
        let over_s = over.as_secs_f64();
        if over_s <= 0.0 {
            return;
        }
        for (mean, memory_s) in self.admissions.iter_mut().zip(MEMORIES_S) {
            mean.observe(admitted as f64 / over_s, over_s, memory_s);
        }
    }

    /// Of so many who waited, some were not heard of for `over`.
    pub fn observe_giving_up(&mut self, gone: u64, of: u64, over: Duration) {
        let over_s = over.as_secs_f64();
        if of > 0 && over_s > 0.0 {
            let share = (gone as f64 / of as f64).min(0.9);
            self.giving_up.observe(-(1.0 - share).ln() / over_s, over_s, PATIENCE_MEMORY_S);
        }
    }

    /// Admissions a second of late; none before a few seconds were seen, or if nobody came in.
    pub fn per_second(&self) -> Option<f64> {
        let [short, middle, _] = &self.admissions;
        let measured = if short.value > 1e-4 { short } else { middle };
        (measured.measured_s >= MEASURED_MIN_S && measured.value > 1e-4).then_some(measured.value)
    }

    /// How long until so many in front are gone, at `quota` a second at most.
    pub fn wait(&self, ahead: f64, quota: Option<f64>) -> Option<Duration> {
        let mut found = None;
        for mean in &self.admissions {
            if mean.measured_s < MEASURED_MIN_S || mean.value <= 1e-4 {
                continue;
            }
            let per_second = quota.map_or(mean.value, |quota| quota.min(mean.value));
            let seconds = self.seconds(ahead, per_second);
            if found.is_none() || seconds >= mean.measured_s * SHARE {
                found = Some(seconds);
            }
        }
        let seconds = found.or_else(|| quota.map(|quota| self.seconds(ahead, quota)))?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    fn seconds(&self, ahead: f64, per_second: f64) -> f64 {
        let hazard = self.giving_up.value;
        let plain = ahead / per_second.max(1e-9);
        // Where next to nobody gives up the formula would divide two zeros.
        if hazard * plain < 1e-3 { plain } else { (hazard * plain).ln_1p() / hazard }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_follows_what_comes_in() {
        let mut speed = Speed::default();
        assert_eq!(speed.per_second(), None);
        for _ in 0..40 {
            speed.observe(5, Duration::from_millis(250));
        }
        assert!((speed.per_second().unwrap() - 20.0).abs() < 0.5);
        let wait = speed.wait(200.0, None).unwrap();
        assert!((9..=11).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn a_quota_is_never_exceeded_by_the_estimate() {
        let mut speed = Speed::default();
        (0..40).for_each(|_| speed.observe(5, Duration::from_millis(250)));
        assert_eq!(speed.wait(100.0, Some(1.0)).unwrap().as_secs(), 100);
        assert_eq!(Speed::default().wait(100.0, Some(1.0)).unwrap().as_secs(), 100);
        assert_eq!(Speed::default().wait(100.0, None), None);
    }

    #[test]
    fn those_who_give_up_shorten_the_wait() {
        let mut speed = Speed::default();
        for _ in 0..1200 {
            speed.observe(1, Duration::from_secs(1));
        }
        // A tenth gives up each minute.
        (0..20).for_each(|_| speed.observe_giving_up(100, 1000, Duration::from_secs(60)));
        let wait = speed.wait(1000.0, None).unwrap().as_secs_f64();
        let hazard = -(0.9f64.ln()) / 60.0;
        assert!((wait - (1.0 + hazard * 1000.0).ln() / hazard).abs() < 20.0, "{wait}");
    }
}
