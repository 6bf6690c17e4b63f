//! What the origin's word about a copy makes of it: a 304 (RFC 9111 §4.3.4), and the answer to a HEAD
//! (§4.3.5).

use std::collections::BTreeSet;

use http::HeaderName;
use http::header::VARY;

use super::entry::Entry;
use super::freshness::ResponseParts;
use super::precondition::{unix_seconds, weakly_equal};
use crate::pipeline::view::Field;

/// Fields of the copy that no update changes: they say how its body is to be read, and what it adds up to
/// (§3.2), and a 304 has no body.
const OF_THE_BODY: [&str; 5] = ["content-length", "content-encoding", "content-range", "content-md5", "content-digest"];

/// Fields as they are kept until an entry is made of them.
pub type Fields = Vec<(String, Vec<u8>)>;

/// Whether a 304 is about this copy (§4.3.4): by the strong tag, or by a weak one, or by the date. One that
/// says nothing of the kind answers the only question that was asked.
pub fn is_about(entry: &Entry, update: &ResponseParts<'_>) -> bool {
    let first = |name| update.values(name).next().map(<[u8]>::trim_ascii);
    let held = entry.validators();
    match (first("etag"), first("last-modified")) {
        (Some(tag), _) if tag.starts_with(b"W/") => held.etag.is_some_and(|held| weakly_equal(held, tag)),
        (Some(tag), _) => held.etag.is_none_or(|held| held.strip_prefix(b"W/").unwrap_or(held) == tag),
        (None, Some(date)) => held.last_modified.is_none_or(|held| unix_seconds(date) == Some(held)),
        (None, None) => true,
    }
}

/// The copy's fields with the update's in their place (§3.2): every field of the update replaces all of
/// that name, but for what says how the body is to be read.
pub fn merged(entry: &Entry, update: &ResponseParts<'_>) -> Fields {
    let news = |name: &str| update.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
    let is_of_body = |name: &str| OF_THE_BODY.iter().any(|of_body| name.eq_ignore_ascii_case(of_body));
    let stays = |name: &HeaderName| {
        let name = name.as_str();
        // A date that is not said anew would make the copy as old as it was (RFC 9110 §6.6.1).
        is_of_body(name) || !(news(name) || name == "date")
    };
    let held = entry.fields().iter().filter(|(name, _)| stays(name));
    let held = held.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    let new = update.fields.iter().filter(|field| !is_of_body(field.name));
    held.chain(new.map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()))).collect()
}

/// Borrowed, to be judged.
pub fn borrowed(fields: &Fields) -> Vec<Field<'_>> {
    fields.iter().map(|(name, value)| Field { name, value }).collect()
}

/// What the answer to a HEAD says of a copy (§4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadSays {
    /// It is as it was: its fields are renewed.
    Same,
    /// It has changed.
    Changed,
    /// Nothing: an error, say, is no news of the page.
    Nothing,
}

/// Compares validators and length, those that the answer has. One without validators proves nothing by its length
/// being the same; and one that varies by other fields is about other copies than this.
pub fn head_says(entry: &Entry, head: &ResponseParts<'_>) -> HeadSays {
    if head.status != 200 || entry.status() != 200 {
        return HeadSays::Nothing;
    }
    let first = |name| head.values(name).next().map(<[u8]>::trim_ascii);
    let held = entry.validators();
    let same_tag = first("etag").is_none_or(|tag| held.etag == Some(tag));
    let same_date = first("last-modified").is_none_or(|date| unix_seconds(date) == held.last_modified);
    let length = head.text("content-length").map(str::parse);
    let same_length = length.is_none_or(|length| length == Ok(entry.body().len()));
    if !same_tag || !same_date || !same_length || varies_otherwise(entry, head) {
        return HeadSays::Changed;
    }
    if first("etag").is_some() || first("last-modified").is_some() { HeadSays::Same } else { HeadSays::Nothing }
}

/// Whether it says that it varies, by other fields than the copy. Codings don't count: a fill asks for none.
fn varies_otherwise(entry: &Entry, head: &ResponseParts<'_>) -> bool {
    let names = |lines: &mut dyn Iterator<Item = &[u8]>| -> BTreeSet<Vec<u8>> {
        let names =
            lines.flat_map(|line| line.split(|b| *b == b',')).map(|name| name.trim_ascii().to_ascii_lowercase());
        names.filter(|name| !name.is_empty() && name != b"accept-encoding").collect()
    };
    let held = entry.fields().iter().filter(|(name, _)| *name == VARY).map(|(_, value)| value.as_bytes());
    head.values("vary").next().is_some() && names(&mut head.values("vary")) != names(&mut { held })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cache::freshness::Terms;
    use crate::clock::Now;

    const DATE: &str = "Wed, 31 Dec 2025 10:00:00 GMT";
    const LATER: &str = "Wed, 31 Dec 2025 11:00:00 GMT";

    fn fields<'a>(fields: &'a [(&'a str, &'a str)]) -> Vec<Field<'a>> {
        fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect()
    }

    fn copy(of: &[(&str, &str)]) -> Entry {
        let response = ResponseParts { status: 200, fields: &fields(of) };
        Entry::new(&response, Bytes::from_static(b"hello"), Terms::default(), Now::default())
    }

    fn about(held: &[(&str, &str)], update: &[(&str, &str)]) -> bool {
        is_about(&copy(held), &ResponseParts { status: 304, fields: &fields(update) })
    }

    #[test]
    fn a_304_is_about_the_copy_with_its_validator_by_rfc_9111_4_3_4() {
        let held = [("ETag", "\"a\""), ("Last-Modified", DATE)];
        assert!(about(&held, &[("ETag", "\"a\"")]) && about(&held, &[("ETag", "W/\"a\"")]));
        assert!(about(&held, &[("Last-Modified", DATE)]) && about(&held, &[("X", "1")]));
        assert!(about(&[("ETag", "W/\"a\"")], &[("ETag", "W/\"a\"")]));
        for update in [[("ETag", "\"b\"")], [("ETag", "W/\"b\"")], [("Last-Modified", LATER)]] {
            assert!(!about(&held, &update), "{update:?}");
        }
        assert!(!about(&held, &[("ETag", "\"b\""), ("Last-Modified", DATE)]), "the tag counts first");
    }

    #[test]
    fn a_304_renews_every_field_but_those_of_the_body_by_rfc_9111_3_2() {
        let copy = copy(&[
            ("Date", DATE),
            ("X-A", "1"),
            ("X-A", "2"),
            ("X-B", "1"),
            ("Content-Type", "text/plain"),
            ("Content-Encoding", "gzip"),
            ("Content-MD5", "of hello"),
            ("Cache-Control", "max-age=1"),
        ]);
        let update = fields(&[
            ("X-A", "3"),
            ("CACHE-CONTROL", "max-age=60"),
            ("Content-Type", "text/html"),
            ("Content-Encoding", "br"),
            ("Content-Length", "0"),
            ("Content-Range", "bytes 0-1/2"),
            ("Content-MD5", "of nothing"),
            ("X-New", "n"),
        ]);
        let merged = merged(&copy, &ResponseParts { status: 304, fields: &update });
        let text: Vec<_> = merged.iter().map(|(n, v)| format!("{n}: {}", String::from_utf8_lossy(v))).collect();
        let expected = [
            "x-b: 1",
            "content-encoding: gzip",
            "content-md5: of hello",
            "x-a: 3",
            "cache-control: max-age=60",
            "content-type: text/html",
            "x-new: n",
        ];
        assert_eq!(text, expected, "and an old Date is no longer true");
    }

    #[test]
    fn the_answer_to_a_head_renews_or_outdates_a_copy_by_rfc_9111_4_3_5() {
        let copy = copy(&[("ETag", "\"a\""), ("Last-Modified", DATE)]);
        let says = |status, of: &[(&str, &str)]| head_says(&copy, &ResponseParts { status, fields: &fields(of) });
        assert_eq!(says(200, &[("ETag", "\"a\""), ("Content-Length", "5")]), HeadSays::Same);
        assert_eq!(says(200, &[]), HeadSays::Nothing, "it proves nothing");
        assert_eq!(says(200, &[("Content-Length", "5")]), HeadSays::Nothing);
        assert_eq!(says(200, &[("ETag", "\"a\""), ("Vary", "Accept-Language")]), HeadSays::Changed);
        assert_eq!(says(200, &[("ETag", "\"a\""), ("Vary", "Accept-Encoding")]), HeadSays::Same);
        for changed in [("ETag", "\"b\""), ("Content-Length", "6"), ("Last-Modified", LATER)] {
            assert_eq!(says(200, &[changed]), HeadSays::Changed, "{changed:?}");
        }
        assert_eq!(says(503, &[("ETag", "\"b\"")]), HeadSays::Nothing);
        assert_eq!(says(304, &[]), HeadSays::Nothing);
    }
}
