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
