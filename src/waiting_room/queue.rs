//! Those who wait in one line: dense numbers, six bits for each.
//!
//! A ticket is *live* if it was seen in this liveness window or the one before and is not *done*
//! (it has, or had, a slot). Live tickets beyond the frontier are *waiting*; live ones at or behind
//! it are *returning*: they were away when their turn came. Who was told when to ask again, and has not, is
//! *over*: nobody waits for them. A poll sets one bit and counts at most
//! eight words ([`Board`], without a lock); nothing is allocated but a chunk for each 65,536
//! tickets issued.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::clock::Mono;

mod board;
mod chunk;
mod drawing;

pub use board::Board;
use board::Table;
pub use chunk::CHUNK;
use chunk::{BLOCK, Chunk, Due};
pub use drawing::Drawing;

/// Chunks kept behind the frontier at most: 67 million tickets, 26 MB. Beyond it the oldest places
/// are given up before `place_hold`.
const PASSED_CHUNKS_MAX: usize = 1024;
/// Chunks behind the frontier whose tickets are still good after a restart: a million.
const REMEMBERED_CHUNKS: u64 = 16;

/// Returning places that are looked at for one that is there.
const RETURNING_LOOKED_AT: usize = 64;

/// What a ticket's place means to the queue.
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

/// The queue: its one owner's side.
#[derive(Debug)]
pub struct Queue {
    board: Arc<Board>,
}

impl Queue {
    /// A queue whose last served place is `frontier` and whose next number is `next`; what is not
    /// beyond `void` was turned out.
    pub fn new(frontier: u64, next: u64, void: u64) -> Self {
        let next = next.max(1);
        let frontier = frontier.min(next - 1);
        let base = (frontier - frontier % CHUNK).saturating_sub(REMEMBERED_CHUNKS * CHUNK);
        let board = Board::default();
        board.table.store(Arc::new(Table { base, chunks: Vec::new() }));
        board.frontier.store(frontier, Relaxed);
        board.next.store(next, Relaxed);
        let mut queue = Self { board: Arc::new(board) };
        queue.cover(next - 1);
        queue.finish_all(void);
        queue
    }

    /// What polls share.
    pub const fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Draws the next number, live from now on.
    pub fn issue(&mut self) -> u64 {
        let number = self.board.next();
        self.cover(number);
        // A block that begins now was not there when the prefixes were counted.
        if number.is_multiple_of(BLOCK) {
            let before = self.board.waiting() + self.board.served.load(Relaxed);
            if let Some(prefix) = self.board.table.load().prefix(number) {
                prefix.store(before, Relaxed);
            }
        }
        self.board.next.store(number + 1, Relaxed);
        self.board.see(number);
        number
    }

    /// Serves the first waiting place up to `limit`: the frontier moves to it.
    pub fn serve_next(&mut self, limit: u64) -> Option<u64> {
        let place = self.first_waiting().filter(|place| *place <= limit)?;
        self.finish(place);
        self.board.frontier.store(place, Relaxed);
        self.board.served.fetch_add(1, Relaxed);
        Some(place)
    }

    /// The waiting place that is next.
    pub fn first_waiting(&self) -> Option<u64> {
        if self.board.waiting() == 0 {
            return None;
        }
        self.board.table.load().first_live(self.board.frontier() + 1)
    }

    /// The first waiting place loses its turn, since it was to be heard of and was not: it is returning
    /// from now on, if it comes.
    pub fn pass_over(&mut self, place: u64) {
        self.board.frontier.store(place, Relaxed);
        self.board.served.fetch_add(1, Relaxed);
        let _ = self.board.waiting.fetch_update(Relaxed, Relaxed, |n| Some(n.saturating_sub(1)));
        self.board.returning.fetch_add(1, Relaxed);
    }

    /// Serves the first of those who returned and are there.
    pub fn serve_returning(&mut self, now: Mono) -> Option<u64> {
        if self.board.returning() == 0 {
            return None;
        }
        let table = self.board.table.load();
        let mut from = table.base;
        let mut found = None;
        for _ in 0..RETURNING_LOOKED_AT {
            let Some(place) = table.first_live(from).filter(|place| *place <= self.board.frontier()) else { break };
            if self.board.due(place).is_some_and(|due| !due.is_over(now)) {
                found = Some(place);
                break;
            }
            from = place + 1;
        }
        drop(table);
        self.finish(found?);
        found
    }

    /// This place has its slot, or is void.
    pub fn finish(&mut self, place: u64) {
        let table = self.board.table.load();
        let Some((chunk, word, bit)) = table.at(place) else { return };
        let was_live = word.live() & bit != 0;
        word.done.fetch_or(bit, Relaxed);
        if was_live {
            let count = if place > self.board.frontier() { &self.board.waiting } else { &self.board.returning };
            // Counts are recounted while polls mark: never below zero.
            let _ = count.fetch_update(Relaxed, Relaxed, |n| Some(n.saturating_sub(1)));
            let _ = chunk.live.fetch_update(Relaxed, Relaxed, |n| Some(n.saturating_sub(1)));
        }
    }

    /// A slot that was not claimed: its place is good again, and absent until it is seen.
    pub fn reopen(&mut self, place: u64) {
        let table = self.board.table.load();
        if let Some((_, word, bit)) = table.at(place) {
            word.seen.iter().for_each(|window| _ = window.fetch_and(!bit, Relaxed));
            word.done.fetch_and(!bit, Relaxed);
        }
    }

    /// Turns everyone out: all numbers so far are void.
    pub fn turn_out(&mut self) -> u64 {
        let turned_out = self.board.waiting() + self.board.returning();
        let last = self.board.next() - 1;
        self.board.frontier.store(last, Relaxed);
        self.board.draws.store(Arc::default());
        self.finish_all(last);
        self.recount();
        turned_out
    }

    /// Takes all places from beyond the frontier to before `end` as seen in the window before this
    /// one, and to be heard of by `due`: after a restart nobody loses a place for not having been asked
    /// yet.
    pub fn presume(&mut self, end: u64, due: Mono) {
        let table = self.board.table.load();
        let before = !self.board.parity.load(Relaxed);
        for (word, places) in table.words(self.board.frontier() + 1, end.min(self.board.next())) {
            word.window(before).fetch_or(places, Relaxed);
            word.set_due(places, Due::at(due));
        }
        drop(table);
        self.recount();
    }

    /// Begins a new liveness window: who was not seen in the last one is absent. Says how many
    /// waiting ones became so.
    pub fn rotate(&mut self) -> u64 {
        let waiting = self.board.waiting();
        let before = !self.board.parity.load(Relaxed);
        let table = self.board.table.load();
        for word in table.chunks.iter().flat_map(|chunk| &chunk.words) {
            word.window(before).store(0, Relaxed);
        }
        drop(table);
        // The window that was just emptied is the present one from here on.
        self.board.parity.store(before, Relaxed);
        self.recount();
        waiting.saturating_sub(self.board.waiting())
    }

    /// Counts the prefixes anew; each second or so.
    pub fn recount(&mut self) {
        let (waiting_before, returning_before) = (self.board.waiting(), self.board.returning());
        let (waiting, returning) = self.board.table.load().recount(self.board.frontier());
        self.board.served.store(0, Relaxed);
        // Added rather than stored: what polls marked meanwhile is counted at least once.
        self.board.waiting.fetch_add(waiting.wrapping_sub(waiting_before), Relaxed);
        self.board.returning.fetch_add(returning.wrapping_sub(returning_before), Relaxed);
    }

    /// Frees the chunks that the frontier left behind more than `hold_ms` ago.
    pub fn forget(&mut self, now_ms: u64, hold_ms: u64) {
        let table = self.board.table.load();
        let passed = usize::try_from((self.board.frontier() + 1 - table.base) / CHUNK).unwrap_or(usize::MAX);
        let passed = passed.min(table.chunks.len());
        for chunk in table.chunks.iter().take(passed) {
            let _ = chunk.passed_at.compare_exchange(0, now_ms.max(1), Relaxed, Relaxed);
        }
        let expired = |chunk: &Chunk| now_ms >= chunk.passed_at.load(Relaxed).saturating_add(hold_ms);
        let over = passed.saturating_sub(PASSED_CHUNKS_MAX);
        let gone = table.chunks.iter().take(passed).enumerate().take_while(|(at, c)| *at < over || expired(c)).count();
        if gone == 0 {
            return;
        }
        let kept = table.chunks.iter().skip(gone).cloned().collect();
        let left = Table { base: table.base + gone as u64 * CHUNK, chunks: kept };
        let base = left.base;
        drop(table);
        self.board.table.store(Arc::new(left));
        let draws = self.board.draws.load();
        if draws.iter().any(|draw| draw.end() <= base) {
            self.board.draws.store(Arc::new(draws.iter().filter(|draw| draw.end() > base).copied().collect()));
        }
        self.recount();
    }

    /// Everything up to `last` is done.
    fn finish_all(&mut self, last: u64) {
        let table = self.board.table.load();
        for (word, places) in table.words(1, last.saturating_add(1).min(self.board.next())) {
            word.done.fetch_or(places, Relaxed);
        }
    }

    fn cover(&mut self, place: u64) {
        let table = self.board.table.load();
        if table.base + table.chunks.len() as u64 * CHUNK > place {
            return;
        }
        let mut grown = Table { base: table.base, chunks: table.chunks.clone() };
        drop(table);
        while grown.base + grown.chunks.len() as u64 * CHUNK <= place {
            grown.chunks.push(Arc::new(Chunk::new()));
        }
        self.board.table.store(Arc::new(grown));
    }
}

/// Bytes of one chunk.
#[cfg(test)]
pub const fn chunk_bytes() -> usize {
    size_of::<Chunk>()
}

#[cfg(test)]
mod tests;
