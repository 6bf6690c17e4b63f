//! Those who wait: dense numbers, three bits for each.
//!
//! A ticket is *live* if it was seen in this liveness window or the one before and is not *done*
//! (it has, or had, a slot). Live tickets beyond the frontier are *waiting*; live ones at or behind
//! it are *returning*: they were away when their turn came. A poll sets one bit and counts at most
//! eight words; nothing is allocated but a chunk for each 65,536 tickets issued.

use std::collections::VecDeque;

mod chunk;

pub use chunk::CHUNK;
use chunk::{BLOCK, Chunk, WORDS_PER_BLOCK, Word, mask_beyond};

/// Chunks kept behind the frontier at most: 67 million tickets, 25 MB. Beyond it the oldest places
/// are given up before `place_hold`.
const PASSED_CHUNKS_MAX: usize = 1024;

/// Chunks behind the frontier whose tickets are still good after a restart: a million.
const REMEMBERED_CHUNKS: u64 = 16;

/// What a ticket's number means to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not its turn yet.
    Waiting,
    /// Its turn went by while it was away.
    Returning,
    /// It has, or had, its slot.
    Done,
    /// Never issued, or its place was held long enough.
    Unknown,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    chunks: VecDeque<Box<Chunk>>,
    /// Number of the first chunk's first ticket, a multiple of [`CHUNK`].
    base: u64,
    /// Everything up to here has had its turn.
    frontier: u64,
    /// The next number to be issued; number 0 is never.
    next: u64,
    /// Live tickets beyond the frontier.
    waiting: u64,
    /// Live tickets at or behind it.
    returning: u64,
    /// Waiting tickets that were served since the prefixes were counted.
    served: u64,
}

impl Queue {
    /// A queue whose last served number is `frontier` and whose next one is `next`.
    pub fn new(frontier: u64, next: u64) -> Self {
        let next = next.max(1);
        let frontier = frontier.min(next - 1);
        let mut queue = Self {
            chunks: VecDeque::new(),
            base: (frontier - frontier % CHUNK).saturating_sub(REMEMBERED_CHUNKS * CHUNK),
            frontier,
            next,
            waiting: 0,
            returning: 0,
            served: 0,
        };
        queue.cover(next - 1);
        queue
    }

    /// The last number whose turn has come.
    pub const fn frontier(&self) -> u64 {
        self.frontier
    }

    /// The number that will be issued next.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Live tickets whose turn has not come.
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Live tickets whose turn went by.
    pub const fn returning(&self) -> u64 {
        self.returning
    }

    /// Draws the next number, live from now on.
    pub fn issue(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.cover(number);
        // A block that begins now was not there when the prefixes were counted.
        if number.is_multiple_of(BLOCK) {
            let before = self.waiting + self.served;
            if let Some(prefix) = self.block_mut(number).and_then(|(chunk, block)| chunk.prefix.get_mut(block)) {
                *prefix = before;
            }
        }
        self.see(number);
        number
    }

    /// Marks a ticket as seen.
    pub fn see(&mut self, number: u64) -> Standing {
        let standing = self.standing(number);
        if !matches!(standing, Standing::Waiting | Standing::Returning) {
            return standing;
        }
        let Some((chunk, word, bit)) = self.word_mut(number) else { return Standing::Unknown };
        let Some(word) = chunk.words.get_mut(word) else { return Standing::Unknown };
        let was_live = word.live() & bit != 0;
        word.seen_now |= bit;
        if !was_live {
            chunk.live += 1;
            match standing {
                Standing::Waiting => self.waiting += 1,
                _ => self.returning += 1,
            }
        }
        standing
    }

    /// What a number means, without marking it.
    pub fn standing(&self, number: u64) -> Standing {
        let Some((word, bit)) = self.word(number) else { return Standing::Unknown };
        if word.done & bit != 0 {
            Standing::Done
        } else if number > self.frontier {
            Standing::Waiting
        } else {
            Standing::Returning
        }
    }

    /// Whether it is live.
    #[cfg(test)]
    pub fn is_live(&self, number: u64) -> bool {
        self.word(number).is_some_and(|(word, bit)| word.live() & bit != 0)
    }

    /// Whether it was seen in this liveness window.
    pub fn seen_now(&self, number: u64) -> bool {
        self.word(number).is_some_and(|(word, bit)| word.seen_now & bit != 0)
    }

    /// How many live tickets have their turn before this one: among those waiting, or among those
    /// who returned.
    pub fn ahead_of(&self, number: u64) -> u64 {
        if number > self.frontier { self.waiting_before(number) } else { self.returning_before(number) }
    }

    /// Serves the first waiting ticket with a number up to `limit`: the frontier moves to it.
    pub fn serve_next(&mut self, limit: u64) -> Option<u64> {
        let number = self.first_waiting().filter(|n| *n <= limit)?;
        self.finish(number);
        self.frontier = number;
        self.served += 1;
        Some(number)
    }

    /// The waiting ticket that is next.
    pub fn first_waiting(&self) -> Option<u64> {
        if self.waiting == 0 { None } else { self.first_live(self.frontier + 1) }
    }

    /// Serves the lowest number of those who returned.
    pub fn serve_returning(&mut self) -> Option<u64> {
        if self.returning == 0 {
            return None;
        }
        let number = self.first_live(self.base).filter(|n| *n <= self.frontier)?;
        self.finish(number);
        Some(number)
    }

    /// This ticket has its slot: for slots found on disk.
    pub fn finish(&mut self, number: u64) {
        let beyond = number > self.frontier;
        let Some((chunk, word, bit)) = self.word_mut(number) else { return };
        let Some(word) = chunk.words.get_mut(word) else { return };
        let was_live = word.live() & bit != 0;
        word.done |= bit;
        if was_live {
            chunk.live -= 1;
            if beyond { self.waiting -= 1 } else { self.returning -= 1 }
        }
    }

    /// A slot that was not claimed: its ticket is good again, and absent until it is seen.
    pub fn reopen(&mut self, number: u64) {
        if self.standing(number) != Standing::Done {
            return;
        }
        let Some((chunk, word, bit)) = self.word_mut(number) else { return };
        let Some(word) = chunk.words.get_mut(word) else { return };
        word.done &= !bit;
        word.seen_now &= !bit;
        word.seen_prev &= !bit;
    }

    /// Takes all from beyond the frontier to before `end` as seen in the window before this one:
    /// after a restart nobody loses a place for not having been asked yet.
    pub fn presume(&mut self, end: u64) {
        for number in self.frontier + 1..end.min(self.next) {
            if let Some((chunk, word, bit)) = self.word_mut(number)
                && let Some(word) = chunk.words.get_mut(word)
            {
                word.seen_prev |= bit;
            }
        }
        self.recount();
    }

    /// Begins a new liveness window: who was not seen in the last one is absent.
    pub fn rotate(&mut self) {
        for word in self.chunks.iter_mut().flat_map(|c| c.words.iter_mut()) {
            word.seen_prev = std::mem::take(&mut word.seen_now);
        }
        self.recount();
    }

    /// Counts the prefixes anew; each second or so.
    pub fn recount(&mut self) {
        let (mut waiting, mut returning) = (0u64, 0u64);
        let mut first = self.base;
        for chunk in &mut self.chunks {
            let mut live = 0;
            let blocks = chunk.words.chunks(WORDS_PER_BLOCK).zip(chunk.prefix.iter_mut());
            for (words, prefix) in blocks {
                *prefix = waiting;
                for word in words {
                    let beyond = word.live() & mask_beyond(self.frontier, first);
                    waiting += u64::from(beyond.count_ones());
                    returning += u64::from((word.live() & !beyond).count_ones());
                    live += word.live().count_ones();
                    first += 64;
                }
            }
            chunk.live = live;
        }
        (self.waiting, self.returning, self.served) = (waiting, returning, 0);
    }

    /// Frees the chunks that the frontier left behind more than `hold_ms` ago.
    pub fn forget(&mut self, now_ms: u64, hold_ms: u64) {
        let passed = usize::try_from((self.frontier + 1 - self.base) / CHUNK).unwrap_or(usize::MAX);
        for chunk in self.chunks.iter_mut().take(passed) {
            chunk.passed_at.get_or_insert(now_ms);
        }
        let mut passed = passed.min(self.chunks.len());
        while passed > 0 {
            let expired = |c: &Chunk| c.passed_at.is_some_and(|at| now_ms >= at.saturating_add(hold_ms));
            if passed <= PASSED_CHUNKS_MAX && !self.chunks.front().is_some_and(|c| expired(c)) {
                break;
            }
            if let Some(chunk) = self.chunks.pop_front() {
                // All of it lies behind the frontier, so what was live in it was returning.
                self.returning -= u64::from(chunk.live);
                self.base += CHUNK;
            }
            passed -= 1;
        }
    }

    fn waiting_before(&self, number: u64) -> u64 {
        let block_first = number - number % BLOCK;
        let (from, before) = if self.frontier + 1 >= block_first {
            (self.frontier + 1, 0)
        } else {
            let prefix = self.block(number).map_or(0, |(chunk, block)| chunk.prefix.get(block).copied().unwrap_or(0));
            (block_first, prefix.saturating_sub(self.served))
        };
        before + self.count(from, number)
    }

    fn returning_before(&self, number: u64) -> u64 {
        let Some(offset) = number.checked_sub(self.base) else { return 0 };
        let index = usize::try_from(offset / CHUNK).unwrap_or(usize::MAX);
        let before: u64 = self.chunks.iter().take(index).map(|c| u64::from(c.live)).sum();
        // Up to 1024 words, but returners are few, and there is no prefix on their side.
        before + self.count(number - number % CHUNK, number)
    }

    /// Live tickets in `from..to`, word by word.
    fn count(&self, from: u64, to: u64) -> u64 {
        let mut count = 0;
        let mut at = from.max(1);
        while at < to {
            let first = at - at % 64;
            let (low, high) = (at - first, (to - first).min(64));
            let mask = (u64::MAX >> (64 - (high - low))) << low;
            count += self.word(at).map_or(0, |(word, _)| u64::from((word.live() & mask).count_ones()));
            at = first + 64;
        }
        count
    }

    /// The first live ticket at or after `from`.
    fn first_live(&self, from: u64) -> Option<u64> {
        let offset = from.checked_sub(self.base)?;
        let start = usize::try_from(offset / CHUNK).ok()?;
        let mut skip = usize::try_from(offset % CHUNK / 64).ok()?;
        let mut mask = u64::MAX << (offset % 64);
        for (index, chunk) in self.chunks.iter().enumerate().skip(start) {
            if chunk.live > 0 {
                for (w, word) in chunk.words.iter().enumerate().skip(skip) {
                    let live = word.live() & std::mem::replace(&mut mask, u64::MAX);
                    if live != 0 {
                        return Some(
                            self.base + index as u64 * CHUNK + w as u64 * 64 + u64::from(live.trailing_zeros()),
                        );
                    }
                }
            }
            (skip, mask) = (0, u64::MAX);
        }
        None
    }

    fn cover(&mut self, number: u64) {
        while self.base + self.chunks.len() as u64 * CHUNK <= number {
            self.chunks.push_back(Box::new(Chunk::EMPTY));
        }
    }

    fn locate(&self, number: u64) -> Option<(usize, usize)> {
        let offset = number.checked_sub(self.base).filter(|_| (1..self.next).contains(&number))?;
        Some((usize::try_from(offset / CHUNK).ok()?, usize::try_from(offset % CHUNK).ok()?))
    }

    fn word(&self, number: u64) -> Option<(Word, u64)> {
        let (chunk, within) = self.locate(number)?;
        Some((*self.chunks.get(chunk)?.words.get(within / 64)?, 1 << (within % 64)))
    }

    fn word_mut(&mut self, number: u64) -> Option<(&mut Chunk, usize, u64)> {
        let (chunk, within) = self.locate(number)?;
        Some((self.chunks.get_mut(chunk)?, within / 64, 1 << (within % 64)))
    }

    fn block(&self, number: u64) -> Option<(&Chunk, usize)> {
        let (chunk, within) = self.locate(number)?;
        Some((self.chunks.get(chunk)?, within / BLOCK as usize))
    }

    fn block_mut(&mut self, number: u64) -> Option<(&mut Chunk, usize)> {
        let (chunk, within) = self.locate(number)?;
        Some((self.chunks.get_mut(chunk)?, within / BLOCK as usize))
    }
}

#[cfg(test)]
mod tests;
