//! What a limiter must get right.

use std::time::Duration;

use super::Scenario;
use crate::simulation::origin::{Change, Shape};

/// What is asked of a scenario's limiter.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Goodput, from the first request on.
    Keeps { share: f64 },
    /// Goodput within so long after each of these moments.
    Follows { share: f64, within: Duration, after: Vec<Duration> },
    /// At most so large a share lost once it knows its origin, half way.
    Loses { at_most: f64 },
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn scenario(name: &'static str, origin: Shape, rate: &[(u64, f64)], lasts: u64, asks: Kind) -> Scenario {
    let rate = rate.iter().map(|(from, times)| (s(*from), times * origin.capacity(Duration::ZERO))).collect();
    Scenario { name, origin, rate, poisson: true, kinds: Vec::new(), lasts: s(lasts), asks }
}

/// Every scenario; a rate is given in times the capacity.
pub fn all() -> Vec<Scenario> {
    let fixed = Shape::shop;
    let collapsing = || Shape::shop().collapsing(0.5);
    let keeps = |share| Kind::Keeps { share };
    let jump = Kind::Follows { share: 0.95, within: ms(500), after: vec![s(10)] };
    let halves = Kind::Follows { share: 0.95, within: s(2), after: vec![s(10), s(20)] };
    let loses = Kind::Loses { at_most: 0.000_5 };
    let mut mixed =
        scenario("kinds of 20 and 120 ms change places", fixed().slow(1, ms(100)), &[(0, 2.0)], 30, keeps(0.98));
    mixed.kinds = vec![(1, 500)];
    let mut payment = scenario("1 % wait 5 s for a payment", fixed().slow(1, s(5)), &[(0, 2.0)], 60, keeps(0.98));
    payment.kinds = vec![(1, 10)];
    vec![
        scenario("2x, fixed", fixed(), &[(0, 2.0)], 30, keeps(0.98)),
        scenario("5x, fixed", fixed(), &[(0, 5.0)], 30, keeps(0.98)),
        scenario("10x, fixed", fixed(), &[(0, 10.0)], 30, keeps(0.98)),
        scenario("100x, fixed", fixed(), &[(0, 100.0)], 30, keeps(0.95)),
        scenario("2x, collapsing", collapsing(), &[(0, 2.0)], 30, keeps(0.95)),
        scenario("5x, collapsing", collapsing(), &[(0, 5.0)], 30, keeps(0.95)),
        scenario("10x, collapsing", collapsing(), &[(0, 10.0)], 30, keeps(0.95)),
        scenario("100x, collapsing", collapsing(), &[(0, 100.0)], 30, keeps(0.95)),
        // Short and a little uneven, as over real sockets: what the start costs, and each trial.
        scenario("first 10 s of 10x, collapsing", collapsing().lognormal(0.15), &[(0, 10.0)], 10, keeps(0.95)),
        scenario("first 10 s of 2x, collapsing", collapsing().lognormal(0.15), &[(0, 2.0)], 10, keeps(0.95)),
        // A worker waits for the next request unless one more than there are workers stands behind it.
        scenario("first 10 s of 5x, turnaround", uneven(fixed()), &[(0, 5.0)], 10, keeps(0.98)),
        scenario("first 10 s of 5x, turnaround, collapsing", uneven(collapsing()), &[(0, 5.0)], 10, keeps(0.95)),
        scenario("10x, collapsing, lognormal", collapsing().lognormal(0.5), &[(0, 10.0)], 60, keeps(0.95)),
        scenario("10x, pauses of 100 ms each 2 s", fixed().pausing(s(2), ms(100)), &[(0, 10.0)], 30, keeps(0.9)),
        scenario("10x, cold start", fixed().cold(5.0, 500), &[(0, 10.0)], 60, keeps(0.85)),
        scenario(
            "10x, an origin of 200 workers",
            Shape::fixed(200, ms(100)).collapsing(0.5),
            &[(0, 10.0)],
            30,
            keeps(0.9),
        ),
        scenario("step 0.5x to 10x, fixed", fixed(), &[(0, 0.5), (10, 10.0)], 20, jump.clone()),
        scenario("step 0.5x to 10x, collapsing", collapsing(), &[(0, 0.5), (10, 10.0)], 20, jump),
        scenario("workers 4, 2, 4 at 5x", halved(collapsing(), Change::Workers), &[(0, 5.0)], 30, halves.clone()),
        scenario("service 20, 40, 20 ms at 5x", slowed(collapsing()), &[(0, 5.0)], 30, halves),
        scenario(
            "dead for 30 s at 2x",
            collapsing().then(s(10), Change::Dies).then(s(40), Change::Returns),
            &[(0, 2.0)],
            70,
            Kind::Follows { share: 0.95, within: s(10), after: vec![s(40)] },
        ),
        mixed,
        payment,
        scenario("steady 0.9x, lognormal", fixed().lognormal(0.5), &[(0, 0.9)], 120, loses),
    ]
}

/// As over real sockets.
fn uneven(origin: Shape) -> Shape {
    origin.turnaround(Duration::from_micros(500)).lognormal(0.01)
}

fn halved(origin: Shape, change: fn(usize) -> Change) -> Shape {
    origin.then(s(10), change(2)).then(s(20), change(4))
}

fn slowed(origin: Shape) -> Shape {
    origin.then(s(10), Change::Service(ms(40))).then(s(20), Change::Service(ms(20)))
}

/// The scenario of this name.
pub fn named(name: &str) -> Option<Scenario> {
    all().into_iter().find(|s| s.name == name)
}
