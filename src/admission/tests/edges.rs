//! At the edges: after a silence, at a route's share, while a gate is shut.

use super::*;

/// A quiet site: one request every ten seconds, answered within 20 ms. Answers when it was over.
fn quiet(admission: &mut Admission) -> u64 {
    for t in 1..=10 {
        let id = granted(admission, anyone(), ms(t * 10_000));
        assert!(answer(admission, id, ms(t * 10_000 + 20)).is_empty());
    }
    100_020
}

#[test]
fn a_burst_after_a_quiet_time_waits_and_is_not_refused() {
    let mut admission = Admission::new(&policy(4, 64), &[]);
    let t = quiet(&mut admission) + 10_000;
    for client in 0..40 {
        let admit = admission.admit(ask(Class::Normal, client), ms(t));
        assert!(!matches!(admit, Admit::Refused(_)), "{client}: {admit:?}");
    }
}

#[test]
fn a_share_holds_for_requests_whose_place_is_lent_too() {
    let mut admission = Admission::new(&Concurrency { queue: Queue::Places(1000), ..adaptive() }, &[100, 25]);
    let search = Ask { kind: 1, ..ask(Class::Normal, 1) };
    granted(&mut admission, search, ms(0));
    let waiting = queued(&mut admission, search, ms(0));
    for t in 1..200 {
        // The others go by; searches hang.
        let id = granted(&mut admission, anyone(), ms(t));
        answer(&mut admission, id, ms(t));
    }
    assert_eq!(admission.claim(waiting), Claim::Waiting, "one of four places, and one search is at the origin");
}

/// Four places, all held by payments that hang; before that 200 pages a second went by.
fn hanging() -> Admission {
    let policy = Concurrency { queue: Queue::Places(10_000), ..adaptive() };
    let mut admission = Admission::with_limiter(&policy, &[], Box::new(concurrency::Fixed(4)));
    let mut working: Vec<_> = (0..4).map(|_| granted(&mut admission, anyone(), ms(0))).collect();
    queued(&mut admission, anyone(), ms(0));
    for n in 1..=200 {
        let id = working.remove(0);
        let woken = answer(&mut admission, id, ms(n * 5));
        working.push(claimed(&mut admission, woken[0]));
        queued(&mut admission, anyone(), ms(n * 5));
    }
    admission
}

#[test]
fn where_nothing_ends_at_all_a_place_is_lent_now_and_then() {
    let mut admission = hanging();
    queued(&mut admission, anyone(), ms(1_100));
    assert_eq!(admission.lent, 0, "100 ms are five times as long as usual");
    for n in 0..100 {
        admission.admit(anyone(), ms(1_300 + n));
    }
    assert_eq!((admission.lent, admission.in_flight()), (1, 5), "one, not one for each who asks");
}

#[test]
fn an_origin_that_hangs_for_any_time_breaks_nothing() {
    let mut admission = hanging();
    for second in 2..2_000 {
        admission.admit(anyone(), ms(second * 1000));
        assert!(admission.in_flight() <= 100);
    }
}

#[test]
fn a_class_that_was_shut_has_saved_nothing_up() {
    let mut admission = Admission::new(&policy(4, 1000), &[100, 50]);
    let search = Ask { kind: 1, ..ask(Class::Bulk, 1) };
    let searches: Vec<_> = (0..2).map(|_| granted(&mut admission, search, ms(0))).collect();
    let mut pages: Vec<_> = (0..2).map(|_| granted(&mut admission, anyone(), ms(0))).collect();
    for client in 0..200 {
        queued(&mut admission, Ask { client, ..search }, ms(0));
        queued(&mut admission, ask(Class::Normal, client), ms(0));
    }
    // The searches have all that they may have for as long as a hundred pages take.
    for _ in 0..100 {
        let page = pages.remove(0);
        let woken = answer(&mut admission, page, ms(1));
        pages.push(claimed(&mut admission, woken[0]));
    }
    let mut served = 0;
    for id in searches {
        served += answer(&mut admission, id, ms(2)).iter().filter(|id| is_search(&mut admission, **id)).count();
    }
    assert!(served <= 1, "bulk has a fifth of what comes free, not all: {served} of 2");
}

fn is_search(admission: &mut Admission, id: WaiterId) -> bool {
    let flight = claimed(admission, id);
    admission.flights.get_mut(flight).unwrap().kind == 1
}

#[test]
fn those_who_wait_for_their_routes_share_are_no_overload_of_the_origin() {
    let mut admission = Admission::new(&policy(10, 100), &[100, 10]);
    let search = Ask { kind: 1, ..ask(Class::Normal, 1) };
    granted(&mut admission, search, ms(0));
    for client in 0..20 {
        queued(&mut admission, Ask { client, ..search }, ms(0));
    }
    for t in 1..100 {
        let page = granted(&mut admission, anyone(), ms(t * 10));
        answer(&mut admission, page, ms(t * 10 + 5));
    }
    assert_eq!(admission.queue_delay(), Duration::ZERO, "nine places are free");
    assert!(!admission.standing.overloaded());
}

#[test]
fn who_waits_for_their_routes_share_takes_nobody_elses_place_in_line() {
    // Route 1 has one place of four, and a crowd that waits for it.
    let mut admission = Admission::new(&policy(4, 8), &[100, 25]);
    let search = |client| Ask { kind: 1, ..ask(Class::Normal, client) };
    let held = granted(&mut admission, search(1), ms(0));
    for client in 2..10 {
        queued(&mut admission, search(client), ms(0));
    }
    assert_eq!(admission.admit(search(10), ms(0)), Admit::Refused(Reason::QueueFull), "its own line is full");
    let pages: Vec<_> = (20..23).map(|client| granted(&mut admission, anyone_of(client), ms(1))).collect();
    for client in 30..38 {
        queued(&mut admission, anyone_of(client), ms(2));
    }
    assert_eq!(admission.admit(anyone_of(40), ms(2)), Admit::Refused(Reason::QueueFull), "so is that of all others");
    let woken: usize = pages.into_iter().map(|page| answer(&mut admission, page, ms(20)).len()).sum();
    assert_eq!(woken, 3);
    assert_eq!(answer(&mut admission, held, ms(21)).len(), 1, "and one of the search's takes the search's place");
}

#[test]
fn a_refusal_speaks_for_others_only_where_places_are_wanting() {
    let mut admission = Admission::new(&policy(4, 1), &[100, 25]);
    let search = Ask { kind: 1, ..anyone() };
    granted(&mut admission, search, ms(0));
    let bulk = Ask { waits: false, ..search };
    assert!(matches!(admission.admit(bulk, ms(0)), Admit::Refused(_)));
    assert!(!admission.refuses_all(&bulk, ms(0)) && !admission.refuses_all(&search, ms(0)), "three are free");
    for client in 0..3 {
        granted(&mut admission, anyone_of(client), ms(0));
    }
    queued(&mut admission, anyone(), ms(0));
    assert!(admission.refuses_all(&anyone(), ms(0)) && !admission.refuses_all(&search, ms(0)));
}
