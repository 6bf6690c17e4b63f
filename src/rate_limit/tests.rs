use std::collections::HashMap;
use std::num::NonZeroUsize;

use proptest::prelude::*;
use sfv::{BareItem, ListEntry, Parser};

use super::*;

const SEED: u64 = 42;

fn policy(count: u32, period: Duration, burst: u32, max_keys: usize) -> policy::RateLimit {
    policy::RateLimit {
        name: "per_visitor".into(),
        key: RateKey::ClientIp,
        quota: policy::Quota { count: NonZeroU32::new(count).unwrap(), period },
        burst: NonZeroU32::new(burst).unwrap(),
        max_keys: NonZeroUsize::new(max_keys).unwrap(),
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
fn clients_are_counted_by_address_or_by_network() {
    let by_ip = per_second(1, 1, 10);
    let by_net =
        Limit::new(&policy::RateLimit { key: RateKey::ClientNet, ..policy(1, ms(1).since(ms(0)), 1, 10) }, SEED);
    let [a, b, mapped] = ["192.0.2.1", "192.0.2.200", "::ffff:192.0.2.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
    assert_ne!(by_ip.key(a), by_ip.key(b));
    assert_eq!(by_ip.key(a), by_ip.key(mapped), "the same visitor on a dual-stack listener");
    assert_eq!(by_net.key(a), by_net.key(b));
    let [c, d, e] = ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
    assert_eq!(by_net.key(c), by_net.key(d));
    assert_ne!(by_net.key(c), by_net.key(e));
    assert_ne!(by_ip.key(a), Limit::new(&policy(1, Duration::from_secs(1), 1, 10), 43).key(a), "the seed counts");
}

#[test]
fn a_million_random_keys_take_no_more_than_max_keys_and_none_goes_unlimited() {
    let limit = per_second(1, 1, 50_000);
    let mut allowed = 0;
    for n in 0..1_000_000 {
        allowed += u32::from(is_allowed(limit.check(key(n), ms(0))));
    }
    let keys = limit.limiter.into_state_store().keys();
    assert!((49_000..=50_000).contains(&keys), "{keys}");
    assert!(allowed as usize <= 50_000 + 4096, "{allowed}: strangers share the sketch");
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
    assert_eq!(limit.limiter.into_state_store().keys(), 100);
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
    assert_eq!(limit.policy_field(), "\"per_visitor\";q=40;w=2");
    let refused = Verdict::Refused { retry_after: Duration::from_millis(50) };
    assert_eq!(limit.limit_field(refused), "\"per_visitor\";r=0;t=1");
    assert_eq!(limit.limit_field(Verdict::Allowed { remaining: 39 }), "\"per_visitor\";r=39");
    for field in [limit.policy_field().to_owned(), limit.limit_field(refused)] {
        let list = Parser::new(&field).parse::<sfv::List>().unwrap();
        let Some(ListEntry::Item(item)) = list.first() else { unreachable!("{field}") };
        assert!(matches!(&item.bare_item, BareItem::String(name) if name.as_str() == "per_visitor"));
        assert_eq!(item.params.len(), 2);
    }
    assert_eq!(sf_string("a\"b\\c\r\nü"), "\"abc\"");
}

proptest! {
    /// GCRA as ATM's I.371 has it, in plain arithmetic over a map without bounds.
    #[test]
    fn decisions_are_those_of_the_plain_algorithm(
        count in 1..50_u32, burst in 1..20_u32,
        arrivals in prop::collection::vec((0..5_u64, 0..200_000_000_u64), 1..300),
    ) {
        let limit = per_second(count, burst, 1000);
        let interval = 1_000_000_000 / u64::from(count);
        let mut expected_arrival = HashMap::new();
        let mut now = 1;
        for (who, pause) in arrivals {
            now += pause;
            let tat = *expected_arrival.get(&who).unwrap_or(&now);
            let earliest = u64::saturating_sub(tat, interval * u64::from(burst - 1));
            let expected = if now < earliest {
                Verdict::Refused { retry_after: Duration::from_nanos(earliest - now) }
            } else {
                let next = tat.max(now) + interval;
                expected_arrival.insert(who, next);
                let spent = next - now;
                Verdict::Allowed { remaining: ((interval * u64::from(burst) - spent) / interval) as u32 }
            };
            prop_assert_eq!(limit.check(key(who), Mono::from_nanos(now)), expected);
        }
    }
}
