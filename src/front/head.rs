//! A request's head: parsed with httparse, then held to strict hygiene.
//!
//! Whatever two parsers could read in two ways is refused before anything else sees it (RFC 9112
//! §11.2, request smuggling). Pingora behind this door gets only heads that passed here.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::net::IpAddr;

use crate::pipeline::path::normalise;
use crate::pipeline::reason::Reason;
use crate::pipeline::view::{BodyKind, Field, Scheme, Version, View};

/// Header fields at most.
pub const MAX_FIELDS: usize = 100;
/// Bytes of a method at most.
const MAX_METHOD: usize = 32;

/// Where the fields of a head are put.
pub type Fields<'a> = [MaybeUninit<Field<'a>>; MAX_FIELDS];

/// Room for the fields of one head, not written to yet.
pub const fn room_for_fields<'a>() -> Fields<'a> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// A head that passed.
#[derive(Debug)]
pub struct Head<'a> {
    /// Bytes of the head, the empty line included.
    pub len: usize,
    pub method: &'a str,
    pub version: Version,
    /// Lower case.
    pub host: Cow<'a, str>,
    pub path: Cow<'a, str>,
    pub raw_path: &'a str,
    pub query: Option<&'a str>,
    pub fields: &'a [Field<'a>],
    pub body: BodyKind,
    /// The client wants the connection kept (RFC 9112 §9.3).
    pub keep_alive: bool,
    pub expects_continue: bool,
    /// Connection: upgrade with an Upgrade field.
    pub upgrade: bool,
}

impl<'a> Head<'a> {
    /// The request as the core sees it, of this visitor.
    pub fn view(&'a self, scheme: Scheme, client: IpAddr) -> View<'a> {
        View {
            method: self.method,
            version: self.version,
            scheme,
            host: &self.host,
            path: &self.path,
            raw_path: self.raw_path,
            query: self.query,
            fields: self.fields,
            client,
            trusted: false,
            body: self.body,
        }
    }
}

/// Why a head did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub reason: Reason,
    /// For the log.
    pub why: &'static str,
}

const fn bad(why: &'static str) -> Malformed {
    Malformed { reason: Reason::BadRequest, why }
}

/// Reads a head from the beginning of `buf`; `None` while it is not all there.
///
/// # Errors
/// [`Malformed`]: the connection can't be kept, since where the next request begins is unknown.
pub fn parse<'a>(buf: &'a [u8], fields: &'a mut Fields<'a>) -> Result<Option<Head<'a>>, Malformed> {
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(buf, fields) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => {
            // The HTTP/2 preface never becomes a head that httparse likes.
            return if buf.starts_with(b"PRI * ") { Err(version()) } else { Ok(None) };
        }
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Malformed { reason: Reason::HeaderTooLarge, why: "more than 100 header fields" });
        }
        Err(httparse::Error::Version) => return Err(version()),
        Err(_) => return Err(bad("the head is not HTTP")),
    };
    let raw = buf.get(..len).unwrap_or_default();
    check_line_ends(raw)?;
    let method = request.method.unwrap_or_default();
    let target = request.path.unwrap_or_default();
    let version = if request.version == Some(1) { Version::Http11 } else { Version::Http10 };
    let fields: &'a [Field<'a>] = request.headers;
    check_method(method)?;
    let (authority, path_and_query) = split_target(method, target)?;
    let host = host(authority, fields, version)?;
    let (raw_path, query) = match memchr::memchr(b'?', path_and_query.as_bytes()) {
        Some(at) => (path_and_query.get(..at).unwrap_or_default(), path_and_query.get(at + 1..)),
        None => (path_and_query, None),
    };
    let path = normalise(raw_path).map_err(|_| bad("the path is malformed or ambiguous"))?;
    let connection = Connection::of(fields);
    Ok(Some(Head {
        len,
        method,
        version,
        host,
        path,
        raw_path,
        query,
        fields,
        body: framing(fields, version)?,
        keep_alive: !connection.close && (version == Version::Http11 || connection.keep_alive),
        expects_continue: expectation(fields, version)?,
        upgrade: connection.upgrade && version == Version::Http11 && named(fields, "upgrade").next().is_some(),
    }))
}

const fn version() -> Malformed {
    Malformed { reason: Reason::VersionRefused, why: "not HTTP/1.0 or HTTP/1.1" }
}

fn named<'a>(fields: &'a [Field<'a>], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
}

/// httparse takes a bare LF as a line's end; others don't (RFC 9112 §2.2). A bare CR and control
/// characters it refuses itself.
fn check_line_ends(raw: &[u8]) -> Result<(), Malformed> {
    let bare = |at: usize| at.checked_sub(1).and_then(|before| raw.get(before)) != Some(&b'\r');
    if memchr::memchr_iter(b'\n', raw).any(bare) {
        return Err(bad("a line ends without CR"));
    }
    Ok(())
}

fn check_method(method: &str) -> Result<(), Malformed> {
    if method.len() > MAX_METHOD {
        return Err(bad("the method is too long"));
    }
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(Malformed { reason: Reason::MethodRefused, why: "a method for other kinds of proxies" });
    }
    Ok(())
}

/// Takes a target apart into the authority, if it has one, and the path with its query (RFC 9112
/// §3.2).
fn split_target<'a>(method: &str, target: &'a str) -> Result<(Option<&'a str>, &'a str), Malformed> {
    if let Some(other) = target.bytes().find(|b| !b.is_ascii_graphic() || *b == b'#') {
        let fragment = other == b'#';
        return Err(bad(if fragment {
            "the target has a fragment"
        } else {
            "the target has characters that must be encoded"
        }));
    }
    if target.starts_with('/') {
        return Ok((None, target));
    }
    if target == "*" && method == "OPTIONS" {
        return Ok((None, "/"));
    }
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        target.get(..scheme.len()).filter(|s| s.eq_ignore_ascii_case(scheme))?;
        target.get(scheme.len()..)
    });
    let rest = rest.ok_or_else(|| bad("the target is neither a path nor a URL"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest.split_at_checked(end) {
        Some((authority, path)) if path.starts_with('/') => Ok((Some(authority), path)),
        Some((authority, "")) => Ok((Some(authority), "/")),
        _ => Err(bad("the target's URL has no path")),
    }
}

fn host<'a>(authority: Option<&'a str>, fields: &'a [Field<'a>], version: Version) -> Result<Cow<'a, str>, Malformed> {
    let mut hosts = named(fields, "host");
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("more than one Host"));
    }
    let field = match field {
        Some(value) => Some(std::str::from_utf8(value).map_err(|_| bad("Host is not ASCII"))?.trim()),
        None if version == Version::Http11 => return Err(bad("no Host")),
        None => None,
    };
    if let (Some(authority), Some(field)) = (authority, field)
        && !authority.eq_ignore_ascii_case(field)
    {
        return Err(bad("the target names another host than Host"));
    }
    let host = authority.or(field).unwrap_or_default();
    if host.is_empty() && version == Version::Http11 {
        return Err(bad("an empty Host"));
    }
    if !is_host(host) {
        return Err(bad("Host is malformed"));
    }
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        return Ok(Cow::Owned(host.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(host))
}

/// The bytes that names and addresses are made of, a bit each: looked up, since every request has some.
const IN_NAMES: u128 = {
    let (mut bits, mut byte) = (0, 0_u8);
    while byte < 128 {
        let is_one = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        bits |= (is_one as u128) << byte;
        byte += 1;
    }
    bits
};

/// A name or address with at most a port (RFC 3986 §3.2.2): no user, no path, no encoding.
pub fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((v6, port)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port),
            _ => return false,
        },
        None => match host.bytes().position(|b| b == b':') {
            Some(at) => host.split_at_checked(at).unwrap_or((host, "")),
            None => (host, ""),
        },
    };
    let port_ok = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()),
        None => port.is_empty(),
    };
    port_ok && name.bytes().all(|b| b.is_ascii() && IN_NAMES >> b & 1 == 1)
}

/// How the body is framed (RFC 9112 §6): by one number, or in chunks, or not at all.
fn framing(fields: &[Field<'_>], version: Version) -> Result<BodyKind, Malformed> {
    let mut lengths = named(fields, "content-length");
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(bad("more than one Content-Length"));
    }
    let mut codings = named(fields, "transfer-encoding");
    let coding = codings.next();
    if codings.next().is_some() {
        return Err(bad("more than one Transfer-Encoding"));
    }
    match (length, coding) {
        (Some(_), Some(_)) => Err(bad("Content-Length together with Transfer-Encoding")),
        (None, Some(coding)) => {
            if version == Version::Http10 {
                return Err(bad("Transfer-Encoding in HTTP/1.0"));
            }
            if !coding.eq_ignore_ascii_case(b"chunked") {
                return Err(bad("a Transfer-Encoding other than chunked"));
            }
            Ok(BodyKind::Stream)
        }
        (Some(length), None) => match decimal(length) {
            Some(0) => Ok(BodyKind::None),
            Some(length) => Ok(BodyKind::Length(length)),
            None => Err(bad("Content-Length is not a number")),
        },
        (None, None) => Ok(BodyKind::None),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn expectation(fields: &[Field<'_>], version: Version) -> Result<bool, Malformed> {
    match named(fields, "expect").next() {
        None => Ok(false),
        // RFC 9110 §10.1.1: from an HTTP/1.0 client it is ignored.
        Some(_) if version == Version::Http10 => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Malformed { reason: Reason::ExpectationFailed, why: "an expectation other than 100-continue" }),
    }
}

#[derive(Default)]
struct Connection {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl Connection {
    fn of(fields: &[Field<'_>]) -> Self {
        let mut this = Self::default();
        for option in named(fields, "connection").flat_map(|v| v.split(|b| *b == b',')) {
            let option = option.trim_ascii();
            this.close |= option.eq_ignore_ascii_case(b"close");
            this.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            this.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(raw: &str) -> Result<Option<(String, BodyKind, bool)>, Reason> {
        let mut fields = room_for_fields();
        parse(raw.as_bytes(), &mut fields)
            .map(|head| head.map(|h| (format!("{}{}", h.host, h.path), h.body, h.keep_alive)))
            .map_err(|m| m.reason)
    }

    #[test]
    fn an_ordinary_head_is_understood() {
        let head = "POST /a/../b?c=1 HTTP/1.1\r\nHost: Shop.Example:8080\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(verdict(head), Ok(Some(("shop.example:8080/b".into(), BodyKind::Length(12), true))));
        assert_eq!(verdict("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        assert_eq!(
            verdict("GET http://A.example/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"),
            Ok(Some(("a.example/x".into(), BodyKind::None, false)))
        );
        assert_eq!(verdict("GET / HTTP/1.0\r\n\r\n"), Ok(Some(("/".into(), BodyKind::None, false))));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let refused = [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:99x\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        for head in refused {
            assert_eq!(verdict(head), Err(Reason::BadRequest), "{head:?}");
        }
    }

    #[test]
    fn each_refusal_has_its_own_status() {
        assert_eq!(verdict("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), Err(Reason::MethodRefused));
        assert_eq!(verdict("GET / HTTP/3.0\r\nHost: a\r\n\r\n"), Err(Reason::VersionRefused));
        assert_eq!(verdict("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(Reason::VersionRefused));
        assert_eq!(verdict("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), Err(Reason::ExpectationFailed));
        let many = "A: b\r\n".repeat(MAX_FIELDS + 1);
        assert_eq!(verdict(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")), Err(Reason::HeaderTooLarge));
    }
}
