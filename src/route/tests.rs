#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::pipeline::view::{BodyKind, Field, Scheme, Version};
use crate::policy::file;

fn policy(routes: &str) -> Policy {
    let text = format!(
        "[edge]\nlisten = \"127.0.0.1:0\"\n[origin.shop]\nservers = \"127.0.0.1:9000\"\n\
         concurrency = {{ mode = \"fixed\", limit = 4 }}\n{routes}\n[[route]]\nname = \"rest\"\n"
    );
    let loaded = file::parse(&text, Path::new(""));
    loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

fn view<'a>(path: &'a str, fields: &'a [Field<'a>]) -> View<'a> {
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Http,
        host: "shop.example:8080",
        path,
        raw_path: path,
        query,
        fields,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        trusted: false,
        body: BodyKind::None,
    }
}

fn name(policy: &Policy, view: &View<'_>) -> String {
    find(policy, view, |_| false).map(|(_, route)| route.name.clone()).unwrap_or_default()
}

#[test]
fn the_first_route_that_matches_wins() {
    let policy = policy(
        "[[route]]\nname = \"one\"\npath = \"/a/**\"\n[[route]]\nname = \"two\"\npath = \"/**\"\nmethods = \"GET\"",
    );
    assert_eq!(name(&policy, &view("/a", &[])), "one");
    assert_eq!(name(&policy, &view("/a/b/c", &[])), "one");
    assert_eq!(name(&policy, &view("/ab", &[])), "two");
    assert_eq!(name(&policy, &View { method: "POST", ..view("/ab", &[]) }), "rest");
    assert_eq!(find(&policy, &view("/ab", &[]), |_| false).map(|(id, _)| id), Some(RouteId(1)));
}

#[test]
fn hosts_compare_without_port_and_case() {
    let policy = policy("[[route]]\nname = \"shop\"\nhost = [\"Shop.example\", \"*.shop.example\"]");
    for host in ["shop.example", "SHOP.example:443", "shop.example.", "www.shop.example", "a.b.shop.example:1"] {
        assert_eq!(name(&policy, &View { host, ..view("/", &[]) }), "shop", "{host}");
    }
    for host in ["", ".shop.example.evil", "evilshop.example", "shop.example.evil", "example", ":80"] {
        assert_eq!(name(&policy, &View { host, ..view("/", &[]) }), "rest", "{host}");
    }
}

#[test]
fn a_query_parameter_is_compared_decoded() {
    let policy = policy("[[route]]\nname = \"callback\"\nquery = { wc-api = \"*\", \"a b\" = [\"x*\", \"1+1\"] }");
    for path in
        ["/?wc-api&a+b=x", "/?q=1&wc-api=WC_Gateway&a%20b=xyz", "/?%77c-api=&a+b=1%2B1", "/?a+b=no&a+b=x&wc-api"]
    {
        assert_eq!(name(&policy, &view(path, &[])), "callback", "{path}");
    }
    for path in
        ["/", "/?", "/?wc-api=1", "/?WC-API=1&a+b=x", "/?wc-api=1&a+b=y", "/?xwc-api=1&a+b=x", "/?wc-api%=&a+b=x%"]
    {
        assert_eq!(name(&policy, &view(path, &[])), "rest", "{path}");
    }
}

#[test]
fn headers_and_cookies_all_must_hold() {
    let policy =
        policy("[[route]]\nname = \"app\"\nheaders = { X-App = \"ios/*\" }\ncookies = { beta = [\"1\", \"yes\"] }");
    let app = Field { name: "x-app", value: b"ios/4.2" };
    let beta = Field { name: "Cookie", value: b"a=1; beta=yes" };
    assert_eq!(name(&policy, &view("/", &[app, beta])), "app");
    assert_eq!(name(&policy, &view("/", &[app])), "rest");
    assert_eq!(name(&policy, &view("/", &[beta])), "rest");
    assert_eq!(name(&policy, &view("/", &[Field { name: "X-App", value: b"web" }, beta])), "rest");
    assert_eq!(name(&policy, &view("/", &[app, Field { name: "Cookie", value: b"BETA=yes" }])), "rest");
}

#[test]
fn a_group_of_clients_is_asked_for_last_and_one_is_enough() {
    let policy = policy(
        "[clients.staff]\nnetworks = \"192.0.2.0/24\"\n[clients.press]\nnetworks = \"198.51.100.0/24\"\n\
         [[route]]\nname = \"editors\"\npath = \"/wp-admin/**\"\nclients = [\"staff\", \"press\"]",
    );
    let found = |path, group| find(&policy, &view(path, &[]), |id| Some(id.0) == group).map(|(_, r)| r.name.as_str());
    assert_eq!(found("/wp-admin/x", Some(0)), Some("editors"));
    assert_eq!(found("/wp-admin/x", Some(1)), Some("editors"));
    assert_eq!(found("/wp-admin/x", None), Some("rest"));
    let asked = find(&policy, &view("/", &[]), |_| panic!("the path does not match")).map(|(_, r)| r.name.as_str());
    assert_eq!(asked, Some("rest"));
}

#[test]
fn a_star_stays_in_its_segment_and_two_cross() {
    let glob = |pattern: &str, path: &str| path_matches(&PathPattern::Glob(pattern.to_owned()), path);
    assert!(glob("/a/*/c", "/a/b/c") && !glob("/a/*/c", "/a/b/b/c"));
    assert!(glob("/a/**/c", "/a/b/b/c") && glob("/**.css", "/x/y.css"));
    assert!(glob("/u*/**", "/user") && glob("/u*/**", "/user/a/b") && !glob("/u*/**", "/x"));
    assert!(!glob("/*.php", "/a/b.php") && glob("/*.php", "/b.php"));
}

/// Tries every way.
fn naive(pattern: &[u8], text: &[u8], crosses: bool) -> bool {
    let take = |after: &[u8], crosses: bool, stars_cross: bool| {
        (0..=text.len())
            .take_while(|n| stars_cross || !text[..*n].contains(&b'/'))
            .any(|n| naive(after, &text[n..], crosses))
    };
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', after @ ..] => take(after, crosses, true),
        [b'*', after @ ..] => take(after, crosses, crosses),
        [p, after @ ..] => text.first() == Some(p) && naive(after, &text[1..], crosses),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_path_glob_agrees_with_the_naive_one(pattern in "(a|b|/|\\*|\\*\\*){0,8}", text in "[ab/]{0,10}") {
        prop_assert_eq!(path_glob(pattern.as_bytes(), text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes(), false));
    }

    #[test]
    fn a_value_glob_agrees_with_the_naive_one(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
        prop_assert_eq!(value_glob(pattern.as_bytes(), text.bytes()), naive(pattern.as_bytes(), text.as_bytes(), true));
    }
}
