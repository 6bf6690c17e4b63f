use super::*;
use crate::clock::Mono;

fn queue_of(count: u64) -> Queue {
    let mut queue = Queue::new(0, 1, 0);
    for _ in 0..count {
        queue.issue();
    }
    queue
}

#[test]
fn positions_are_exact_over_blocks_and_chunks() {
    let mut queue = queue_of(70_000);
    for number in [1, 2, 511, 512, 513, 1024, 65_535, 65_536, 65_537, 70_000] {
        assert_eq!(queue.board().ahead_of(number), number - 1, "ticket {number}");
    }
    for _ in 0..600 {
        queue.serve_next(u64::MAX).unwrap();
    }
    for number in [601, 1024, 65_536, 70_000] {
        assert_eq!(queue.board().ahead_of(number), number - 601, "ticket {number}, 600 served");
    }
    queue.recount();
    assert_eq!(queue.board().ahead_of(70_000), 69_399);
}

#[test]
fn the_absent_are_passed_over_and_those_who_poll_are_not() {
    let mut queue = queue_of(1000);
    queue.rotate();
    for number in (2..=1000).step_by(2) {
        queue.board().see(number);
    }
    assert_eq!(queue.board().waiting(), 1000, "one window of grace");
    queue.rotate();
    assert_eq!(queue.board().waiting(), 500);
    assert_eq!(queue.board().ahead_of(1000), 499);
    assert_eq!(queue.serve_next(u64::MAX), Some(2));
    assert_eq!(queue.serve_next(u64::MAX), Some(4));
    assert_eq!(queue.serve_next(5), None, "held below the limit");
}

#[test]
fn one_who_comes_back_late_is_returning_and_the_lowest_number_goes_first() {
    let mut queue = queue_of(10);
    queue.rotate();
    queue.board().see(9);
    queue.rotate();
    assert_eq!(queue.serve_next(u64::MAX), Some(9));
    assert_eq!(queue.board().see(7).standing, Standing::Returning);
    assert_eq!(queue.board().see(3).standing, Standing::Returning);
    assert_eq!(queue.board().see(10).standing, Standing::Waiting);
    assert_eq!((queue.board().waiting(), queue.board().returning()), (1, 2));
    assert_eq!(queue.board().ahead_of(7), 1);
    assert_eq!(queue.serve_returning(Mono::ZERO), Some(3));
    assert_eq!(queue.serve_returning(Mono::ZERO), Some(7));
    assert_eq!(queue.serve_returning(Mono::ZERO), None);
    assert_eq!(queue.board().see(7).standing, Standing::Done);
}

#[test]
fn a_lapsed_reservation_leaves_a_ticket_that_is_good_and_absent() {
    let mut queue = queue_of(2);
    queue.serve_next(u64::MAX).unwrap();
    queue.reopen(1);
    assert_eq!(queue.board().returning(), 0);
    assert_eq!(queue.board().see(1).standing, Standing::Returning);
    assert_eq!(queue.board().returning(), 1);
}

#[test]
fn chunks_are_freed_after_the_hold_and_their_numbers_are_unknown() {
    let mut queue = queue_of(CHUNK + 10);
    while queue.board().frontier() < CHUNK {
        queue.serve_next(u64::MAX).unwrap();
    }
    queue.reopen(5);
    queue.board().see(5);
    queue.forget(1000, 500);
    assert_eq!(queue.board().see(5).standing, Standing::Returning);
    queue.forget(1500, 500);
    assert_eq!(queue.board().see(5).standing, Standing::Unknown);
    assert_eq!(queue.board().returning(), 0);
    assert_eq!(queue.board().ahead_of(CHUNK + 9), 8);
}

#[test]
fn numbers_never_issued_are_unknown() {
    let queue = queue_of(3);
    for number in [0, 4, u64::MAX] {
        assert_eq!(queue.board().see(number).standing, Standing::Unknown);
        assert_eq!(queue.board().standing(number), Standing::Unknown);
    }
}

#[test]
fn after_a_restart_everyone_issued_is_taken_as_there() {
    let mut queue = Queue::new(100_000, 140_000, 0);
    queue.presume(130_000, Mono::ZERO);
    assert_eq!(queue.board().waiting(), 29_999);
    assert_eq!(queue.board().ahead_of(129_999), 29_998);
    assert!(queue.board().is_live(100_001));
    queue.rotate();
    assert_eq!(queue.board().waiting(), 0);
}

#[test]
fn ten_million_tickets_fit_in_sixteen_megabytes() {
    let chunks = 10_000_000u64.div_ceil(CHUNK);
    // Six bits a ticket would be 7.5 MB; with prefixes and rounding it stays near.
    assert!(chunks * (size_of::<Chunk>() as u64) <= 8_000_000);
}
