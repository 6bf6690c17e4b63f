//! An answer as bytes of HTTP/1.

use std::cell::RefCell;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};

use crate::cache::precondition::is_repeated;
use crate::cache::range::Partial;
use crate::clock::Now;
use crate::files::reply::Reply;
use crate::pipeline::answer::{Answer, Content, Fields, status_line, write_field};
use crate::pipeline::view::Version;
use crate::proxy::fill::{Head, Hint};
use crate::snapshot::File;

/// Bodies up to this size are copied behind their head; larger ones are sent from where they lie.
const COPIED: usize = 8 << 10;

/// Room for the usual head, so that it is not grown into.
const HEAD: usize = 1024;

/// How an answer is to leave.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub version: Version,
    /// HEAD: the head alone.
    pub head_only: bool,
    pub keep_alive: bool,
}

/// What was written, and what is still to be sent.
#[derive(Debug)]
pub struct Rendered {
    /// The part of the body that was not copied.
    pub rest: Bytes,
    /// Bytes of the whole body.
    pub body_bytes: u64,
}

/// Writes an answer's head, and its body if it is small. A [`Content::File`] has been read by the
/// caller: here it would have no body.
pub fn answer(answer: &Answer, common: &Fields, terms: Terms, now: Now, out: &mut BytesMut) -> Rendered {
    let none = Bytes::new();
    let whole = match &answer.content {
        Content::Prepared(page) => &page.body,
        Content::Made { body, .. } | Content::FileRead(_, body) => body,
        Content::Copy(entry) => entry.body(),
        Content::Part(_, part) | Content::FilePart(_, part) => &part.body,
        Content::File(..) | Content::NotModified(_) | Content::FileNotModified(_) => &none,
    };
    let body = if terms.head_only { &none } else { whole };
    let is_copied = body.len() <= COPIED;
    out.reserve(HEAD + if is_copied { body.len() } else { 0 });
    head(&answer.content, whole.len(), now, out);
    for (name, value) in answer.fields.iter().chain(common) {
        write_field(name, value, out);
    }
    end_head(terms, out);
    let body_bytes = body.len() as u64;
    if is_copied {
        out.extend_from_slice(body);
    }
    Rendered { rest: if is_copied { none } else { body.clone() }, body_bytes }
}

/// Writes what an answer's head says whoever asks; where nobody prepared it, with the body's length.
fn head(content: &Content, length: usize, now: Now, out: &mut BytesMut) {
    match content {
        Content::Prepared(page) => {
            out.extend_from_slice(&page.wire);
            date(now, out);
        }
        Content::Made { status, content_type, cache_control, .. } => {
            made(*status, content_type, length, cache_control, out);
            date(now, out);
        }
        Content::Copy(entry) => out.extend_from_slice(entry.head()),
        Content::Part(entry, part) => partial(part, entry.fields(), out),
        Content::NotModified(entry) => out.extend_from_slice(entry.head_not_modified()),
        Content::File(about, _) | Content::FileRead(about, _) => {
            status_line(about.status, out);
            kept_fields(about.fields.iter(), out);
            snapshot_date(about, now, out);
            write_field("content-length", itoa::Buffer::new().format(length), out);
        }
        Content::FilePart(about, part) => {
            partial(part, &about.fields, out);
            snapshot_date(about, now, out);
        }
        Content::FileNotModified(about) => {
            status_line(304, out);
            kept_fields(about.fields.iter().filter(|(name, _)| is_repeated(name)), out);
            snapshot_date(about, now, out);
        }
    }
}

/// Writes the head of an answer with a file.
pub fn file_head(reply: &Reply, common: Fields, terms: Terms, now: Now, out: &mut BytesMut) {
    out.reserve(HEAD);
    status_line(reply.status, out);
    if let Some(length) = reply.length {
        write_field("content-length", itoa::Buffer::new().format(length), out);
    }
    for (name, value) in reply.fields.iter().chain(&common) {
        write_field(name, value, out);
    }
    date(now, out);
    end_head(terms, out);
}

/// How the body of a fill's answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By Content-Length, or by there being none.
    Length,
    Chunked,
    /// By the connection's end: HTTP/1.0.
    Close,
}

/// Writes the head of an answer that many follow.
///
/// `own`: with the fields that are for the first reader alone.
pub fn fill_head(
    head: &Head,
    own: bool,
    status: &str,
    common: Fields,
    mut terms: Terms,
    out: &mut BytesMut,
) -> Framing {
    let bodyless = matches!(head.status, 204 | 304);
    let framing = match (head.length, terms.version) {
        (Some(_), _) => Framing::Length,
        _ if bodyless => Framing::Length,
        (None, Version::Http10) => Framing::Close,
        (None, _) => Framing::Chunked,
    };
    status_line(head.status, out);
    raw_fields(head.fields_for(own), out);
    match (framing, head.length) {
        (Framing::Length, Some(length)) => write_field("content-length", itoa::Buffer::new().format(length), out),
        (Framing::Chunked, _) => write_field("transfer-encoding", "chunked", out),
        (Framing::Close, _) => terms.keep_alive = false,
        (Framing::Length, None) => {}
    }
    write_field("cache-status", status, out);
    for (name, value) in &common {
        write_field(name, value, out);
    }
    end_head(terms, out);
    framing
}

/// Writes an early hint.
pub fn early_hint(hint: &Hint, out: &mut BytesMut) {
    status_line(103, out);
    raw_fields(hint.iter(), out);
    out.put_slice(b"\r\n");
}

/// Writes fields as they came.
fn raw_fields<'a>(fields: impl Iterator<Item = &'a (String, Vec<u8>)>, out: &mut BytesMut) {
    for (name, value) in fields {
        out.put_slice(name.as_bytes());
        out.put_slice(b": ");
        out.put_slice(value);
        out.put_slice(b"\r\n");
    }
}

/// Writes a piece of a chunked body; none is its end.
pub fn chunk(piece: Option<&Bytes>, out: &mut BytesMut) {
    match piece {
        Some(piece) => {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        None => out.extend_from_slice(b"0\r\n\r\n"),
    }
}

/// The head of an answer with parts.
fn partial(part: &Partial, whole: &[(HeaderName, HeaderValue)], out: &mut BytesMut) {
    status_line(part.status, out);
    kept_fields(part.fields_of(whole), out);
    for (name, value) in part.own_fields() {
        write_field(name, value, out);
    }
    write_field("content-length", itoa::Buffer::new().format(part.body.len()), out);
}

fn snapshot_date(file: &File, now: Now, out: &mut BytesMut) {
    if !file.is_dated() {
        date(now, out);
    }
}

fn kept_fields<'f>(fields: impl Iterator<Item = &'f (HeaderName, HeaderValue)>, out: &mut BytesMut) {
    for (name, value) in fields {
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
}

fn made(status: u16, content_type: &str, length: usize, cache_control: &str, out: &mut BytesMut) {
    status_line(status, out);
    write_field("content-type", content_type, out);
    write_field("content-length", itoa::Buffer::new().format(length), out);
    write_field("cache-control", cache_control, out);
}

fn end_head(terms: Terms, out: &mut BytesMut) {
    match (terms.keep_alive, terms.version) {
        (false, _) => write_field("connection", "close", out),
        (true, Version::Http10) => write_field("connection", "keep-alive", out),
        (true, _) => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// The Date of our own answers (RFC 9110 §6.6.1), written anew once a second.
fn date(now: Now, out: &mut BytesMut) {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let second = now.unix_ms / 1000;
    LAST.with_borrow_mut(|(at, text)| {
        if *at != second {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second);
            *text = httpdate::fmt_http_date(time);
            *at = second;
        }
        write_field("date", text, out);
    });
}
