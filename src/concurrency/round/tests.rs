use super::*;
use crate::concurrency::Outcome;

fn answer(round: &mut Round, micros: u64, kept: bool) {
    let (latency, started, outcome) = (Duration::from_micros(micros), Mono::ZERO, Outcome::Answered);
    round.add(&Sample { latency, started, in_flight: 4, full: true, kept, kind: 0, outcome });
}

/// Four in flight, of which each waits half a millisecond for its worker.
fn home(kept: bool) -> Round {
    let mut round = Round::default();
    for _ in 0..10 {
        round.begin(4, false, Mono::ZERO);
        (0..12).for_each(|n| answer(&mut round, 20_450 + n % 3 * 50, kept));
        round.settle(false);
    }
    round
}

/// Five: a quarter waits for a turn of the others.
fn one_more(round: &mut Round, kept: bool) -> Option<Worth> {
    round.begin(5, false, Mono::ZERO);
    (0..300)
        .find_map(|n| {
            answer(round, if n % 4 == 3 { 40_000 } else { 20_000 }, kept);
            round.gain(1.25)
        })
        .map(|(_, worth)| worth)
}

#[test]
fn one_more_that_fills_the_gap_between_two_requests_is_worth_it() {
    assert_eq!(one_more(&mut home(false), false), Some(Worth::More));
}

#[test]
fn it_is_not_where_a_place_is_kept_for_those_who_would_wait_behind_it() {
    assert_eq!(one_more(&mut home(true), true), Some(Worth::Less));
}

#[test]
fn to_go_back_and_open_the_gap_again_is_no_free_step() {
    let mut round = home(false);
    assert_eq!(one_more(&mut round, false), Some(Worth::More));
    round.settle(true);
    round.begin(4, false, Mono::ZERO);
    let worth = (0..300).find_map(|n| {
        answer(&mut round, 20_450 + n % 3 * 50, false);
        round.gain(0.8)
    });
    assert_eq!(worth.map(|(_, worth)| worth), Some(Worth::Less));
}

#[test]
fn what_was_plainly_a_loss_is_given_up_sooner_when_it_is_again() {
    let given_up = |doubt: bool| {
        let mut round = home(false);
        round.begin(5, false, Mono::ZERO);
        if doubt {
            round.doubt();
        }
        (1..300).find(|n| {
            answer(&mut round, 29_000 + n % 2 * 1000, false);
            round.gain(1.25).is_some_and(|(_, worth)| worth == Worth::Less)
        })
    };
    assert!(given_up(true) < given_up(false));
}

#[test]
fn of_the_home_that_was_left_nothing_is_mixed_into_the_new_one() {
    let mut round = Round::default();
    round.begin(8, false, Mono::ZERO);
    (0..8).for_each(|_| answer(&mut round, 40_000, false));
    round.settle(false);
    round.begin(4, false, Mono::ZERO);
    (0..8).for_each(|_| answer(&mut round, 20_000, false));
    round.settle(true);
    assert!(round.kinds.first().is_some_and(|kind| (kind.home - 0.02).abs() < 1e-6));
}
