//! The crowd: how many come when, and how patient they are.

use std::time::Duration;

use super::random::{Random, seconds};

/// How a crowd arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrivals {
    /// Half of them in the first tenth of the time, then fewer and fewer: a drop, a headline
    Flash,
    /// More and more, evenly
    Ramp,
    /// A tenth of the rate at first, and after a tenth of the time all of it
    Step,
    /// As many in every minute
    Steady,
    /// As flash, and who is refused asks three times more at once, whatever Retry-After says
    RetryStorm,
    /// As steady, and one client asks without end
    Greedy,
}

impl Arrivals {
    /// When in the whole time (0 to 1) the visitor comes before whom this share (0 to 1) has come.
    pub fn when(self, share: f64) -> f64 {
        match self {
            Self::Steady | Self::Greedy => share,
            Self::Ramp => share.sqrt(),
            Self::Step => {
                // 0.1 of the time at 0.1, 0.9 at 1: 0.91 in all.
                let before = 0.01 / 0.91;
                if share < before { 0.1 * share / before } else { 0.1 + 0.9 * (share - before) / (1.0 - before) }
            }
            Self::Flash | Self::RetryStorm => {
                // Exponential, cut at the end: half have come by a tenth, 99.9 % by all of it.
                let decay = std::f64::consts::LN_2 / 0.1;
                -(1.0 - share * (1.0 - (-decay).exp())).ln() / decay
            }
        }
    }

    /// How long after a refusal one asks again that has been refused so often already; none: gives
    /// up.
    pub fn again(self, refused: u8, retry_after: Option<Duration>, random: &mut Random) -> Option<Duration> {
        if self == Self::RetryStorm && refused <= STORM_RETRIES {
            return Some(random.between(Duration::from_millis(50), Duration::from_millis(500)));
        }
        if refused > RETRIES {
            return None;
        }
        let after = retry_after.unwrap_or(RETRY_WITHOUT_WORD);
        Some(after + random.between(Duration::ZERO, after))
    }
}

/// How often one asks again before giving up.
const RETRIES: u8 = 4;
/// How often one does at once in a storm.
const STORM_RETRIES: u8 = 3;
/// When one does who was not told.
const RETRY_WITHOUT_WORD: Duration = Duration::from_secs(5);

/// How patient visitors are, in a queue that shows their place: half leave after the median, and
/// the logarithm of the time is normal.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub median: Duration,
}

/// The deviation of that logarithm: one in six has half the patience or less, one in six twice.
const SPREAD: f64 = 0.7;

impl Patience {
    /// How long this one waits in a queue.
    pub fn draw(self, random: &mut Random) -> Duration {
        // The median is the mean without the half variance that a mean of 1 takes off.
        seconds(self.median.as_secs_f64() * random.lognormal(SPREAD) * (SPREAD * SPREAD / 2.0).exp())
    }
}

/// When each of so many visitors comes, in order.
#[derive(Debug)]
pub struct Arriving {
    arrivals: Arrivals,
    visitors: u32,
    over: Duration,
    come: u32,
    random: Random,
}

impl Arriving {
    pub const fn new(arrivals: Arrivals, visitors: u32, over: Duration, seed: u64) -> Self {
        Self { arrivals, visitors, over, come: 0, random: Random::new(seed) }
    }
}

impl Iterator for Arriving {
    type Item = (u32, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        if self.come >= self.visitors {
            return None;
        }
        let number = self.come;
        self.come += 1;
        // Somewhere in the share that is this visitor's: random, and in order without sorting.
        let share = (f64::from(number) + self.random.unit()) / f64::from(self.visitors);
        Some((number, seconds(self.over.as_secs_f64() * self.arrivals.when(share))))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn everyone_comes_in_order_and_in_time() {
        for arrivals in Arrivals::value_variants() {
            let all: Vec<_> = Arriving::new(*arrivals, 10_000, Duration::from_secs(600), 3).collect();
            assert_eq!(all.len(), 10_000);
            assert!(all.is_sorted_by_key(|(_, when)| *when), "{arrivals:?}");
            assert!(all.last().unwrap().1 <= Duration::from_secs(601), "{arrivals:?}");
        }
    }

    #[test]
    fn shapes_are_what_they_say() {
        let by = |arrivals: Arrivals, time: f64| {
            let all = Arriving::new(arrivals, 10_000, Duration::from_secs(1000), 3);
            all.filter(|(_, when)| when.as_secs_f64() < 1000.0 * time).count()
        };
        assert!((4_990..5_010).contains(&by(Arrivals::Flash, 0.1)));
        assert!((2_490..2_510).contains(&by(Arrivals::Ramp, 0.5)));
        assert!((4_990..5_010).contains(&by(Arrivals::Steady, 0.5)));
        assert!((105..115).contains(&by(Arrivals::Step, 0.1)));
    }

    #[test]
    fn half_have_the_median_patience() {
        let mut random = Random::new(1);
        let patience = Patience { median: Duration::from_secs(600) };
        let patient = (0..10_000).filter(|_| patience.draw(&mut random) > patience.median).count();
        assert!((4_800..5_200).contains(&patient), "{patient}");
    }

    #[test]
    fn only_a_storm_asks_again_at_once_and_nobody_for_ever() {
        let mut random = Random::new(1);
        let told = Some(Duration::from_secs(30));
        assert!(Arrivals::RetryStorm.again(1, told, &mut random).unwrap() < Duration::from_secs(1));
        assert!(Arrivals::Flash.again(1, told, &mut random).unwrap() >= Duration::from_secs(30));
        assert_eq!(Arrivals::RetryStorm.again(5, told, &mut random), None);
        assert_eq!(Arrivals::Flash.again(5, told, &mut random), None);
    }
}
