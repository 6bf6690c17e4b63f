//! The tags of an answer: what its origin says that it is made of.
//!
//! Surrogate-Key (names with spaces between) and Cache-Tag (with commas) are for caches alone and are
//! never shown to clients; Cache-Groups (RFC 9875) is for whoever understands it. An answer with more
//! tags than are kept is purged with every tag: a purge never takes less than it names.

use smallvec::SmallVec;

use super::freshness::ResponseParts;
use super::purge::{Tags, Target};

/// Tags of one answer that are kept.
pub const COUNT_MAX: usize = 512;
/// Bytes of one tag that is kept.
pub const LENGTH_MAX: usize = 1024;
/// What is for caches alone.
pub const HIDDEN: [&str; 2] = ["surrogate-key", "cache-tag"];

/// What makes groups stale (RFC 9875 §3).
pub const INVALIDATION: &str = "cache-group-invalidation";

/// Whether a field, in lower case, is between the origin and the cache.
pub fn is_hidden(name: &str) -> bool {
    HIDDEN.contains(&name)
}

/// The names of an answer's tags, for its [`Mark`](super::purge::Mark), and whether they are all.
pub fn of(response: &ResponseParts<'_>, host: &str) -> (SmallVec<[u64; 8]>, Tags) {
    let mut found = Found::default();
    for value in response.values("surrogate-key") {
        value.split(u8::is_ascii_whitespace).for_each(|tag| found.tag(tag));
    }
    for value in response.values("cache-tag") {
        value.split(|b| *b == b',').for_each(|tag| found.tag(tag.trim_ascii()));
    }
    for group in groups(response, "cache-groups") {
        found.tag(group.as_bytes());
        found.group(host, group.as_bytes());
    }
    let tags = match (found.too_many, found.names.is_empty()) {
        (true, _) => Tags::Unknown,
        (_, false) => Tags::Named,
        (_, true) => Tags::None,
    };
    (found.names, tags)
}

/// What an answer to an unsafe request makes stale (RFC 9875 §3): groups of its own origin.
pub fn invalidated(response: &ResponseParts<'_>, host: &str) -> Vec<Target> {
    groups(response, INVALIDATION)
        .into_iter()
        .take(COUNT_MAX)
        .filter(|group| group.len() <= LENGTH_MAX)
        .map(|group| Target::Group { host: host.into(), group: group.into_bytes().into() })
        .collect()
}

/// A List of Strings (RFC 9875 §2); parameters and what is no String are ignored, a malformed field
/// wholly (RFC 9651 §4.2).
fn groups(response: &ResponseParts<'_>, field: &str) -> Vec<String> {
    let mut lines = response.values(field).peekable();
    if lines.peek().is_none() {
        return Vec::new();
    }
    let whole = lines.collect::<Vec<_>>().join(&b", "[..]);
    let Ok(list) = sfv::Parser::new(whole.as_slice()).parse::<sfv::List>() else { return Vec::new() };
    let string = |member| match member {
        sfv::ListEntry::Item(sfv::Item { bare_item: sfv::BareItem::String(text), .. }) => Some(text.into()),
        _ => None,
    };
    list.into_iter().filter_map(string).collect()
}

#[derive(Default)]
struct Found {
    names: SmallVec<[u64; 8]>,
    too_many: bool,
}

impl Found {
    fn tag(&mut self, tag: &[u8]) {
        if !tag.is_empty() {
            self.add(tag.len(), || super::purge::tag_name(tag));
        }
    }

    fn group(&mut self, host: &str, group: &[u8]) {
        self.add(group.len(), || super::purge::group_name(host, group));
    }

    fn add(&mut self, length: usize, name: impl FnOnce() -> u64) {
        if length > LENGTH_MAX || self.names.len() >= COUNT_MAX {
            self.too_many = true;
            return;
        }
        let name = name();
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::view::Field;

    fn tags(fields: &[(&str, &str)]) -> (usize, Tags) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        let (names, tags) = of(&ResponseParts { status: 200, fields: &fields }, "a.example");
        (names.len(), tags)
    }

    fn named(field: &str, value: &str, tag: &str) -> bool {
        let fields = [Field { name: field, value: value.as_bytes() }];
        let (names, _) = of(&ResponseParts { status: 200, fields: &fields }, "a.example");
        names.contains(&super::super::purge::tag_name(tag.as_bytes()))
    }

    #[test]
    fn each_field_has_its_own_way_of_writing_them() {
        assert!(named("Surrogate-Key", "  shoes  shoe-7 ", "shoe-7"));
        assert!(named("surrogate-key", "shoes,shoe-7", "shoes,shoe-7"), "no commas there");
        assert!(named("Cache-Tag", "shoes , shoe-7", "shoe-7"));
        assert!(named("Cache-Groups", "\"shoes\";x=1, \"a b\"", "a b"));
        assert!(!named("Cache-Groups", "\"shoes\", a b", "shoes"), "malformed: ignored wholly");
        assert!(!named("Cache-Groups", "shoes", "shoes"), "a Token is no String");
        assert_eq!(tags(&[("Surrogate-Key", "a b"), ("cache-tag", "b,c"), ("surrogate-key", "d")]), (4, Tags::Named));
        assert_eq!(tags(&[("X", "a")]), (0, Tags::None));
        assert_eq!(tags(&[("Surrogate-Key", " ")]), (0, Tags::None));
    }

    #[test]
    fn more_than_are_kept_means_every_tag() {
        let many = |n: usize| (0..n).map(|i| format!("t{i} ")).collect::<String>();
        assert_eq!(tags(&[("surrogate-key", &many(COUNT_MAX))]), (COUNT_MAX, Tags::Named));
        assert_eq!(tags(&[("surrogate-key", &many(COUNT_MAX + 1))]), (COUNT_MAX, Tags::Unknown));
        assert_eq!(tags(&[("surrogate-key", &"x".repeat(LENGTH_MAX + 1))]), (0, Tags::Unknown));
    }

    #[test]
    fn a_write_names_groups_of_its_own_host() {
        let fields = [Field { name: "Cache-Group-Invalidation", value: b"\"cart\", \"user 7\"" }];
        let stale = invalidated(&ResponseParts { status: 200, fields: &fields }, "a.example");
        assert_eq!(
            stale.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["cart of a.example", "user 7 of a.example"]
        );
    }
}
