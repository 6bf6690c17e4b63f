//! What holds whatever happens to an origin.

use proptest::prelude::*;

use super::*;

/// What may happen to an origin within a moment.
#[derive(Clone, Copy, Debug)]
enum Event {
    Contact(Contact),
    Probe(Probe),
    Queue(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::Contact(Contact::Reached)),
        1 => Just(Event::Contact(Contact::Unreachable)),
        1 => Just(Event::Probe(Probe::Unreachable)),
        4 => Just(Event::Probe(Probe::Passed)),
        4 => (0..80_u64).prop_map(Event::Queue),
    ]
}

proptest! {
    #[test]
    fn the_automatic_level_never_flaps_inside_its_dwell(
        // Each as often as it is said, so that something lasts.
        steps in prop::collection::vec((event(), 1..100_u64, 10..500_u64), 1..60),
    ) {
        let mut ladder = ladder();
        let mut now = Now::default();
        // When each level was last entered from a better one.
        let mut entered = [now; 4];
        for (event, times, pause_ms) in steps {
            for _ in 0..times {
                now = now.after(Duration::from_millis(pause_ms));
                match event {
                    Event::Contact(contact) => ladder.observe(contact, now.mono),
                    Event::Probe(probe) => ladder.probe(probe, now.mono),
                    Event::Queue(millis) => ladder.learn(&queue(millis), now.mono),
                }
                let Some(change) = ladder.tick(now) else { continue };
                if change.to > change.from {
                    let crossed = Level::ALL.into_iter().filter(|l| *l > change.from && *l <= change.to);
                    crossed.for_each(|level| entered[level as usize] = now);
                    continue;
                }
                prop_assert_eq!(change.to, change.from.below(), "one step at a time");
                let dwell = match change.from {
                    Level::Degraded => policy().degraded.leave.lasting,
                    Level::Elevated => policy().elevated.leave.lasting,
                    _ => Duration::ZERO,
                };
                prop_assert!(now.mono.since(entered[change.from as usize].mono) >= dwell, "{:?}", change);
                entered[change.to as usize] = now;
            }
        }
    }

    #[test]
    fn more_pressure_is_never_a_better_level(low in 0..60_u64, more in 0..60_u64, seconds in 1..120_u64) {
        let (mut less, mut worse) = (ladder(), ladder());
        for second in 0..seconds {
            feel(&mut less, &queue(low), second..second + 1);
            feel(&mut worse, &queue(low + more), second..second + 1);
            prop_assert!(less.automatic() <= worse.automatic());
        }
    }

    #[test]
    fn the_allowance_is_a_share_and_only_grows_on_the_way_back(failures in prop::collection::vec(0..40_u64, 1..20)) {
        let (mut ladder, mut now) = (static_ladder(), at(6));
        for until_failure in failures {
            let mut last = 0.0;
            for _ in 0..until_failure * 10 {
                now = now.after(Duration::from_millis(100));
                ladder.probe(Probe::Passed, now.mono);
                ladder.tick(now);
                let allowance = ladder.allowance(now);
                prop_assert!((0.1..=1.0).contains(&allowance) && allowance >= last);
                last = allowance;
            }
            ladder.probe(Probe::Unreachable, now.mono);
            now = now.after(Duration::from_secs(5));
            ladder.tick(now);
            prop_assert_eq!(ladder.automatic(), Level::Static);
        }
    }
}
