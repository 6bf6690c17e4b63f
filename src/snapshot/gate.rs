//! When a snapshot may go on: not faster than the rate, not while visitors need the origin.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::admission::Ask;
use crate::clock::{Clock, Mono};
use crate::pipeline::origin::{Admitted, Permit};
use crate::pipeline::site::Site;
use crate::policy::{Class, Level, Quota, RouteId};
use crate::proxy::Door;

/// How often it is looked whether visitors still need the origin.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who says whether the origin has time for a snapshot.
pub enum Gate {
    /// No edge runs: nobody.
    Open,
    /// An edge in another process: what keeps it busy, if anything.
    Told(watch::Receiver<Option<String>>),
    /// The edge of this process: a place at the origin is taken like any other, the last in line.
    Edge(Arc<Door>),
}

impl Gate {
    /// Waits for leave to ask for one page of this route; the place at the origin is held until it is dropped.
    pub async fn enter(&mut self, route: RouteId, clock: Clock) -> Option<Permit> {
        loop {
            self.until_quiet(clock).await;
            let Self::Edge(door) = self else { return None };
            if let Admitted::Now(permit) = ask(&door.site.load_full(), route, clock) {
                return Some(permit);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits while visitors need the origin, or all of this machine.
    pub async fn until_quiet(&mut self, clock: Clock) {
        match self {
            Self::Open => {}
            Self::Told(told) => {
                let _ = told.wait_for(Option::is_none).await;
            }
            Self::Edge(door) => {
                while !is_quiet(&door.site.load_full(), clock) {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }
}

/// Whether every origin is at the level normal, and nobody waits to get in.
pub fn is_quiet(site: &Site, clock: Clock) -> bool {
    let now = clock.now();
    site.origins().iter().all(|origin| origin.level() == Level::Normal)
        && site.rooms().iter().all(|room| room.standing(now).counters.waiting == 0)
}

fn ask(site: &Site, route: RouteId, clock: Clock) -> Admitted {
    let origin = site.origin(site.policy.routes.get(route.0).map_or(crate::policy::OriginId(0), |r| r.origin));
    // A free place or none: one who could wait for it would stand before visitors who are bulk too.
    let ask = Ask { class: Class::Bulk, kind: site.kind(route), client: site.seed(), cohort: 0, waits: false };
    origin.admit(ask, clock.mono())
}

/// Spreads requests evenly: a GCRA with room for one.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    interval: Duration,
    next: Mono,
}

impl Pace {
    /// At a rate, but with so long between two at least.
    pub fn new(rate: Quota, at_least: Duration) -> Self {
        Self { interval: (rate.period / rate.count.get()).max(at_least), next: Mono::ZERO }
    }

    /// No faster than this either.
    pub fn slow_down(&mut self, at_least: Duration) {
        self.interval = self.interval.max(at_least);
    }

    /// Takes the next turn; answers how long it is until then.
    pub fn turn(&mut self, now: Mono) -> Duration {
        let at = self.next.max(now);
        self.next = at.after(self.interval);
        at.since(now)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn requests_are_spread_evenly_and_time_unused_is_not_saved_up() {
        let rate = Quota { count: NonZeroU32::new(5).unwrap(), period: Duration::from_secs(1) };
        let mut pace = Pace::new(rate, Duration::ZERO);
        let at = |ms: u64| Mono::from_nanos(ms * 1_000_000);
        let ms = |d: Duration| d.as_millis();
        assert_eq!(ms(pace.turn(at(1000))), 0);
        assert_eq!(ms(pace.turn(at(1000))), 200);
        assert_eq!(ms(pace.turn(at(1100))), 300);
        assert_eq!(ms(pace.turn(at(60_000))), 0);
        assert_eq!(ms(pace.turn(at(60_000))), 200);
        pace.slow_down(Duration::from_secs(2));
        pace.turn(at(61_000));
        assert_eq!(ms(pace.turn(at(61_000))), 2000);
    }
}
