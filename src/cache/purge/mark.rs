//! What an entry bears, so that purges know it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Names, Stamp, Verdict};
use crate::clock::Mono;

/// Which purges by tag concern something, beside those of the tags that are among its names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tags {
    /// It has no tag.
    None,
    /// All are among its names.
    Named,
    /// Every purge by tag: it has more tags than are kept, or they are not known yet.
    Unknown,
    /// Every purge at all: nobody said what it is.
    #[default]
    Anything,
}

/// When something was asked of the origin, and by which names purges may mean it. Remembers up to
/// which purge it was looked up, so that a hit between two purges looks nothing up.
#[derive(Debug)]
pub struct Mark {
    stamp: Stamp,
    names: Box<[u64]>,
    tags: Tags,
    /// Looked up for the purges up to here.
    seen: AtomicU64,
    /// Stale since the first soft purge that was seen; `u64::MAX`: none was.
    stale_since: AtomicU64,
    /// One of them was a write.
    outdated: AtomicBool,
}

impl Mark {
    /// Of what was asked for at `stamp`. Tags are added to the names of its URL.
    pub fn new(stamp: Stamp, names: &Names, more: &[u64], tags: Tags) -> Self {
        Self {
            stamp,
            names: names.as_slice().iter().chain(more).copied().collect(),
            tags,
            seen: AtomicU64::new(0),
            stale_since: AtomicU64::new(u64::MAX),
            outdated: AtomicBool::new(false),
        }
    }

    /// The same names, of what was asked for at `stamp`.
    #[must_use]
    pub fn asked_again(&self, stamp: Stamp) -> Self {
        Self {
            stamp,
            names: self.names.clone(),
            tags: self.tags,
            seen: AtomicU64::new(0),
            stale_since: AtomicU64::new(u64::MAX),
            outdated: AtomicBool::new(false),
        }
    }

    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub fn names(&self) -> &[u64] {
        &self.names
    }

    pub fn tags(&self) -> Tags {
        self.tags
    }

    /// Since when it is stale by a purge, as far as it was looked up.
    pub fn stale_since(&self) -> Option<Mono> {
        match self.stale_since.load(Ordering::Relaxed) {
            u64::MAX => None,
            at => Some(Mono::from_nanos(at)),
        }
    }

    /// Whether it is to be validated before it is given again, as far as it was looked up.
    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Relaxed)
    }

    fn found(&self) -> Verdict {
        match self.stale_since() {
            Some(since) if self.is_outdated() => Verdict::Outdated(since),
            Some(since) => Verdict::Stale(since),
            None => Verdict::Standing,
        }
    }

    /// Bytes beyond its own size.
    pub fn weight(&self) -> usize {
        size_of_val(&*self.names)
    }

    /// The verdict, if it was looked up for the purges up to `last` already.
    pub(super) fn recall(&self, last: u64) -> Option<Verdict> {
        (self.seen.load(Ordering::Acquire) >= last).then(|| self.found())
    }

    /// Keeps the verdict of the purges up to `last`.
    pub(super) fn remember(&self, last: u64, verdict: Verdict) -> Verdict {
        match verdict {
            // It is looked up again, should someone hold it still.
            Verdict::Gone => return Verdict::Gone,
            Verdict::Stale(since) | Verdict::Outdated(since) => {
                self.stale_since.fetch_min(since.as_nanos(), Ordering::Relaxed);
                self.outdated.fetch_or(matches!(verdict, Verdict::Outdated(_)), Ordering::Relaxed);
            }
            Verdict::Standing => {}
        }
        self.seen.fetch_max(last, Ordering::Release);
        self.found()
    }
}

impl Default for Mark {
    /// Older than all, and meant by every purge.
    fn default() -> Self {
        Self::new(Stamp::ZERO, &Names::default(), &[], Tags::Anything)
    }
}
