//! Whether a client has the answer already, and whether it may be given a part of it.
//!
//! Of conditional requests (RFC 9110 §13) a cache decides on If-None-Match, If-Modified-Since and
//! If-Range; If-Match and If-Unmodified-Since are the origin's (RFC 9111 §4.3.2).

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderName;

use super::freshness::http_date;
use crate::pipeline::view::View;

/// What an answer can be told from others by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    /// As it is sent, quotes and all.
    pub etag: Option<&'a [u8]>,
    /// Last-Modified and Date, seconds since 1970 UTC.
    pub last_modified: Option<u64>,
    pub date: Option<u64>,
}

/// The outcome of a request's preconditions (RFC 9110 §13.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The whole answer.
    Full,
    /// 304: the client has it.
    NotModified,
}

/// Whether a 304 repeats a field of the answer that the client has (RFC 9110 §15.4.5). One that says more may be
/// taken for what is new (RFC 9111 §3.2): a coding of other bytes than the client's.
pub fn is_repeated(name: &HeaderName) -> bool {
    const REPEATED: [&str; 6] = ["cache-control", "content-location", "date", "etag", "expires", "vary"];
    REPEATED.iter().any(|repeated| name == repeated)
}

/// Weighs a GET's or HEAD's preconditions in the order of RFC 9110 §13.2.2: If-None-Match, and
/// If-Modified-Since only without it.
pub fn evaluate(view: &View<'_>, held: &Validators<'_>) -> Precondition {
    let is_current = if view.fields.iter().any(|f| f.name.eq_ignore_ascii_case("if-none-match")) {
        view.fields_named("if-none-match").any(|list| matches_any(list, held.etag))
    } else {
        is_unmodified(view, held)
    };
    if is_current { Precondition::NotModified } else { Precondition::Full }
}

/// Whether a request with If-Range may be given parts (RFC 9110 §13.1.5): only if the client's are of
/// exactly this answer. Without the field it may.
fn if_range(view: &View<'_>, held: &Validators<'_>) -> bool {
    let mut values = view.fields.iter().filter(|f| f.name.eq_ignore_ascii_case("if-range")).map(|f| f.value);
    let Some(value) = values.next() else { return true };
    if values.next().is_some() {
        return false;
    }
    let value = value.trim_ascii();
    if value.starts_with(b"\"") {
        // Strong comparison (§8.8.3.2): a weak tag of ours begins otherwise.
        return held.etag == Some(value);
    }
    let (Some(modified), Some(date)) = (held.last_modified, held.date) else { return false };
    // §8.8.2.2: a date is strong only if nothing can have changed within its second.
    modified < date && unix_seconds(value) == Some(modified)
}

/// The Range field of a request that may be given parts of a 200 (RFC 9110 §14.2): a GET that says it once.
pub fn parts_asked<'v>(view: &View<'v>, held: &Validators<'_>) -> Option<&'v [u8]> {
    let mut lines = view.fields.iter().filter(|f| f.name.eq_ignore_ascii_case("range")).map(|f| f.value);
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    (view.method == "GET" && if_range(view, held)).then_some(line)
}

/// Whether two tags are the same in a weak comparison (RFC 9110 §8.8.3.2).
pub fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    opaque(one) == opaque(other)
}

/// An HTTP date as seconds since 1970 UTC.
pub fn unix_seconds(date: &[u8]) -> Option<u64> {
    http_date(date)?.duration_since(UNIX_EPOCH).ok().as_ref().map(Duration::as_secs)
}

/// Weak comparison with a list of entity tags, or `*`.
fn matches_any(list: &str, etag: Option<&[u8]>) -> bool {
    if list == "*" {
        return true;
    }
    let Some(etag) = etag.map(opaque) else { return false };
    let mut rest = list.as_bytes();
    while let Some((tag, after)) = next_tag(rest) {
        if tag == etag {
            return true;
        }
        rest = after;
    }
    false
}

/// RFC 9110 §13.1.3: said once, and a date, or not at all. Without Last-Modified, Date stands for it (RFC
/// 9111 §4.3.2).
fn is_unmodified(view: &View<'_>, held: &Validators<'_>) -> bool {
    let mut values = view.fields_named("if-modified-since");
    let (Some(since), None, Some(modified)) = (values.next(), values.next(), held.last_modified.or(held.date)) else {
        return false;
    };
    unix_seconds(since.as_bytes()).is_some_and(|since| modified <= since)
}

/// An entity tag without what makes it weak.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The opaque part of the first tag in a list, quotes and all, and what follows it. A tag may hold
/// commas, so the list is read by its quotes; none when it is malformed from here on.
fn next_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = list.iter().position(|b| !matches!(b, b' ' | b'\t' | b','))?;
    let tag = opaque(list.get(start..)?);
    let inside = tag.strip_prefix(b"\"")?;
    let end = inside.iter().position(|b| *b == b'"')? + 2;
    Some((tag.get(..end)?, tag.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::view;
    use super::*;
    use crate::pipeline::view::Field;

    /// Wed, 31 Dec 2025 10:00:00 GMT
    const MODIFIED: u64 = 1_767_175_200;
    const DATE: &str = "Wed, 31 Dec 2025 10:00:00 GMT";

    fn may_have_parts(value: &str, etag: &[u8], date: u64) -> bool {
        let held = Validators { etag: Some(etag), last_modified: Some(MODIFIED), date: Some(date) };
        if_range(&view(&[Field { name: "If-Range", value: value.as_bytes() }]), &held)
    }

    #[test]
    fn if_range_compares_strongly_by_rfc_9110_13_1_5() {
        assert!(may_have_parts("\"a\"", b"\"a\"", MODIFIED + 5));
        for (value, etag) in
            [("\"b\"", &b"\"a\""[..]), ("W/\"a\"", b"W/\"a\""), ("\"a\"", b"W/\"a\""), ("a", b"a"), ("", b"")]
        {
            assert!(!may_have_parts(value, etag, MODIFIED + 5), "{value}");
        }
        assert!(may_have_parts(DATE, b"\"a\"", MODIFIED + 1));
        assert!(!may_have_parts(DATE, b"\"a\"", MODIFIED), "a date of the same second is weak");
        assert!(!may_have_parts("Wed, 31 Dec 2025 10:00:01 GMT", b"\"a\"", MODIFIED + 5), "only the very same");
        assert!(if_range(&view(&[]), &Validators::default()));
    }

    #[test]
    fn without_last_modified_the_date_counts_by_rfc_9111_4_3_2() {
        let held = Validators { date: Some(MODIFIED), ..Validators::default() };
        let asked =
            |value: &str| evaluate(&view(&[Field { name: "If-Modified-Since", value: value.as_bytes() }]), &held);
        assert_eq!(asked(DATE), Precondition::NotModified);
        assert_eq!(asked("Wed, 31 Dec 2025 09:59:59 GMT"), Precondition::Full);
    }
}
