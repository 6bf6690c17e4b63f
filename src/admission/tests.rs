#![allow(clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;

fn policy(limit: usize, queue: usize) -> Concurrency {
    Concurrency { limit: NonZeroUsize::new(limit).unwrap(), queue, patience: Duration::from_secs(1), max_streams: 2 }
}

fn ms(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

fn queue_one(admission: &mut Admission, now: Mono) -> WaiterId {
    match admission.admit(now) {
        Admit::Queued(id, _) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn up_to_the_limit_go_the_next_wait_and_the_rest_are_refused() {
    let mut admission = Admission::new(&policy(2, 1));
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    assert!(matches!(admission.admit(ms(5)), Admit::Queued(_, deadline) if deadline == ms(1005)));
    assert_eq!(admission.admit(ms(5)), Admit::Refused(Reason::QueueFull));
    assert_eq!((admission.in_flight(), admission.queued()), (2, 1));
}

#[test]
fn a_place_given_back_belongs_to_the_first_in_line_and_no_newcomer_overtakes() {
    let mut admission = Admission::new(&policy(1, 2));
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    let first = queue_one(&mut admission, ms(0));
    let second = queue_one(&mut admission, ms(0));
    assert_eq!(admission.release(ms(1)), Some(first));
    assert!(matches!(admission.admit(ms(1)), Admit::Queued(..)), "the place is the first waiter's already");
    assert!(admission.claim(first));
    assert!(!admission.claim(first), "once");
    assert!(!admission.claim(second), "not granted");
    assert_eq!(admission.release(ms(2)), Some(second));
}

#[test]
fn one_who_left_before_noticing_its_grant_passes_the_place_on() {
    let mut admission = Admission::new(&policy(1, 2));
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    let first = queue_one(&mut admission, ms(0));
    let second = queue_one(&mut admission, ms(0));
    assert_eq!(admission.release(ms(1)), Some(first));
    assert_eq!(admission.leave(first), Some(second));
    assert_eq!(admission.leave(first), None, "harmless when repeated");
    assert!(!admission.claim(first));
    assert_eq!(admission.in_flight(), 1);
}

#[test]
fn patience_ends_at_the_deadline_and_not_before() {
    let mut admission = Admission::new(&policy(1, 3));
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    let early = queue_one(&mut admission, ms(0));
    let late = queue_one(&mut admission, ms(400));
    assert!(admission.tick(ms(999)).is_empty());
    assert_eq!(admission.next_deadline(), Some(ms(1000)));
    assert_eq!(admission.tick(ms(1000)).as_slice(), [early]);
    assert_eq!(admission.release(ms(1001)), Some(late));
}

#[test]
fn a_shorter_patience_after_a_reload_expires_the_later_one_first() {
    let mut admission = Admission::new(&policy(1, 3));
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    let patient = queue_one(&mut admission, ms(0));
    assert!(admission.configure(&Concurrency { patience: Duration::from_millis(100), ..policy(1, 3) }).is_empty());
    let hasty = queue_one(&mut admission, ms(10));
    assert_eq!(admission.tick(ms(200)).as_slice(), [hasty]);
    assert_eq!(admission.release(ms(300)), Some(patient));
}

#[test]
fn a_raised_limit_grants_at_once_and_a_lowered_one_drains() {
    let mut admission = Admission::new(&policy(1, 4));
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    let line: Vec<_> = (0..4).map(|_| queue_one(&mut admission, ms(0))).collect();
    assert_eq!(admission.configure(&policy(3, 4)).as_slice(), [line[0], line[1]]);
    assert!(admission.configure(&policy(1, 1)).is_empty());
    assert_eq!(admission.release(ms(1)), None);
    assert_eq!(admission.release(ms(1)), None);
    assert_eq!(admission.release(ms(1)), Some(line[2]));
    assert_eq!(admission.in_flight_peak(), 3);
}

#[test]
fn a_stream_gives_its_place_back_and_counts_by_itself() {
    let mut admission = Admission::new(&policy(1, 4));
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    let next = queue_one(&mut admission, ms(0));
    assert_eq!(admission.to_stream(ms(1)), Ok(Some(next)));
    assert_eq!(admission.to_stream(ms(2)), Ok(None));
    assert_eq!(admission.admit(ms(3)), Admit::Granted);
    assert_eq!(admission.to_stream(ms(3)), Err(Reason::StreamsFull));
    assert_eq!((admission.in_flight(), admission.streams()), (1, 2), "the refused one keeps its place");
    admission.release_stream();
    assert_eq!(admission.to_stream(ms(4)), Ok(None));
}

#[test]
fn retry_after_is_the_time_the_line_needs_spread_over_as_long_again() {
    let mut admission = Admission::new(&policy(1, 100));
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    for _ in 0..100 {
        queue_one(&mut admission, ms(0));
    }
    // Ten a second for a while, the line kept full.
    for i in 0..100 {
        let woken = admission.release(ms(i * 100)).unwrap();
        assert!(admission.claim(woken));
        queue_one(&mut admission, ms(i * 100));
    }
    let mut seen = HashSet::new();
    for _ in 0..50 {
        assert_eq!(admission.admit(ms(9900)), Admit::Refused(Reason::QueueFull));
        let seconds = admission.retry_after(ms(9900)).as_secs();
        assert!((10..=21).contains(&seconds), "{seconds}");
        seen.insert(seconds);
    }
    assert!(seen.len() >= 8, "spread: {seen:?}");
}

#[test]
fn retry_after_stays_between_one_second_and_two_minutes() {
    let mut admission = Admission::new(&policy(1, 100_000));
    assert_eq!(admission.retry_after(ms(0)), Duration::from_secs(1));
    assert_eq!(admission.admit(ms(0)), Admit::Granted);
    for _ in 0..100_000 {
        queue_one(&mut admission, ms(0));
    }
    let _ = admission.release(ms(1000));
    for now in [1000, 60_000, 3_600_000] {
        let seconds = admission.retry_after(ms(now)).as_secs();
        assert!((1..=120).contains(&seconds), "{seconds}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Admit,
    Release,
    ToStream,
    EndStream,
    /// Leave, as the n-th of those who wait or were granted without noticing.
    Leave(usize),
    Claim(usize),
    Tick(u64),
    Configure(usize, usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Admit),
        4 => Just(Step::Release),
        1 => Just(Step::ToStream),
        1 => Just(Step::EndStream),
        2 => (0..20_usize).prop_map(Step::Leave),
        4 => (0..20_usize).prop_map(Step::Claim),
        2 => (0..700_u64).prop_map(Step::Tick),
        1 => (1..6_usize, 0..8_usize, 1..1500_u64).prop_map(|(l, q, p)| Step::Configure(l, q, p)),
    ]
}

/// Who is where, worked out beside the machine in the plainest way.
#[derive(Default)]
struct Ledger {
    line: VecDeque<(WaiterId, Mono)>,
    granted: Vec<WaiterId>,
    working: usize,
    streams: usize,
    limit: usize,
}

impl Ledger {
    fn grant(&mut self, woken: impl IntoIterator<Item = WaiterId>) {
        for id in woken {
            let (first, _) = self.line.pop_front().expect("granted from an empty line");
            assert_eq!(id, first, "not the first in line");
            self.granted.push(id);
            assert!(self.working + self.granted.len() <= self.limit, "granted beyond the limit");
        }
    }

    fn take_granted(&mut self, n: usize) -> Option<WaiterId> {
        (n < self.granted.len()).then(|| self.granted.remove(n))
    }
}

fn play(admission: &mut Admission, ledger: &mut Ledger, step: Step, now: &mut Mono) {
    match step {
        Step::Admit => match admission.admit(*now) {
            Admit::Granted => {
                assert!(ledger.line.is_empty(), "a newcomer overtook");
                ledger.working += 1;
                assert!(ledger.working + ledger.granted.len() <= ledger.limit);
            }
            Admit::Queued(id, deadline) => ledger.line.push_back((id, deadline)),
            Admit::Refused(reason) => assert_eq!(reason, Reason::QueueFull),
        },
        Step::Release if ledger.working > 0 => {
            ledger.working -= 1;
            ledger.grant(admission.release(*now));
        }
        Step::ToStream if ledger.working > 0 => {
            if let Ok(woken) = admission.to_stream(*now) {
                ledger.working -= 1;
                ledger.streams += 1;
                ledger.grant(woken);
            }
        }
        Step::EndStream if ledger.streams > 0 => {
            ledger.streams -= 1;
            admission.release_stream();
        }
        Step::Leave(n) => match ledger.take_granted(n) {
            Some(id) => ledger.grant(admission.leave(id)),
            None => {
                if let Some((id, _)) = ledger.line.remove(n) {
                    assert_eq!(admission.leave(id), None);
                }
            }
        },
        Step::Claim(n) => {
            if let Some(id) = ledger.take_granted(n) {
                assert!(admission.claim(id));
                ledger.working += 1;
            }
        }
        Step::Tick(by) => {
            *now = now.after(Duration::from_millis(by));
            let mut gone: Vec<_> = ledger.line.iter().filter(|(_, d)| d <= now).map(|(id, _)| *id).collect();
            ledger.line.retain(|(_, deadline)| deadline > now);
            let mut expired = admission.tick(*now).to_vec();
            gone.sort();
            expired.sort();
            assert_eq!(expired, gone);
        }
        Step::Configure(limit, queue, patience) => {
            ledger.limit = limit;
            let patience = Duration::from_millis(patience);
            ledger.grant(admission.configure(&Concurrency { patience, ..policy(limit, queue) }));
        }
        Step::Release | Step::ToStream | Step::EndStream => {}
    }
}

proptest! {
    #[test]
    fn places_balance_and_nobody_is_lost_or_granted_twice(steps in prop::collection::vec(step(), 0..200)) {
        let mut admission = Admission::new(&policy(3, 5));
        let mut ledger = Ledger { limit: 3, ..Ledger::default() };
        let mut now = ms(0);
        for step in steps {
            play(&mut admission, &mut ledger, step, &mut now);
            prop_assert_eq!(admission.in_flight(), ledger.working + ledger.granted.len());
            prop_assert_eq!(admission.queued(), ledger.line.len());
            prop_assert_eq!(admission.streams(), ledger.streams);
            prop_assert!(ledger.line.is_empty() || admission.in_flight() >= ledger.limit, "a place lies idle");
        }
        // Everyone who stays is served in the end, and then nothing is held.
        while admission.in_flight() > 0 {
            while let Some(id) = ledger.take_granted(0) {
                prop_assert!(admission.claim(id));
                ledger.working += 1;
            }
            ledger.working -= 1;
            ledger.grant(admission.release(now));
        }
        prop_assert_eq!(admission.queued(), 0);
        prop_assert!(admission.unclaimed.is_empty() && admission.deadlines.is_empty());
    }
}
