use proptest::prelude::*;

use super::*;

fn servers(count: usize) -> Vec<Server> {
    (0..count).map(|i| Server { tls: false, host: format!("10.0.0.{i}"), port: 80 }).collect()
}

fn at(seconds: f64) -> Mono {
    Mono::from_nanos((seconds * 1e9) as u64)
}

/// Servers that stand in line to be told what becomes of their requests.
struct Site {
    servers: Servers,
    names: Vec<Server>,
    seed: u64,
}

impl Site {
    fn of(count: usize) -> Self {
        let names = servers(count);
        Self { servers: Servers::new(&names), names, seed: 0 }
    }

    fn pick(&mut self, now: Mono) -> Picked {
        self.seed += 1;
        self.servers.pick(None, lots(self.seed), now).unwrap()
    }

    /// Where so many requests go that end at once.
    fn spread(&mut self, requests: usize, now: Mono) -> Vec<usize> {
        let mut counts = vec![0; self.names.len()];
        for _ in 0..requests {
            let picked = self.pick(now);
            self.servers.leave(picked.id);
            counts[self.index(&picked)] += 1;
        }
        counts
    }

    fn index(&self, picked: &Picked) -> usize {
        self.names.iter().position(|name| *name == *picked.server).unwrap()
    }

    /// One attempt at this server.
    fn tell(&mut self, server: usize, outcome: Outcome, now: Mono) -> Option<Change> {
        let slot = &self.servers.slots[server];
        let picked = Picked { id: slot.id, server: slot.server.clone(), at: now };
        self.servers.learn(&picked, outcome, now)
    }

    fn fail(&mut self, server: usize, times: usize, now: Mono) -> Option<Change> {
        (0..times).filter_map(|_| self.tell(server, Outcome::Failed, now)).last()
    }

    fn check(&mut self, server: usize, passed: bool, now: Mono) -> Option<Change> {
        let name = self.names[server].clone();
        self.servers.checked(&name, passed, now)
    }

    fn standing(&self, server: usize, now: Mono) -> Standing {
        self.servers.status(now).nth(server).unwrap().standing
    }

    fn is_out(&self, server: usize, now: Mono) -> bool {
        matches!(self.standing(server, now), Standing::Out(..))
    }
}

#[test]
fn idle_servers_share_evenly() {
    for counts in [Site::of(1).spread(1000, at(1.0)), Site::of(3).spread(3000, at(1.0))] {
        assert!(counts.iter().all(|n| (900..=1100).contains(n)), "{counts:?}");
    }
}

#[test]
fn the_one_with_fewer_in_flight_is_picked() {
    let mut site = Site::of(2);
    let held: Vec<_> = (0..40).map(|_| site.pick(at(1.0))).collect();
    let first = held.iter().filter(|p| site.index(p) == 0).count();
    assert_eq!(first, 20);
    held.iter().filter(|p| *p.server == site.names[0]).for_each(|p| site.servers.leave(p.id));
    assert!((0..20).all(|_| {
        let picked = site.pick(at(1.0));
        site.index(&picked) == 0
    }));
}

#[test]
fn five_failures_in_a_row_eject_and_each_time_for_longer() {
    let mut site = Site::of(2);
    assert_eq!(site.fail(0, 4, at(1.0)), None);
    assert_eq!(site.tell(0, Outcome::Answered, at(1.0)), None);
    assert_eq!(site.fail(0, 4, at(1.0)), None);
    let Some(Change::Out { why: Why::Failing, time, .. }) = site.fail(0, 1, at(1.0)) else { panic!() };
    assert_eq!(time, Some(Duration::from_secs(10)));
    assert_eq!(site.spread(100, at(10.9)), [0, 100]);
    // Back, and on probation: one failure is enough, and the second time is twice as long.
    let Some(Change::Out { time, .. }) = site.fail(0, 1, at(12.0)) else { panic!() };
    assert_eq!(time, Some(Duration::from_secs(20)));
    // One success ends the probation; after some quiet minutes the count begins anew.
    assert_eq!(site.tell(0, Outcome::Answered, at(40.0)), None);
    assert_eq!(site.fail(0, 4, at(400.0)), None);
    let Some(Change::Out { time, .. }) = site.fail(0, 1, at(400.0)) else { panic!() };
    assert_eq!(time, Some(Duration::from_secs(10)));
}

#[test]
fn a_server_comes_back_slowly() {
    let mut site = Site::of(2);
    site.fail(0, 5, at(0.5));
    assert_eq!(site.standing(0, at(10.6)), Standing::Returning(10));
    let early = site.spread(10_000, at(10.6))[0];
    let late = site.spread(10_000, at(18.5))[0];
    assert!((400..600).contains(&early) || (900..1100).contains(&early), "{early}");
    assert!(early < late && late < 5000, "{early} {late}");
    assert_eq!(site.standing(0, at(20.5)), Standing::In);
}

#[test]
fn one_that_fails_far_more_often_than_the_others_is_ejected() {
    let mut site = Site::of(3);
    let mut change = None;
    for i in 0..60 {
        site.tell(1, Outcome::Answered, at(1.0));
        site.tell(2, Outcome::Answered, at(1.0));
        let outcome = if i % 2 == 0 { Outcome::Failed } else { Outcome::Answered };
        change = change.or(site.tell(0, outcome, at(1.0)));
    }
    assert!(change.is_some() && site.is_out(0, at(1.0)));
    // What fails everywhere is nobody's own fault.
    let mut site = Site::of(3);
    for i in 0..60 {
        for server in 0..3 {
            let outcome = if i % 2 == 0 { Outcome::Failed } else { Outcome::Answered };
            assert_eq!(site.tell(server, outcome, at(1.0)), None);
        }
    }
}

#[test]
fn where_all_fail_nobody_is_left_out() {
    let mut site = Site::of(2);
    assert!(site.fail(0, 5, at(1.0)).is_some());
    assert_eq!(site.fail(1, 4, at(1.5)), None);
    assert!(site.is_out(0, at(1.5)));
    assert_eq!(site.fail(1, 1, at(2.0)), None);
    assert!(!site.is_out(0, at(2.0)), "the other one fails too");
    for second in 3..100 {
        assert_eq!((site.fail(0, 2, at(f64::from(second))), site.fail(1, 2, at(f64::from(second)))), (None, None));
    }
    // One of them works again: the other is out, and no longer than by a first ejection.
    site.tell(1, Outcome::Answered, at(100.0));
    let Some(Change::Out { time, .. }) = site.fail(0, 1, at(100.0)) else { panic!() };
    assert_eq!(time, Some(Duration::from_secs(10)));
}

#[test]
fn what_began_before_an_ejection_says_nothing_after_it() {
    let mut site = Site::of(2);
    let slow = loop {
        let picked = site.pick(at(1.0));
        if site.index(&picked) == 0 {
            break picked;
        }
    };
    site.fail(0, 5, at(2.0));
    assert_eq!(site.servers.learn(&slow, Outcome::Failed, at(13.0)), None);
    assert!(!site.is_out(0, at(13.0)));
}

#[test]
fn a_single_server_is_never_out() {
    let mut site = Site::of(1);
    assert_eq!(site.fail(0, 100, at(1.0)), None);
    assert_eq!(site.tell(0, Outcome::Busy(Duration::from_secs(5)), at(1.0)), None);
    site.check(0, true, at(1.0));
    assert!((0..10).all(|_| site.check(0, false, at(2.0)).is_none()));
    assert_eq!(site.standing(0, at(2.0)), Standing::In);
}

#[test]
fn a_server_that_asks_for_rest_gets_it_within_bounds() {
    let mut site = Site::of(2);
    let Some(Change::Out { why: Why::Busy, time, .. }) =
        site.tell(0, Outcome::Busy(Duration::from_secs(86400)), at(1.0))
    else {
        panic!()
    };
    assert_eq!(time, Some(Duration::from_secs(30)));
    assert_eq!(site.spread(10, at(2.0)), [0, 10]);
    // The other one may ask in vain: somebody must answer.
    assert_eq!(site.tell(1, Outcome::Busy(Duration::from_secs(5)), at(2.0)), None);
    assert!(!site.is_out(0, at(31.0)));
}

#[test]
fn a_check_that_has_never_passed_ejects_nobody() {
    let mut site = Site::of(2);
    assert!((0..100).all(|_| site.check(0, false, at(1.0)).is_none()));
    assert_eq!(site.standing(0, at(1.0)), Standing::In);
    assert_eq!(site.check(0, true, at(2.0)), None);
    assert!((0..2).all(|_| site.check(0, false, at(3.0)).is_none()));
    assert!(matches!(site.check(0, false, at(3.0)), Some(Change::Out { why: Why::Unhealthy, time: None, .. })));
    assert_eq!(site.check(0, true, at(4.0)), None);
    assert!(site.is_out(0, at(1000.0)), "one good check is not enough");
    assert!(matches!(site.check(0, true, at(1001.0)), Some(Change::Healthy { .. })));
    assert_eq!(site.standing(0, at(1001.0)), Standing::Returning(10));
}

#[test]
fn a_retry_goes_elsewhere_where_it_can() {
    let mut site = Site::of(2);
    for seed in 0..50 {
        let failed = site.pick(at(1.0));
        let next = site.servers.pick(Some(failed.id), lots(seed), at(1.0)).unwrap();
        assert_ne!(failed.id, next.id);
    }
    let mut alone = Site::of(1);
    let failed = alone.pick(at(1.0));
    assert!(!alone.servers.retry(failed.id, Failure::Declined, at(1.0)), "there is no other");
    assert!(alone.servers.retry(failed.id, Failure::Broken, at(1.0)));
    assert_eq!(alone.servers.pick(Some(failed.id), lots(0), at(1.0)).unwrap().id, failed.id);
    assert_eq!(alone.servers.retries(), (1, 0), "what had nowhere to go was not the budget's to deny");
}

#[test]
fn what_cost_a_server_nothing_costs_the_budget_nothing() {
    let mut site = Site::of(2);
    let failed = site.pick(at(1.0));
    assert!((0..100).all(|_| site.servers.retry(failed.id, Failure::Refused, at(1.0))));
    let within = (0..100).filter(|_| site.servers.retry(failed.id, Failure::Unconnected, at(1.0))).count();
    assert_eq!((within, site.servers.retries()), (10, (110, 90)));
}

#[test]
fn a_reload_keeps_what_is_known_of_the_servers_that_stay() {
    let mut site = Site::of(4);
    site.fail(0, 5, at(1.0));
    site.fail(1, 5, at(1.0));
    let gone = site.pick(at(1.0));
    let kept: Vec<Server> = [1, 0].map(|i| site.names[i].clone()).into();
    site.servers.configure(&kept, true, at(2.0));
    let out = (0..2).filter(|i| site.is_out(*i, at(2.0))).count();
    assert_eq!(out, 1, "of two, one may be out");
    site.servers.leave(gone.id);
    site.servers.learn(&gone, Outcome::Failed, at(2.0));
    site.servers.configure(&servers(0), true, at(3.0));
    assert!(site.servers.pick(None, lots(1), at(3.0)).is_none());
}

/// What may happen to a site.
#[derive(Clone, Debug)]
enum Event {
    Wait(u64),
    Attempt(Outcome),
    Retry,
    Check(usize, bool),
    Configure(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        1 => Just(Outcome::Answered),
        4 => Just(Outcome::Failed),
        1 => (0..100u64).prop_map(|s| Outcome::Busy(Duration::from_secs(s))),
    ];
    prop_oneof![
        3 => (0..3000u64).prop_map(Event::Wait),
        6 => outcome.prop_map(Event::Attempt),
        3 => Just(Event::Retry),
        3 => (0..6usize, any::<bool>()).prop_map(|(server, passed)| Event::Check(server, passed)),
        1 => (1..6usize).prop_map(Event::Configure),
    ]
}

proptest! {
    #[test]
    fn at_most_half_are_out_whatever_happens(
        count in 1..6usize,
        events in prop::collection::vec(event(), 0..400),
    ) {
        let mut site = Site::of(count);
        let mut now = at(1.0);
        let mut open = Vec::new();
        for event in events {
            match event {
                Event::Wait(ms) => now = now.after(Duration::from_millis(ms)),
                Event::Attempt(outcome) => {
                    site.servers.request(now);
                    let picked = site.pick(now);
                    site.servers.learn(&picked, outcome, now);
                    open.push(picked.id);
                    if open.len() > 8 {
                        site.servers.leave(open.remove(0));
                    }
                }
                Event::Retry => {
                    let failed = site.pick(now);
                    site.servers.leave(failed.id);
                    site.servers.retry(failed.id, Failure::Broken, now);
                }
                Event::Check(server, passed) => {
                    if server < site.names.len() {
                        site.check(server, passed, now);
                    }
                }
                Event::Configure(count) => {
                    site.names = servers(count);
                    site.servers.configure(&site.names, true, now);
                }
            }
            let out = (0..site.names.len()).filter(|i| site.is_out(*i, now)).count();
            prop_assert!(out <= site.names.len() / 2, "{out} of {}", site.names.len());
            let flying: usize = site.servers.status(now).map(|s| s.in_flight).sum();
            prop_assert!(flying <= open.len());
        }
    }

    #[test]
    fn the_budget_holds_over_the_ten_seconds_before_any_retry(
        steps in prop::collection::vec((0..2000u64, 0..50u64, 0..50u64), 1..200),
    ) {
        let mut budget = Budget::default();
        let (mut now, mut asked, mut granted) = (Mono::ZERO, Vec::new(), Vec::new());
        let second = |t: Mono| t.as_nanos() / 1_000_000_000;
        for (ms, requests, tries) in steps {
            now = now.after(Duration::from_millis(ms));
            for _ in 0..requests {
                budget.request(now);
                asked.push(second(now));
            }
            for _ in 0..tries {
                if !budget.retry(now) {
                    continue;
                }
                granted.push(second(now));
                let lately = |all: &[u64]| all.iter().filter(|s| **s + 10 > second(now)).count();
                prop_assert!(lately(&granted) * 5 <= lately(&asked) + 50);
            }
        }
        prop_assert!(granted.len() <= asked.len() * 2 / 5 + 10 * (second(now) as usize / 10 + 1));
    }
}
