//! What a purge may name, as numbers: hosts, prefixes of paths, URLs, tags.

use crate::pipeline::path::normalise;

/// Segments of a path that a prefix may have; a longer one is cut, and takes more.
pub const DEPTH_MAX: usize = 16;

/// What stands for a path whatever the host.
pub(super) const ANY_HOST: &str = "";

/// What a name is of; keeps two kinds of the same letters apart.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Host = 1,
    Prefix = 2,
    Url = 3,
    Tag = 4,
    Group = 5,
}

/// Whether a name is a tag's: its lowest bit says so.
pub(super) const fn is_tag(name: u64) -> bool {
    name & 1 == 1
}

/// The name of a place that was written to, beside the place's own: what is held of it must be validated
/// before it is given again (RFC 9111 §4.4).
pub(super) const fn written(name: u64) -> u64 {
    name | 2
}

/// All names of one URL but for its tags, as an entry keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    names: Vec<u64>,
    host: Box<str>,
}

impl Names {
    /// Of a URL: its host with or without a port, its path as it was sent, the pairs of its query that
    /// matter.
    pub fn of<'q>(host: &str, path: &str, pairs: impl Iterator<Item = &'q str>) -> Self {
        let mut names = Vec::with_capacity(8);
        each(host, path, pairs, |name| names.push(name));
        Self { names, host: bare(host).into() }
    }

    pub fn as_slice(&self) -> &[u64] {
        &self.names
    }

    /// The name of the URL itself: [`each`] gives it last.
    pub(super) fn url(&self) -> Option<u64> {
        self.names.last().copied()
    }

    /// The host, without a port.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// The pairs of a query that has nothing in it that makes no difference.
pub(super) fn pairs(query: Option<&str>) -> impl Iterator<Item = &str> {
    query.into_iter().flat_map(|query| query.split('&'))
}

/// Gives each name of a URL to `give`: its host, its prefixes from the first segment on, itself.
pub(super) fn each<'q>(host: &str, path: &str, pairs: impl Iterator<Item = &'q str>, mut give: impl FnMut(u64)) {
    let path = normalise(path);
    let path = path.as_deref().unwrap_or("/");
    give(self::host(host));
    let mut prefix = Hash::of_host(Kind::Prefix, host);
    for segment in segments(path).take(DEPTH_MAX) {
        prefix.part(segment.as_bytes());
        give(prefix.place());
    }
    give(url_of(host, path, pairs));
}

pub(super) fn host(host: &str) -> u64 {
    Hash::of_host(Kind::Host, host).place()
}

/// The prefix of a path, of whole segments; its host where it has none.
pub(super) fn prefix(host: &str, path: &str) -> u64 {
    let path = normalise(path);
    let mut hash = Hash::of_host(Kind::Prefix, host);
    let mut segments = segments(path.as_deref().unwrap_or("/")).take(DEPTH_MAX).peekable();
    if segments.peek().is_none() {
        return self::host(host);
    }
    segments.for_each(|segment| hash.part(segment.as_bytes()));
    hash.place()
}

pub(super) fn url<'q>(host: &str, path: &str, pairs: impl Iterator<Item = &'q str>) -> u64 {
    let path = normalise(path);
    url_of(host, path.as_deref().unwrap_or("/"), pairs)
}

/// `/a` and `/a/` are one: a file may stand for both.
fn url_of<'q>(host: &str, path: &str, pairs: impl Iterator<Item = &'q str>) -> u64 {
    let mut hash = Hash::of_host(Kind::Url, host);
    segments(path).for_each(|segment| hash.part(segment.as_bytes()));
    hash.byte(END);
    pairs.filter(|pair| !pair.is_empty()).for_each(|pair| hash.part(pair.as_bytes()));
    hash.place()
}

pub(super) fn tag(tag: &[u8]) -> u64 {
    let mut hash = Hash::new(Kind::Tag);
    hash.part(tag);
    hash.tag()
}

/// A cache group is its origin's own (RFC 9875 §2).
pub(super) fn group(host: &str, group: &[u8]) -> u64 {
    let mut hash = Hash::of_host(Kind::Group, host);
    hash.part(group);
    hash.tag()
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// The host without its port, without the dot that ends a full name.
fn bare(host: &str) -> &str {
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// FNV-1a with a finish that spreads it. It is written to disk: a change of it voids the record, so its
/// form there is counted up with it, as is the snapshot's. Whoever makes two names collide has them purged together.
struct Hash(u64);

impl Hash {
    fn new(kind: Kind) -> Self {
        let mut hash = Self(0xcbf2_9ce4_8422_2325);
        hash.byte(kind as u8);
        hash
    }

    fn of_host(kind: Kind, host: &str) -> Self {
        let mut hash = Self::new(kind);
        bare(host).bytes().for_each(|b| hash.byte(b.to_ascii_lowercase()));
        hash.byte(END);
        hash
    }

    fn part(&mut self, part: &[u8]) {
        part.iter().for_each(|b| self.byte(*b));
        self.byte(END);
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }

    /// MurmurHash3's finish.
    fn finish(&self) -> u64 {
        let mut h = self.0;
        h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^ (h >> 33)
    }

    fn tag(&self) -> u64 {
        self.finish() | 1
    }

    fn place(&self) -> u64 {
        // 0 is a free row.
        (self.finish() & !3).max(4)
    }
}

/// In no UTF-8 text: ends a part, so that no part can pose as another.
const END: u8 = 0xff;
