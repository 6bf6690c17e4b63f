//! How long one may wait, and who is told at once that it would be in vain.

use super::*;

#[test]
fn a_patience_beyond_anybodys_attention_asks_for_a_line_that_stands() {
    let minute = Duration::from_secs(60);
    let patience = Patience { critical: minute, normal: minute, bulk: minute };
    let mut admission = Admission::new(&Concurrency { patience, ..policy(1, 10_000) }, &[]);
    let (working, _) = overload(&mut admission, 3000);
    let waiting = admission.queued();
    assert!(waiting > 1000, "all of them: {waiting}");
    assert!(!admission.standing.overloaded());
    queued(&mut admission, Ask { cohort: COHORTS - 1, ..anyone() }, ms(3000));
    admission.release(working, ms(3001));
    assert_eq!(admission.queued(), waiting, "nobody is pushed out");
}

#[test]
fn nobody_is_said_to_wait_in_vain_by_the_first_few_answers() {
    let mut admission = Admission::new(&policy(20, 1000), &[]);
    let working: Vec<_> = (0..20).map(|_| granted(&mut admission, anyone(), ms(0))).collect();
    let waiting: Vec<_> = (0..100).map(|_| queued(&mut admission, anyone(), ms(1))).collect();
    // Four thousand a second, of which one is seen so far.
    answer(&mut admission, working[0], ms(5));
    claimed(&mut admission, waiting[0]);
    for _ in 0..500 {
        queued(&mut admission, anyone(), ms(6));
    }
}

#[test]
fn who_would_wait_in_vain_is_refused_on_arrival() {
    let mut admission = Admission::new(&policy(1, 100), &[]);
    let mut working = granted(&mut admission, anyone(), ms(0));
    // Ten a second, and the line is empty between.
    for i in 1..50 {
        answer(&mut admission, working, ms(i * 100));
        working = granted(&mut admission, anyone(), ms(i * 100));
    }
    let outcomes: Vec<_> = (0..20).map(|_| admission.admit(anyone(), ms(4950))).collect();
    let waiting = outcomes.iter().filter(|o| matches!(o, Admit::Queued(..))).count();
    assert!((9..=11).contains(&waiting), "a second's patience at ten a second: {waiting}");
}
