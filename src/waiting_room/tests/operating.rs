//! Sessions that end, rooms that stop, and what an operator does.

use super::*;

#[test]
fn one_who_steps_out_comes_back_before_all_others() {
    let mut p = policy(1);
    p.session_return = Duration::from_secs(900);
    let mut b = Bench::new(p);
    let mut first = b.fill(1)[0];
    let mut line: Vec<_> = (0..3).map(|_| b.arrive()).collect();
    for _ in 0..61 {
        b.pass(10);
        line.iter_mut().for_each(|who| _ = b.visit(who));
    }
    assert!(line[0].session.is_some(), "idle for ten minutes: the place is another's");
    assert_eq!(position(b.visit(&mut first)), 1);
    assert_eq!(first.ticket.unwrap().lane, RETURNERS);
    b.room.end_session(line[0].session.unwrap(), Duration::ZERO, b.now);
    b.pass(2);
    assert!(matches!(b.visit(&mut first), Visit::Inside { .. }), "before the second in line");
}

#[test]
fn a_session_that_was_ended_is_no_way_back_in() {
    let mut p = policy(1);
    p.session_return = Duration::from_secs(900);
    let mut b = Bench::new(p);
    let mut first = b.fill(1)[0];
    b.room.end_session(first.session.unwrap(), Duration::ZERO, b.now);
    assert!(!matches!(b.visit(&mut first), Visit::Inside { .. }), "at once");
    b.arrive();
    b.pass(1);
    assert!(matches!(b.visit(&mut first), Visit::Queued { ticket: Ticket { lane: EVERYONE, .. }, .. }));
}

#[test]
fn a_route_ends_a_session_after_a_while() {
    let mut b = Bench::new(policy(1));
    let mut who = b.fill(1)[0];
    b.room.end_session(who.session.unwrap(), Duration::from_secs(60), b.now);
    b.pass(59);
    assert!(matches!(b.visit(&mut who), Visit::Inside { .. }));
    b.pass(2);
    assert_eq!(b.room.counters().inside, 0);
}

#[test]
fn the_clocks_of_sessions_and_claims_stand_still_while_the_room_is_paused() {
    let mut b = Bench::new(policy(2));
    let mut inside = b.fill(1)[0];
    b.arrive();
    b.pass(300);
    b.room.set_paused(true);
    b.pass(7200);
    assert_eq!(b.room.counters().inside, 1);
    b.crash();
    b.room.set_paused(true);
    b.pass(7200);
    b.room.set_paused(false);
    b.pass(1);
    assert!(matches!(b.visit(&mut inside), Visit::Inside { .. }), "over a restart too");
    b.pass(599);
    assert_eq!(b.room.counters().inside, 1);
    b.pass(2);
    assert_eq!(b.room.counters().inside, 0);
}

#[test]
fn a_pause_over_a_restart_is_no_part_of_a_sessions_time() {
    let mut p = policy(1);
    p.session_max = Duration::from_secs(1200);
    let mut b = Bench::new(p);
    let mut inside = b.fill(1)[0];
    b.pass(300);
    b.visit(&mut inside);
    b.room.set_paused(true);
    b.pass(3600);
    b.crash();
    b.pass(300);
    assert!(matches!(b.visit(&mut inside), Visit::Inside { .. }), "ten minutes of twenty");
}

#[test]
fn when_nothing_is_left_all_are_told_and_nobody_comes_in() {
    let mut b = Bench::new(policy(1));
    let inside = b.fill(1)[0];
    let mut waiting = b.arrive();
    b.room.set_stock(Some(0));
    b.room.end_session(inside.session.unwrap(), Duration::ZERO, b.now);
    b.pass(5);
    assert!(matches!(
        b.visit(&mut waiting),
        Visit::Queued { waits: Waits::SoldOut, place: Place { position: None, .. }, .. }
    ));
    assert!(matches!(b.visit(&mut Presented::default()), Visit::Shut { waits: Waits::SoldOut, .. }));
    assert_eq!((b.room.counters().inside, b.room.counters().limit), (0, Limit::Stock));
    b.room.set_stock(Some(3));
    b.pass(2);
    assert!(matches!(b.visit(&mut waiting), Visit::Inside { .. }), "some came back");
}

#[test]
fn the_operator_sends_out_those_inside_and_those_in_line() {
    let mut b = Bench::new(policy(2));
    let mut inside = b.fill(2);
    let mut line: Vec<_> = (0..5).map(|_| b.arrive()).collect();
    assert_eq!(b.room.evict_queue(b.now), 5);
    let numbers: Vec<_> = line.iter().map(|who| who.ticket.unwrap().number).collect();
    b.tick();
    b.crash();
    b.pass(20);
    for (who, number) in line.iter_mut().zip(numbers) {
        b.visit(who);
        b.visit(who);
        assert!(who.ticket.unwrap().number > number, "queues anew, over a crash too");
    }
    assert_eq!(b.room.evict_sessions(b.now), 2);
    b.pass(2);
    assert!(inside.iter_mut().all(|who| !matches!(b.visit(who), Visit::Inside { .. })));
}

#[test]
fn a_ticket_is_found_and_turned_out_by_its_reference() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    let line: Vec<_> = (0..3).map(|_| b.arrive()).collect();
    let reference = |who: &Presented| Reference { lane: 0, number: who.ticket.unwrap().number };
    assert!(matches!(
        b.room.look_up(reference(&line[1]), b.now),
        LookUp::Waiting { position: Some(2), here: true, .. }
    ));
    assert!(b.room.evict(reference(&line[0]), b.now) && !b.room.evict(reference(&line[0]), b.now));
    assert_eq!(b.room.look_up(reference(&line[0]), b.now), LookUp::Done);
    assert_eq!(b.room.look_up(Reference { lane: 0, number: 999 }, b.now), LookUp::Unknown);
    assert_eq!(position(b.room.poll(line[1], b.now)), 1);
}

#[test]
fn a_forecast_follows_rate_and_capacity() {
    let mut p = policy(10);
    p.session_idle = Duration::from_secs(60);
    let mut b = Bench::new(p);
    b.fill(10);
    let mut line: Vec<_> = (0..100).map(|_| b.arrive()).collect();
    for _ in 0..30 {
        b.pass(10);
        line.iter_mut().filter(|who| who.session.is_none()).for_each(|who| _ = b.visit(who));
    }
    let forecast = b.room.forecast(None, NonZeroU32::new(20));
    let (now, then) = (forecast.now.tail_waits.unwrap(), forecast.then.tail_waits.unwrap());
    assert!(now > Duration::ZERO && then.as_secs().abs_diff(now.as_secs() / 2) <= 1, "{now:?} {then:?}");
    let slower = b.room.forecast(Some(per_minute(1)), None);
    assert_eq!(slower.then.tail_waits.unwrap().as_secs(), slower.waiting * 60);
}

#[test]
fn a_store_that_fails_holds_or_goes_on_as_the_policy_says() {
    use policy::OnStoreFailure::{Hold, Open, Share};
    for (rule, comes_in, passes) in [(Hold, false, false), (Share, true, false), (Open, false, true)] {
        let mut p = policy(2);
        p.on_store_failure = rule;
        let mut b = Bench::new(p);
        b.fill(2);
        let mut who = b.arrive();
        b.now = b.now.after(Duration::from_secs(59));
        b.visit(&mut who);
        b.now = b.now.after(Duration::from_secs(542));
        b.room.poll(who, b.now);
        for _ in 0..3 {
            let changes = b.room.tick(b.now);
            b.room.abandon(&changes);
        }
        let visit = b.visit(&mut who);
        assert_eq!(matches!(visit, Visit::Inside { .. }), comes_in, "{rule:?}: {visit:?}");
        assert_eq!(visit == Visit::Pass, passes, "{rule:?}: {visit:?}");
        assert!(b.room.counters().inside <= 2);
    }
}

#[test]
fn admissions_follow_the_origins_pressure() {
    let mut p = policy(6000);
    p.admit = policy::Admit::Auto;
    let mut b = Bench::new(p);
    b.room.set_paused(true);
    b.tick();
    let mut line: Vec<_> = (0..4000).map(|_| b.arrive()).collect();
    b.room.set_paused(false);
    let mut rate = |b: &mut Bench, pressure: f64| {
        let before = line.iter().filter(|who| who.session.is_some()).count();
        for _ in 0..20 {
            b.room.observe_pressure(pressure);
            b.pass(1);
            line.iter_mut().filter(|who| who.session.is_none()).for_each(|who| _ = b.visit(who));
        }
        line.iter().filter(|who| who.session.is_some()).count() - before
    };
    let calm = rate(&mut b, 0.1);
    let strained = rate(&mut b, 1.5);
    let after = rate(&mut b, 1.5);
    assert!(calm > 0 && after < calm && after <= strained, "{calm}, {strained}, {after}");
    assert_eq!(b.room.counters().limit, Limit::Pressure);
}
