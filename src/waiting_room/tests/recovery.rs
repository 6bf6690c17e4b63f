//! Disks that fail, processes that are killed, policies that change.

use super::*;

#[test]
fn a_disk_that_fails_lets_nobody_in_and_throws_nobody_out() {
    let mut b = Bench::new(policy(2));
    let mut inside = b.fill(2);
    let mut who = b.arrive();
    for _ in 0..60 {
        b.pass(10);
        b.visit(&mut who);
        b.visit(&mut inside[0]);
    }
    // The second idled out: a tick that cannot be written reserves nothing that anyone sees.
    let mut b2 = Bench::new(policy(1));
    let mut one = b2.fill(1)[0];
    let mut two = b2.arrive();
    b2.now = b2.now.after(Duration::from_secs(59));
    b2.visit(&mut two);
    b2.now = b2.now.after(Duration::from_secs(541));
    for _ in 0..5 {
        let changes = b2.room.tick(b2.now);
        b2.room.abandon(&changes);
        b2.visit(&mut two);
        assert!(two.session.is_none());
        b2.now = b2.now.after(Duration::from_secs(10));
    }
    assert_eq!(b2.room.counters().limit, Limit::Store);
    assert!(matches!(b2.visit(&mut one), Visit::Stub { .. }));
    b2.tick();
    assert!(matches!(b2.visit(&mut two), Visit::Inside { .. }));
    assert!(matches!(b.visit(&mut inside[0]), Visit::Inside { .. }));
}

#[test]
fn a_crash_loses_no_place_and_lets_no_one_too_many_in() {
    let mut b = Bench::new(policy(3));
    let mut inside = b.fill(3);
    let mut line: Vec<_> = (0..10).map(|_| b.arrive()).collect();
    b.tick();
    b.crash();
    for (ahead, who) in line.iter_mut().enumerate() {
        assert_eq!(position(b.visit(who)), ahead as u64 + 1);
    }
    for who in &mut inside {
        assert!(matches!(b.visit(who), Visit::Inside { fresh: false, .. }));
    }
    let new = b.arrive().ticket.unwrap();
    assert!(new.number > line.iter().map(|w| w.ticket.unwrap().number).max().unwrap());
    assert_eq!(b.room.counters().inside, 3);
}

#[test]
fn a_claim_the_disk_never_heard_of_survives_a_crash() {
    let mut b = Bench::new(policy(4));
    let mut who = b.arrive();
    assert!(who.session.is_some());
    b.crash();
    assert!(matches!(b.visit(&mut who), Visit::Inside { fresh: false, .. }));
}

#[test]
fn after_a_crash_of_a_quiet_room_the_door_opens_within_seconds() {
    let mut b = Bench::new(policy(50));
    b.pass(5);
    b.crash();
    let mut who = b.arrive();
    assert_eq!(position(b.visit(&mut who)), 1);
    b.tick();
    assert_eq!(b.room.counters().limit, Limit::Recovery);
    b.pass(9);
    assert!(matches!(b.visit(&mut who), Visit::Inside { .. }));
    b.pass(1);
    assert!(b.arrive().session.is_some(), "and walk-ins pass again");
}

#[test]
fn an_orderly_end_leaves_no_doubt() {
    let mut b = Bench::new(policy(50));
    b.pass(5);
    let changes = b.room.close(b.now);
    b.disk.write(&changes);
    b.crash();
    assert!(b.arrive().session.is_some());
}

#[test]
fn a_ticket_of_the_last_moment_is_good_after_a_crash() {
    let mut b = Bench::new(policy(1));
    b.fill(1);
    let (first, last) = (b.arrive(), b.arrive());
    b.crash();
    let new = b.arrive();
    assert_eq!(position(b.room.poll(first, b.now)), 1);
    assert_eq!(position(b.room.poll(last, b.now)), 2);
    assert_eq!(b.room.poll(new, b.now), b.room.poll(new, b.now));
    assert!(new.ticket.unwrap().number > last.ticket.unwrap().number);
}

#[test]
fn a_damaged_slot_counts_and_its_visitor_is_still_known() {
    let mut b = Bench::new(policy(2));
    let mut inside = b.fill(2);
    for slot in b.disk.slots.values_mut() {
        *slot = record::SlotRecord {
            slot: slot.slot,
            kind: record::SlotKind::Damaged,
            generation: 0,
            ticket: 0,
            started_unix_s: 0,
        };
    }
    b.crash();
    assert_eq!(b.room.counters().inside, 2);
    for who in &mut inside {
        assert!(matches!(b.visit(who), Visit::Inside { fresh: false, .. }));
    }
}

#[test]
fn a_lower_capacity_throws_nobody_out_and_lets_nobody_in() {
    let mut b = Bench::new(policy(4));
    let mut inside = b.fill(4);
    let mut who = b.arrive();
    let lower = policy(2);
    b.room.configure(&lower, b.now);
    for _ in 0..61 {
        b.pass(10);
        b.visit(&mut inside[0]);
        b.visit(&mut inside[1]);
        b.visit(&mut who);
    }
    assert_eq!(b.room.counters().inside, 2);
    assert!(who.session.is_none());
    b.room.configure(&policy(3), b.now);
    b.pass(1);
    assert!(matches!(b.visit(&mut who), Visit::Inside { .. }));
}
