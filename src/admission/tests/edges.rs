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
