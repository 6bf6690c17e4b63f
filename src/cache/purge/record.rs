//! The purges as they are written down: what is older than one and outlives the process (the
//! snapshot) stays hidden after a restart.

use super::table::TARGETS_MAX;

/// What the bytes are, and the form of names in them.
const MAGIC: &[u8; 8] = b"swpurge1";
/// Four numbers before the names.
const WHOLE: usize = 4;
const NUMBER: usize = 8;
const CHECK: usize = 4;

/// Hard purges: of all, of tags, and by name. Nanoseconds since 1970 UTC; 0 is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub(super) everything: u64,
    pub(super) tags: u64,
    pub(super) tags_joined: u64,
    pub(super) newest: u64,
    pub(super) names: Vec<(u64, u64)>,
}

/// The bytes are no record, or not all of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no record of purges, or it is damaged")]
pub struct BadRecord;

impl Record {
    /// Larger than this is no record.
    pub const LEN_MAX: usize = MAGIC.len() + (WHOLE + 2 * TARGETS_MAX) * NUMBER + CHECK;

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAGIC.len() + (WHOLE + 2 * self.names.len()) * NUMBER + CHECK);
        out.extend(MAGIC);
        for number in [self.everything, self.tags, self.tags_joined, self.newest] {
            out.extend(number.to_le_bytes());
        }
        for (name, at) in &self.names {
            out.extend(name.to_le_bytes());
            out.extend(at.to_le_bytes());
        }
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// # Errors
    /// [`BadRecord`]
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let (content, check) = bytes.split_last_chunk::<CHECK>().ok_or(BadRecord)?;
        if bytes.len() > Self::LEN_MAX || crc32fast::hash(content).to_le_bytes() != *check {
            return Err(BadRecord);
        }
        let (magic, numbers) = content.split_first_chunk::<{ MAGIC.len() }>().ok_or(BadRecord)?;
        let (numbers, rest) = numbers.as_chunks::<NUMBER>();
        let numbers: Vec<_> = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let ([everything, tags, tags_joined, newest], names) = numbers.split_first_chunk::<WHOLE>().ok_or(BadRecord)?;
        let (names, odd) = names.as_chunks::<2>();
        if magic != MAGIC || !rest.is_empty() || !odd.is_empty() || names.iter().any(|[name, _]| *name == 0) {
            return Err(BadRecord);
        }
        Ok(Self {
            everything: *everything,
            tags: *tags,
            tags_joined: *tags_joined,
            newest: *newest,
            names: names.iter().map(|[name, at]| (*name, *at)).collect(),
        })
    }
}
