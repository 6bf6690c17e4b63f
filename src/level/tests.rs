use super::*;

mod properties;

fn policy() -> LevelPolicy {
    LevelPolicy { probes: 3, ..LevelPolicy::default() }
}

fn at(seconds: u64) -> Now {
    Now::default().after(Duration::from_secs(seconds))
}

fn ladder_with(policy: LevelPolicy) -> Ladder {
    Ladder::new(&policy, "shop", false)
}

fn ladder() -> Ladder {
    ladder_with(policy())
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
fn a_health_check_that_has_never_passed_warns_and_never_ejects() {
    let mut ladder = Ladder::new(&policy(), "shop", true);
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
    let mut ladder = Ladder::new(&policy(), "shop", true);
    ladder.probe(Probe::Unreachable, at(0).mono);
    assert!(ladder.tick(at(5)).is_some());
    for second in 6..=8 {
        ladder.probe(Probe::Failed, at(second).mono);
    }
    assert_eq!(ladder.tick(at(8)).unwrap().to, Level::Degraded);
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

#[test]
fn static_is_left_after_enough_good_probes_in_a_row() {
    let mut ladder = static_ladder();
    let every = Duration::from_secs(2);
    assert_eq!(ladder.probe_interval(every), Duration::from_millis(500));
    ladder.probe(Probe::Passed, at(6).mono);
    assert_eq!(ladder.probe_interval(every), Duration::from_millis(100), "it hurries once one was good");
    ladder.probe(Probe::Passed, at(7).mono);
    ladder.probe(Probe::Unreachable, at(8).mono);
    assert_eq!(ladder.probe_interval(every), Duration::from_millis(500));
    for second in [9, 10] {
        ladder.probe(Probe::Passed, at(second).mono);
        assert_eq!(ladder.tick(at(second)), None);
    }
    ladder.observe(Contact::Reached, at(11).mono);
    assert_eq!(ladder.tick(at(1000)), None, "silence is no recovery, and a lucky request neither");
    ladder.probe(Probe::Passed, at(1000).mono);
    let change = ladder.tick(at(1000)).unwrap();
    assert_eq!((change.from, change.to), (Level::Static, Level::Degraded));
    assert_eq!(change.cause.to_string(), "3 good probes in a row; its traffic is let back over 5.0 s");
}

/// Three good probes at this second.
fn recovered(ladder: &mut Ladder, second: u64) {
    (0..3).for_each(|_| ladder.probe(Probe::Passed, at(second).mono));
    assert_eq!(ladder.tick(at(second)).unwrap().to, Level::Degraded);
}

#[test]
fn the_way_back_is_one_step_at_a_time_and_traffic_comes_back_bit_by_bit() {
    let mut ladder = static_ladder();
    assert_eq!(ladder.allowance(at(5)), 0.1);
    recovered(&mut ladder, 10);
    let allowed = [10, 11, 12, 15, 16].map(|second| (ladder.allowance(at(second)) * 100.0).round());
    assert_eq!(allowed, [10.0, 28.0, 46.0, 100.0, 100.0]);
    assert!(ladder.wants_probe(), "as long as it is on the way back");
    let mut moves = Vec::new();
    for second in 11..100 {
        moves.extend(ladder.tick(at(second)).map(|change| (second, change.to, change.cause.to_string())));
    }
    let eased = |below, seconds| format!("pressure 0.00, below {below} for {seconds}.0 s");
    assert_eq!(moves, [(45, Level::Elevated, eased("0.6", 30)), (61, Level::Normal, eased("0.4", 15))]);
    assert!(!ladder.wants_probe());
}

#[test]
fn an_origin_that_fails_again_on_its_way_back_is_static_at_once_and_the_next_way_is_longer() {
    let mut ladder = static_ladder();
    let mut ramps = Vec::new();
    for round in 0..9 {
        let second = 10 + round * 5;
        recovered(&mut ladder, second);
        let ramp = ladder.ramp.unwrap();
        ramps.push(ramp.lasting.as_secs());
        ladder.observe(Contact::Unreachable, at(second + 1).mono);
        assert_eq!(ladder.tick(at(second + 1)), None, "one failure may be a slow page's");
        let change = ladder.tick(at(second + 2)).unwrap();
        assert_eq!(change.to, Level::Static);
        assert!(matches!(change.cause, Cause::Relapsed(_)), "{}", change.cause);
        assert_eq!(ladder.allowance(at(second + 2)), 0.1);
    }
    assert_eq!(ramps, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
}

#[test]
fn one_that_answers_with_errors_on_its_way_back_is_static_too() {
    let mut ladder = static_ladder();
    recovered(&mut ladder, 10);
    let failing = Signals { error_rate: 0.6, ..Signals::default() };
    ladder.learn(&failing, at(10).mono);
    assert_eq!(ladder.tick(at(10)), None, "these may be of the time before");
    let change = ladder.tick(at(11)).unwrap();
    assert_eq!(change.cause.to_string(), "the origin failed 60 % while its traffic was let back");
}

#[test]
fn after_a_quiet_time_the_way_back_is_short_again() {
    let mut ladder = static_ladder();
    recovered(&mut ladder, 10);
    assert_eq!(ladder.tick(at(15)), None);
    for (gone, doubled) in [(100, true), (1000, false)] {
        ladder.observe(Contact::Unreachable, at(gone).mono);
        ladder.tick(at(gone + 5));
        recovered(&mut ladder, gone + 10);
        assert_eq!(ladder.ramp.unwrap().lasting, Duration::from_secs(if doubled { 10 } else { 5 }));
        ladder.tick(at(gone + 30));
    }
}

fn queue(millis: u64) -> Signals {
    Signals { queue_delay: Duration::from_millis(millis), ..Signals::default() }
}

/// Ten ticks a second with the same signals; each move, with the second it came at.
fn feel(ladder: &mut Ladder, signals: &Signals, seconds: std::ops::Range<u64>) -> Vec<(f64, Level)> {
    let mut moves = Vec::new();
    for tick in seconds.start * 10..seconds.end * 10 {
        let now = Now::default().after(Duration::from_millis(tick * 100));
        ladder.learn(signals, now.mono);
        moves.extend(ladder.tick(now).map(|change| (tick as f64 / 10.0, change.to)));
    }
    moves
}

#[test]
fn pressure_that_lasts_raises_the_level_and_one_that_fades_lowers_it_step_by_step() {
    let mut ladder = ladder();
    let moves = feel(&mut ladder, &queue(30), 0..20);
    assert_eq!(moves.iter().map(|(_, to)| *to).collect::<Vec<_>>(), [Level::Elevated, Level::Degraded]);
    assert_eq!(feel(&mut ladder, &queue(13), 20..40), [], "better, but not well");
    let moves = feel(&mut ladder, &queue(0), 40..120);
    assert_eq!(moves.iter().map(|(_, to)| *to).collect::<Vec<_>>(), [Level::Elevated, Level::Normal]);
    assert!(moves[0].0 >= 70.0 && moves[1].0 >= moves[0].0 + 15.0, "{moves:?}");
}

#[test]
fn a_move_says_which_pressure_moved_it() {
    let mut ladder = ladder();
    let hurt = Signals { error_rate: 0.2, ..Signals::default() };
    let mut said = Vec::new();
    for tick in 0..80 {
        let now = Now::default().after(Duration::from_millis(tick * 100));
        ladder.learn(&hurt, now.mono);
        said.extend(ladder.tick(now).map(|change| change.cause.to_string()));
    }
    assert!(said[0].starts_with("pressure errors ") && said[0].ends_with(", at 0.7 or above for 1.0 s"), "{said:?}");
    assert!(said[1].ends_with(", at 1 or above for 3.0 s"), "{said:?}");
}

#[test]
fn a_level_that_comes_back_soon_is_left_later() {
    let mut ladder = ladder();
    let mut stays = Vec::new();
    let mut second = 0;
    for _ in 0..3 {
        let begun = second;
        while ladder.automatic() == Level::Normal {
            feel(&mut ladder, &queue(16), second..second + 1);
            second += 1;
        }
        while ladder.automatic() != Level::Normal {
            feel(&mut ladder, &queue(0), second..second + 1);
            second += 1;
        }
        stays.push(second - begun);
    }
    assert!(stays[1] >= stays[0] + 13 && stays[2] >= stays[1] + 28, "{stays:?}");
}

#[test]
fn pressure_closes_no_shop_unless_the_policy_says_so() {
    let worst = Signals { latency_ratio: 100.0, error_rate: 1.0, ..queue(10_000) };
    let mut open = ladder();
    feel(&mut open, &worst, 0..600);
    assert_eq!(open.automatic(), Level::Degraded);
    let threshold = crate::policy::Threshold { pressure: 1.5, lasting: Duration::from_secs(10) };
    let mut closes = ladder_with(LevelPolicy { static_pressure: Some(threshold), ..policy() });
    let moves = feel(&mut closes, &worst, 0..30);
    assert_eq!(moves.last().map(|(_, to)| *to), Some(Level::Static));
    assert!(closes.wants_probe());
    for second in 31..60 {
        closes.probe(Probe::Passed, at(second).mono);
        assert_eq!(feel(&mut closes, &worst, second..second + 1), [], "it would be back at once");
    }
    let back = feel(&mut closes, &queue(0), 60..120);
    assert_eq!(back.first().map(|(_, to)| *to), Some(Level::Degraded), "{back:?}");
}

#[test]
fn the_schedule_raises_the_level_and_never_keeps_it_from_going_further() {
    let window = Window { at_least: Level::Elevated, from_unix_ms: 2_000, until_unix_ms: 20_000, origin: None };
    let mut ladder = ladder_with(LevelPolicy { schedule: vec![window], ..policy() });
    assert_eq!(ladder.tick(at(1)), None);
    assert_eq!(ladder.next_window(at(1)).map(|w| w.from_unix_ms), Some(2_000));
    let change = ladder.tick(at(2)).unwrap();
    assert_eq!((change.to, change.cause.to_string().as_str()), (Level::Elevated, "the schedule's floor is elevated"));
    assert_eq!((ladder.level(at(2)), ladder.automatic()), (Level::Elevated, Level::Normal));
    ladder.observe(Contact::Unreachable, at(2).mono);
    assert_eq!(ladder.tick(at(7)).unwrap().to, Level::Static);
    ladder.pin(Level::Normal, None, "ops", "a pin alone holds it better", at(8));
    assert_eq!(ladder.level(at(8)), Level::Normal);
    ladder.release("ops", "", at(9));
    recovered(&mut ladder, 10);
    assert_eq!(ladder.level(at(20)), Level::Degraded);
}

#[test]
fn a_dry_run_tells_what_would_be_and_changes_nothing() {
    let mut ladder = ladder_with(LevelPolicy { dry_run: true, ..policy() });
    ladder.observe(Contact::Unreachable, at(0).mono);
    let change = ladder.tick(at(5)).unwrap();
    assert_eq!((change.from, change.to, change.dry_run), (Level::Normal, Level::Static, true));
    assert_eq!((ladder.level(at(5)), ladder.automatic(), ladder.allowance(at(5))), (Level::Normal, Level::Static, 1.0));
    assert_eq!(ladder.floor(Level::Elevated, None, "ops", "", at(6)).unwrap().to, Level::Elevated);
    ladder.configure(&policy(), "shop", false);
    let change = ladder.tick(at(7)).unwrap();
    assert_eq!((change.from, change.to, change.dry_run), (Level::Elevated, Level::Static, false));
    assert_eq!(change.cause, Cause::Reloaded);
}

#[test]
fn a_pin_gives_the_origin_all_of_its_traffic() {
    let mut ladder = static_ladder();
    ladder.pin(Level::Normal, Some(20_000), "ops", "the network between us", at(6));
    assert_eq!([6, 19, 20].map(|second| ladder.allowance(at(second))), [1.0, 1.0, 0.1]);
}
