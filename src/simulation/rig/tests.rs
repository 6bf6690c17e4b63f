use super::*;
use crate::concurrency::Fixed;

#[test]
fn the_right_limit_keeps_the_capacity_and_a_large_one_loses_it() {
    let scenario = named("10x, collapsing").unwrap();
    let share = |limit| run(&scenario, Box::new(Fixed(limit)), 1).share(Duration::from_secs(1)..scenario.lasts);
    assert!(share(4) > 0.98, "{}", share(4));
    assert!(share(2) < 0.55, "half of the workers stand idle: {}", share(2));
    assert!(share(64) < 0.2, "collapsed: {}", share(64));
}

#[test]
fn everyone_who_came_is_accounted_for() {
    for scenario in all() {
        let report = run(&scenario, Box::new(Fixed(4)), 3);
        let sum = |f: fn(&Tick) -> u32| report.ticks.iter().map(f).sum::<u32>() as usize;
        let ended = sum(|t| t.answered) + sum(|t| t.refused) + sum(|t| t.failed);
        let open = sum(|t| t.offered) - ended;
        assert!(open <= LINE + 4, "{}: {open} neither ended nor in the house", scenario.name);
    }
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let scenario = named("steady 0.9x, lognormal").unwrap();
    let of = |seed| run(&scenario, Box::new(Fixed(4)), seed).ticks;
    assert_eq!(of(5), of(5));
    assert_ne!(of(5), of(6));
}

#[test]
fn what_was_to_be_had_is_the_lesser_of_offer_and_capacity() {
    let tick = |offered, good| Tick { offered, good, capacity: 20.0, ..Tick::default() };
    let report = Report { ticks: vec![tick(10, 10), tick(100, 10), tick(100, 20), tick(100, 20)] };
    assert!((report.share(Duration::ZERO..TICK) - 1.0).abs() < 1e-9);
    assert!((report.share(TICK..2 * TICK) - 0.5).abs() < 1e-9);
    assert_eq!(report.reached(1.0, TICK, TICK), Some(TICK));
}
