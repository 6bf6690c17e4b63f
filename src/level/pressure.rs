//! Pressure: how far an origin, and the edge before it, are on the way from rest to their limit.
//!
//! One number from several signals: each is 0 at rest and 1.0 where it says "no more", and the worst
//! of them counts. They are taken from admitted traffic alone: a refusal is quick and always
//! succeeds, so a pressure that saw refusals would either end with the first of them or never.

use std::fmt;
use std::time::Duration;

use crate::clock::Mono;

/// A signal beyond this says nothing more about what to do, and would take minutes to fade.
pub const PRESSURE_MAX: f64 = 2.0;
/// How fast a rising pressure is believed, and a falling one: time constants of the average.
const UP: Duration = Duration::from_secs(1);
const DOWN: Duration = Duration::from_secs(10);
/// After a longer silence than this the average begins where it was left.
const STEP_MAX: Duration = Duration::from_secs(1);

/// What was measured over the last moments, of requests that were admitted, and of the edge itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signals {
    /// The standing delay in the line for a place: the least that anyone who left the line in the
    /// last interval had waited, as CoDel has it, so that a burst that drains is no pressure.
    pub queue_delay: Duration,
    /// The delay at which the line is full enough.
    pub queue_target: Duration,
    /// The 95th percentile of the origin's latency over its own baseline, like with like; 1.0 where
    /// nothing waits for anything, or too few requests ended to say.
    pub latency_ratio: f64,
    /// Share of the requests that ended in the last second without a usable answer (no connection,
    /// no answer in time, 502, 503, 504); 0 where too few ended to say.
    pub error_rate: f64,
    /// The edge's own share of its threads' time, 0 to 1.
    pub cpu: f64,
    /// The edge's own share of its memory, 0 to 1.
    pub memory: f64,
    /// How late the edge's own tasks run.
    pub loop_lag: Duration,
}

impl Default for Signals {
    /// Nothing happens.
    fn default() -> Self {
        Self {
            queue_delay: Duration::ZERO,
            queue_target: Duration::from_millis(20),
            latency_ratio: 1.0,
            error_rate: 0.0,
            cpu: 0.0,
            memory: 0.0,
            loop_lag: Duration::ZERO,
        }
    }
}

/// Which signal leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Signal {
    #[default]
    Queue,
    Latency,
    Errors,
    Cpu,
    Memory,
    Lag,
}

impl Signal {
    /// As status, metrics and the log call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Latency => "latency",
            Self::Errors => "errors",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Lag => "lag",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Signals {
    /// The worst of them, 0 to [`PRESSURE_MAX`].
    ///
    /// Each is measured from where a healthy origin rests, not from zero: an idle origin's latency is
    /// 1.0 times its baseline, and a full cache is no reason to stay at a level. Measured from zero
    /// these alone would hold the pressure above what leaving a level asks for.
    pub fn worst(&self) -> (f64, Signal) {
        let seconds = |time: Duration| time.as_secs_f64();
        let all = [
            (way(seconds(self.queue_delay), 0.0, seconds(self.queue_target)), Signal::Queue),
            (way(self.latency_ratio, 1.0, 2.0), Signal::Latency),
            (way(self.error_rate, 0.0, 0.1), Signal::Errors),
            (way(self.cpu, 0.5, 0.9), Signal::Cpu),
            (way(self.memory, 0.5, 0.9), Signal::Memory),
            (way(seconds(self.loop_lag), 0.05, 0.2), Signal::Lag),
        ];
        all.into_iter().fold((0.0, Signal::Queue), |worst, one| if one.0 > worst.0 { one } else { worst })
    }
}

/// How far `value` is on its way from `rest` to `full`.
fn way(value: f64, rest: f64, full: f64) -> f64 {
    let way = (value - rest) / (full - rest);
    // Nothing over nothing is no number, and no pressure.
    if way.is_nan() { 0.0 } else { way.clamp(0.0, PRESSURE_MAX) }
}

/// The pressure, smoothed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pressure {
    value: f64,
    leading: Signal,
    seen: Option<Mono>,
}

impl Pressure {
    /// Learns what was measured; to be called every 100 ms or so.
    pub fn learn(&mut self, signals: &Signals, now: Mono) {
        let (worst, signal) = signals.worst();
        let passed = self.seen.map_or(Duration::ZERO, |seen| now.since(seen)).min(STEP_MAX);
        self.seen = Some(now);
        let rising = worst >= self.value;
        if rising {
            self.leading = signal;
        }
        let tau = if rising { UP } else { DOWN };
        self.value += (worst - self.value) * (1.0 - (-passed.as_secs_f64() / tau.as_secs_f64()).exp());
    }

    /// 0.7 is elevated, 1.0 degraded, in the policy's defaults.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The signal that last drove it up.
    pub fn leading(&self) -> Signal {
        self.leading
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(pressure: &mut Pressure, signals: &Signals, from: u64, seconds: u64) {
        for tick in from * 10..(from + seconds) * 10 {
            pressure.learn(signals, Mono::from_nanos((tick + 1) * 100_000_000));
        }
    }

    fn queue(millis: u64) -> Signals {
        Signals { queue_delay: Duration::from_millis(millis), ..Signals::default() }
    }

    #[test]
    fn an_origin_at_rest_is_under_no_pressure() {
        assert_eq!(Signals::default().worst(), (0.0, Signal::Queue));
        let busy = Signals { cpu: 0.5, memory: 0.5, loop_lag: Duration::from_millis(5), ..Signals::default() };
        assert_eq!(busy.worst().0, 0.0);
    }

    #[test]
    fn each_signal_is_at_one_where_it_says_no_more() {
        let none = Signals::default();
        let cases = [
            (queue(20), Signal::Queue),
            (Signals { latency_ratio: 2.0, ..none }, Signal::Latency),
            (Signals { error_rate: 0.1, ..none }, Signal::Errors),
            (Signals { cpu: 0.9, ..none }, Signal::Cpu),
            (Signals { memory: 0.9, ..none }, Signal::Memory),
            (Signals { loop_lag: Duration::from_millis(200), ..none }, Signal::Lag),
        ];
        for (signals, leads) in cases {
            let (worst, signal) = signals.worst();
            assert!((worst - 1.0).abs() < 1e-9 && signal == leads, "{worst} {signal}");
        }
        let odd = Signals { latency_ratio: f64::NAN, error_rate: f64::INFINITY, ..none };
        assert_eq!(odd.worst(), (PRESSURE_MAX, Signal::Errors));
        let nothing = Signals { queue_target: Duration::ZERO, ..none };
        assert_eq!(nothing.worst().0, 0.0);
    }

    #[test]
    fn it_rises_within_seconds_and_falls_within_tens_of_seconds() {
        let mut pressure = Pressure::default();
        after(&mut pressure, &queue(20), 0, 1);
        assert!((0.5..0.7).contains(&pressure.value()), "{}", pressure.value());
        after(&mut pressure, &queue(20), 1, 4);
        assert!(pressure.value() > 0.98);
        after(&mut pressure, &queue(0), 5, 5);
        assert!((0.55..0.65).contains(&pressure.value()), "{}", pressure.value());
        assert_eq!(pressure.leading(), Signal::Queue, "what it still feels, not what is now");
    }

    #[test]
    fn one_bad_moment_is_no_pressure() {
        let mut pressure = Pressure::default();
        after(&mut pressure, &queue(0), 0, 1);
        pressure.learn(&queue(10_000), Mono::from_nanos(1_100_000_000));
        assert!(pressure.value() < 0.2, "{}", pressure.value());
    }

    proptest! {
        #[test]
        fn it_stays_between_nothing_and_the_worst(delays in prop::collection::vec((0..100_u64, 1..5_000_u64), 1..200)) {
            let (mut pressure, mut millis) = (Pressure::default(), 0);
            for (delay, pause) in delays {
                millis += pause;
                let before = pressure.value();
                let worst = queue(delay).worst().0;
                pressure.learn(&queue(delay), Mono::from_nanos(millis * 1_000_000));
                prop_assert!(pressure.value() >= before.min(worst) && pressure.value() <= before.max(worst));
                prop_assert!((0.0..=PRESSURE_MAX).contains(&pressure.value()));
            }
        }
    }
}
