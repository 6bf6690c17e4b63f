//! Which fields of an answer are kept, and the heads made of them.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::cache::freshness::{ResponseParts, withheld};
use crate::cache::precondition::is_repeated;
use crate::clock::Now;

/// Not kept whatever Connection says: fields for one connection (RFC 9110 §7.6.1), for the proxy
/// (RFC 9111 §3.1), or of one answer; and Set-Cookie, which is one visitor's.
const NOT_KEPT: [&str; 14] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "content-length",
    "age",
    "set-cookie",
    "set-cookie2",
];

/// A field that is kept: its name as it came, and parsed.
pub(super) struct Kept<'a> {
    spelled: &'a str,
    name: HeaderName,
    value: Cow<'a, [u8]>,
}

/// The heads of an entry.
pub(super) struct Head {
    pub(super) full: Bytes,
    pub(super) not_modified: Bytes,
    /// The values share the bytes of `full`.
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
}

pub(super) fn kept<'a>(response: &ResponseParts<'a>, now: Now) -> Vec<Kept<'a>> {
    let withheld = withheld(response);
    let mut kept: Vec<_> = response
        .fields
        .iter()
        .filter(|field| !NOT_KEPT.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
        .filter(|field| !is_nominated(response, field.name))
        .filter(|field| !withheld.iter().any(|name| field.name.as_bytes().eq_ignore_ascii_case(name)))
        .filter_map(|field| {
            // What is no valid field could split the head that is written from it.
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            HeaderValue::from_bytes(field.value).ok()?;
            Some(Kept { spelled: field.name, name, value: Cow::Borrowed(field.value.trim_ascii()) })
        })
        .collect();
    if !kept.iter().any(|field| field.name == http::header::DATE) {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now.unix_ms).min(YEAR_9999));
        kept.push(Kept { spelled: "Date", name: http::header::DATE, value: Cow::Owned(date.into_bytes()) });
    }
    kept
}

/// A date after this one can't be written.
const YEAR_9999: Duration = Duration::from_secs(253_402_300_799);

pub(super) fn write(status: u16, kept: &[Kept<'_>], body_len: usize) -> Head {
    let mut full = status_line(status);
    let mut not_modified = status_line(304);
    let mut places = Vec::with_capacity(kept.len());
    for field in kept {
        push(&mut full, field.spelled, &field.value);
        let end = full.len() - 2;
        places.push(end - field.value.len()..end);
        if is_repeated(&field.name) {
            push(&mut not_modified, field.spelled, &field.value);
        }
    }
    // RFC 9110 §8.6: none in a 204.
    if status != 204 {
        push(&mut full, "Content-Length", itoa::Buffer::new().format(body_len).as_bytes());
    }
    let full = Bytes::from(full);
    let value = |place| HeaderValue::from_maybe_shared(full.slice(place)).ok();
    let fields =
        kept.iter().zip(places).filter_map(|(field, place)| Some((field.name.clone(), value(place)?))).collect();
    Head { full, not_modified: not_modified.into(), fields }
}

/// RFC 9110 §7.6.1: Connection names further fields that are for this connection only.
fn is_nominated(response: &ResponseParts<'_>, name: &str) -> bool {
    response
        .values("connection")
        .flat_map(|value| value.split(|b| *b == b','))
        .any(|nominated| nominated.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

fn status_line(status: u16) -> Vec<u8> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    format!("HTTP/1.1 {status} {reason}\r\n").into_bytes()
}

fn push(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}
