//! What of a file a request gets: all of it, a part, or word that it has it already (RFC 9110 §13, §14).

use std::ops::Range;

use crate::cache::precondition::unix_seconds;
use crate::cache::range::{self, Ranges};
use crate::pipeline::view::View;

/// The fields of a request that make it conditional, or one for a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<String>,
    if_unmodified_since: Option<u64>,
    if_none_match: Option<String>,
    if_modified_since: Option<u64>,
    if_range: Option<String>,
    range: Option<String>,
}

/// What is held.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// A strong tag, quotes and all.
    pub etag: &'a str,
    /// Seconds since 1970 UTC, as is `now`.
    pub modified: u64,
    pub length: u64,
    pub now: u64,
}

/// What is to be given of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// 200
    Whole,
    /// 206: at least one part, each within the whole.
    Parts(Vec<Range<u64>>),
    /// 304
    NotModified,
    /// 412
    Failed,
    /// 416
    Unsatisfiable,
}

impl Conditions {
    /// Those of a GET or a HEAD.
    pub fn of(view: &View<'_>) -> Self {
        let list = |name: &str| {
            let mut lines = view.fields_named(name);
            let first = lines.next()?.to_owned();
            Some(lines.fold(first, |all, line| all + ", " + line))
        };
        // What is said twice, or is no date, is not said (§13.1.3, §13.1.4).
        let date = |name: &str| {
            let mut lines = view.fields_named(name);
            let first = lines.next()?;
            lines.next().is_none().then(|| unix_seconds(first.as_bytes())).flatten()
        };
        Self {
            if_match: list("if-match"),
            if_unmodified_since: date("if-unmodified-since"),
            if_none_match: list("if-none-match"),
            if_modified_since: date("if-modified-since"),
            if_range: list("if-range"),
            // Only for GET (§14.2).
            range: if view.method == "GET" { list("range") } else { None },
        }
    }

    /// Weighs them in the order of §13.2.2.
    pub fn decide(&self, held: &Held<'_>) -> Decision {
        let holds = match (&self.if_match, self.if_unmodified_since) {
            (Some(list), _) => names(list, held.etag, false),
            (None, Some(since)) => held.modified <= since,
            (None, None) => true,
        };
        if !holds {
            return Decision::Failed;
        }
        let has_it = match (&self.if_none_match, self.if_modified_since) {
            (Some(list), _) => names(list, held.etag, true),
            (None, Some(since)) => held.modified <= since,
            (None, None) => false,
        };
        if has_it {
            return Decision::NotModified;
        }
        let Some(range) = self.range.as_ref().filter(|_| self.may_have_parts(held)) else { return Decision::Whole };
        let wide = |at: usize| at as u64;
        match range::parse(range.as_bytes(), usize::try_from(held.length).unwrap_or(usize::MAX)) {
            Ranges::Whole => Decision::Whole,
            Ranges::Unsatisfiable => Decision::Unsatisfiable,
            Ranges::Parts(parts) => {
                Decision::Parts(parts.into_iter().map(|part| wide(part.start)..wide(part.end)).collect())
            }
        }
    }

    /// §13.1.5: with If-Range only if the client's parts are of exactly this file; a date is that strong only
    /// if nothing can have changed within its second (§8.8.2.2).
    fn may_have_parts(&self, held: &Held<'_>) -> bool {
        let Some(value) = &self.if_range else { return true };
        if value.starts_with('"') || value.starts_with("W/") {
            return value == held.etag;
        }
        unix_seconds(value.as_bytes()) == Some(held.modified) && held.modified < held.now
    }
}

/// Whether a list of entity tags, or `*`, names this one. A tag that is marked weak counts only in a weak
/// comparison (§8.8.3.2). A tag may hold commas, so the list is read by its quotes.
fn names(list: &str, etag: &str, weakly: bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (weak, tag) = match rest.strip_prefix("W/") {
            Some(tag) => (true, tag),
            None => (false, rest),
        };
        let Some((inside, after)) = tag.strip_prefix('"').and_then(|inside| inside.split_once('"')) else {
            return false;
        };
        let is_it = etag.strip_prefix('"').and_then(|e| e.strip_suffix('"')) == Some(inside);
        if is_it && (weakly || !weak) {
            return true;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::files::tests::view;

    /// Wed, 31 Dec 2025 10:00:00 GMT
    const MODIFIED: u64 = 1_767_175_200;
    const THEN: &str = "Wed, 31 Dec 2025 10:00:00 GMT";
    const BEFORE: &str = "Wed, 31 Dec 2025 09:59:59 GMT";
    const HELD: Held<'static> = Held { etag: "\"a,b\"", modified: MODIFIED, length: 10, now: MODIFIED + 60 };

    fn decide(fields: &[(&'static str, &str)]) -> Decision {
        view(fields, |view| Conditions::of(view).decide(&HELD))
    }

    #[test]
    fn preconditions_are_weighed_in_the_order_of_rfc_9110_13_2_2() {
        use Decision::{Failed, NotModified, Whole};
        for (fields, expected) in [
            (&[][..], Whole),
            (&[("If-Match", "\"a,b\"")], Whole),
            (&[("If-Match", "*")], Whole),
            (&[("If-Match", "\"x\", \"a,b\"")], Whole),
            (&[("If-Match", "W/\"a,b\"")], Failed),
            (&[("If-Match", "\"b\"")], Failed),
            (&[("If-Match", "nonsense")], Failed),
            (&[("If-Unmodified-Since", THEN)], Whole),
            (&[("If-Unmodified-Since", BEFORE)], Failed),
            (&[("If-Unmodified-Since", "yesterday")], Whole),
            (&[("If-Match", "\"a,b\""), ("If-Unmodified-Since", BEFORE)], Whole),
            (&[("If-None-Match", "\"a,b\"")], NotModified),
            (&[("If-None-Match", "W/\"a,b\"")], NotModified),
            (&[("If-None-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], NotModified),
            (&[("If-None-Match", "*")], NotModified),
            (&[("If-None-Match", "\"b\"")], Whole),
            (&[("If-Modified-Since", THEN)], NotModified),
            (&[("If-Modified-Since", BEFORE)], Whole),
            (&[("If-Modified-Since", THEN), ("If-Modified-Since", THEN)], Whole),
            (&[("If-None-Match", "\"x\""), ("If-Modified-Since", THEN)], Whole),
            (&[("If-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], Failed),
            (&[("If-Unmodified-Since", THEN), ("If-Modified-Since", THEN)], NotModified),
            (&[("If-None-Match", "\"a,b\""), ("Range", "bytes=0-1")], NotModified),
        ] {
            assert_eq!(decide(fields), expected, "{fields:?}");
        }
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "one part is the usual case")]
    fn parts_are_given_of_exactly_what_the_client_has() {
        let part = || Decision::Parts(vec![2..5]);
        for (if_range, expected) in [
            ("\"a,b\"", part()),
            (THEN, part()),
            ("W/\"a,b\"", Decision::Whole),
            ("\"x\"", Decision::Whole),
            (BEFORE, Decision::Whole),
            ("nonsense", Decision::Whole),
        ] {
            assert_eq!(decide(&[("Range", "bytes=2-4"), ("If-Range", if_range)]), expected, "{if_range}");
        }
        assert_eq!(decide(&[("Range", "bytes=2-4")]), part());
        assert_eq!(decide(&[("Range", "bytes=0-0,-1")]), Decision::Parts(vec![0..1, 9..10]));
        assert_eq!(decide(&[("Range", "bytes=10-")]), Decision::Unsatisfiable);
        assert_eq!(decide(&[("Range", "bytes=10-"), ("If-Range", "\"x\"")]), Decision::Whole);
        let just_now = Held { now: MODIFIED, ..HELD };
        let by_date = view(&[("Range", "bytes=2-4"), ("If-Range", THEN)], Conditions::of);
        assert_eq!(by_date.decide(&just_now), Decision::Whole, "a date within its second is weak");
    }

    proptest! {
        #[test]
        fn no_list_of_tags_is_read_for_ever(list in "[W/\", a*]{0,24}", weakly: bool) {
            let named = names(&list, "\"a\"", weakly);
            prop_assert!(!named || list.contains("\"a\"") || list.trim() == "*");
        }
    }
}
