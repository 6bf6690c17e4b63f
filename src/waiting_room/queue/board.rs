//! The part of a line that polls read and mark, without a lock and without allocating.
//!
//! One owner ([`super::Queue`]) issues and serves; any number of pollers mark their bit and count
//! who is ahead. A count that is read while the owner recounts may be off by what was marked at
//! that very moment, until the next recount, a second later; who is served is decided by the bits,
//! never by a count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;

use super::Standing;
use super::chunk::{BLOCK, CHUNK, Chunk, Due, WORDS_PER_BLOCK, Word, mask_beyond};
use crate::clock::Mono;
use crate::waiting_room::lottery::Draw;

/// The chunks that there are.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The first chunk's first place, a multiple of [`CHUNK`].
    pub base: u64,
    pub chunks: Vec<Arc<Chunk>>,
}

/// Where one ticket's bits are.
struct Spot<'t> {
    chunk: &'t Chunk,
    word: &'t Word,
    bit: u64,
}

/// One line, as polls see it.
///
/// A *number* is what a ticket bears; a *place* is where it stands in the order of service. They are
/// the same where nothing was drawn by lot.
#[derive(Debug, Default)]
pub struct Board {
    pub(super) table: ArcSwap<Table>,
    pub(super) draws: ArcSwap<Vec<Draw>>,
    /// Which of a word's two windows is the present one.
    pub(super) parity: AtomicBool,
    /// The last place whose turn has come.
    pub(super) frontier: AtomicU64,
    /// The next number to be issued; number 0 is never.
    pub(super) next: AtomicU64,
    /// Live tickets beyond the frontier.
    pub(super) waiting: AtomicU64,
    /// Live tickets at or behind it.
    pub(super) returning: AtomicU64,
    /// Waiting tickets that were served since the prefixes were counted.
    pub(super) served: AtomicU64,
}

/// What a mark found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub standing: Standing,
    /// It had not been seen in this liveness window before.
    pub first_in_window: bool,
}

impl Board {
    /// The last place whose turn has come.
    pub fn frontier(&self) -> u64 {
        self.frontier.load(Relaxed)
    }

    /// The number that will be issued next.
    pub fn next(&self) -> u64 {
        self.next.load(Relaxed)
    }

    /// Live tickets whose turn has not come.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// Live tickets whose turn went by.
    pub fn returning(&self) -> u64 {
        self.returning.load(Relaxed)
    }

    /// The draws that decide places, oldest first.
    pub fn draws(&self) -> Arc<Vec<Draw>> {
        self.draws.load_full()
    }

    /// Where a number stands in the order of service.
    pub fn place_of(&self, number: u64) -> u64 {
        let draws = self.draws.load();
        draw_of(&draws, number).map_or(number, |draw| draw.place(number))
    }

    /// Which number stands there.
    pub fn number_at(&self, place: u64) -> u64 {
        let draws = self.draws.load();
        draw_of(&draws, place).map_or(place, |draw| draw.number_at(place))
    }

    /// Marks a place as seen.
    pub fn see(&self, place: u64) -> Seen {
        let table = self.table.load();
        let Some(spot) = self.spot(&table, place) else {
            return Seen { standing: Standing::Unknown, first_in_window: false };
        };
        let standing = self.standing_of(&spot, place);
        if standing == Standing::Done {
            return Seen { standing, first_in_window: false };
        }
        let was_live = spot.word.live() & spot.bit != 0;
        let before = spot.word.window(self.parity.load(Relaxed)).fetch_or(spot.bit, Relaxed);
        if !was_live && before & spot.bit == 0 {
            spot.chunk.live.fetch_add(1, Relaxed);
            let count = if standing == Standing::Waiting { &self.waiting } else { &self.returning };
            count.fetch_add(1, Relaxed);
        }
        Seen { standing, first_in_window: before & spot.bit == 0 }
    }

    /// What a place means, without marking it.
    pub fn standing(&self, place: u64) -> Standing {
        let table = self.table.load();
        self.spot(&table, place).map_or(Standing::Unknown, |spot| self.standing_of(&spot, place))
    }

    /// Whether it was heard of in this window or the one before, and has no slot.
    pub fn is_live(&self, place: u64) -> bool {
        let table = self.table.load();
        self.spot(&table, place).is_some_and(|spot| spot.word.live() & spot.bit != 0)
    }

    /// This place is to be heard of by then.
    pub fn set_due(&self, place: u64, by: Mono) {
        let table = self.table.load();
        if let Some(spot) = self.spot(&table, place) {
            spot.word.set_due(spot.bit, Due::at(by));
        }
    }

    /// When this place is to be heard of.
    pub fn due(&self, place: u64) -> Option<Due> {
        let table = self.table.load();
        self.spot(&table, place).map(|spot| spot.word.due(spot.bit))
    }

    /// How many live tickets have their turn before this place: among those waiting, or among those
    /// who returned.
    pub fn ahead_of(&self, place: u64) -> u64 {
        let table = self.table.load();
        let frontier = self.frontier();
        if place <= frontier {
            return table.returning_before(place);
        }
        let block_first = place - place % BLOCK;
        let (from, before) = if frontier + 1 >= block_first {
            (frontier + 1, 0)
        } else {
            let prefix = table.prefix(place).map_or(0, |prefix| prefix.load(Relaxed));
            (block_first, prefix.saturating_sub(self.served.load(Relaxed)))
        };
        before + table.count(from, place)
    }

    /// How many wait whose place is before this one.
    pub fn waiting_before(&self, place: u64) -> u64 {
        self.table.load().count(self.frontier() + 1, place)
    }

    pub(super) fn standing_at(&self, word: &Word, bit: u64, place: u64) -> Standing {
        if word.done.load(Relaxed) & bit != 0 {
            Standing::Done
        } else if place > self.frontier() {
            Standing::Waiting
        } else {
            Standing::Returning
        }
    }

    fn standing_of(&self, spot: &Spot<'_>, place: u64) -> Standing {
        self.standing_at(spot.word, spot.bit, place)
    }

    fn spot<'t>(&self, table: &'t Table, place: u64) -> Option<Spot<'t>> {
        if place == 0 || place >= self.next() {
            return None;
        }
        let (chunk, word, bit) = table.at(place)?;
        Some(Spot { chunk, word, bit })
    }
}

/// The draw that a number, or a place, is of: a draw gives its own numbers' places.
fn draw_of(draws: &[Draw], number: u64) -> Option<&Draw> {
    let after = draws.partition_point(|draw| draw.first <= number);
    let draw = after.checked_sub(1).and_then(|at| draws.get(at))?;
    draw.holds(number).then_some(draw)
}

impl Table {
    /// The chunk, word and bit of a place.
    pub fn at(&self, place: u64) -> Option<(&Chunk, &Word, u64)> {
        let (chunk, within) = self.locate(place)?;
        let chunk = self.chunks.get(chunk)?;
        Some((chunk, chunk.words.get(within / 64)?, 1 << (within % 64)))
    }

    /// The count before the block of a place.
    pub fn prefix(&self, place: u64) -> Option<&AtomicU64> {
        let (chunk, within) = self.locate(place)?;
        self.chunks.get(chunk)?.prefix.get(within / BLOCK as usize)
    }

    /// The words that hold the places `from..to`, each with the bits that are of them.
    pub fn words(&self, from: u64, to: u64) -> impl Iterator<Item = (&Word, u64)> {
        let mut at = from.max(1).max(self.base);
        std::iter::from_fn(move || {
            if at >= to {
                return None;
            }
            let first = at - at % 64;
            let (low, high) = (at - first, (to - first).min(64));
            let mask = (u64::MAX >> (64 - (high - low))) << low;
            let (_, word, _) = self.at(at)?;
            at = first + 64;
            Some((word, mask))
        })
    }

    /// Live tickets in `from..to`.
    pub fn count(&self, from: u64, to: u64) -> u64 {
        self.words(from, to).map(|(word, mask)| u64::from((word.live() & mask).count_ones())).sum()
    }

    fn returning_before(&self, place: u64) -> u64 {
        let Some(offset) = place.checked_sub(self.base) else { return 0 };
        let index = usize::try_from(offset / CHUNK).unwrap_or(usize::MAX);
        let before: u64 = self.chunks.iter().take(index).map(|c| u64::from(c.live.load(Relaxed))).sum();
        // Up to 1024 words, but returners are few, and there is no prefix on their side.
        before + self.count(place - place % CHUNK, place)
    }

    /// The first live place at or after `from`.
    pub fn first_live(&self, from: u64) -> Option<u64> {
        let offset = from.checked_sub(self.base)?;
        let start = usize::try_from(offset / CHUNK).ok()?;
        let mut skip = usize::try_from(offset % CHUNK / 64).ok()?;
        let mut mask = u64::MAX << (offset % 64);
        for (index, chunk) in self.chunks.iter().enumerate().skip(start) {
            if chunk.live.load(Relaxed) > 0 {
                for (w, word) in chunk.words.iter().enumerate().skip(skip) {
                    let live = word.live() & std::mem::replace(&mut mask, u64::MAX);
                    if live != 0 {
                        let bit = u64::from(live.trailing_zeros());
                        return Some(self.base + index as u64 * CHUNK + w as u64 * 64 + bit);
                    }
                }
            }
            (skip, mask) = (0, u64::MAX);
        }
        None
    }

    /// Counts the prefixes of what lies beyond the frontier; how many wait, and how many returned.
    pub fn recount(&self, frontier: u64) -> (u64, u64) {
        let (mut waiting, mut returning) = (0u64, 0u64);
        let mut first = self.base;
        for chunk in &self.chunks {
            let mut live = 0;
            let blocks = chunk.words.chunks(WORDS_PER_BLOCK).zip(&chunk.prefix);
            for (words, prefix) in blocks {
                prefix.store(waiting, Relaxed);
                for word in words {
                    let bits = word.live();
                    let beyond = bits & mask_beyond(frontier, first);
                    waiting += u64::from(beyond.count_ones());
                    returning += u64::from((bits & !beyond).count_ones());
                    live += bits.count_ones();
                    first += 64;
                }
            }
            chunk.live.store(live, Relaxed);
        }
        (waiting, returning)
    }

    fn locate(&self, place: u64) -> Option<(usize, usize)> {
        let offset = place.checked_sub(self.base)?;
        Some((usize::try_from(offset / CHUNK).ok()?, usize::try_from(offset % CHUNK).ok()?))
    }
}
