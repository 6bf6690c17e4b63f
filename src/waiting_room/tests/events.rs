//! Openings, lots, lanes, the end.

use super::*;
use crate::waiting_room::invitation::LaneTag;

const OPENS: u64 = 1_790_000_000_000 + 3_600_000;

fn event() -> policy::WaitingRoom {
    policy::WaitingRoom { opens_unix_ms: Some(OPENS), outside: policy::Outside::Closed, ..policy(2) }
}

fn until(b: &mut Bench, unix_ms: u64) {
    b.now = b.now.after(Duration::from_millis(unix_ms.saturating_sub(b.now.unix_ms)));
    b.tick();
}

/// So many came before the opening, which has just been.
pub(super) fn gathered(count: usize) -> Bench {
    let mut b = Bench::new(event());
    until(&mut b, OPENS - 60_000);
    let crowd: Vec<_> = (0..count).map(|_| b.arrive()).collect();
    assert!(crowd.iter().all(|who| who.ticket.is_some()));
    b.room.set_paused(true);
    until(&mut b, OPENS);
    b.pass(2);
    b.room.set_paused(false);
    b.room.closed = true;
    b.tick();
    b.room.closed = false;
    b.room.publish(b.now);
    b
}

#[test]
fn before_the_gathering_nobody_gets_a_place() {
    let mut b = Bench::new(event());
    let Visit::Shut { waits: Waits::Before { opens_in }, retry_after } = b.visit(&mut Presented::default()) else {
        panic!()
    };
    assert_eq!(opens_in, Duration::from_secs(3600));
    assert!(retry_after >= POLL_MAX && retry_after <= Duration::from_secs(300));
    b.policy.outside = policy::Outside::Pass;
    b.room.configure(&b.policy.clone(), b.now);
    assert_eq!(b.visit(&mut Presented::default()), Visit::Pass);
}

#[test]
fn those_gathered_have_a_place_and_no_position_until_the_lots_are_drawn() {
    let mut b = Bench::new(event());
    until(&mut b, OPENS - 60_000);
    let who = b.arrive();
    let Visit::Queued { place, waits: Waits::Before { opens_in }, .. } = b.room.poll(who, b.now) else { panic!() };
    assert_eq!((place.position, opens_in), (None, Duration::from_secs(60)));
    assert_eq!(b.room.counters().phase, Phase::Gathering);
    b.pass(10);
    assert_eq!((b.room.counters().reserved, b.room.counters().leased), (0, 0), "nobody is let in");
}

#[test]
fn at_the_opening_lots_are_drawn_and_everyone_has_another_position() {
    let b = gathered(500);
    let drawn = b.room.published().into_iter().find_map(|p| p.drawn).unwrap();
    assert_eq!((drawn.first, drawn.count), (1, 500));
    let board = b.room.lines[0].queue.board();
    let mut ranks: Vec<_> = (1..=500).map(|number| board.ahead_of(board.place_of(number)) + 1).collect();
    let by_draw: Vec<_> = (1..=500).map(|number| drawn.rank(number)).collect();
    assert_eq!(ranks, by_draw, "the published seed says who stands where");
    ranks.sort_unstable();
    assert_eq!(ranks, (1..=500).collect::<Vec<_>>());
}

#[test]
fn the_commitment_is_known_before_and_the_seed_after() {
    let mut b = Bench::new(event());
    until(&mut b, OPENS - 60_000);
    (0..50).for_each(|_| _ = b.arrive());
    let before: Vec<_> = b.room.published();
    assert!(before.iter().all(|p| p.drawn.is_none()));
    until(&mut b, OPENS);
    b.pass(1);
    let after = b.room.published();
    let draw = after[0].drawn.unwrap();
    assert_eq!(before[0].commitment, after[0].commitment);
    assert_eq!(draw.commitment(), before[0].commitment);
    b.crash();
    assert_eq!(b.room.published()[0].drawn, Some(draw), "and is the same after a crash");
}

#[test]
fn who_comes_after_the_opening_stands_behind_in_order_of_arrival() {
    let mut b = gathered(50);
    let late: Vec<_> = (0..5).map(|_| b.arrive()).collect();
    for (at, who) in late.iter().enumerate() {
        assert_eq!(position(b.room.poll(*who, b.now)), 51 + at as u64);
    }
}

#[test]
fn who_left_before_the_draw_costs_nothing() {
    let mut b = Bench::new(event());
    until(&mut b, OPENS - 600_000);
    let gone: Vec<_> = (0..30).map(|_| b.arrive()).collect();
    until(&mut b, OPENS - 130_000);
    b.pass(120);
    let here: Vec<_> = (0..10).map(|_| b.arrive()).collect();
    b.room.set_paused(true);
    until(&mut b, OPENS + 1000);
    b.pass(1);
    let mut positions: Vec<_> = here.iter().map(|who| position(b.room.poll(*who, b.now))).collect();
    positions.sort_unstable();
    assert_eq!(positions, (1..=10).collect::<Vec<_>>());
    assert!(matches!(b.room.poll(gone[0], b.now), Visit::Queued { .. }), "and may come back");
}

#[test]
fn after_the_end_nobody_new_comes_in_and_those_inside_finish() {
    let mut p = policy(1);
    p.closes_unix_ms = Some(OPENS);
    p.outside = policy::Outside::Closed;
    let mut b = Bench::new(p);
    until(&mut b, OPENS - 10_000);
    let mut inside = b.fill(1)[0];
    let mut waiting = b.arrive();
    until(&mut b, OPENS);
    assert!(matches!(b.visit(&mut inside), Visit::Inside { .. }));
    assert!(matches!(b.visit(&mut waiting), Visit::Queued { waits: Waits::Closed, .. }));
    assert!(matches!(b.visit(&mut Presented::default()), Visit::Shut { waits: Waits::Closed, .. }));
}

#[test]
fn a_lottery_without_hours_draws_each_minutes_visitors() {
    let mut p = policy(1);
    p.order = policy::Order::Lottery;
    let mut b = Bench::new(p);
    b.fill(1);
    let first: Vec<_> = (0..100).map(|_| b.arrive()).collect();
    b.pass(3);
    // Nobody else is there to be let in, so the first round is drawn at once.
    let positions: Vec<_> = first.iter().map(|who| position(b.room.poll(*who, b.now))).collect();
    assert_ne!(positions, (1..=100).collect::<Vec<_>>());
    let second: Vec<_> = (0..100).map(|_| b.arrive()).collect();
    b.pass(3);
    let Visit::Queued { place, .. } = b.room.poll(second[0], b.now) else { panic!() };
    assert_eq!(place.position, None, "drawn with all others of the same minute");
    b.pass(57);
    for who in first.iter().chain(&second) {
        b.room.poll(*who, b.now);
    }
    b.pass(3);
    let mut positions: Vec<_> = second.iter().map(|who| position(b.room.poll(*who, b.now))).collect();
    assert!(positions.iter().all(|p| *p > 100), "rounds keep their order");
    assert_ne!(positions, (101..=200).collect::<Vec<_>>());
    positions.sort_unstable();
    assert_eq!(positions, (101..=200).collect::<Vec<_>>());
}

fn with_fans(opens_unix_ms: Option<u64>) -> policy::WaitingRoom {
    let lane = policy::Lane {
        name: "fans".into(),
        weight: NonZeroU32::new(4).unwrap(),
        invitations: "fans.keys".into(),
        uses: None,
        opens_unix_ms,
    };
    policy::WaitingRoom { lanes: vec![lane], ..policy(1000) }
}

fn fan(id: u64) -> Presented {
    Presented { invited: Some(Invited { lane: LaneTag::of("launch", "fans"), id }), ..Presented::default() }
}

#[test]
fn lanes_are_served_by_weight() {
    let mut p = with_fans(None);
    p.admit = per_minute(600);
    let mut b = Bench::new(p);
    b.room.set_paused(true);
    b.tick();
    let mut everyone: Vec<_> = (0..200).map(|_| b.arrive()).collect();
    let mut fans: Vec<_> = (0..200).map(|id| b.arrive_as(fan(id))).collect();
    assert!(fans.iter().all(|who| who.ticket.is_some_and(|t| t.lane == FIRST_LANE)));
    assert_eq!(position(b.room.poll(fans[0], b.now)), 1, "a quarter of one is nobody");
    b.room.set_paused(false);
    let mut both: Vec<_> = everyone.iter_mut().chain(&mut fans).collect();
    b.wait(20, &mut both);
    let inside = |crowd: &[Presented]| crowd.iter().filter(|who| who.session.is_some()).count();
    let (of_all, of_fans) = (inside(&everyone), inside(&fans));
    assert!(of_fans > 3 * of_all && of_fans < 5 * of_all, "{of_fans} fans, {of_all} others");
}

#[test]
fn a_lane_may_open_before_the_room() {
    let mut p = with_fans(Some(OPENS - 600_000));
    (p.opens_unix_ms, p.outside) = (Some(OPENS), policy::Outside::Closed);
    let mut b = Bench::new(p);
    until(&mut b, OPENS - 1_200_000);
    let (mut early, mut other) = (b.arrive_as(fan(1)), b.arrive());
    until(&mut b, OPENS - 599_000);
    for _ in 0..3 {
        b.visit(&mut early);
        b.visit(&mut other);
        b.pass(2);
    }
    assert!(early.session.is_some() && other.session.is_none());
    assert!(matches!(b.visit(&mut other), Visit::Queued { waits: Waits::Before { .. }, .. }));
    until(&mut b, OPENS);
    b.visit(&mut other);
    b.pass(3);
    assert!(matches!(b.visit(&mut other), Visit::Inside { .. }));
}

#[test]
fn a_lane_that_the_policy_no_longer_names_keeps_its_visitors() {
    let mut b = Bench::new(with_fans(None));
    b.room.set_paused(true);
    b.tick();
    let mut who = b.arrive_as(fan(1));
    b.policy.lanes.clear();
    b.room.configure(&b.policy.clone(), b.now);
    b.room.set_paused(false);
    b.pass(2);
    assert!(matches!(b.visit(&mut who), Visit::Inside { .. }));
}
