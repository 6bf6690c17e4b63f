use super::*;
use crate::pipeline::view::{BodyKind, Field, Version};

const NOW: u64 = 1_795_000_000;

fn groups(passes: bool) -> Groups {
    let networks = ["2001:db8::/32", "192.0.2.0/24", "198.51.100.7/32"].map(|n| n.parse().unwrap());
    let staff = Clients { name: "staff".into(), networks: IpNet::aggregate(&networks.to_vec()), passes: None };
    let press = Clients { name: "press".into(), networks: Vec::new(), passes: None };
    let keys = passes.then(|| Keys::from_bytes(1, &[7; 32]));
    Groups::new([(&staff, None), (&press, keys)])
}

fn link(expires_unix_s: u64) -> String {
    Pass { expires_unix_s, id: 1 }.encode(&Keys::from_bytes(1, &[7; 32]), Tag::of("press"))
}

fn view<'a>(client: &str, query: Option<&'a str>, fields: &'a [Field<'a>]) -> View<'a> {
    View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Https,
        host: "shop.example",
        path: "/",
        raw_path: "/",
        query,
        fields,
        client: client.parse().unwrap(),
        trusted: false,
        body: BodyKind::None,
    }
}

fn is(group: usize, view: &View<'_>) -> bool {
    Members::default().has(ClientsId(group), &groups(true), view, NOW)
}

#[test]
fn a_network_makes_a_member() {
    for inside in ["192.0.2.0", "192.0.2.255", "198.51.100.7", "2001:db8:ffff::1"] {
        assert!(is(0, &view(inside, None, &[])), "{inside}");
    }
    for outside in ["192.0.1.255", "192.0.3.0", "198.51.100.8", "0.0.0.0", "2001:db7::", "2001:db9::1", "::"] {
        assert!(!is(0, &view(outside, None, &[])), "{outside}");
    }
    assert!(!is(1, &view("192.0.2.1", None, &[])) && !is(2, &view("192.0.2.1", None, &[])));
}

#[test]
fn a_link_makes_a_member_and_its_cookie_keeps_it_up() {
    let query = format!("x=1&{PARAMETER}={}", link(NOW + 3600));
    let came = view("203.0.113.1", Some(&query), &[]);
    assert!(is(1, &came) && !is(0, &came));
    let set = groups(true).cookie(&came, NOW).unwrap();
    assert!(set.starts_with("__Host-seawall_pass_press=") && set.ends_with("; SameSite=Lax; Secure"), "{set}");
    assert!(set.contains("; Max-Age=3600; HttpOnly;"), "{set}");
    let cookie = set.split(';').next().unwrap();
    let fields = [Field { name: "cookie", value: cookie.as_bytes() }];
    assert!(is(1, &view("203.0.113.1", None, &fields)));
    let plain = groups(true).cookie(&View { scheme: Scheme::Http, ..came }, NOW).unwrap();
    assert!(plain.starts_with("seawall_pass_press=") && !plain.contains("Secure"), "{plain}");
}

#[test]
fn an_expired_or_foreign_pass_is_worth_nothing() {
    for text in [link(NOW), link(NOW - 1), "x".repeat(56), String::new()] {
        let query = format!("{PARAMETER}={text}");
        let came = view("203.0.113.1", Some(&query), &[]);
        assert!(!is(1, &came), "{text}");
        assert_eq!(groups(true).cookie(&came, NOW), None);
    }
    let query = format!("{PARAMETER}={}", link(NOW + 60));
    let came = view("203.0.113.1", Some(&query), &[]);
    assert_eq!(groups(false).cookie(&came, NOW), None);
    assert!(!Members::default().has(ClientsId(1), &groups(false), &came, NOW), "no passes, no members by them");
}

#[test]
fn only_a_few_cookies_of_one_name_are_looked_at() {
    let good = link(NOW + 60);
    let of = |before: usize| {
        let line = "seawall_pass_press=rubbish; ".repeat(before) + &format!("seawall_pass_press={good}");
        let fields = [Field { name: "cookie", value: line.as_bytes() }];
        is(1, &view("203.0.113.1", None, &fields))
    };
    assert!(of(0) && of(COOKIES_MAX - 1) && !of(COOKIES_MAX));
}
