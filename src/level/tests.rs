use proptest::prelude::*;

use super::*;

fn policy() -> LevelPolicy {
    LevelPolicy { header: None, unreachable: Duration::from_secs(5), probes: 3, probes_for: Duration::from_secs(30) }
}

fn at(seconds: u64) -> Now {
    Now::default().after(Duration::from_secs(seconds))
}

fn ladder() -> Ladder {
    Ladder::new(&policy(), false)
}

/// A ladder that went static at second 5.
fn static_ladder() -> Ladder {
    let mut ladder = ladder();
    ladder.observe(Contact::Unreachable, at(0).mono);
    assert_eq!(ladder.tick(at(5)).unwrap().to, Level::Static);
    ladder
}

#[test]
fn an_origin_out_of_reach_for_long_enough_goes_static() {
    let mut ladder = ladder();
    ladder.observe(Contact::Unreachable, at(10).mono);
    ladder.observe(Contact::Unreachable, at(12).mono);
    assert!(ladder.wants_probe());
    assert_eq!(ladder.tick(at(14)), None);
    let change = ladder.tick(at(15)).unwrap();
    assert_eq!((change.from, change.to, change.unix_ms), (Level::Normal, Level::Static, 15_000));
    assert_eq!(change.cause.to_string(), "the origin was not reached for 5.0 s");
    assert_eq!(ladder.tick(at(16)), None, "told once");
}

#[test]
fn one_success_in_between_starts_the_time_anew() {
    let mut ladder = ladder();
    ladder.observe(Contact::Unreachable, at(0).mono);
    ladder.observe(Contact::Reached, at(4).mono);
    assert!(!ladder.wants_probe());
    ladder.observe(Contact::Unreachable, at(4).mono);
    assert_eq!(ladder.tick(at(8)), None);
    assert!(ladder.tick(at(9)).is_some());
}

#[test]
fn it_leaves_static_after_enough_good_probes_that_stay_good() {
    let mut ladder = static_ladder();
    for second in 6..38 {
        assert_eq!(ladder.tick(at(second)), None);
        ladder.probe(Probe::Passed, at(second).mono);
    }
    // The third good probe was at 8.
    assert_eq!(ladder.tick(at(38)), None, "the last one was at 37");
    ladder.probe(Probe::Passed, at(38).mono);
    let change = ladder.tick(at(38)).unwrap();
    assert_eq!(change.to, Level::Normal);
    assert_eq!(change.cause.to_string(), "33 good probes in a row, then steady for 30.0 s");
    assert!(!ladder.wants_probe());
}

#[test]
fn a_bad_probe_or_a_failed_request_starts_recovery_anew() {
    for bad in [0, 1] {
        let mut ladder = static_ladder();
        for second in 6..30 {
            ladder.probe(Probe::Passed, at(second).mono);
        }
        match bad {
            0 => ladder.probe(Probe::Unreachable, at(30).mono),
            _ => ladder.observe(Contact::Unreachable, at(30).mono),
        }
        ladder.probe(Probe::Passed, at(31).mono);
        ladder.probe(Probe::Passed, at(45).mono);
        assert_eq!(ladder.tick(at(45)), None);
        ladder.probe(Probe::Passed, at(46).mono);
        ladder.probe(Probe::Passed, at(75).mono);
        assert_eq!(ladder.tick(at(75)), None);
        ladder.probe(Probe::Passed, at(76).mono);
        assert!(ladder.tick(at(76)).is_some());
    }
}

#[test]
fn silence_is_no_recovery_and_a_lucky_request_neither() {
    let mut ladder = static_ladder();
    for second in 6..10 {
        ladder.probe(Probe::Passed, at(second).mono);
    }
    ladder.observe(Contact::Reached, at(500).mono);
    assert_eq!(ladder.tick(at(1000)), None);
}

#[test]
fn a_health_check_that_has_never_passed_warns_and_never_ejects() {
    let mut ladder = Ladder::new(&policy(), true);
    assert!(ladder.wants_probe() && !ladder.check_never_passed());
    for second in 0..100 {
        ladder.probe(Probe::Failed, at(second).mono);
        assert_eq!(ladder.tick(at(second)), None);
    }
    assert!(ladder.check_never_passed());
    ladder.probe(Probe::Passed, at(100).mono);
    assert!(!ladder.check_never_passed());
    ladder.probe(Probe::Failed, at(101).mono);
    assert!(ladder.tick(at(106)).is_some(), "once it has passed, it counts");
}

#[test]
fn a_check_that_never_passed_does_not_keep_a_reachable_origin_at_static() {
    let mut ladder = Ladder::new(&policy(), true);
    ladder.probe(Probe::Unreachable, at(0).mono);
    assert!(ladder.tick(at(5)).is_some());
    for second in 6..=38 {
        ladder.probe(Probe::Failed, at(second).mono);
    }
    assert_eq!(ladder.tick(at(38)).unwrap().to, Level::Normal);
}

#[test]
fn a_floor_only_raises_and_a_pin_alone_holds_it_better() {
    let mut ladder = ladder();
    let change = ladder.floor(Level::Elevated, None, "ops", "sale at ten", at(0)).unwrap();
    assert_eq!(change.to, Level::Elevated);
    assert_eq!(change.cause.to_string(), "floor set by ops: sale at ten");
    ladder.observe(Contact::Unreachable, at(0).mono);
    assert_eq!(ladder.tick(at(5)).unwrap().to, Level::Static, "the floor does not keep it from going further");
    assert_eq!(ladder.pin(Level::Normal, None, "ops", "it is fine", at(6)).unwrap().to, Level::Normal);
    assert_eq!(ladder.level(at(7)), Level::Normal);
    assert_eq!(ladder.automatic(), Level::Static);
    let change = ladder.release("ops", "done", at(8)).unwrap();
    assert_eq!((change.from, change.to), (Level::Normal, Level::Static));
    assert_eq!(ladder.overrides(at(8)).count(), 0);
}

#[test]
fn a_pin_expires_by_itself() {
    let mut ladder = ladder();
    assert!(ladder.pin(Level::Degraded, Some(10_000), "ops", "test", at(0)).is_some());
    assert_eq!(ladder.tick(at(9)), None);
    assert_eq!(ladder.level(at(10)), Level::Normal, "even before the tick");
    let change = ladder.tick(at(11)).unwrap();
    assert_eq!((change.from, change.to), (Level::Degraded, Level::Normal));
    assert!(matches!(change.cause, Cause::Expired(set) if set.who == "ops"));
}

#[test]
fn a_word_that_changes_nothing_is_no_change() {
    let mut ladder = ladder();
    assert_eq!(ladder.floor(Level::Normal, None, "ops", "", at(0)), None);
    assert_eq!(ladder.release("ops", "", at(0)), None);
}

#[test]
fn overrides_outlive_a_restart_and_stale_ones_do_not_count() {
    let mut before = ladder();
    before.pin(Level::Static, Some(60_000), "ops", "maintenance", at(0));
    before.floor(Level::Elevated, None, "cms", "sale", at(0));
    let kept = serde_json::to_string(&before.overrides(at(1)).collect::<Vec<_>>()).unwrap();
    let read: Vec<Override> = serde_json::from_str(&kept).unwrap();
    for (restart, expected) in [(30, Level::Static), (90, Level::Elevated)] {
        let mut after = ladder();
        for set in read.clone() {
            after.set(set, at(restart));
        }
        assert_eq!(after.level(at(restart)), expected);
        assert_eq!(after.tick(at(restart)), None, "an expired one was never told");
    }
}

proptest! {
    #[test]
    fn the_automatic_level_never_flaps_inside_its_dwell(
        steps in prop::collection::vec((0..5_u8, 0..8_000_u64), 1..400),
    ) {
        let mut ladder = ladder();
        let (mut now, mut changed) = (Now::default(), None::<(Level, Now)>);
        for (step, pause_ms) in steps {
            now = now.after(Duration::from_millis(pause_ms));
            match step {
                0 => ladder.observe(Contact::Reached, now.mono),
                1 => ladder.observe(Contact::Unreachable, now.mono),
                4 => ladder.probe(Probe::Unreachable, now.mono),
                _ => ladder.probe(Probe::Passed, now.mono),
            }
            let Some(change) = ladder.tick(now) else { continue };
            if let Some((level, since)) = changed {
                prop_assert_eq!(change.from, level);
                let dwell = match level {
                    Level::Static => policy().probes_for,
                    _ => policy().unreachable,
                };
                prop_assert!(now.mono.since(since.mono) >= dwell, "{:?}", change);
            }
            changed = Some((change.to, now));
        }
    }
}
