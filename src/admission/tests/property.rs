//! Whatever happens in whatever order: places balance, nobody is lost or granted twice, and no place
//! lies idle while somebody may have it.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Admit(u8, u64, usize, u8),
    Release(usize, bool),
    ToStream(usize),
    EndStream,
    Leave(usize),
    Claim(usize),
    Wait(u64),
    Configure(usize, usize),
    Allow(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_u8, 0..4_u64, 0..3_usize, 0..COHORTS).prop_map(|(c, w, k, l)| Step::Admit(c, w, k, l)),
        5 => (0..20_usize, any::<bool>()).prop_map(|(n, bad)| Step::Release(n, bad)),
        1 => (0..20_usize).prop_map(Step::ToStream),
        1 => Just(Step::EndStream),
        2 => (0..20_usize).prop_map(Step::Leave),
        4 => (0..20_usize).prop_map(Step::Claim),
        2 => (0..300_u64).prop_map(Step::Wait),
        1 => (1..6_usize, 0..8_usize).prop_map(|(l, q)| Step::Configure(l, q)),
        1 => (0..100_u8).prop_map(Step::Allow),
    ]
}

/// Who is where, worked out beside the machine in the plainest way.
#[derive(Default)]
struct Ledger {
    waiting: Vec<WaiterId>,
    granted: Vec<WaiterId>,
    working: Vec<FlightId>,
    streams: usize,
}

impl Ledger {
    fn take_woken(&mut self, admission: &mut Admission) {
        for id in admission.take_woken() {
            let at = self.waiting.iter().position(|w| *w == id).expect("woken, but not in line");
            self.waiting.remove(at);
            match admission.settled.get(&id) {
                Some(Claim::Granted(_)) => self.granted.push(id),
                Some(Claim::Refused(_)) => assert!(matches!(admission.claim(id), Claim::Refused(_))),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn play(admission: &mut Admission, ledger: &mut Ledger, step: Step, now: &mut Mono) {
    match step {
        Step::Admit(class, client, kind, cohort) => {
            let ask = Ask { class: Class::ALL[usize::from(class)], kind, client, cohort, waits: true };
            match admission.admit(ask, *now) {
                Admit::Granted(id) => ledger.working.push(id),
                Admit::Queued(id, _) => ledger.waiting.push(id),
                Admit::Refused(_) => {}
            }
        }
        Step::Release(n, bad) if n < ledger.working.len() => {
            let id = ledger.working.remove(n);
            admission.headed(id, bad, *now);
            admission.release(id, *now);
            admission.release(id, *now);
        }
        Step::ToStream(n) if n < ledger.working.len() && admission.to_stream(ledger.working[n], *now).is_ok() => {
            ledger.working.remove(n);
            ledger.streams += 1;
        }
        Step::EndStream if ledger.streams > 0 => {
            ledger.streams -= 1;
            admission.release_stream();
        }
        Step::Leave(n) if n < ledger.granted.len() => admission.leave(ledger.granted.remove(n), *now),
        Step::Leave(n) if n < ledger.waiting.len() => admission.leave(ledger.waiting.remove(n), *now),
        Step::Claim(n) if n < ledger.granted.len() => {
            let id = ledger.granted.remove(n);
            ledger.working.push(claimed(admission, id));
        }
        Step::Wait(by) => *now = now.after(Duration::from_millis(by)),
        Step::Configure(limit, queue) => admission.configure(&policy(limit, queue), &[100, 50, 20], *now),
        Step::Allow(share) => admission.set_allowance(f64::from(share) / 100.0, *now),
        _ => {}
    }
    ledger.take_woken(admission);
}

proptest! {
    #[test]
    fn places_balance_and_nobody_is_lost_or_granted_twice(
        found in any::<bool>(),
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let rules = if found { adaptive() } else { policy(3, 5) };
        let mut admission = Admission::new(&rules, &[100, 50, 20]);
        let mut ledger = Ledger::default();
        let mut now = ms(0);
        for step in steps {
            let before = admission.in_flight;
            play(&mut admission, &mut ledger, step, &mut now);
            prop_assert_eq!(admission.in_flight(), ledger.working.len() + ledger.granted.len());
            prop_assert_eq!(admission.queued(), ledger.waiting.len());
            prop_assert_eq!(admission.streams(), ledger.streams);
            prop_assert!(admission.in_flight <= admission.limit().max(before), "granted beyond the limit");
            let limit = admission.limit();
            let shut = |w: &Waiter| admission.kinds.is_shut(w.kind, limit, admission.bulkhead(), now);
            let idle = admission.in_flight < limit && admission.line.all().any(|(_, w)| !shut(w));
            prop_assert!(!idle || admission.bulkhead(), "a place lies idle");
        }
        // Everyone who stays is served in the end, and then nothing is held.
        admission.set_allowance(1.0, now);
        ledger.take_woken(&mut admission);
        now = now.after(Duration::from_secs(60));
        while admission.in_flight() > 0 {
            while let Some(id) = ledger.granted.pop() {
                ledger.working.push(claimed(&mut admission, id));
            }
            if let Some(id) = ledger.working.pop() {
                admission.headed(id, false, now);
                admission.release(id, now);
            }
            ledger.take_woken(&mut admission);
        }
        prop_assert_eq!(admission.queued(), 0);
        prop_assert!(admission.settled.is_empty() && admission.line.is_empty());
    }
}
