//! What those try who would rather not wait: `facts` name them, each has its test here or, where it
//! takes a socket, in `tests/room_attacks.rs`.

use super::*;
use crate::policy::PlacesPerClient;
use crate::waiting_room::invitation::LaneTag;

fn from(hash: u64) -> Presented {
    Presented { client: Client { hash, v6: false }, ..Presented::default() }
}

fn places(ipv4: u32) -> PlacesPerClient {
    PlacesPerClient { ipv4: NonZeroU32::new(ipv4).unwrap(), ipv6_64: NonZeroU32::new(2).unwrap() }
}

#[test]
fn who_keeps_no_cookie_gets_no_number_and_costs_no_place() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    for _ in 0..1000 {
        assert!(matches!(b.room.visit(from(7), b.now), Visit::Stub { .. }));
    }
    let counters = b.room.counters();
    assert_eq!((counters.waiting, counters.issued_total), (0, 0));
}

#[test]
fn bots_without_cookies_do_not_eat_the_capacity() {
    let mut b = Bench::new(policy(100));
    for _ in 0..20 {
        b.pass(1);
        (0..20).for_each(|_| {
            if let Visit::Inside { session, .. } = b.room.visit(from(7), b.now) {
                b.room.leave(session.slot, session.generation, b.now);
            }
        });
    }
    let counters = b.room.counters();
    assert!(counters.inside <= 8, "{} inside", counters.inside);
    b.pass(62);
    assert_eq!(b.room.counters().inside, 0, "and they lapse");
    // A visitor from the same address walks in nevertheless, and stays.
    let mut who = b.arrive_as(from(7));
    assert!(who.session.is_some());
    b.visit(&mut who);
    b.pass(60);
    assert!(matches!(b.visit(&mut who), Visit::Inside { .. }));
}

#[test]
fn bots_without_cookies_from_everywhere_leave_most_of_the_capacity() {
    let mut b = Bench::new(policy(100));
    for hash in 1..1000 {
        b.pass(u64::from(hash % 10 == 0));
        b.visit(&mut from(hash));
    }
    let inside = b.room.counters().inside;
    assert!(inside <= 40, "{inside} inside: a tenth, and half of what is free");
    assert!(b.arrive_as(from(5000)).session.is_some(), "a visitor walks in");
}

#[test]
fn who_reads_the_first_page_for_long_comes_back_before_all_others() {
    let mut b = Bench::new(policy(1));
    let mut reader = Presented::default();
    assert!(matches!(b.visit(&mut reader), Visit::Inside { .. }), "provisionally: no cookie came back");
    b.pass(70);
    let mut next = b.fill(1)[0];
    let mut waits = b.arrive();
    assert!(matches!(b.visit(&mut reader), Visit::Queued { .. }));
    b.room.end_session(next.session.take().unwrap(), Duration::ZERO, b.now);
    b.wait(3, &mut [&mut reader, &mut waits]);
    assert!(reader.session.is_some() && waits.session.is_none());
}

#[test]
fn one_address_farms_no_more_places_than_it_may_hold() {
    let mut p = policy(1);
    p.places_per_client = places(5);
    let mut b = Bench::new(p);
    b.fill(1);
    let mut got = 0;
    for _ in 0..50 {
        let who = b.arrive_as(from(7));
        got += u32::from(who.ticket.is_some());
    }
    assert_eq!(got, 5);
    let mut stub = from(7);
    b.visit(&mut stub);
    assert!(matches!(b.visit(&mut stub), Visit::Full { why: Full::Client, .. }));
    assert!(b.arrive_as(from(8)).ticket.is_some(), "others are not touched");
    // What is not polled for is forgotten after two windows, and may be drawn again.
    b.pass(125);
    assert!(b.arrive_as(from(7)).ticket.is_some());
}

#[test]
fn polling_often_holds_no_more_places_than_polling_once() {
    let mut p = policy(1);
    p.places_per_client = places(5);
    let mut b = Bench::new(p);
    b.fill(1);
    let mut who = b.arrive_as(from(7));
    for _ in 0..100 {
        b.visit(&mut who);
    }
    assert!(b.arrive_as(from(7)).ticket.is_some());
}

#[test]
fn a_session_that_is_shared_is_left_to_one() {
    let mut b = Bench::new(policy(1));
    let mut one = b.fill(1)[0];
    let mut other = one;
    let mut inside = [true, true];
    for _ in 0..20 {
        b.pass(10);
        for (who, inside) in [&mut one, &mut other].into_iter().zip(&mut inside) {
            if *inside {
                *inside = matches!(b.visit(who), Visit::Inside { .. });
            }
        }
    }
    assert_eq!(inside.iter().filter(|inside| **inside).count(), 1);
    assert!(b.room.counters().copies_total > 0);
    assert_eq!(b.room.counters().inside, 1);
}

#[test]
fn one_visitor_has_so_many_requests_under_way_and_no_more() {
    let mut b = Bench::new(policy(10));
    let who = b.fill(1)[0];
    let visits = (0..200).filter(|_| matches!(b.room.visit(who, b.now), Visit::Inside { .. })).count();
    assert_eq!(visits, 100);
    assert_eq!(b.room.visit(who, b.now), Visit::Crowded);
}

#[test]
fn a_place_is_claimed_once() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    let ticket = b.arrive();
    for _ in 0..61 {
        b.pass(10);
        b.room.poll(ticket, b.now);
    }
    b.pass(1);
    let mut first = ticket;
    assert!(matches!(b.visit(&mut first), Visit::Inside { .. }));
    // The session ends; the ticket that it came by is spent.
    b.room.end_session(first.session.unwrap(), Duration::ZERO, b.now);
    b.pass(2);
    let mut again = ticket;
    let visit = b.visit(&mut again);
    assert!(
        !matches!(visit, Visit::Queued { ticket: same, .. } if same.number == ticket.ticket.unwrap().number),
        "{visit:?}"
    );
}

#[test]
fn dropping_the_cookie_after_the_draw_leads_to_the_tail() {
    let mut b = events::gathered(200);
    let last = b.room.lines[0].queue.board().next();
    let again = b.arrive();
    assert_eq!(again.ticket.unwrap().number, last, "behind everyone who was drawn");
    assert_eq!(position(b.room.poll(again, b.now)), 201);
}

#[test]
fn an_invitation_is_used_as_often_as_it_may_be() {
    let mut p = policy(1);
    p.lanes = vec![policy::Lane {
        name: "fans".into(),
        weight: NonZeroU32::new(4).unwrap(),
        invitations: "fans.keys".into(),
        uses: NonZeroU32::new(1),
        opens_unix_ms: None,
    }];
    let mut b = Bench::new(p);
    b.fill(1);
    let invited =
        |id| Presented { invited: Some(Invited { lane: LaneTag::of("launch", "fans"), id }), ..Presented::default() };
    assert_eq!(b.arrive_as(invited(1)).ticket.unwrap().lane, FIRST_LANE);
    assert_eq!(b.arrive_as(invited(1)).ticket.unwrap().lane, EVERYONE, "a link that went around");
    assert_eq!(b.arrive_as(invited(2)).ticket.unwrap().lane, FIRST_LANE);
    b.tick();
    b.crash();
    assert_eq!(b.arrive_as(invited(2)).ticket.unwrap().lane, EVERYONE, "over a crash too");
}

#[test]
fn a_clock_that_jumps_moves_nobody() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    let line: Vec<_> = (0..5).map(|_| b.arrive()).collect();
    for step_ms in [3_600_000, -7_200_000i64] {
        b.now.unix_ms = b.now.unix_ms.saturating_add_signed(step_ms);
        b.pass(1);
        for (ahead, who) in line.iter().enumerate() {
            assert_eq!(position(b.room.poll(*who, b.now)), ahead as u64 + 1);
        }
        assert_eq!(b.room.counters().inside, 1);
    }
}
