//! Parts of a whole (RFC 9110 §14).

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::pipeline::answer::RequestId;

/// Parts that one request is given at most: who asks for more gets the whole.
const MAX_PARTS: usize = 16;

/// Fields that add up all bytes of an answer (RFC 9530 §2, and those before it): a part is fewer.
const OF_ALL_BYTES: [&str; 3] = ["content-digest", "content-md5", "digest"];

/// What a Range field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// The field means nothing here, or is not worth its while: the whole.
    Whole,
    /// At least one, each within the whole, in the order asked for.
    Parts(SmallVec<[Range<usize>; 1]>),
    /// None of them begins within the whole: 416.
    Unsatisfiable,
}

/// Reads a Range field for a whole of so many bytes. What is malformed, or in another unit, is ignored
/// (§14.2); so is what would make more of the whole than the whole: many parts, or parts that overlap.
pub fn parse(value: &[u8], length: usize) -> Ranges {
    let list = std::str::from_utf8(value).ok().and_then(|v| {
        let (unit, list) = v.trim().split_once('=')?;
        unit.trim_end().eq_ignore_ascii_case("bytes").then_some(list)
    });
    let Some(list) = list else { return Ranges::Whole };
    let (mut parts, mut asked) = (SmallVec::new(), 0);
    for spec in list.split(',').map(str::trim).filter(|spec| !spec.is_empty()) {
        asked += 1;
        match one(spec, length) {
            None => return Ranges::Whole,
            _ if asked > MAX_PARTS => return Ranges::Whole,
            Some(range) if range.is_empty() => {}
            Some(range) => parts.push(range),
        }
    }
    if asked == 0 || parts.iter().map(Range::len).sum::<usize>() > length {
        return Ranges::Whole;
    }
    if parts.is_empty() { Ranges::Unsatisfiable } else { Ranges::Parts(parts) }
}

/// One range; an empty one begins beyond the end. None: it is malformed.
fn one(spec: &str, length: usize) -> Option<Range<usize>> {
    let (first, last) = spec.split_once('-')?;
    let (first, last) = (first.trim_end(), last.trim_start());
    if first.is_empty() {
        let suffix = number(last)?.min(length);
        return Some(length - suffix..length);
    }
    let first = number(first)?;
    let last = if last.is_empty() { usize::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    let end = last.saturating_add(1).min(length);
    Some(first.min(end)..end)
}

/// A number; one that is too large is as large as can be.
fn number(digits: &str) -> Option<usize> {
    let are_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    are_digits.then(|| digits.parse().unwrap_or(usize::MAX))
}

/// An answer made of parts: what differs from the answer with the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// 206, or 416.
    pub status: u16,
    pub content_range: Option<String>,
    /// Where it is not the whole's.
    pub content_type: Option<String>,
    pub body: Bytes,
}

impl Partial {
    /// Of a whole with these fields; several parts are kept apart by what the request is called (§14.6).
    /// None: the whole is to be given.
    pub fn of(
        ranges: &Ranges,
        whole: &Bytes,
        fields: &[(HeaderName, HeaderValue)],
        request: RequestId,
    ) -> Option<Self> {
        let length = whole.len();
        match ranges {
            Ranges::Whole => None,
            Ranges::Unsatisfiable => Some(Self {
                status: 416,
                content_range: Some(format!("bytes */{length}")),
                content_type: None,
                body: Bytes::new(),
            }),
            Ranges::Parts(parts) => match parts.as_slice() {
                [part] => Some(Self {
                    status: 206,
                    content_range: Some(content_range(part, length)),
                    content_type: None,
                    body: whole.slice(part.clone()),
                }),
                parts => {
                    let boundary = format!("seawall-{}", request.as_str());
                    let own = |name: &HeaderName| matches!(*name, header::CONTENT_TYPE | header::CONTENT_ENCODING);
                    let own: Vec<_> = fields.iter().filter(|(name, _)| own(name)).collect();
                    Some(Self {
                        status: 206,
                        content_range: None,
                        content_type: Some(format!("multipart/byteranges; boundary={boundary}")),
                        body: multipart(parts, whole, &own, &boundary),
                    })
                }
            },
        }
    }
}

impl Partial {
    /// The fields of the whole's that hold for the answer too; a 416 is about no part of it.
    pub fn fields_of<'f>(
        &self,
        whole: &'f [(HeaderName, HeaderValue)],
    ) -> impl Iterator<Item = &'f (HeaderName, HeaderValue)> {
        let (own_type, none) = (self.content_type.is_some(), self.status == 416);
        whole.iter().filter(move |(name, _)| match *name {
            header::CONTENT_TYPE | header::CONTENT_ENCODING => !own_type && !none,
            header::DATE => true,
            _ => !none && !OF_ALL_BYTES.contains(&name.as_str()),
        })
    }

    /// The fields of its own, but for the length.
    pub fn own_fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = [("content-range", &self.content_range), ("content-type", &self.content_type)];
        fields.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

fn content_range(part: &Range<usize>, length: usize) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1))
}

/// `about`: the fields that each part has, for they say how it is to be read.
fn multipart(parts: &[Range<usize>], whole: &Bytes, about: &[&(HeaderName, HeaderValue)], boundary: &str) -> Bytes {
    let mut out = BytesMut::new();
    for part in parts {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        for (name, value) in about {
            let name = if *name == header::CONTENT_TYPE { "Content-Type: " } else { "Content-Encoding: " };
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("Content-Range: {}\r\n\r\n", content_range(part, whole.len())).as_bytes());
        out.extend_from_slice(whole.get(part.clone()).unwrap_or_default());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(parts: &[Range<usize>]) -> Ranges {
        Ranges::Parts(parts.iter().cloned().collect())
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "one part is the usual case")]
    fn ranges_by_rfc_9110_14_1_2() {
        for (value, expected) in [
            ("bytes=0-4", parts(&[0..5])),
            ("BYTES=5-", parts(&[5..10])),
            ("bytes=-3", parts(&[7..10])),
            ("bytes=-99", parts(&[0..10])),
            ("bytes=8-99999999999999999999999", parts(&[8..10])),
            ("bytes= 0-0 , 9-9", parts(&[0..1, 9..10])),
            ("bytes=0-1,50-60", parts(&[0..2])),
            ("bytes=10-", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=10-20, -0", Ranges::Unsatisfiable),
            ("bytes=4-3", Ranges::Whole),
            ("bytes=a-b", Ranges::Whole),
            ("bytes=+1-2", Ranges::Whole),
            ("bytes=", Ranges::Whole),
            ("bytes=-", Ranges::Whole),
            ("bytes", Ranges::Whole),
            ("lines=0-1", Ranges::Whole),
            ("bytes=0-7,1-9", Ranges::Whole),
        ] {
            assert_eq!(parse(value.as_bytes(), 10), expected, "{value}");
        }
        let many = format!("bytes={}", ["0-0"; MAX_PARTS + 1].join(","));
        assert_eq!(parse(many.as_bytes(), 1000), Ranges::Whole, "more parts than are given");
        assert_eq!(parse(b"bytes=0-", 0), Ranges::Unsatisfiable);
    }

    #[test]
    fn several_parts_are_told_apart_by_rfc_9110_14_6() {
        let whole = Bytes::from_static(b"0123456789");
        let fields = [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))];
        let partial = Partial::of(&parse(b"bytes=0-1,-2", 10), &whole, &fields, RequestId::new(11)).unwrap();
        let boundary = "seawall-000000000000000b";
        let body = "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n\
                    --B\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--B--\r\n";
        assert_eq!(std::str::from_utf8(&partial.body).unwrap(), body.replace("--B", &format!("--{boundary}")));
        assert_eq!((partial.status, partial.content_range), (206, None));
        assert_eq!(partial.content_type.as_deref(), Some(&*format!("multipart/byteranges; boundary={boundary}")));
    }

    #[test]
    fn what_is_true_of_the_whole_alone_is_not_said_of_parts() {
        let whole = Bytes::from_static(b"0123456789");
        let fields = [
            (header::CONTENT_ENCODING, HeaderValue::from_static("gzip")),
            (HeaderName::from_static("content-digest"), HeaderValue::from_static("sha-256=:abc=:")),
            (HeaderName::from_static("repr-digest"), HeaderValue::from_static("sha-256=:abc=:")),
        ];
        let said = |value: &[u8]| {
            let partial = Partial::of(&parse(value, 10), &whole, &fields, RequestId::new(11)).unwrap();
            let names: Vec<_> = partial.fields_of(&fields).map(|(name, _)| name.as_str().to_owned()).collect();
            (names.join(" "), partial.body)
        };
        let (names, body) = said(b"bytes=0-1,-2");
        assert_eq!(names, "repr-digest", "a coding would be the parcel's");
        assert_eq!(String::from_utf8_lossy(&body).matches("Content-Encoding: gzip").count(), 2, "and is each part's");
        assert_eq!(said(b"bytes=0-1").0, "content-encoding repr-digest");
    }

    #[test]
    fn one_part_says_where_it_is_from_and_none_how_long_the_whole_is() {
        let whole = Bytes::from_static(b"0123456789");
        let of = |value: &[u8]| Partial::of(&parse(value, 10), &whole, &[], RequestId::new(11));
        let one = of(b"bytes=2-4").unwrap();
        assert_eq!((one.status, one.content_range.as_deref(), &one.body[..]), (206, Some("bytes 2-4/10"), &b"234"[..]));
        let none = of(b"bytes=20-").unwrap();
        assert_eq!((none.status, none.content_range.as_deref(), none.body.len()), (416, Some("bytes */10"), 0));
        assert_eq!(of(b"rows=1"), None);
    }

    proptest! {
        #[test]
        fn parts_lie_within_the_whole_and_are_no_more_than_it(value in "bytes=[0-9, -]{0,20}", length in 0..30_usize) {
            if let Ranges::Parts(parts) = parse(value.as_bytes(), length) {
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
                prop_assert!(parts.iter().map(Range::len).sum::<usize>() <= length);
            }
        }
    }
}
