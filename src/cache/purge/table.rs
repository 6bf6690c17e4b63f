//! The purges by name: written under the lock of [`super::Purges`], read without one.
//!
//! An open-addressed table that only ever gains rows; one that is full is replaced by a larger copy,
//! up to [`TARGETS_MAX`], then by one in which the oldest purges are joined. That takes more than was
//! named, and only from what is older than half of the purges that are remembered.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Record;
use super::name::is_tag;

/// Targets that are told apart at most: 6 MiB.
pub const TARGETS_MAX: usize = 1 << 17;
/// Targets of a table that has just begun.
const TARGETS_MIN: usize = 1 << 10;

/// The newest purge of each kind; 0 is none.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    hard: AtomicU64,
    soft: AtomicU64,
}

impl Epochs {
    pub(super) fn hard(&self) -> u64 {
        self.hard.load(Ordering::Relaxed)
    }

    pub(super) fn soft(&self) -> u64 {
        self.soft.load(Ordering::Relaxed)
    }

    pub(super) fn raise(&self, at: u64, soft: bool) {
        let which = if soft { &self.soft } else { &self.hard };
        which.fetch_max(at, Ordering::Relaxed);
    }

    fn take_over(&self, other: &Self) {
        self.raise(other.hard(), false);
        self.raise(other.soft(), true);
    }

    fn newest(&self) -> u64 {
        self.hard().max(self.soft())
    }
}

#[derive(Debug, Default)]
struct Row {
    /// 0: the row is free.
    name: AtomicU64,
    epochs: Epochs,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) everything: Epochs,
    /// The newest purge of any tag: for what has more tags than are known.
    pub(super) tags: Epochs,
    /// Purges of tags that are no longer told apart: for whatever has one.
    pub(super) tags_joined: Epochs,
    /// The newest purge of all.
    pub(super) newest: Epochs,
    /// Twice as many as there may be targets, and a power of two: a free one is never far.
    rows: Box<[Row]>,
    len: AtomicU64,
}

impl Table {
    pub(super) fn new() -> Self {
        Self::with_room_for(TARGETS_MIN)
    }

    fn with_room_for(targets: usize) -> Self {
        Self {
            everything: Epochs::default(),
            tags: Epochs::default(),
            tags_joined: Epochs::default(),
            newest: Epochs::default(),
            rows: std::iter::repeat_with(Row::default).take(targets * 2).collect(),
            len: AtomicU64::new(0),
        }
    }

    /// Targets in it.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.len.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    fn capacity(&self) -> usize {
        self.rows.len() / 2
    }

    /// The rows from where a name is to be looked for.
    fn from(&self, name: u64) -> impl Iterator<Item = &Row> {
        let start = usize::try_from(name >> 1).unwrap_or_default() & (self.rows.len() - 1);
        let (before, after) = self.rows.split_at_checked(start).unwrap_or((&[], &self.rows));
        after.iter().chain(before)
    }

    pub(super) fn find(&self, name: u64) -> Option<&Epochs> {
        for row in self.from(name) {
            match row.name.load(Ordering::Acquire) {
                0 => return None,
                found if found == name => return Some(&row.epochs),
                _ => {}
            }
        }
        None
    }

    /// Writes a purge down; false: there is no room for a new name.
    pub(super) fn write(&self, name: u64, at: u64, soft: bool) -> bool {
        self.row(name).inspect(|epochs| epochs.raise(at, soft)).is_some()
    }

    /// The row of a name, a new one if need be.
    fn row(&self, name: u64) -> Option<&Epochs> {
        for row in self.from(name) {
            match row.name.load(Ordering::Relaxed) {
                0 if self.len() >= self.capacity() => return None,
                0 => {
                    self.len.fetch_add(1, Ordering::Relaxed);
                    row.name.store(name, Ordering::Release);
                    return Some(&row.epochs);
                }
                found if found == name => return Some(&row.epochs),
                _ => {}
            }
        }
        None
    }

    fn names(&self) -> impl Iterator<Item = (u64, &Epochs)> {
        let named = |row: &'_ Row| row.name.load(Ordering::Relaxed);
        self.rows.iter().filter(move |row| named(row) != 0).map(move |row| (named(row), &row.epochs))
    }

    /// The table that takes over when this one is full, and whether purges were joined for it.
    pub(super) fn next(&self) -> (Self, bool) {
        let room = self.capacity() * 2;
        let next = Self::with_room_for(room.min(TARGETS_MAX));
        let joins = room > TARGETS_MAX;
        // What visitors' writes make stale must not join what operators purged: soft ones go first,
        // unless there are few.
        let soft_only = self.names().filter(|(_, epochs)| epochs.hard() == 0).count();
        let (only_soft, candidates) = if soft_only >= self.len() / 4 { (true, soft_only) } else { (false, self.len()) };
        let mut ages: Vec<_> =
            self.names().filter(|(_, e)| !only_soft || e.hard() == 0).map(|(_, e)| e.newest()).collect();
        let half = candidates / 2;
        let up_to = match ages.is_empty() || !joins {
            true => 0,
            false => *ages.select_nth_unstable(half).1,
        };
        next.take_over_up_to(self, |epochs| (!only_soft || epochs.hard() == 0) && epochs.newest() <= up_to);
        (next, joins)
    }

    /// Takes over all of another, joining those rows.
    fn take_over_up_to(&self, other: &Self, joins: impl Fn(&Epochs) -> bool) {
        self.everything.take_over(&other.everything);
        self.tags.take_over(&other.tags);
        self.tags_joined.take_over(&other.tags_joined);
        self.newest.take_over(&other.newest);
        for (name, epochs) in other.names() {
            let kept = if joins(epochs) { None } else { self.row(name) };
            // Of places no less than everything will do: whose they are is not known.
            // Writes too: to have all that is held validated would bring down the origin that it protects.
            let joined = if is_tag(name) { &self.tags_joined } else { &self.everything };
            kept.unwrap_or(joined).take_over(epochs);
        }
    }

    /// Adds what another knows.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.take_over_up_to(other, |_| false);
    }

    /// What must outlive the process. What was purged softly is gone with its memory anyway.
    pub(super) fn record(&self) -> Record {
        let hard = self.names().map(|(name, epochs)| (name, epochs.hard())).filter(|(_, at)| *at != 0);
        Record {
            everything: self.everything.hard(),
            tags: self.tags.hard(),
            tags_joined: self.tags_joined.hard(),
            newest: self.newest.hard(),
            names: hard.collect(),
        }
    }

    /// A table as it was written down, with nothing later than `at`.
    pub(super) fn restored(record: &Record, at: u64) -> Self {
        let table = Self::with_room_for(record.names.len().next_power_of_two().clamp(TARGETS_MIN, TARGETS_MAX));
        let whole = [
            (&table.everything, record.everything),
            (&table.tags, record.tags),
            (&table.tags_joined, record.tags_joined),
            (&table.newest, record.newest),
        ];
        for (epochs, was) in whole {
            epochs.raise(was.min(at), false);
        }
        for (name, was) in &record.names {
            let joined = if is_tag(*name) { &table.tags_joined } else { &table.everything };
            table.row(*name).unwrap_or(joined).raise((*was).min(at), false);
        }
        table
    }
}
