//! The answer with a file: its head, and which parts of the file follow.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use compact_str::{CompactString, ToCompactString, format_compact};

use super::conditional::{Decision, Held};
use super::place::Place;
use super::{Asked, Stamp};
use crate::pipeline::answer::{Fields, RequestId};
use crate::pipeline::reason::Reason;
use crate::policy::{Coding, Files};

/// How long what never changes is kept (RFC 8246); a year is what caches take for ever.
const IMMUTABLE: &str = "max-age=31536000, immutable";

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is, without the ending of its encoding.
    pub place: Place,
    pub coding: Option<Coding>,
    pub stamp: Stamp,
}

/// An answer's head, and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub reason: Reason,
    pub status: u16,
    pub fields: Fields,
    /// Bytes of the body; none where there can't be one (304).
    pub length: Option<u64>,
    pub pieces: Vec<Piece>,
}

/// What stands in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Between parts.
    Text(Bytes),
    /// These bytes of the file.
    Part(Range<u64>),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Part(part) => part.end - part.start,
        }
    }
}

/// The answer to a request whose file was found; `now` in seconds since 1970 UTC.
pub fn of(asked: &Asked, rules: &Files, found: &Found, id: RequestId, now: u64) -> Reply {
    let etag = etag(found);
    let held = Held { etag: &etag, modified: found.stamp.modified_seconds(), length: found.stamp.size, now };
    let decision = asked.conditions.decide(&held);
    let kind = media_type(&found.place);
    let mut fields = common(rules, found, asked);
    fields.push(("etag", etag.as_str().into()));
    let whole = 0..found.stamp.size;
    let (status, content_type, pieces) = match &decision {
        Decision::Whole => (200, Some(kind), vec![Piece::Part(whole)]),
        Decision::NotModified => (304, None, Vec::new()),
        Decision::Failed => (412, None, Vec::new()),
        Decision::Unsatisfiable => {
            fields.push(("content-range", format_compact!("bytes */{}", found.stamp.size)));
            (416, None, Vec::new())
        }
        Decision::Parts(parts) => match parts.as_slice() {
            [part] => {
                fields.push(("content-range", content_range(part, found.stamp.size)));
                (206, Some(kind), vec![Piece::Part(part.clone())])
            }
            parts => {
                let boundary = format_compact!("seawall-{}-{:016x}", id.as_str(), id.lot());
                let pieces = multipart(parts, found, &kind, &boundary);
                (206, Some(format_compact!("multipart/byteranges; boundary={boundary}")), pieces)
            }
        },
    };
    let coding = found.coding.filter(|_| !matches!(&decision, Decision::Parts(parts) if parts.len() > 1));
    describe(&mut fields, coding, content_type, matches!(status, 200 | 206));
    let length = (status != 304).then(|| pieces.iter().map(Piece::length).sum());
    Reply { reason: Reason::File, status, fields, length, pieces }
}

/// A 404 with the policy's own page. Nothing that is asked about a file holds for it.
pub fn not_found(rules: &Files, found: &Found) -> Reply {
    let mut fields = Fields::new();
    fields.push(("cache-control", "no-cache".into()));
    vary(&mut fields, rules);
    describe(&mut fields, found.coding, Some(media_type(&found.place)), false);
    let length = found.stamp.size;
    Reply { reason: Reason::NotFound, status: 404, fields, length: Some(length), pieces: vec![Piece::Part(0..length)] }
}

/// To the directory's own URL: relative links in its page would lead elsewhere without the slash.
pub fn redirect(place: &Place, query: Option<&str>, rules: &Files) -> Reply {
    let mut location = place.directory_url(&rules.strip);
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    let mut fields = Fields::new();
    fields.push(("location", location.into()));
    fields.push(("cache-control", "no-cache".into()));
    Reply { reason: Reason::File, status: 301, fields, length: Some(0), pieces: Vec::new() }
}

/// What every answer about a file says, also a 304 (RFC 9110 §15.4.5).
fn common(rules: &Files, found: &Found, asked: &Asked) -> Fields {
    let mut fields = Fields::new();
    // Only under its own name: a page that stands in for it may change.
    let immutable = asked.place.as_ref() == Some(&found.place) && found.place.is_immutable(rules);
    let whose = if asked.personal { "private" } else { "public" };
    let cache_control = match (immutable, rules.max_age.as_secs()) {
        (true, _) => format_compact!("{whose}, {IMMUTABLE}"),
        (false, 0) if asked.personal => "private, no-cache".into(),
        (false, 0) => "no-cache".into(),
        (false, seconds) => format_compact!("{whose}, max-age={seconds}"),
    };
    fields.push(("cache-control", cache_control));
    vary(&mut fields, rules);
    fields.push(("last-modified", http_date(found.stamp.modified_seconds()).into()));
    fields
}

fn vary(fields: &mut Fields, rules: &Files) {
    if !rules.precompressed.is_empty() {
        fields.push(("vary", "Accept-Encoding".into()));
    }
}

fn describe(fields: &mut Fields, coding: Option<Coding>, content_type: Option<CompactString>, has_ranges: bool) {
    if let Some(content_type) = content_type {
        fields.push(("content-type", content_type));
        fields.extend(coding.map(|coding| ("content-encoding", coding.token().into())));
        fields.push(("x-content-type-options", "nosniff".into()));
    }
    if has_ranges {
        fields.push(("accept-ranges", "bytes".into()));
    }
}

/// A strong tag, another for each encoding (RFC 9110 §8.8.3.3). It is made of what is the same on every node
/// that has the file with its time.
fn etag(found: &Found) -> CompactString {
    let Stamp { modified_ns, size, .. } = found.stamp;
    match found.coding {
        None => format_compact!("\"{modified_ns:x}-{size:x}\""),
        Some(coding) => format_compact!("\"{modified_ns:x}-{size:x}-{}\"", coding.ending()),
    }
}

fn media_type(place: &Place) -> CompactString {
    let kind = mime_guess::from_path(place.name()).first_or_octet_stream();
    if kind.type_() == mime_guess::mime::TEXT && kind.get_param("charset").is_none() {
        return format_compact!("{kind}; charset=utf-8");
    }
    kind.to_compact_string()
}

fn content_range(part: &Range<u64>, length: u64) -> CompactString {
    format_compact!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1))
}

/// Several parts, told apart by a boundary (RFC 9110 §14.6). The whole that they make is not encoded; they
/// are.
fn multipart(parts: &[Range<u64>], found: &Found, kind: &str, boundary: &str) -> Vec<Piece> {
    let encoding = found.coding.map(|coding| format!("Content-Encoding: {}\r\n", coding.token())).unwrap_or_default();
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
    let mut before = "";
    for part in parts {
        let range = content_range(part, found.stamp.size);
        let text = format!("{before}--{boundary}\r\nContent-Type: {kind}\r\n{encoding}Content-Range: {range}\r\n\r\n");
        pieces.push(Piece::Text(text.into()));
        pieces.push(Piece::Part(part.clone()));
        before = "\r\n";
    }
    pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
    pieces
}

fn http_date(seconds: u64) -> String {
    // A year of five digits has no HTTP date.
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::{rules, view};
    use crate::pipeline::view::View;

    fn found(name: &str, coding: Option<Coding>) -> Found {
        let stamp = Stamp { device: 1, inode: 2, size: 10, modified_ns: 1_767_175_200_000_000_001 };
        Found { place: Place::named(name).unwrap(), coding, stamp }
    }

    fn reply(path: &str, fields: &[(&'static str, &str)], coding: Option<Coding>) -> Reply {
        let rules = rules();
        let asked = view(fields, |view| Asked::of(&View { path, ..view.clone() }, &rules));
        of(&asked, &rules, &found(path.trim_start_matches('/'), coding), RequestId::new(7), 2_000_000_000)
    }

    fn field<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
        reply.fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_file_says_all_that_caches_and_browsers_need() {
        let plain = reply("/a.css", &[], None);
        assert_eq!((plain.status, plain.length), (200, Some(10)));
        for (name, value) in [
            ("content-type", "text/css; charset=utf-8"),
            ("cache-control", "public, max-age=60"),
            ("vary", "Accept-Encoding"),
            ("last-modified", "Wed, 31 Dec 2025 10:00:00 GMT"),
            ("x-content-type-options", "nosniff"),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(field(&plain, name), Some(value));
        }
        assert_eq!(field(&plain, "content-encoding"), None);
        let packed = reply("/a.css", &[], Some(Coding::Brotli));
        assert_eq!(field(&packed, "content-encoding"), Some("br"));
        assert_ne!(field(&packed, "etag"), field(&plain, "etag"));
        assert_eq!(field(&reply("/x", &[], None), "content-type"), Some("application/octet-stream"));
    }

    #[test]
    fn a_name_with_a_hash_never_changes() {
        let told = |personal| {
            let rules = rules();
            let mut asked = view(&[], |view| Asked::of(&View { path: "/app.3f2a9c1b.js", ..view.clone() }, &rules));
            asked.personal = personal;
            let reply = of(&asked, &rules, &found("app.3f2a9c1b.js", None), RequestId::new(7), 2_000_000_000);
            field(&reply, "cache-control").unwrap().to_owned()
        };
        assert_eq!(told(false), "public, max-age=31536000, immutable");
        assert_eq!(told(true), "private, max-age=31536000, immutable");
    }

    #[test]
    fn a_304_says_how_long_it_holds_and_has_no_body() {
        let tag = field(&reply("/a.css", &[], None), "etag").unwrap().to_owned();
        let known = reply("/a.css", &[("If-None-Match", &tag)], None);
        assert_eq!((known.status, known.length, known.pieces.len()), (304, None, 0));
        assert!(["etag", "cache-control", "vary", "last-modified"].iter().all(|name| field(&known, name).is_some()));
        assert_eq!(field(&known, "content-type"), None);
        assert_eq!(reply("/a.css", &[("If-None-Match", &tag)], Some(Coding::Gzip)).status, 200, "another encoding");
    }

    #[test]
    fn parts_add_up_to_the_length() {
        let one = reply("/a.css", &[("Range", "bytes=2-4")], None);
        assert_eq!((one.status, one.length, field(&one, "content-range")), (206, Some(3), Some("bytes 2-4/10")));
        let two = reply("/a.css", &[("Range", "bytes=0-0,-2")], None);
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            Piece::Part(part) => "x".repeat((part.end - part.start) as usize),
        };
        let body: String = two.pieces.iter().map(text).collect();
        let boundary = field(&two, "content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
        let part = |range, body| {
            format!("--{boundary}\r\nContent-Type: text/css; charset=utf-8\r\nContent-Range: {range}\r\n\r\n{body}\r\n")
        };
        assert_eq!(body, format!("{}{}--{boundary}--\r\n", part("bytes 0-0/10", "x"), part("bytes 8-9/10", "xx")));
        assert_eq!(two.length, Some(body.len() as u64));
        let packed = reply("/a.css", &[("Range", "bytes=0-0,-2")], Some(Coding::Gzip));
        assert_eq!(field(&packed, "content-encoding"), None, "the parts are encoded, not what they make");
        assert!(text(&packed.pieces[0]).contains("\r\nContent-Encoding: gzip\r\n"));
        let none = reply("/a.css", &[("Range", "bytes=10-")], None);
        assert_eq!((none.status, none.length, field(&none, "content-range")), (416, Some(0), Some("bytes */10")));
    }
}
