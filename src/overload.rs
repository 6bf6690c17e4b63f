//! The edge's own overload: what it does when it is Seawall that is short, not an origin.
//!
//! From what the shell measures ten times a second follows one [`Strain`]. [`Strain::Tight`] gives
//! connections up sooner; [`Strain::Short`] refuses earlier and cheaper. It does not refuse everyone:
//! a storm of requests that an origin could not take anyway keeps the edge busy too, and whoever
//! answered it by closing the door would lose the origin's whole capacity.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Mono;
use crate::policy::Class;

/// From where on the edge is tight, and from where on short.
const CONNECTIONS_TIGHT: f64 = 0.8;
const MEMORY: [f64; 2] = [0.8, 0.9];
const LAG: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];
/// A machine that is busy and in time is well used; only one that is busy and late is short.
const CPU_SHORT: f64 = 0.95;
const CPU_SHORT_FOR: Duration = Duration::from_secs(1);
/// A strain is left when everything has been below this share of its limit for so long.
const EASE: f64 = 0.9;
const CALM: Duration = Duration::from_secs(2);
/// How much of a new lag is believed: one late moment in a hundred is no strain.
const LAG_WEIGHT: f64 = 0.3;

/// What was measured of the edge over the last 100 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Of `max_connections`, 0 to 1.
    pub connections: f64,
    /// Of what the machine or its cgroup leaves beside the cache, 0 to 1.
    pub memory: f64,
    /// Of the threads' time, 0 to 1.
    pub cpu: f64,
    /// The latest that a task ran.
    pub lag: Duration,
    /// Bytes resident.
    pub resident: u64,
}

/// How short the edge is of what it lives on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Strain {
    #[default]
    Easy,
    /// Worth a look; where it is connections or memory, connections are given up sooner.
    Tight,
    /// Bulk requests are refused before any work, and others before they would queue where nobody is
    /// let in.
    Short,
}

impl Strain {
    /// From the best to the worst.
    pub const ALL: [Self; 3] = [Self::Easy, Self::Tight, Self::Short];

    /// As status, metrics and the log call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Tight => "tight",
            Self::Short => "short",
        }
    }

    /// Whether requests of this class are refused before any work.
    pub fn refuses(self, class: Class) -> bool {
        self == Self::Short && class == Class::Bulk
    }

    /// Whether requests of this class are refused, before they ask for a place, while the origin sends
    /// others away.
    pub fn refuses_in_vain(self, class: Class) -> bool {
        self == Self::Short && class != Class::Critical
    }
}

/// Follows the vitals; worse at once, better one step at a time.
#[derive(Debug, Default)]
pub struct Watch {
    strain: Strain,
    /// Smoothed, in seconds.
    lag: f64,
    busy_since: Option<Mono>,
    calm_since: Option<Mono>,
}

impl Watch {
    /// Learns what was measured; to be called every 100 ms or so.
    pub fn learn(&mut self, vitals: &Vitals, now: Mono) -> Strain {
        self.lag += (vitals.lag.as_secs_f64() - self.lag) * LAG_WEIGHT;
        self.busy_since = if vitals.cpu > CPU_SHORT { self.busy_since.or(Some(now)) } else { None };
        let asked = self.asked(vitals, 1.0, now);
        if asked > self.strain {
            self.strain = asked;
        }
        if self.strain > self.asked(vitals, EASE, now) {
            if now.since(*self.calm_since.get_or_insert(now)) >= CALM {
                self.strain = if self.strain == Strain::Short { Strain::Tight } else { Strain::Easy };
                self.calm_since = None;
            }
        } else {
            self.calm_since = None;
        }
        self.strain
    }

    /// The lag as it is judged.
    pub fn lag(&self) -> Duration {
        Duration::try_from_secs_f64(self.lag).unwrap_or_default()
    }

    /// The strain that these ask for, with every limit at this share of itself.
    fn asked(&self, vitals: &Vitals, share: f64, now: Mono) -> Strain {
        let [late, too_late] = LAG.map(|limit| self.lag > limit.as_secs_f64() * share);
        let [full, too_full] = MEMORY.map(|limit| vitals.memory > limit * share);
        let busy = self.busy_since.is_some_and(|since| now.since(since) >= CPU_SHORT_FOR);
        if too_late || too_full || (busy && late) {
            Strain::Short
        } else if late || full || vitals.connections >= CONNECTIONS_TIGHT * share {
            Strain::Tight
        } else {
            Strain::Easy
        }
    }
}

/// The strain and what it came from, where every request can see it. Outlives the policy.
#[derive(Debug, Default)]
pub struct Condition {
    strain: AtomicU8,
    /// The bits of an `f64` each.
    connections: AtomicU64,
    memory: AtomicU64,
    cpu: AtomicU64,
    lag_nanos: AtomicU64,
    resident: AtomicU64,
}

impl Condition {
    /// How short the edge is now.
    pub fn strain(&self) -> Strain {
        Strain::ALL.get(usize::from(self.strain.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// Whether refusals and room answers close their connection, and idle ones go after a second: where
    /// places for connections are short, or the memory that they take. Where time is short they are
    /// kept: whoever is closed comes back, and a new connection costs more than many refusals.
    pub fn gives_up_connections(&self) -> bool {
        let [tight, _] = MEMORY;
        let vitals = self.vitals();
        self.strain() >= Strain::Tight
            && (vitals.connections >= CONNECTIONS_TIGHT * EASE || vitals.memory > tight * EASE)
    }

    /// What was measured last.
    pub fn vitals(&self) -> Vitals {
        let share = |bits: &AtomicU64| f64::from_bits(bits.load(Ordering::Relaxed));
        Vitals {
            connections: share(&self.connections),
            memory: share(&self.memory),
            cpu: share(&self.cpu),
            lag: Duration::from_nanos(self.lag_nanos.load(Ordering::Relaxed)),
            resident: self.resident.load(Ordering::Relaxed),
        }
    }

    /// Shows both to everyone.
    pub fn tell(&self, strain: Strain, vitals: &Vitals) {
        self.connections.store(vitals.connections.to_bits(), Ordering::Relaxed);
        self.memory.store(vitals.memory.to_bits(), Ordering::Relaxed);
        self.cpu.store(vitals.cpu.to_bits(), Ordering::Relaxed);
        let nanos = u64::try_from(vitals.lag.as_nanos()).unwrap_or(u64::MAX);
        self.lag_nanos.store(nanos, Ordering::Relaxed);
        self.resident.store(vitals.resident, Ordering::Relaxed);
        self.strain.store(strain as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(tick: u64) -> Mono {
        Mono::from_nanos(tick * 100_000_000)
    }

    fn after(watch: &mut Watch, vitals: Vitals, ticks: std::ops::Range<u64>) -> Strain {
        ticks.map(|tick| watch.learn(&vitals, at(tick))).last().unwrap_or_default()
    }

    fn late(millis: u64) -> Vitals {
        Vitals { lag: Duration::from_millis(millis), ..Vitals::default() }
    }

    #[test]
    fn each_shortage_is_felt() {
        let none = Vitals::default();
        let cases = [
            (none, Strain::Easy),
            (Vitals { connections: 0.8, ..none }, Strain::Tight),
            (Vitals { memory: 0.85, ..none }, Strain::Tight),
            (Vitals { memory: 0.95, ..none }, Strain::Short),
            (late(60), Strain::Tight),
            (late(300), Strain::Short),
            (Vitals { cpu: 1.0, ..none }, Strain::Easy),
            (Vitals { cpu: 1.0, ..late(60) }, Strain::Short),
        ];
        for (vitals, strain) in cases {
            assert_eq!(after(&mut Watch::default(), vitals, 0..30), strain, "{vitals:?}");
        }
    }

    #[test]
    fn one_late_moment_is_no_shortage() {
        let mut watch = Watch::default();
        after(&mut watch, late(1), 0..10);
        assert_eq!(after(&mut watch, late(500), 10..11), Strain::Tight);
        assert_eq!(after(&mut watch, late(1), 11..60), Strain::Easy);
    }

    #[test]
    fn the_way_back_is_one_step_at_a_time_and_not_at_the_edge_of_a_limit() {
        let mut watch = Watch::default();
        let memory = |memory| Vitals { memory, ..Vitals::default() };
        assert_eq!(after(&mut watch, memory(0.91), 0..1), Strain::Short);
        assert_eq!(after(&mut watch, memory(0.89), 1..100), Strain::Short, "just below its limit");
        assert_eq!(after(&mut watch, memory(0.5), 100..120), Strain::Short);
        assert_eq!(after(&mut watch, memory(0.5), 120..121), Strain::Tight);
        assert_eq!(after(&mut watch, memory(0.5), 121..141), Strain::Tight);
        assert_eq!(after(&mut watch, memory(0.5), 141..142), Strain::Easy);
    }

    #[test]
    fn critical_requests_are_never_refused_for_the_edges_sake() {
        for strain in Strain::ALL {
            assert!(!strain.refuses(Class::Critical) && !strain.refuses_in_vain(Class::Critical));
            assert_eq!(strain.refuses(Class::Bulk), strain == Strain::Short);
        }
    }

    #[test]
    fn what_is_told_is_what_is_seen() {
        let (condition, vitals) = (Condition::default(), Vitals { cpu: 0.25, resident: 7, ..late(3) });
        assert_eq!((condition.strain(), condition.vitals()), (Strain::Easy, Vitals::default()));
        condition.tell(Strain::Short, &vitals);
        assert_eq!((condition.strain(), condition.vitals()), (Strain::Short, vitals));
    }

    #[test]
    fn connections_are_given_up_for_what_they_take_and_not_for_time() {
        let condition = Condition::default();
        let gives_up = |strain, vitals: Vitals| {
            condition.tell(strain, &vitals);
            condition.gives_up_connections()
        };
        assert!(!gives_up(Strain::Short, Vitals { cpu: 1.0, ..late(500) }));
        assert!(gives_up(Strain::Tight, Vitals { memory: 0.85, ..Vitals::default() }));
        assert!(gives_up(Strain::Tight, Vitals { connections: 0.75, ..Vitals::default() }), "on the way back");
        assert!(!gives_up(Strain::Easy, Vitals { connections: 0.75, ..Vitals::default() }));
    }

    proptest! {
        #[test]
        fn it_gets_better_one_step_at_a_time_and_never_at_once(lags in prop::collection::vec(0..400_u64, 1..300)) {
            let (mut watch, mut before, mut since) = (Watch::default(), Strain::Easy, 0);
            for (tick, lag) in lags.into_iter().enumerate() {
                let strain = watch.learn(&late(lag), at(tick as u64));
                if strain < before {
                    prop_assert_eq!(strain as u8 + 1, before as u8);
                    prop_assert!(tick - since >= 20);
                }
                if strain != before {
                    since = tick;
                }
                before = strain;
            }
        }
    }
}
