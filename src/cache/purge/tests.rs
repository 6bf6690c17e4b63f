use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Thu, 01 Jan 2026 00:00:00 GMT
const BEGAN: u64 = 1_767_225_600_000;

/// So many microseconds after the process began.
fn at(us: u64) -> Now {
    Now { mono: Mono::from_nanos(us * 1000), unix_ms: BEGAN + us / 1000 }
}

fn purges() -> Purges {
    Purges::new(at(0))
}

fn names(url: &str) -> Names {
    let (host, path) = url.split_once('/').unwrap();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    Names::of(host, &format!("/{path}"), name::pairs(query))
}

fn mark(purges: &Purges, url: &str, tags: &[&str], now: Now) -> Mark {
    let tags: Vec<_> = tags.iter().map(|tag| tag_name(tag.as_bytes())).collect();
    let known = if tags.is_empty() { Tags::None } else { Tags::Named };
    Mark::new(purges.stamp(now.mono), &names(url), &tags, known)
}

fn purge(purges: &Purges, target: Target, soft: bool, now: Now) -> Purged {
    purges.purge(&Purge { target, soft }, now)
}

/// Which of these a hard purge takes.
fn taken<'u>(target: Target, urls: &[&'u str]) -> Vec<&'u str> {
    let purges = purges();
    let marks: Vec<_> = urls.iter().map(|url| mark(&purges, url, &[], at(1))).collect();
    purge(&purges, target, false, at(2));
    let gone = urls.iter().zip(&marks).filter(|(_, mark)| purges.verdict(mark) == Verdict::Gone);
    gone.map(|(url, _)| *url).collect()
}

#[test]
fn a_url_is_purged_in_all_its_spellings_on_every_port_and_no_other_url() {
    let urls = ["a.example/x", "a.example:8080/x", "A.Example./%78/", "a.example/x?q=1", "a.example/xx", "b.example/x"];
    let same = &urls[..3];
    for url in ["https://a.example/x", "http://A.EXAMPLE:80/x/", "a.example/%78#part", "a.example/y/../x"] {
        assert_eq!(taken(Target::url(url).unwrap(), &urls), same, "{url}");
    }
    assert_eq!(taken(Target::url("a.example/x?q=1").unwrap(), &urls), ["a.example/x?q=1"]);
    assert_eq!(taken(Target::url("a.example/ä").unwrap(), &["a.example/%C3%A4", "a.example/a"]), ["a.example/%C3%A4"]);
}

#[test]
fn a_prefix_takes_whole_segments() {
    let urls = ["a.example/", "a.example/blog", "a.example/blog/1/x?q", "a.example/blogs", "b.example/blog"];
    for prefix in ["a.example/blog", "https://a.example/blog/", "a.example/blog/**"] {
        assert_eq!(taken(Target::prefix(prefix).unwrap(), &urls), &urls[1..3], "{prefix}");
    }
    assert_eq!(taken(Target::prefix("a.example/").unwrap(), &urls), &urls[..4]);
    assert_eq!(taken(Target::host("a.example:99").unwrap(), &urls), &urls[..4]);
    assert_eq!(taken(Target::Everything, &urls), urls);
}

#[test]
fn a_prefix_deeper_than_is_kept_takes_more() {
    let deep = |n: usize| format!("a.example{}", "/s".repeat(n));
    let target = Target::prefix(&deep(DEPTH_MAX + 2)).unwrap();
    let urls = [deep(DEPTH_MAX - 1), deep(DEPTH_MAX), deep(DEPTH_MAX + 3)];
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    assert_eq!(taken(target, &urls), &urls[1..]);
}

#[test]
fn what_names_nothing_is_refused_with_what_to_write() {
    for (text, said) in [
        ("/x", "names no host"),
        ("https:///x", "names no host"),
        ("ftp://a.example/x", "scheme must be"),
        ("a.example/a b", "spaces"),
        ("a.example/a%00", "ambiguous"),
        ("user@a.example/", "as browsers send it"),
        ("shöp.example/", "xn--"),
    ] {
        let error = Target::url(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    assert!(Target::prefix("a.example/x?q").unwrap_err().to_string().contains("has no query"));
    assert!(Target::tag("").is_err() && Target::tag("ä").is_err() && Target::tag(&"x".repeat(1025)).is_err());
    assert!(Target::host("a.example/x").is_err());
}

#[test]
fn a_soft_purge_makes_stale_from_its_first_on_and_a_hard_one_takes_what_it_left() {
    let purges = purges();
    let held = mark(&purges, "a.example/", &["t"], at(1));
    assert_eq!(purges.verdict(&held), Verdict::Standing);
    let soft = |us| purge(&purges, Target::tag("t").unwrap(), true, at(us));
    soft(10);
    assert_eq!(purges.verdict(&held), Verdict::Stale(at(10).mono));
    soft(20);
    assert_eq!(purges.verdict(&held), Verdict::Stale(at(10).mono));
    let newer = mark(&purges, "a.example/", &["t"], at(21));
    assert_eq!(purges.verdict(&newer), Verdict::Standing);
    purge(&purges, Target::host("a.example").unwrap(), false, at(30));
    soft(40);
    assert_eq!(purges.verdict(&held), Verdict::Gone);
    assert_eq!(purges.verdict(&newer), Verdict::Gone, "the soft one that came later takes nothing back");
}

#[test]
fn a_purge_at_the_same_moment_takes_what_was_asked_for_before_it_and_leaves_what_was_after() {
    let purges = purges();
    let before = mark(&purges, "a.example/", &[], at(5));
    purge(&purges, Target::Everything, false, at(5));
    let after = mark(&purges, "a.example/", &[], at(5));
    assert_eq!((purges.verdict(&before), purges.verdict(&after)), (Verdict::Gone, Verdict::Standing));
    purge(&purges, Target::Everything, false, at(5));
    assert_eq!(purges.verdict(&after), Verdict::Gone);
}

#[test]
fn tags_that_are_not_known_are_meant_by_every_tag_and_no_tag_by_none() {
    let purges = purges();
    let unknown = Mark::new(purges.stamp(at(1).mono), &names("a.example/"), &[], Tags::Unknown);
    let without = mark(&purges, "a.example/", &[], at(1));
    purge(&purges, Target::tag("t").unwrap(), false, at(2));
    assert_eq!((purges.verdict(&unknown), purges.verdict(&without)), (Verdict::Gone, Verdict::Standing));
    assert_eq!(purges.verdict(&Mark::default()), Verdict::Gone, "nobody knows what that one is");
}

#[test]
fn a_group_is_its_hosts_own_but_a_tag_is_every_hosts() {
    let purges = purges();
    let of = |host: &str| {
        let tags = [tag_name(b"g"), group_name(host, b"g")];
        Mark::new(purges.stamp(at(1).mono), &names(&format!("{host}/")), &tags, Tags::Named)
    };
    let (a, b) = (of("a.example"), of("b.example"));
    purge(&purges, Target::Group { host: "a.example:443".into(), group: b"g"[..].into() }, false, at(2));
    assert_eq!((purges.verdict(&a), purges.verdict(&b)), (Verdict::Gone, Verdict::Standing));
    purge(&purges, Target::tag("g").unwrap(), false, at(3));
    assert_eq!(purges.verdict(&b), Verdict::Gone);
}

/// Without tags.
fn stored<'a>(host: Option<&'a str>, path: &'a str, unix_ms: u64) -> Stored<'a> {
    Stored { host, path, query: None, names: &[], tags: Tags::None, stamp: Stamp::from_unix_ms(unix_ms) }
}

#[test]
fn what_is_stored_elsewhere_is_hidden_by_its_tags_too() {
    let purges = purges();
    let names = [tag_name(b"shoes"), group_name("", b"all")];
    let of = |host, tags| Stored { names: &names, tags, ..stored(host, "/", BEGAN) };
    assert!(!purges.is_hidden(&of(None, Tags::Named)));
    purge(&purges, Target::tag("hats").unwrap(), false, at(5_000_000));
    assert!(!purges.is_hidden(&of(None, Tags::Named)));
    assert!(purges.is_hidden(&of(None, Tags::Unknown)), "it may be one of more than are kept");
    purge(&purges, Target::tag("shoes").unwrap(), true, at(6_000_000));
    assert!(!purges.is_hidden(&of(None, Tags::Named)), "may stand in for an origin that fails");
    let group = Target::Group { host: "a.example".into(), group: b"all"[..].into() };
    purge(&purges, group, false, at(7_000_000));
    assert!(purges.is_hidden(&of(None, Tags::Named)), "what stands for every host is gone with that of one");
    assert!(!purges.is_hidden(&stored(None, "/", BEGAN)), "it has no tag");
}

#[test]
fn what_is_stored_elsewhere_is_hidden_by_its_date() {
    let purges = purges();
    purge(&purges, Target::prefix("a.example/blog").unwrap(), false, at(5_000_000));
    purge(&purges, Target::url("a.example/soft").unwrap(), true, at(5_000_000));
    let hidden = |path, ms| purges.is_hidden(&stored(Some("a.example:8080"), path, BEGAN + ms));
    assert!(hidden("/blog/1", 4_000) && hidden("/blog", 5_000));
    assert!(!hidden("/blog/1", 6_000) && !hidden("/shop", 1_000));
    assert!(!hidden("/soft", 1_000), "may stand in for an origin that fails");
    let of = |host, path| purges.is_hidden(&stored(host, path, BEGAN));
    assert!(of(None, "/blog/1") && !of(Some("b.example"), "/blog/1") && !of(None, "/shop"));
    purge(&purges, Target::host("a.example").unwrap(), false, at(6_000_000));
    assert!(of(None, "/shop") && !of(Some("b.example"), "/shop"));
}

#[test]
fn a_full_table_takes_more_and_never_less_and_soft_purges_go_first() {
    let purges = purges();
    let first = mark(&purges, "a.example/none", &["none"], at(1));
    let operator = mark(&purges, "a.example/kept", &[], at(1));
    purge(&purges, Target::url("a.example/kept").unwrap(), false, at(2));
    let mut widened = 0;
    for n in 0..TARGETS_MAX as u64 {
        let url = Target::url(&format!("a.example/{n}")).unwrap();
        widened += u32::from(purge(&purges, url, true, at(10 + n)).widened);
    }
    assert_eq!(widened, 1);
    assert!(matches!(purges.verdict(&first), Verdict::Stale(_)), "older than what was joined");
    assert_eq!(purges.verdict(&operator), Verdict::Gone);
    let held = |n: u64| {
        Mark::new(Stamp::from_nanos(at(9 + n).unix_ms * 1_000_000), &names(&format!("a.example/{n}")), &[], Tags::None)
    };
    for n in (0..TARGETS_MAX as u64).step_by(1000) {
        assert_ne!(purges.verdict(&held(n)), Verdict::Standing, "{n}");
    }
    let late = mark(&purges, "a.example/other", &[], at(10 + TARGETS_MAX as u64));
    assert_eq!(purges.verdict(&late), Verdict::Standing);
}

#[test]
fn tags_that_are_joined_hide_nothing_of_the_snapshot() {
    let purges = purges();
    let tagged = mark(&purges, "a.example/", &["other"], at(1));
    for n in 0..=TARGETS_MAX as u64 {
        purge(&purges, Target::tag(&format!("t{n}")).unwrap(), false, at(10 + n));
    }
    assert_eq!(purges.verdict(&tagged), Verdict::Gone);
    assert!(!purges.is_hidden(&stored(Some("a.example"), "/", BEGAN - 1)));
}

#[test]
fn what_is_written_down_holds_after_a_restart_and_not_for_what_came_later() {
    let before = purges();
    for n in 0..3000 {
        purge(&before, Target::url(&format!("a.example/{n}")).unwrap(), false, at(1_000_000 + n));
    }
    purge(&before, Target::tag("t").unwrap(), false, at(2_000_000));
    purge(&before, Target::url("a.example/soft").unwrap(), true, at(2_000_000));
    let bytes = before.record().encode();
    assert!(bytes.len() <= Record::LEN_MAX);
    // The process begins anew, a minute later.
    let after = Purges::new(Now { mono: Mono::ZERO, unix_ms: BEGAN + 60_000 });
    let began = Now { mono: Mono::from_nanos(1), unix_ms: BEGAN + 60_000 };
    after.restore(&Record::decode(&bytes).unwrap(), began);
    assert!(after.is_hidden(&stored(Some("a.example"), "/2999", BEGAN + 500)));
    assert!(!after.is_hidden(&stored(Some("a.example"), "/2999", BEGAN + 1_500)));
    assert!(!after.is_hidden(&stored(Some("a.example"), "/3000", BEGAN)));
    let fresh = mark(&after, "a.example/1", &["t"], began.after(Duration::from_nanos(1)));
    assert_eq!(after.verdict(&fresh), Verdict::Standing);
    assert_eq!(after.record(), Record::decode(&after.record().encode()).unwrap());
}

#[test]
fn a_calendar_that_went_back_purges_nothing_that_comes_now() {
    let before = Purges::new(Now { mono: Mono::ZERO, unix_ms: BEGAN + 86_400_000 });
    purge(&before, Target::Everything, false, Now { mono: Mono::from_nanos(7), unix_ms: BEGAN + 86_400_000 });
    let after = purges();
    after.restore(&before.record(), at(1));
    assert!(after.is_hidden(&stored(Some("a.example"), "/", BEGAN)));
    assert!(!after.is_hidden(&stored(Some("a.example"), "/", BEGAN + 1)));
    assert_eq!(after.verdict(&mark(&after, "a.example/", &[], at(1))), Verdict::Standing);
}

#[test]
fn a_purge_that_has_returned_holds_for_every_thread_whatever_they_remember() {
    let purges = purges();
    std::thread::scope(|threads| {
        for thread in 0..4_u64 {
            let purges = &purges;
            threads.spawn(move || {
                // Each purges what is its own, while it and the others look at and remember much else.
                let tag = |n: u64| format!("{thread}-{n}");
                for n in 0..2000 {
                    let now = at(10 + n);
                    let (own, other) =
                        (mark(purges, "a.example/", &[&tag(n)], now), mark(purges, "b.example/", &[], now));
                    purges.verdict(&own);
                    purge(purges, Target::tag(&tag(n)).unwrap(), n % 2 == 0, now);
                    assert_ne!(purges.verdict(&own), Verdict::Standing);
                    assert_eq!(purges.verdict(&other), Verdict::Standing);
                }
            });
        }
    });
}

/// The universe of the properties below.
const HOSTS: [&str; 2] = ["a.example", "b.example"];
const PATHS: [&str; 5] = ["/", "/x", "/x/y", "/x/y?q=1", "/z"];
const TAGS: [&str; 3] = ["s", "t", "u"];

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        (0..2_usize, 0..5_usize).prop_map(|(h, p)| Target::url(&format!("{}{}", HOSTS[h], PATHS[p])).unwrap()),
        (0..2_usize, 1..3_usize).prop_map(|(h, p)| Target::prefix(&format!("{}{}", HOSTS[h], PATHS[p])).unwrap()),
        (0..2_usize).prop_map(|h| Target::host(HOSTS[h]).unwrap()),
        (0..3_usize).prop_map(|t| Target::tag(TAGS[t]).unwrap()),
        Just(Target::Everything),
    ]
}

/// Whether a target means this, by its letters.
fn means(target: &Target, host: &str, path: &str, tags: &[&str]) -> bool {
    let below = |prefix: &str| {
        let path = path.split('?').next().unwrap();
        path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
    };
    match target {
        Target::Url { host: h, path_and_query } => **h == *host && **path_and_query == *path,
        Target::Prefix { host: h, path } => **h == *host && below(path),
        Target::Host(h) => **h == *host,
        Target::Tag(tag) => tags.iter().any(|t| t.as_bytes() == &**tag),
        Target::Group { .. } | Target::Written { .. } => false,
        Target::Everything => true,
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// An entry comes: host, path, tags.
    Store(usize, usize, usize),
    Purge(Target, bool),
    /// Every entry is looked at, and remembers.
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_usize, 0..5_usize, 0..8_usize).prop_map(|(h, p, t)| Step::Store(h, p, t)),
        (target(), any::<bool>()).prop_map(|(target, soft)| Step::Purge(target, soft)),
        Just(Step::Look),
    ]
}

proptest! {
    /// What comes of any order of purges and looks is what a list of all purges would say.
    #[test]
    fn a_verdict_is_what_a_list_of_all_purges_says(steps in prop::collection::vec(step(), 1..60)) {
        let purges = purges();
        let (mut held, mut list) = (Vec::new(), Vec::new());
        for (n, step) in steps.iter().chain(&[Step::Look]).enumerate() {
            // Several steps a moment, so that what happens at once is tried too.
            let now = at(1 + n as u64 / 3);
            match step {
                Step::Store(h, p, t) => {
                    let tags: Vec<_> = (0..3).filter(|bit| t >> bit & 1 == 1).map(|bit| TAGS[bit]).collect();
                    let url = format!("{}{}", HOSTS[*h], PATHS[*p]);
                    held.push((n, HOSTS[*h], PATHS[*p], mark(&purges, &url, &tags, now), tags));
                }
                Step::Purge(target, soft) => {
                    purge(&purges, target.clone(), *soft, now);
                    list.push((n, target.clone(), *soft));
                }
                Step::Look => for (stored, host, path, mark, tags) in &held {
                    let of = |wanted: bool| list.iter().any(|(n, target, soft)| {
                        n > stored && *soft == wanted && means(target, host, path, tags)
                    });
                    let found = purges.verdict(mark);
                    match (of(false), of(true)) {
                        (true, _) => prop_assert_eq!(found, Verdict::Gone),
                        (_, true) => prop_assert!(matches!(found, Verdict::Stale(_))),
                        _ => prop_assert_eq!(found, Verdict::Standing),
                    }
                    prop_assert_eq!(purges.verdict(mark), found, "and again");
                }
            }
        }
    }

    /// Whatever way fills, changes of the page and purges interleave, nobody who asks after a purge
    /// gets the page as it was before it.
    #[test]
    fn no_interleaving_brings_back_what_was_purged(order in prop::collection::vec(0..5_u8, 1..60)) {
        use crate::cache::entry::Entry;
        use crate::cache::freshness::{ResponseParts, Terms};
        use crate::cache::store::Store;

        let store = Store::new(1 << 20);
        let terms = Terms { fresh_for: Duration::from_secs(60), ..Terms::default() };
        let (mut page, mut purged, mut under_way) = (0_u8, 0_u8, std::collections::VecDeque::new());
        for (n, what) in order.iter().enumerate() {
            let now = Now { mono: Mono::from_nanos(1 + n as u64 / 2), unix_ms: 0 };
            match what {
                0 => page = page.wrapping_add(1),
                1 => {
                    store.purge(&Purge { target: Target::url("a.example/").unwrap(), soft: false }, now);
                    purged = page;
                }
                // A request goes out; the origin answers it there and then, or (3) the last one now.
                2 => under_way.push_back((store.purges().stamp(now.mono), page)),
                3 => if let Some((_, seen)) = under_way.back_mut() { *seen = page },
                // The answer arrives, in any order with others.
                _ => if let Some((stamp, seen)) = under_way.swap_remove_front(n % under_way.len().max(1)) {
                    let mark = Mark::new(stamp, &names("a.example/"), &[], Tags::None);
                    let head = ResponseParts { status: 200, fields: &[] };
                    let entry = Entry::new(&head, vec![seen].into(), terms, now).marked(mark);
                    store.insert(b"key"[..].into(), std::sync::Arc::new(entry), &[], now.mono);
                },
            }
            if let Some(entry) = store.get(b"key").and_then(|held| held.select(&[]).cloned()) {
                prop_assert!(entry.body()[0] >= purged, "page {} after a purge at {purged}", entry.body()[0]);
            }
        }
    }

    #[test]
    fn a_damaged_record_is_none(names in prop::collection::vec((1..u64::MAX, any::<u64>()), 0..20), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let record = Record { everything: 3, tags: 2, tags_joined: 1, newest: 4, names };
        let mut bytes = record.encode();
        prop_assert_eq!(Record::decode(&bytes), Ok(record));
        prop_assert!(Record::decode(&bytes[..bytes.len() - 1]).is_err());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Record::decode(&bytes).is_err());
    }

    #[test]
    fn any_text_is_a_target_or_is_refused(text in "\\PC{0,40}") {
        let _ = (Target::url(&text), Target::prefix(&text), Target::host(&text), Target::tag(&text));
    }
}
