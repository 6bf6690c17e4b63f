//! Cached text in the codings that clients take: made once for an entry, not once for a request.
//!
//! What is kept is anybody's, so no length of a compressed answer tells a secret (BREACH). The entry is
//! kept as it came; a coding is made when the first client that takes it has been answered without, on a
//! thread of its own ([`Job`]), and counts as a part of the entry's memory from then on.

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::entry::Entry;
use super::freshness::ResponseParts;
use super::key::Encodings;
use super::store::Store;
use super::weight;
use crate::policy;

/// A body smaller than this is hardly smaller encoded.
pub const LEAST: usize = 1 << 10;
/// One that is larger would keep a thread for too long.
const MOST: usize = 8 << 20;
/// So many times faster to make than their best: 30 MiB of text a second and more on one core.
const ZSTD_LEVEL: i32 = 7;
const BR_QUALITY: i32 = 5;
const GZIP_LEVEL: u32 = 6;

/// Fields about the bytes as they were sent (RFC 9530), or about parts of them: none of these is true of another
/// form of them.
pub const OF_THE_BYTES: [&str; 5] = ["content-digest", "repr-digest", "digest", "content-md5", "accept-ranges"];

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Zstd,
    Br,
    Gzip,
}

impl Coding {
    /// Those that a client takes are given in this order: of about one size, the first is the quickest to
    /// read.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];

    /// As Content-Encoding has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// A body in this coding; none where that is not smaller by a tenth.
    pub fn encode(self, body: &[u8]) -> Option<Bytes> {
        let encoded = match self {
            Self::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL).ok()?,
            Self::Br => {
                let mut out = Vec::with_capacity(body.len() / 4);
                let parameters = brotli::enc::BrotliEncoderParams {
                    quality: BR_QUALITY,
                    size_hint: body.len(),
                    ..brotli::enc::BrotliEncoderParams::default()
                };
                brotli::BrotliCompress(&mut &*body, &mut out, &parameters).ok()?;
                out
            }
            Self::Gzip => {
                let mut out = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(GZIP_LEVEL));
                out.write_all(body).ok()?;
                out.finish().ok()?
            }
        };
        // Of its own size: what grew while it was made may have half as much again.
        (encoded.len() < body.len() / 10 * 9).then(|| encoded.into_boxed_slice().into())
    }
}

/// Whether an answer may be given in other codings, as far as its head says: text that is not encoded
/// yet and may be transformed (RFC 9111 §5.2.2.6).
pub fn is_encodable(response: &ResponseParts<'_>) -> bool {
    let said = |name: &str, word: &[u8]| {
        let mut members = response.values(name).flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
        members.any(|member| member.eq_ignore_ascii_case(word))
    };
    let length = response.text("content-length").and_then(|length| length.parse::<usize>().ok());
    length.is_none_or(is_of_size)
        && response.text("content-type").is_some_and(is_text)
        && response.values("content-encoding").next().is_none()
        && response.values("content-range").next().is_none()
        && !said("cache-control", b"no-transform")
        && !said("vary", b"*")
}

/// The codings of an entry of which the origin has said something new: the same body, so that what was made of it is
/// still right, where it may be made at all.
pub fn codings_of(entry: &Entry, now_says: &ResponseParts<'_>, cache: &policy::Cache) -> Option<Arc<Encoded>> {
    let wanted = cache.compress && is_of_size(entry.body().len()) && is_encodable(now_says);
    wanted.then(|| entry.codings().cloned().unwrap_or_default())
}

/// Whether these values of Vary say that the answer differs by coding.
pub fn varies_by_coding<'v>(vary: impl Iterator<Item = &'v [u8]>) -> bool {
    let mut names = vary.flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    names.any(|name| name.eq_ignore_ascii_case(b"accept-encoding"))
}

/// Whether a body of so many bytes is worth it.
pub const fn is_of_size(length: usize) -> bool {
    length >= LEAST && length <= MOST
}

/// Whether a media type is one of text, or of something that compresses as well.
fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // An event stream has no end; it is not stored either.
    if let Some(kind) = essence.strip_prefix("text/") {
        return kind != "event-stream";
    }
    if essence.ends_with("+json") || essence.ends_with("+xml") {
        return true;
    }
    matches!(
        essence.as_str(),
        "application/json"
            | "application/javascript"
            | "application/x-javascript"
            | "application/ecmascript"
            | "application/xml"
            | "application/manifest+json"
            | "application/x-ndjson"
            | "application/wasm"
            | "application/vnd.ms-fontobject"
            | "font/ttf"
            | "font/otf"
            | "image/bmp"
            | "image/x-icon"
            | "image/vnd.microsoft.icon"
    )
}

/// The codings of one body. An entry that replaces another with the same body may share them.
#[derive(Debug, Default)]
pub struct Encoded {
    bodies: [OnceLock<Option<Bytes>>; 3],
    /// Those that are made, or being made.
    begun: AtomicU8,
}

impl Encoded {
    /// The body in a coding, if it is made and smaller.
    pub fn body(&self, coding: Coding) -> Option<&Bytes> {
        self.bodies.get(coding as usize)?.get()?.as_ref()
    }

    /// The codings that are made and that a client takes, from the best on.
    pub fn given(&self, accepted: Encodings) -> Option<Coding> {
        Coding::ALL.into_iter().find(|coding| accepted.accepts(*coding) && self.body(*coding).is_some())
    }

    /// The best one that a client takes, if nobody has begun to make it: it is the caller's to make
    /// then.
    pub fn wanted(&self, accepted: Encodings) -> Option<Coding> {
        let best = Coding::ALL.into_iter().find(|coding| accepted.accepts(*coding))?;
        // Nearly always it is made: a look costs less than a change.
        if self.begun.load(Ordering::Relaxed) & best.bit() != 0 {
            return None;
        }
        let before = self.begun.fetch_or(best.bit(), Ordering::Relaxed);
        (before & best.bit() == 0).then_some(best)
    }

    /// Bytes that all codings take.
    pub fn bytes(&self) -> usize {
        Coding::ALL.into_iter().filter_map(|coding| self.body(coding)).map(|body| weight::of(body.len())).sum()
    }

    fn put(&self, coding: Coding, body: Option<Bytes>) {
        if let Some(place) = self.bodies.get(coding as usize) {
            let _ = place.set(body);
        }
    }

    fn put_off(&self, coding: Coding) {
        self.begun.fetch_and(!coding.bit(), Ordering::Relaxed);
    }
}

/// A coding to be made. Dropped undone, the next client that takes it asks for it again.
#[derive(Debug)]
pub struct Job {
    key: Box<[u8]>,
    entry: Arc<Entry>,
    encoded: Arc<Encoded>,
    coding: Coding,
    done: bool,
}

impl Job {
    /// Of the entry under this key, whose codings these are.
    pub fn new(key: &[u8], entry: &Arc<Entry>, encoded: &Arc<Encoded>, coding: Coding) -> Self {
        Self { key: key.into(), entry: entry.clone(), encoded: encoded.clone(), coding, done: false }
    }

    /// Makes it, which takes milliseconds.
    pub fn run(mut self, store: &Store) {
        self.encoded.put(self.coding, self.coding.encode(self.entry.body()));
        self.done = true;
        store.reweigh(&self.key, &self.entry);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.done {
            self.encoded.put_off(self.coding);
        }
    }
}

#[cfg(test)]
mod tests;
