use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;

use proptest::prelude::*;
use sfv::{BareItem, ListEntry, Parser};

use super::*;
use crate::policy::Quota;

mod keys;

const SEED: u64 = 42;

fn policy(count: u32, period: Duration, burst: u32, max_keys: usize) -> policy::RateLimit {
    policy::RateLimit {
        name: "per_visitor".into(),
        key: vec![RateKey::ClientIp],
        quota: Quota { count: NonZeroU32::new(count).unwrap(), period },
        burst: NonZeroU32::new(burst).unwrap(),
        plans: None,
        max_keys: NonZeroUsize::new(max_keys).unwrap(),
        dry_run: false,
    }
}

fn per_second(count: u32, burst: u32, max_keys: usize) -> Limit {
    Limit::new(&policy(count, Duration::from_secs(1), burst, max_keys), SEED)
}

fn ms(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

/// Keys spread as hashes are.
fn key(n: u64) -> Key {
    let mut hasher = DefaultHasher::new();
    n.hash(&mut hasher);
    Key(hasher.finish())
}

impl Limit {
    /// Asks for itself alone.
    fn check(&self, key: Key, now: Mono) -> Verdict {
        self.check_cost(key, 1, now)
    }

    fn check_cost(&self, key: Key, cost: u32, now: Mono) -> Verdict {
        let mut asked = Asked::new();
        asked.push(self.ask_as(key, cost));
        decide(&mut asked, now);
        asked[0].verdict
    }

    fn ask_as(&self, key: Key, cost: u32) -> Ask<'_> {
        let verdict = Verdict::Allowed { remaining: 0 };
        Ask { id: RateLimitId(0), limit: self, rate: &self.rates[0], key, cost, verdict }
    }
}

fn is_allowed(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Allowed { .. })
}

#[test]
fn a_burst_passes_then_one_for_each_interval() {
    let limit = per_second(10, 3, 100);
    for remaining in [2, 1, 0] {
        assert_eq!(limit.check(key(1), ms(0)), Verdict::Allowed { remaining });
    }
    assert_eq!(limit.check(key(1), ms(40)), Verdict::Refused { retry_after: Duration::from_millis(60) });
    assert_eq!(limit.check(key(1), ms(100)), Verdict::Allowed { remaining: 0 });
    assert_eq!(limit.check(key(2), ms(100)), Verdict::Allowed { remaining: 2 }, "each key has its own");
}

#[test]
fn waiting_as_told_is_enough() {
    let limit = per_second(7, 2, 100);
    let mut now = ms(5);
    for _ in 0..100 {
        if let Verdict::Refused { retry_after } = limit.check(key(1), now) {
            assert!(!retry_after.is_zero());
            now = now.after(retry_after);
            assert!(is_allowed(limit.check(key(1), now)));
        }
    }
}

#[test]
fn retry_after_is_never_zero_seconds() {
    assert_eq!(Verdict::Refused { retry_after: Duration::from_nanos(1) }.retry_after_seconds(), Some(1));
    assert_eq!(Verdict::Refused { retry_after: Duration::from_millis(1001) }.retry_after_seconds(), Some(2));
    assert_eq!(Verdict::Allowed { remaining: 1 }.retry_after_seconds(), None);
}

#[test]
fn a_million_random_keys_take_no_more_than_the_table_and_a_newcomer_is_let_in() {
    let limit = per_second(1, 1, 50_000);
    for n in 0..1_000_000 {
        assert!(is_allowed(limit.check(key(n), ms(0))), "{n} came for the first time");
    }
    let (keys, bytes) = (limit.store.keys(), limit.store.bytes());
    assert!(keys <= 63_000 && bytes <= 50_000 * 21, "{keys} keys in {bytes} bytes");
}

#[test]
fn a_large_table_takes_memory_as_keys_come() {
    let limit = per_second(1, 1, 10_000_000);
    limit.check(key(1), ms(0));
    let bytes = limit.store.bytes();
    assert!(bytes < 10_000_000 / 4, "{bytes} bytes for one key");
}

#[test]
fn who_comes_back_amid_random_keys_is_limited() {
    let limit = per_second(1, 1, 1000);
    let mut strangers = 1_000..;
    let mut allowed = 0;
    for now in 0..100 {
        // Two hundred meanwhile: a sixth of the table.
        allowed += (0..10).filter(|n| is_allowed(limit.check(key(*n), ms(now * 10)))).count();
        strangers.by_ref().take(200).for_each(|n| _ = limit.check(key(n), ms(now * 10)));
    }
    assert!(allowed <= 15, "{allowed} of ten who ask for one each");
}

#[test]
fn keys_in_turns_more_than_the_table_holds_do_not_go_unlimited() {
    for (max_keys, most) in [(950, 17_500), (1000, 15_000), (1050, 15_000)] {
        let limit = per_second(1, 1, max_keys);
        let mut allowed = 0;
        for round in 0..500 {
            allowed += (0..2000).filter(|n| is_allowed(limit.check(key(*n), ms(round * 10)))).count();
        }
        assert!(allowed < most, "{max_keys}: {allowed} of 10,000 in five seconds");
    }
}

#[test]
fn who_is_known_and_live_is_never_forgotten() {
    let limit = per_second(1, 2, 1000);
    for n in 0..1000 {
        limit.check(key(n), ms(0));
        limit.check(key(n), ms(0));
    }
    for n in 1000..100_000 {
        limit.check(key(n), ms(100));
    }
    for n in 0..1000 {
        assert!(!is_allowed(limit.check(key(n), ms(200))), "key {n} was given a fresh bucket");
    }
}

#[test]
fn a_full_store_forgets_keys_whose_bucket_is_full_again() {
    let limit = per_second(10, 1, 100);
    for n in 0..100 {
        limit.check(key(n), ms(0));
    }
    for n in 100..200 {
        assert_eq!(limit.check(key(n), ms(101)), Verdict::Allowed { remaining: 0 });
        assert!(!is_allowed(limit.check(key(n), ms(101))), "an entry of its own");
    }
    assert!(limit.store.keys() <= 128, "{}", limit.store.keys());
}

#[test]
fn a_key_without_an_entry_is_limited_too() {
    let limit = per_second(10, 5, 1);
    limit.check(key(0), ms(0));
    let allowed = (0..100).filter(|_| is_allowed(limit.check(key(1), ms(1)))).count();
    assert_eq!(allowed, 5);
}

#[test]
fn quotas_at_the_edges_of_what_can_be_written_do_not_overflow() {
    let slow = Limit::new(&policy(1, Duration::from_secs(365 * 24 * 3600), u32::MAX, 10), SEED);
    let fast = Limit::new(&policy(u32::MAX, Duration::from_millis(1), u32::MAX, 10), SEED);
    for now in [Mono::ZERO, ms(1), ms(1 << 40)] {
        assert!(is_allowed(slow.check(key(1), now)));
        assert!(is_allowed(fast.check(key(1), now)));
    }
}

#[test]
fn the_fields_are_those_of_the_draft_and_structured_fields_parse_them() {
    let limit = per_second(20, 40, 10);
    let ask = |verdict| Ask { verdict, ..limit.ask_as(key(1), 1) };
    let refused = ask(Verdict::Refused { retry_after: Duration::from_millis(50) });
    assert_eq!(refused.policy_field(), "\"per_visitor\";q=40;w=2");
    assert_eq!(refused.limit_field(), "\"per_visitor\";r=0;t=1");
    assert_eq!(ask(Verdict::Allowed { remaining: 39 }).limit_field(), "\"per_visitor\";r=39");
    for field in [refused.policy_field().to_owned(), refused.limit_field()] {
        let list = Parser::new(&field).parse::<sfv::List>().unwrap();
        let Some(ListEntry::Item(item)) = list.first() else { unreachable!("{field}") };
        assert!(matches!(&item.bare_item, BareItem::String(name) if name.as_str() == "per_visitor"));
        assert_eq!(item.params.len(), 2);
    }
    assert_eq!(sf_string("a\"b\\c\r\nü"), "\"abc\"");
}

#[test]
fn a_full_store_of_the_default_size_takes_less_than_64_mib() {
    let limit = per_second(1, 1, 1_000_000);
    for n in 0..1_200_000 {
        limit.check(key(n), ms(0));
    }
    let mib = limit.store.bytes() as f64 / f64::from(1 << 20);
    assert!((19.0..20.5).contains(&mib), "{mib} MiB");
}

#[test]
fn a_request_takes_what_it_costs() {
    let limit = per_second(10, 5, 100);
    assert_eq!(limit.check_cost(key(1), 4, ms(0)), Verdict::Allowed { remaining: 1 });
    let refused = Verdict::Refused { retry_after: Duration::from_millis(100) };
    assert_eq!(limit.check_cost(key(1), 2, ms(0)), refused);
    assert_eq!(limit.check_cost(key(1), 1, ms(0)), Verdict::Allowed { remaining: 0 });
    assert_eq!(limit.check_cost(key(1), 5, ms(500)), Verdict::Allowed { remaining: 0 });
    assert_eq!(limit.check_cost(key(2), 6, ms(0)), Verdict::Allowed { remaining: 0 }, "never more than the burst");
}

#[test]
fn of_several_limits_all_must_allow_and_a_refusal_counts_with_none() {
    let (wide, narrow) = (per_second(10, 3, 100), per_second(1, 1, 100));
    let both = |now| {
        let mut asked = Asked::new();
        asked.extend([wide.ask_as(key(1), 1), narrow.ask_as(key(1), 1), wide.ask_as(key(1), 1)]);
        decide(&mut asked, now);
        assert_eq!(asked.len(), 2, "one that is named twice is asked once");
        !asked.iter().any(Ask::refuses)
    };
    assert!(both(ms(0)));
    assert!((0..10).all(|_| !both(ms(0))));
    assert_eq!((narrow.refused(), wide.refused()), (10, 0));
    assert_eq!(wide.check(key(1), ms(0)), Verdict::Allowed { remaining: 1 }, "the refusals took nothing from it");
}

#[test]
fn requests_that_meet_never_take_one_token_twice_and_never_wait_in_a_circle() {
    let limits = [per_second(1, 1000, 2), per_second(1, 700, 2)];
    let both = |order: [usize; 2]| {
        let mut asked: Asked<'_> = order.iter().map(|at| limits[*at].ask_as(key(1), 1)).collect();
        decide(&mut asked, ms(0));
        !asked.iter().any(Ask::refuses)
    };
    let allowed: usize = std::thread::scope(|scope| {
        let threads = [[0, 1], [1, 0], [0, 1], [1, 0]].map(|order| {
            let both = &both;
            scope.spawn(move || (0..500).filter(|_| both(order)).count())
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 700);
    assert_eq!(limits[0].check(key(1), ms(0)), Verdict::Allowed { remaining: 299 });
}

#[test]
fn a_dry_run_counts_and_refuses_nothing() {
    let dry = Limit::new(&policy::RateLimit { dry_run: true, ..policy(1, Duration::from_secs(1), 1, 10) }, SEED);
    let live = per_second(1, 3, 10);
    let verdicts = [1, 2, 3, 4].map(|_| {
        let mut asked: Asked<'_> = [dry.ask_as(key(1), 1), live.ask_as(key(1), 1)].into_iter().collect();
        decide(&mut asked, ms(0));
        (asked.iter().any(Ask::refuses), asked.iter().any(Ask::would_refuse))
    });
    assert_eq!(verdicts, [(false, false), (false, true), (false, true), (true, true)]);
    assert_eq!((dry.refused(), live.refused()), (3, 1));
}

/// One limit of the model: as ITU-T I.371 has it, in wide plain numbers over a map without bounds.
struct Model {
    interval: i128,
    burst: i128,
    dry_run: bool,
    arrivals: HashMap<u64, i128>,
}

impl Model {
    fn verdict(&self, who: u64, cost: i128, now: i128) -> (Verdict, i128) {
        let tat = self.arrivals.get(&who).copied().unwrap_or(now).max(now);
        let next = tat + self.interval * cost.min(self.burst);
        let over = next - now - self.interval * self.burst;
        let verdict = match over > 0 {
            true => Verdict::Refused { retry_after: Duration::from_nanos(over as u64) },
            false => Verdict::Allowed { remaining: ((-over) / self.interval) as u32 },
        };
        (verdict, next)
    }
}

proptest! {
    /// Any number of limits, costs and dry runs: what each says, and what it has counted.
    #[test]
    fn decisions_are_those_of_the_plain_algorithm(
        rules in prop::collection::vec((1..50_u32, 1..20_u32, any::<bool>()), 1..5),
        arrivals in prop::collection::vec((0..4_u64, 0..4_u64, 1..8_u32, 0..200_000_000_u64, 1..16_u8), 1..300),
    ) {
        let limit = |(count, burst, dry_run): &(u32, u32, bool)| {
            let policy = policy(*count, Duration::from_secs(1), *burst, 1000);
            Limit::new(&policy::RateLimit { dry_run: *dry_run, ..policy }, SEED)
        };
        let limits: Vec<_> = rules.iter().map(limit).collect();
        let mut models: Vec<_> = rules.iter().map(|(count, burst, dry_run)| Model {
            interval: i128::from(1_000_000_000 / count),
            burst: i128::from(*burst),
            dry_run: *dry_run,
            arrivals: HashMap::new(),
        }).collect();
        let mut now = 1;
        for (who, shared, cost, pause, which) in arrivals {
            now += pause;
            // Each limit counts by one thing or the other.
            let whom = |at: usize| if at.is_multiple_of(2) { who } else { 100 + shared };
            let chosen: Vec<_> = (0..limits.len()).filter(|at| which & (1 << at) != 0).collect();
            let mut asked: Asked<'_> = chosen.iter().map(|at| {
                Ask { id: RateLimitId(*at), ..limits[*at].ask_as(key(whom(*at)), cost) }
            }).collect();
            decide(&mut asked, Mono::from_nanos(now));
            let expected: Vec<_> =
                chosen.iter().map(|at| (*at, models[*at].verdict(whom(*at), cost.into(), now.into()))).collect();
            prop_assert_eq!(asked.len(), expected.len());
            let refuses = |(at, (verdict, _)): &(usize, (Verdict, i128))| !models[*at].dry_run && !is_allowed(*verdict);
            let refused = expected.iter().any(refuses);
            for ask in &asked {
                let (_, (verdict, _)) = expected.iter().find(|(at, _)| *at == ask.id.0).unwrap();
                prop_assert_eq!(ask.verdict, *verdict);
            }
            prop_assert_eq!(asked.iter().any(Ask::refuses), refused);
            for (at, (verdict, next)) in expected {
                if !refused && is_allowed(verdict) {
                    models[at].arrivals.insert(whom(at), next);
                }
            }
        }
    }
}
