use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(millis: u64) -> Mono {
    Mono::ZERO.after(ms(millis))
}

/// Keeps `in_flight` at the origin for `lasts`, and counts the answers.
fn kept_busy(shape: Shape, in_flight: u64, lasts: Duration) -> u64 {
    let mut origin = Origin::new(shape, 1);
    let mut done = Vec::new();
    (0..in_flight).for_each(|id| origin.submit(id, 0, Mono::ZERO));
    let mut answered = 0;
    while let Some(now) = origin.next_event().filter(|now| *now <= Mono::ZERO.after(lasts)) {
        origin.advance(now, &mut done);
        for (id, outcome) in std::mem::take(&mut done) {
            answered += u64::from(outcome == Outcome::Answered);
            origin.submit(id, 0, now);
        }
    }
    answered
}

#[test]
fn a_shop_carries_its_capacity_however_many_wait() {
    assert!((Shape::shop().capacity(ms(0)) - 200.0).abs() < f64::EPSILON);
    assert_eq!(kept_busy(Shape::shop(), 4, ms(10_000)), 2_000);
    assert_eq!(kept_busy(Shape::shop(), 400, ms(10_000)), 2_000);
    assert_eq!(kept_busy(Shape::shop(), 2, ms(10_000)), 1_000);
}

#[test]
fn every_request_in_flight_slows_a_collapsing_one_down() {
    assert_eq!(kept_busy(Shape::shop().collapsing(0.5), 4, ms(9_000)), 1_800);
    // Twice what it can carry, once the one that has just ended is gone: half as long again.
    let answered = kept_busy(Shape::shop().collapsing(0.5), 9, ms(9_000));
    assert!((1_196..=1_204).contains(&answered), "{answered}");
}

#[test]
fn chance_keeps_the_mean() {
    let answered = kept_busy(Shape::shop().lognormal(0.5), 4, ms(100_000));
    assert!((19_600..20_400).contains(&answered), "{answered}");
}

#[test]
fn nothing_is_done_in_a_pause() {
    let mut origin = Origin::new(Shape::shop().pausing(ms(100), ms(30)), 1);
    let mut done = Vec::new();
    origin.advance(at(90), &mut done);
    origin.submit(1, 0, at(90));
    assert_eq!(origin.next_event(), Some(at(140)));
    // A pause costs what it lasts: 30 % of the capacity, but for the first.
    assert_eq!(kept_busy(Shape::shop().pausing(ms(1_000), ms(300)), 4, ms(10_000)), 1_460);
}

#[test]
fn a_slow_kind_holds_no_worker_while_it_waits() {
    let mut origin = Origin::new(Shape::fixed(1, ms(20)).slow(7, ms(5_000)), 1);
    let mut done = Vec::new();
    origin.submit(1, 7, at(0));
    origin.submit(2, 0, at(0));
    origin.advance(at(40), &mut done);
    assert_eq!(done, [(2, Outcome::Answered)]);
    assert_eq!(origin.in_flight(), 1);
    origin.advance(at(5_020), &mut done);
    assert_eq!(done, [(2, Outcome::Answered), (1, Outcome::Answered)]);
}

#[test]
fn a_dead_origin_fails_what_it_has_and_refuses_the_rest_at_once() {
    let shape = Shape::fixed(1, ms(20)).then(ms(30), Change::Dies).then(ms(100), Change::Returns);
    assert!(shape.capacity(ms(50)) < f64::EPSILON);
    let mut origin = Origin::new(shape.cold(3.0, 10), 1);
    let mut done = Vec::new();
    origin.submit(1, 0, at(0));
    origin.submit(2, 0, at(0));
    origin.advance(at(30), &mut done);
    assert_eq!(done, [(1, Outcome::Overloaded), (2, Outcome::Overloaded)], "the first took thrice as long");
    origin.submit(3, 0, at(50));
    origin.advance(at(50), &mut done);
    assert_eq!(done.last(), Some(&(3, Outcome::Overloaded)));
    done.clear();
    origin.advance(at(100), &mut done);
    origin.submit(4, 0, at(100));
    origin.advance(at(160), &mut done);
    assert_eq!(done, [(4, Outcome::Answered)], "cold again");
}

#[test]
fn a_warm_origin_is_as_fast_as_ever() {
    let answered = kept_busy(Shape::fixed(1, ms(10)).cold(5.0, 100), 1, ms(4_010));
    // The first hundred took 3 times as long on average, 3.02 s.
    assert_eq!(answered, 100 + 99);
}

#[test]
fn capacity_comes_and_goes_with_its_workers() {
    let shape = Shape::shop().then(ms(10_000), Change::Workers(2)).then(ms(20_000), Change::Workers(4));
    let answered = kept_busy(shape, 100, ms(30_000));
    assert!((4_998..=5_002).contains(&answered), "{answered}");
}
