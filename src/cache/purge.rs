//! What is purged: by URL, prefix, host or tag, or everything; softly (stale from now on) or hard.
//!
//! Nothing is looked for when a purge comes: it writes down its target and its [`Stamp`], and an
//! entry that was asked of the origin before that is not what it was, whenever it is next looked at
//! ([`Purges::verdict`]). So a purge costs the same for one entry as for a million, holds for what a
//! fill under way is still to bring, and for what is stored elsewhere (the snapshot).
//!
//! An entry newer than the newest purge is told by one comparison; an older one looks its few names
//! up once a purge ([`Mark`]), without a lock. Names are kept as hashes of 64 bits: two that collide
//! are purged together, and a purge never takes less than it names. Ports make no difference, nor
//! do the spellings of a path.

use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::clock::{Mono, Now};

mod asked;
mod mark;
mod name;
mod record;
mod table;
mod target;

use asked::Asked;
pub use mark::{Mark, Tags};
pub use name::{DEPTH_MAX, Names};
pub use record::{BadRecord, Record};
pub use table::TARGETS_MAX;
pub use target::{BadTarget, Purge, Target};

use table::{Epochs, Table};

/// A moment by which purges and what they concern are put in order: nanoseconds since 1970 UTC on a
/// clock that never goes back while the process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// Before all.
    pub const ZERO: Self = Self(0);

    /// Of a file's date, or a number that was written down.
    pub const fn from_unix_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// Whole milliseconds since 1970 UTC.
    pub const fn unix_ms(self) -> u64 {
        self.0 / 1_000_000
    }

    /// From [`Stamp::as_nanos`].
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970 UTC.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

/// What the purges make of something held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No purge concerns it.
    Standing,
    /// Stale since then: of use where stale copies are.
    Stale(Mono),
    /// Stale since then, by a write: to be validated before it is given again, but where the origin fails.
    Outdated(Mono),
    /// Of no more use.
    Gone,
}

/// Something that is stored outside the cache.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// None: it stands for its path on every host.
    pub host: Option<&'a str>,
    /// Path and query as they were sent.
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// The names of its tags.
    pub names: &'a [u64],
    pub tags: Tags,
    /// Since when it says what it says.
    pub stamp: Stamp,
}

/// What came of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// What was asked of the origin up to here is purged.
    pub at: Stamp,
    /// The table was full: the oldest of the purges before this one were joined into one of all that
    /// was as old.
    pub widened: bool,
}

/// All purges that may still concern something.
pub struct Purges {
    /// When the monotonic clock began, in nanoseconds since 1970.
    began: u64,
    /// The newest purge that is in the table.
    last: AtomicU64,
    table: ArcSwap<Table>,
    /// Targets so far.
    count: AtomicU64,
    asked: Asked,
    /// Held while the table is written.
    writing: Mutex<()>,
}

impl Purges {
    /// None yet. `now` ties the process's clock to the calendar.
    pub fn new(now: Now) -> Self {
        let began = now.unix_ms.saturating_mul(1_000_000).saturating_sub(now.mono.as_nanos());
        Self {
            began,
            last: AtomicU64::new(0),
            table: ArcSwap::from_pointee(Table::new()),
            count: AtomicU64::new(0),
            asked: Asked::default(),
            writing: Mutex::new(()),
        }
    }

    /// The stamp of a request that is about to go to the origin: later than every purge so far.
    pub fn stamp(&self, now: Mono) -> Stamp {
        let last = self.last.load(Ordering::Acquire);
        Stamp(self.calendar(now).max(last.saturating_add(1)))
    }

    /// The origin is about to be asked for what bears these names: the stamp of that.
    pub fn ask(&self, names: &Names, now: Mono) -> Stamp {
        if let Some(url) = names.url() {
            self.asked.note(url);
        }
        self.stamp(now)
    }

    /// Whether something may be held, or on its way, that this means; of a URL that was written to (RFC 9111 §4.4).
    pub fn may_concern(&self, target: &Target) -> bool {
        target.written_to().is_none_or(|url| self.asked.has(url))
    }

    /// The point on the process's clock; its beginning for what was before.
    pub fn mono(&self, stamp: Stamp) -> Mono {
        Mono::from_nanos(stamp.0.saturating_sub(self.began))
    }

    /// Purges. By the time this returns, it holds for everyone.
    pub fn purge(&self, purge: &Purge, now: Now) -> Purged {
        self.purge_all(std::slice::from_ref(&purge.target), purge.soft, now)
    }

    /// Purges several targets at one moment.
    pub fn purge_all<'t>(&self, targets: impl IntoIterator<Item = &'t Target>, soft: bool, now: Now) -> Purged {
        let writing = self.writing.lock();
        let at = self.calendar(now.mono).max(self.last.load(Ordering::Relaxed).saturating_add(1));
        let mut widened = false;
        for target in targets {
            widened |= self.write(target, at, soft);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        // Whoever reads this sees what was written before it.
        self.last.store(at, Ordering::Release);
        drop(writing);
        Purged { at: Stamp(at), widened }
    }

    fn write(&self, target: &Target, at: u64, soft: bool) -> bool {
        let Some(name) = target.name() else {
            let table = self.table.load();
            table.everything.raise(at, soft);
            table.newest.raise(at, soft);
            return false;
        };
        // What stands for a path on every host is gone with that of one; but nothing of it is by a soft one.
        let anywhere = target.anywhere().filter(|_| !soft);
        anywhere.is_some_and(|name| self.write_name(name, at, soft)) | self.write_name(name, at, soft)
    }

    fn write_name(&self, name: u64, at: u64, soft: bool) -> bool {
        let mut table = self.table.load_full();
        let full = !table.write(name, at, soft);
        let mut widened = false;
        if full {
            let (next, joined) = table.next();
            widened = joined;
            let wrote = next.write(name, at, soft);
            debug_assert!(wrote, "a new table has room");
            self.table.store(std::sync::Arc::new(next));
            table = self.table.load_full();
        }
        if name::is_tag(name) {
            table.tags.raise(at, soft);
        }
        table.newest.raise(at, soft);
        widened
    }

    /// What has become of what bears this mark.
    pub fn verdict(&self, mark: &Mark) -> Verdict {
        let last = self.last.load(Ordering::Acquire);
        if mark.stamp().0 > last {
            return Verdict::Standing;
        }
        mark.recall(last).unwrap_or_else(|| mark.remember(last, self.look_up(mark.stamp(), mark.names(), mark.tags())))
    }

    /// The same for something that remembers nothing: a request under way.
    pub fn look_up(&self, stamp: Stamp, names: &[u64], tags: Tags) -> Verdict {
        if stamp.0 > self.last.load(Ordering::Acquire) {
            return Verdict::Standing;
        }
        let table = self.table.load();
        let mut found = Found::default();
        found.add(&table.everything);
        found.add_tags(&table, tags);
        for name in names {
            table.find(*name).into_iter().for_each(|row| found.add(row));
            if !name::is_tag(*name) {
                table.find(name::written(*name)).into_iter().for_each(|row| found.written(row));
            }
        }
        match found.verdict(stamp) {
            Some(Kind::Hard) => Verdict::Gone,
            Some(Kind::Written) => Verdict::Outdated(self.mono(Stamp(found.written))),
            Some(Kind::Soft) => Verdict::Stale(self.mono(Stamp(found.soft))),
            None => Verdict::Standing,
        }
    }

    /// Whether it is gone. What is purged softly may still stand in for an origin that fails.
    pub fn is_hidden(&self, stored: &Stored<'_>) -> bool {
        if stored.stamp.0 > self.last.load(Ordering::Acquire) {
            return false;
        }
        let table = self.table.load();
        let mut found = Found::default();
        found.add(&table.everything);
        found.add_tags(&table, stored.tags);
        let mut look_up = |name| table.find(name).into_iter().for_each(|row| found.add(row));
        stored.names.iter().copied().for_each(&mut look_up);
        name::each(stored.host.unwrap_or(name::ANY_HOST), stored.path, name::pairs(stored.query), look_up);
        found.verdict(stored.stamp) == Some(Kind::Hard)
    }

    /// The newest purge.
    pub fn newest(&self) -> Stamp {
        Stamp(self.last.load(Ordering::Acquire))
    }

    /// Targets that the process has purged.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// What must outlive the process.
    pub fn record(&self) -> Record {
        let _writing = self.writing.lock();
        self.table.load().record()
    }

    /// Takes up what a process before this one wrote down. No purge of it can be later than now,
    /// whatever the calendar said then.
    pub fn restore(&self, record: &Record, now: Now) {
        let _writing = self.writing.lock();
        let at = self.calendar(now.mono).max(self.last.load(Ordering::Relaxed).saturating_add(1));
        let mut table = Table::restored(record, at);
        table.absorb(&self.table.load());
        self.table.store(std::sync::Arc::new(table));
        self.last.store(at, Ordering::Release);
    }

    fn calendar(&self, now: Mono) -> u64 {
        self.began.saturating_add(now.as_nanos())
    }
}

/// The name of a tag, for a [`Mark`].
pub fn tag_name(tag: &[u8]) -> u64 {
    name::tag(tag)
}

/// The name of a host's cache group, for a [`Mark`].
pub fn group_name(host: &str, group: &[u8]) -> u64 {
    name::group(host, group)
}

/// The newest purges that concern something.
#[derive(Default)]
struct Found {
    hard: u64,
    soft: u64,
    written: u64,
}

impl Found {
    fn add(&mut self, epochs: &Epochs) {
        self.hard = self.hard.max(epochs.hard());
        self.soft = self.soft.max(epochs.soft());
    }

    fn add_tags(&mut self, table: &Table, tags: Tags) {
        match tags {
            Tags::None => {}
            Tags::Named => self.add(&table.tags_joined),
            Tags::Unknown => self.add(&table.tags),
            Tags::Anything => self.add(&table.newest),
        }
    }

    fn written(&mut self, epochs: &Epochs) {
        self.written = self.written.max(epochs.soft());
    }

    fn verdict(&self, stamp: Stamp) -> Option<Kind> {
        if self.hard > 0 && self.hard >= stamp.0 {
            Some(Kind::Hard)
        } else if self.written > 0 && self.written >= stamp.0 {
            Some(Kind::Written)
        } else if self.soft > 0 && self.soft >= stamp.0 {
            Some(Kind::Soft)
        } else {
            None
        }
    }
}

/// Which purge weighs most.
#[derive(PartialEq, Eq)]
enum Kind {
    Hard,
    Written,
    Soft,
}

impl std::fmt::Debug for Purges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Purges").field("last", &self.last).field("targets", &self.table.load().len()).finish()
    }
}

#[cfg(test)]
mod tests;
