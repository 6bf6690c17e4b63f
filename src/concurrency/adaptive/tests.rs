use super::*;

fn answered(limiter: &mut Adaptive, in_flight: usize, ms: u64) {
    let at = |ms: u64| Mono::from_nanos(ms * 1_000_000);
    let (latency, started) = (Duration::from_millis(20), at(ms - 20));
    let outcome = Outcome::Answered;
    limiter.observe(&Sample { latency, started, in_flight, full: false, kept: false, kind: 0, outcome }, at(ms));
}

#[test]
fn the_first_answer_after_a_silence_says_nothing_of_how_many_there_can_be() {
    let mut limiter = Adaptive::new(20, 2, 100);
    for second in 1..5 {
        answered(&mut limiter, 1, second * 10_000);
        assert_eq!(limiter.home, 20, "the initial one holds until something is known");
    }
}

#[test]
fn a_failure_at_the_start_is_no_quick_answer() {
    let mut limiter = Adaptive::new(20, 2, 100);
    let mut sample = |in_flight, ms, outcome| {
        let latency = Duration::from_millis(ms);
        let sample = Sample { latency, started: Mono::ZERO, in_flight, full: true, kept: false, kind: 0, outcome };
        limiter.observe(&sample, Mono::from_nanos(1_000_000_000));
        limiter.limit()
    };
    let failures = [(1, 1, Outcome::Overloaded); 2];
    let answers = [(4, 20, Outcome::Answered); 40].into_iter().chain([(8, 25, Outcome::Answered); 4]);
    let limits = failures.into_iter().chain(answers).map(|(n, ms, outcome)| sample(n, ms, outcome));
    assert_eq!(limits.last(), Some(9), "eight answer far more than four: on");
}

#[test]
fn one_visitor_now_and_then_leaves_room_for_a_page_with_its_parts() {
    let mut limiter = Adaptive::new(20, 2, 100);
    for tick in 0..200 {
        answered(&mut limiter, 1, 5000 + tick * 20);
    }
    assert_eq!(limiter.limit(), UNUSED_LEAST);
}

#[test]
fn a_limit_that_is_used_and_never_filled_comes_down_to_twice_its_use() {
    let mut limiter = Adaptive::new(20, 2, 100);
    for tick in 0..200 {
        answered(&mut limiter, 1 + tick % 6, 5000 + tick as u64 * 20);
    }
    assert_eq!(limiter.limit(), 12);
}
