#![allow(clippy::panic, clippy::indexing_slicing)]

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;
use crate::policy::{Limit, Patience, Queue};

mod edges;
mod fair;
mod patience;
mod property;

fn policy(limit: usize, queue: usize) -> Concurrency {
    let second = Duration::from_secs(1);
    Concurrency {
        limit: Limit::Fixed(NonZeroUsize::new(limit).unwrap()),
        queue: Queue::Places(queue),
        patience: Patience { critical: second, normal: second, bulk: second },
        max_streams: 2,
    }
}

fn adaptive() -> Concurrency {
    let four = NonZeroUsize::new(4).unwrap();
    Concurrency {
        limit: Limit::Adaptive { initial: four, min: four, max: NonZeroUsize::new(100).unwrap() },
        ..policy(4, 200)
    }
}

fn ms(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

fn ask(class: Class, client: u64) -> Ask {
    Ask { class, kind: 0, client, cohort: 0, waits: true }
}

fn anyone() -> Ask {
    ask(Class::Normal, 0)
}

fn anyone_of(client: u64) -> Ask {
    ask(Class::Normal, client)
}

fn granted(admission: &mut Admission, ask: Ask, now: Mono) -> FlightId {
    match admission.admit(ask, now) {
        Admit::Granted(id) => id,
        other => panic!("{other:?}"),
    }
}

fn queued(admission: &mut Admission, ask: Ask, now: Mono) -> WaiterId {
    match admission.admit(ask, now) {
        Admit::Queued(id, _) => id,
        other => panic!("{other:?}"),
    }
}

fn claimed(admission: &mut Admission, id: WaiterId) -> FlightId {
    match admission.claim(id) {
        Claim::Granted(flight) => flight,
        other => panic!("{other:?}"),
    }
}

/// Ends a request as an answered one; returns those who were woken by it.
fn answer(admission: &mut Admission, id: FlightId, now: Mono) -> Woken {
    admission.headed(id, false, now);
    admission.release(id, now);
    admission.take_woken()
}

#[test]
fn up_to_the_limit_go_the_next_wait_and_the_rest_are_refused() {
    let mut admission = Admission::new(&policy(2, 1), &[]);
    granted(&mut admission, anyone(), ms(0));
    granted(&mut admission, anyone(), ms(0));
    assert!(matches!(admission.admit(anyone(), ms(5)), Admit::Queued(_, deadline) if deadline == ms(1005)));
    assert_eq!(admission.admit(anyone(), ms(5)), Admit::Refused(Reason::QueueFull));
    assert_eq!((admission.in_flight(), admission.queued()), (2, 1));
}

#[test]
fn a_place_given_back_belongs_to_the_first_in_line_and_no_newcomer_overtakes() {
    let mut admission = Admission::new(&policy(1, 2), &[]);
    let working = granted(&mut admission, anyone(), ms(0));
    let first = queued(&mut admission, anyone(), ms(0));
    let second = queued(&mut admission, anyone(), ms(0));
    assert_eq!(answer(&mut admission, working, ms(1)).as_slice(), [first]);
    assert!(matches!(admission.admit(anyone(), ms(1)), Admit::Queued(..)), "the place is the first waiter's already");
    let working = claimed(&mut admission, first);
    assert_eq!(admission.claim(first), Claim::Refused(Reason::QueueTimeout), "once");
    assert_eq!(admission.claim(second), Claim::Waiting);
    assert_eq!(answer(&mut admission, working, ms(2)).as_slice(), [second]);
}

#[test]
fn one_who_left_before_noticing_its_grant_passes_the_place_on() {
    let mut admission = Admission::new(&policy(1, 2), &[]);
    let working = granted(&mut admission, anyone(), ms(0));
    let first = queued(&mut admission, anyone(), ms(0));
    let second = queued(&mut admission, anyone(), ms(0));
    assert_eq!(answer(&mut admission, working, ms(1)).as_slice(), [first]);
    admission.leave(first, ms(1));
    assert_eq!(admission.take_woken().as_slice(), [second]);
    admission.leave(first, ms(1));
    assert!(admission.take_woken().is_empty(), "harmless when repeated");
    assert_eq!(admission.in_flight(), 1);
}

#[test]
fn a_raised_limit_grants_at_once_and_a_lowered_one_drains() {
    let mut admission = Admission::new(&policy(1, 4), &[]);
    let working = granted(&mut admission, anyone(), ms(0));
    let line: Vec<_> = (0..4).map(|_| queued(&mut admission, anyone(), ms(0))).collect();
    admission.configure(&policy(3, 4), &[], ms(0));
    assert_eq!(admission.take_woken().as_slice(), [line[0], line[1]]);
    admission.configure(&policy(1, 1), &[], ms(0));
    let others = [claimed(&mut admission, line[0]), claimed(&mut admission, line[1])];
    assert!(answer(&mut admission, working, ms(1)).is_empty());
    assert!(answer(&mut admission, others[0], ms(1)).is_empty());
    assert_eq!(answer(&mut admission, others[1], ms(1)).as_slice(), [line[2]]);
    assert_eq!(admission.in_flight_peak(), 3);
}

#[test]
fn a_stream_gives_its_place_back_and_counts_by_itself() {
    let mut admission = Admission::new(&policy(1, 4), &[]);
    let first = granted(&mut admission, anyone(), ms(0));
    let next = queued(&mut admission, anyone(), ms(0));
    assert_eq!(admission.to_stream(first, ms(1)), Ok(()));
    assert_eq!(admission.take_woken().as_slice(), [next]);
    let second = claimed(&mut admission, next);
    assert_eq!(admission.to_stream(second, ms(2)), Ok(()));
    let third = granted(&mut admission, anyone(), ms(3));
    assert_eq!(admission.to_stream(third, ms(3)), Err(Reason::StreamsFull));
    assert_eq!((admission.in_flight(), admission.streams()), (1, 2), "the refused one keeps its place");
    admission.release_stream();
    assert_eq!(admission.to_stream(third, ms(4)), Ok(()));
}

#[test]
fn what_comes_free_is_shared_by_weight_and_the_idle_class_goes_next() {
    let mut admission = Admission::new(&policy(1, 100), &[]);
    let mut working = granted(&mut admission, anyone(), ms(0));
    let mut class_of = HashMap::new();
    for class in [Class::Bulk, Class::Normal, Class::Critical] {
        for _ in 0..30 {
            class_of.insert(queued(&mut admission, ask(class, 0), ms(0)), class);
        }
    }
    let mut served = [0; 3];
    for _ in 0..21 {
        let woken = answer(&mut admission, working, ms(1));
        served[class_of[&woken[0]] as usize] += 1;
        working = claimed(&mut admission, woken[0]);
    }
    assert_eq!(served, [16, 4, 1]);
}

#[test]
fn a_critical_one_goes_before_all_who_wait() {
    let mut admission = Admission::new(&policy(1, 100), &[]);
    let mut working = granted(&mut admission, anyone(), ms(0));
    for t in 0..40 {
        queued(&mut admission, anyone(), ms(t));
    }
    for t in 40..60 {
        let woken = answer(&mut admission, working, ms(t));
        working = claimed(&mut admission, woken[0]);
    }
    let critical = queued(&mut admission, ask(Class::Critical, 7), ms(60));
    assert_eq!(answer(&mut admission, working, ms(61)).as_slice(), [critical]);
}

#[test]
fn where_critical_ones_came_of_late_the_last_place_found_is_theirs() {
    let mut admission = Admission::new(&adaptive(), &[100]);
    let critical = ask(Class::Critical, 1);
    let first = granted(&mut admission, critical, ms(0));
    let mut working: Vec<_> = (0..2).map(|client| granted(&mut admission, ask(Class::Normal, client), ms(0))).collect();
    let waiting = queued(&mut admission, ask(Class::Normal, 9), ms(0));
    assert_eq!(admission.in_flight(), 3, "of four");
    assert_eq!(answer(&mut admission, first, ms(20)).as_slice(), [waiting], "up to three, whoever has them");
    working.push(claimed(&mut admission, waiting));
    granted(&mut admission, critical, ms(30));
    let late = queued(&mut admission, ask(Class::Bulk, 9), ms(40));
    let more = queued(&mut admission, ask(Class::Normal, 8), ms(40));
    assert!(answer(&mut admission, working.remove(0), ms(50)).is_empty(), "the last place is kept");
    // None came for a second: it is anybody's.
    let woken = answer(&mut admission, working.remove(0), ms(1100));
    assert_eq!(woken.iter().collect::<HashSet<_>>(), HashSet::from([&late, &more]));
}

#[test]
fn critical_ones_that_have_half_of_the_places_keep_none_of_the_rest() {
    let mut admission = Admission::new(&adaptive(), &[100]);
    for client in 0..2 {
        granted(&mut admission, ask(Class::Critical, client), ms(0));
    }
    for client in 2..4 {
        granted(&mut admission, ask(Class::Bulk, client), ms(0));
    }
}

#[test]
fn a_fixed_number_keeps_no_place_for_the_critical() {
    let mut admission = Admission::new(&policy(4, 100), &[100]);
    granted(&mut admission, ask(Class::Critical, 1), ms(0));
    for client in 0..3 {
        granted(&mut admission, ask(Class::Normal, client), ms(0));
    }
}

#[test]
fn clients_take_turns_so_the_greedy_waits_behind_itself() {
    let mut admission = Admission::new(&policy(1, 200), &[]);
    let mut working = granted(&mut admission, anyone(), ms(0));
    for _ in 0..100 {
        queued(&mut admission, ask(Class::Normal, 666), ms(0));
    }
    let polite: Vec<_> = (0..5).map(|c| queued(&mut admission, ask(Class::Normal, c), ms(1))).collect();
    let mut order = Vec::new();
    for _ in 0..6 {
        let woken = answer(&mut admission, working, ms(2));
        order.push(woken[0]);
        working = claimed(&mut admission, woken[0]);
    }
    assert!(polite.iter().all(|p| order.contains(p)), "{order:?}");
}

#[test]
fn a_full_line_makes_room_for_who_matters_more_and_for_who_asks_less() {
    let mut admission = Admission::new(&policy(1, 4), &[]);
    granted(&mut admission, anyone(), ms(0));
    let bulk = queued(&mut admission, ask(Class::Bulk, 1), ms(0));
    let greedy: Vec<_> = (0..3).map(|_| queued(&mut admission, ask(Class::Normal, 2), ms(0))).collect();
    queued(&mut admission, ask(Class::Normal, 3), ms(1));
    assert_eq!(admission.take_woken().as_slice(), [bulk]);
    assert_eq!(admission.claim(bulk), Claim::Refused(Reason::QueueFull));
    queued(&mut admission, ask(Class::Normal, 4), ms(1));
    assert_eq!(admission.take_woken().as_slice(), [greedy[2]], "the newest of the one who has most");
    assert_eq!(admission.admit(ask(Class::Normal, 2), ms(1)), Admit::Refused(Reason::QueueFull));
    assert_eq!(admission.admit(ask(Class::Bulk, 5), ms(1)), Admit::Refused(Reason::QueueFull));
    queued(&mut admission, ask(Class::Critical, 2), ms(1));
    assert_eq!(admission.queued(), 4);
}

/// A line that stands: one place, a request each 10 ms, four that ask meanwhile.
fn overload(admission: &mut Admission, milliseconds: u64) -> (FlightId, Vec<WaiterId>) {
    let mut working = granted(admission, anyone(), ms(0));
    let mut newest = Vec::new();
    for t in 1..milliseconds {
        if t % 2 == 0 {
            newest.clear();
            if let Admit::Queued(id, _) = admission.admit(ask(Class::Normal, t), ms(t)) {
                newest.push(id);
            }
        }
        if t % 10 == 0 {
            admission.headed(working, false, ms(t));
            admission.release(working, ms(t));
            let next = admission.take_woken().into_iter().find_map(|id| match admission.claim(id) {
                Claim::Granted(flight) => Some(flight),
                _ => None,
            });
            working = next.expect("somebody waits");
        }
    }
    (working, newest)
}

#[test]
fn under_overload_the_line_stays_short_and_the_newest_goes_first() {
    let mut admission = Admission::new(&policy(1, 50), &[]);
    let (working, _) = overload(&mut admission, 2000);
    assert!(admission.standing.overloaded());
    assert!(admission.queued() <= STANDING_LEAST, "{} wait", admission.queued());
    admission.take_woken();
    let newest = queued(&mut admission, ask(Class::Normal, 999_999), ms(2001));
    admission.take_woken();
    assert_eq!(answer(&mut admission, working, ms(2002)).as_slice(), [newest]);
}

#[test]
fn under_overload_a_cohort_lives_or_dies_whole() {
    let mut admission = Admission::new(&policy(1, 50), &[]);
    overload(&mut admission, 3000);
    let shed = |admission: &mut Admission, cohort| {
        matches!(admission.admit(Ask { cohort, ..ask(Class::Normal, 1) }, ms(3000)), Admit::Refused(Reason::Shed))
    };
    assert!(!shed(&mut admission, 0));
    assert!(shed(&mut admission, COHORTS - 1));
}

#[test]
fn a_free_place_is_anyones_whatever_was_cut() {
    let mut admission = Admission::new(&policy(1, 50), &[]);
    let (working, _) = overload(&mut admission, 3000);
    let line: Vec<_> = admission.line.all().map(|(id, _)| id).collect();
    line.into_iter().for_each(|id| admission.leave(id, ms(3000)));
    answer(&mut admission, working, ms(3001));
    granted(&mut admission, Ask { cohort: COHORTS - 1, ..anyone() }, ms(3002));
}

#[test]
fn one_that_may_not_wait_gets_a_free_place_or_none() {
    let mut admission = Admission::new(&policy(1, 10), &[]);
    let hasty = Ask { waits: false, ..ask(Class::Bulk, 0) };
    granted(&mut admission, hasty, ms(0));
    assert_eq!(admission.admit(hasty, ms(0)), Admit::Refused(Reason::Shed));
}

#[test]
fn a_route_has_its_share_and_the_others_go_on() {
    let mut admission = Admission::new(&policy(5, 100), &[100, 20]);
    let search = Ask { kind: 1, ..ask(Class::Critical, 1) };
    let working = granted(&mut admission, search, ms(0));
    let next = queued(&mut admission, search, ms(0));
    let page = granted(&mut admission, anyone(), ms(0));
    assert!(answer(&mut admission, page, ms(1)).is_empty(), "four places are free, but not for a search");
    assert_eq!(answer(&mut admission, working, ms(2)).as_slice(), [next]);
}

#[test]
fn a_request_that_many_have_overtaken_lends_its_place() {
    let mut admission = Admission::new(&adaptive(), &[100, 100]);
    let payment = Ask { kind: 1, ..ask(Class::Critical, 1) };
    let slow: Vec<_> = (0..3).map(|_| granted(&mut admission, payment, ms(0))).collect();
    let mut working = granted(&mut admission, anyone(), ms(0));
    for _ in 0..30 {
        queued(&mut admission, anyone(), ms(0));
    }
    let mut t = 0;
    while admission.in_flight() == 4 {
        t += 20;
        let woken = answer(&mut admission, working, ms(t));
        working = claimed(&mut admission, woken[0]);
        assert!(t < 1000, "the slow ones hold three of four places");
    }
    assert_eq!(admission.lent, 1);
    for id in slow {
        answer(&mut admission, id, ms(5000));
    }
    assert_eq!(admission.lent, 0);
}

#[test]
fn retry_after_is_the_time_the_line_needs_spread_over_as_long_again() {
    let mut admission = Admission::new(&Concurrency { patience: long_patience(), ..policy(1, 100) }, &[]);
    let mut working = granted(&mut admission, anyone(), ms(0));
    for _ in 0..100 {
        queued(&mut admission, anyone(), ms(0));
    }
    for i in 0..10 {
        let woken = answer(&mut admission, working, ms(i * 100));
        working = claimed(&mut admission, woken[0]);
    }
    let mut seen = HashSet::new();
    for _ in 0..50 {
        admission.refusals += 1;
        let seconds = admission.retry_after(ms(900)).as_secs();
        assert!((8..=21).contains(&seconds), "{seconds}");
        seen.insert(seconds);
    }
    assert!(seen.len() >= 8, "spread: {seen:?}");
}

fn long_patience() -> Patience {
    let hour = Duration::from_secs(3600);
    Patience { critical: hour, normal: hour, bulk: hour }
}

#[test]
fn retry_after_stays_between_one_second_and_two_minutes() {
    let mut admission = Admission::new(&policy(1, 100_000), &[]);
    assert_eq!(admission.retry_after(ms(0)), Duration::from_secs(1));
    let working = granted(&mut admission, anyone(), ms(0));
    for _ in 0..100_000 {
        queued(&mut admission, anyone(), ms(0));
    }
    answer(&mut admission, working, ms(1000));
    for now in [1000, 60_000, 3_600_000] {
        let seconds = admission.retry_after(ms(now)).as_secs();
        assert!((1..=120).contains(&seconds), "{seconds}");
    }
}
