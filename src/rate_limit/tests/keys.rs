//! What is counted together and what apart, and by which plan.

use std::net::IpAddr;

use super::*;
use crate::pipeline::view::{BodyKind, Field, Scheme, Version};
use crate::policy::Plan;
use crate::waiting_room::{RoomId, Session};

/// A request, as a key looks at it.
fn view<'a>(client: &str, path: &'a str, fields: &'a [Field<'a>]) -> View<'a> {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Http,
        host: "shop.example:8080",
        path,
        raw_path: path,
        query,
        fields,
        client: client.parse::<IpAddr>().unwrap(),
        trusted: false,
        body: BodyKind::None,
    }
}

fn key_of(parts: &[RateKey], view: &View<'_>) -> Key {
    Key::of(parts, 0, &Request { view, session: None }, SEED)
}

#[test]
fn clients_are_counted_by_address_or_by_network() {
    let of = |part: RateKey, client| key_of(&[part], &view(client, "/", &[]));
    let ip = |client| of(RateKey::ClientIp, client);
    let net = |client| of(RateKey::ClientNet, client);
    assert_ne!(ip("192.0.2.1"), ip("192.0.2.200"));
    assert_eq!(ip("192.0.2.1"), ip("::ffff:192.0.2.1"), "the same visitor on a dual-stack listener");
    assert_eq!(net("192.0.2.1"), net("192.0.2.200"));
    assert_eq!(net("2001:db8::1"), net("2001:db8::ffff"));
    assert_ne!(net("2001:db8::1"), net("2001:db8:0:1::1"));
    let came = view("192.0.2.1", "/", &[]);
    let seeded = |seed| Key::of(&[RateKey::ClientIp], 0, &Request { view: &came, session: None }, seed);
    assert_ne!(seeded(1), seeded(2), "nobody outside can compute a key");
}

#[test]
fn a_visitor_is_its_session_else_its_address() {
    let (a, b) = (view("192.0.2.1", "/", &[]), view("192.0.2.2", "/", &[]));
    let of = |view, slot: Option<u32>| {
        let session = slot
            .map(|slot| (RoomId::new("launch", &[1; 32]), Session { slot, generation: 1, started_unix_s: 9, turn: 0 }));
        Key::of(&[RateKey::Visitor], 0, &Request { view, session }, SEED)
    };
    assert_ne!(of(&a, Some(1)), of(&a, Some(2)), "two behind one address");
    assert_eq!(of(&a, Some(1)), of(&b, Some(1)), "one who moves from one network to another");
    assert_ne!(of(&a, None), of(&b, None));
    assert_ne!(of(&a, None), of(&a, Some(1)));
}

#[test]
fn fields_cookies_parameters_and_paths_are_told_apart() {
    let app = |value| [Field { name: "X-App", value }, Field { name: "Cookie", value: b"a=1; id=7" }];
    let header = [RateKey::Header("x-app".into())];
    let by = |parts: &[RateKey], path: &str, fields: &[Field<'_>]| key_of(parts, &view("192.0.2.1", path, fields));
    assert_eq!(by(&header, "/", &app(b"ios")), by(&header, "/x", &app(b" ios ")));
    assert_ne!(by(&header, "/", &app(b"ios")), by(&header, "/", &app(b"\xff")));
    assert_ne!(by(&header, "/", &app(b"")), by(&header, "/", &[]), "to lack it is a value of its own");
    let cookie = [RateKey::Cookie("id".into())];
    assert_ne!(by(&cookie, "/", &app(b"")), by(&cookie, "/", &[]));
    let query = [RateKey::Query("q".into())];
    assert_eq!(by(&query, "/?q=a+b&x", &[]), by(&query, "/?x=1&%71=%61%20b&q=c", &[]), "compared decoded");
    assert_ne!(by(&query, "/?q=a", &[]), by(&query, "/?q=", &[]));
    assert_ne!(by(&query, "/?q=", &[]), by(&query, "/", &[]));
    assert_ne!(by(&[RateKey::Path], "/a?q", &[]), by(&[RateKey::Path], "/b?q", &[]));
    let elsewhere = View { host: "other.example", ..view("192.0.2.1", "/", &[]) };
    assert_ne!(key_of(&[RateKey::Host], &elsewhere), by(&[RateKey::Host], "/", &[]));
    let same = View { host: "shop.example.", ..elsewhere };
    assert_eq!(key_of(&[RateKey::Host], &same), by(&[RateKey::Host], "/", &[]));
}

#[test]
fn the_parts_of_a_key_do_not_run_into_each_other() {
    let both = [RateKey::Query("a".into()), RateKey::Query("b".into())];
    let by = |path| key_of(&both, &view("192.0.2.1", path, &[]));
    let all = ["/?a=x&b=yz", "/?a=xy&b=z", "/?a=xyz&b=", "/?a=xyz", "/?b=xyz", "/?a=x&b=z"].map(by);
    for (at, key) in all.iter().enumerate() {
        assert!(!all[..at].contains(key), "{at}");
    }
}

#[test]
fn a_plan_has_a_quota_and_buckets_of_its_own_and_is_believed_from_trusted_proxies() {
    let plan = |name: &str, count| Plan {
        name: name.into(),
        quota: Quota { count: NonZeroU32::new(count).unwrap(), period: Duration::from_secs(1) },
        burst: NonZeroU32::new(count).unwrap(),
    };
    let named = Plans::Header("x-plan".into(), vec![plan("gold", 5), plan("silver", 3)]);
    let limit = Limit::new(&policy::RateLimit { plans: Some(named), ..policy(1, Duration::from_secs(1), 1, 10) }, SEED);
    let remaining = |value: &'static [u8], trusted| {
        let fields = [Field { name: "X-Plan", value }];
        let view = View { trusted, ..view("192.0.2.1", "/", &fields) };
        let request = Request { view: &view, session: None };
        let mut asked: Asked<'_> =
            limit.ask(RateLimitId(0), &request, NonZeroU32::MIN, |_| false).into_iter().collect();
        decide(&mut asked, ms(0));
        (asked[0].verdict, asked[0].policy_field().to_owned())
    };
    assert_eq!(remaining(b"gold", true), (Verdict::Allowed { remaining: 4 }, "\"per_visitor\";q=5;w=1".to_owned()));
    assert_eq!(remaining(b"silver", true).0, Verdict::Allowed { remaining: 2 });
    assert_eq!(remaining(b"gold", false).0, Verdict::Allowed { remaining: 0 }, "anyone can write a field");
    assert!(!is_allowed(remaining(b"lead", true).0), "no such plan: the limit's own quota");
    assert_eq!(remaining(b"gold", true).0, Verdict::Allowed { remaining: 3 });

    let groups = Plans::Clients(vec![(ClientsId(4), plan("press", 5)), (ClientsId(2), plan("staff", 3))]);
    let limit =
        Limit::new(&policy::RateLimit { plans: Some(groups), ..policy(1, Duration::from_secs(1), 1, 10) }, SEED);
    let view = view("192.0.2.1", "/", &[]);
    let at = |of: &[usize]| limit.plan(&view, |group| of.contains(&group.0));
    assert_eq!((at(&[2, 4]), at(&[2]), at(&[1])), (Some(0), Some(1), None), "the first that is theirs");
}
