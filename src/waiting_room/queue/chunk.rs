//! 65,536 tickets: three bits each, and a count for every 512.
//!
//! All of it is atomic, and read and marked by polls without a lock. Each word stands alone, so
//! relaxed order is enough.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Words that one prefix count stands for.
pub const WORDS_PER_BLOCK: usize = 8;
/// Tickets in a block.
pub const BLOCK: u64 = WORDS_PER_BLOCK as u64 * 64;
const WORDS: usize = 1024;
const BLOCKS: usize = WORDS / WORDS_PER_BLOCK;
/// Tickets in a chunk, one bit of each word for each.
pub const CHUNK: u64 = WORDS as u64 * 64;

#[derive(Debug)]
pub struct Chunk {
    pub words: [Word; WORDS],
    /// Waiting tickets in all blocks before this one, when they were last counted.
    pub prefix: [AtomicU64; BLOCKS],
    /// Live tickets of this chunk, on either side of the frontier.
    pub live: AtomicU32,
    /// When the frontier left this chunk behind, milliseconds; 0: it has not.
    pub passed_at: AtomicU64,
}

impl Chunk {
    pub fn new() -> Self {
        Self {
            words: [const { Word::new() }; WORDS],
            prefix: [const { AtomicU64::new(0) }; BLOCKS],
            live: AtomicU32::new(0),
            passed_at: AtomicU64::new(0),
        }
    }
}

/// The bits of 64 tickets.
#[derive(Debug)]
pub struct Word {
    /// Seen in this liveness window and in the one before; which is which, the queue's parity says.
    pub seen: [AtomicU64; 2],
    pub done: AtomicU64,
}

impl Word {
    const fn new() -> Self {
        Self { seen: [const { AtomicU64::new(0) }; 2], done: AtomicU64::new(0) }
    }

    pub fn live(&self) -> u64 {
        let [a, b] = &self.seen;
        (a.load(Relaxed) | b.load(Relaxed)) & !self.done.load(Relaxed)
    }

    /// The window of this parity.
    pub const fn window(&self, parity: bool) -> &AtomicU64 {
        let [even, odd] = &self.seen;
        if parity { odd } else { even }
    }
}

/// The bits of the word beginning at `first` that stand for numbers beyond `frontier`.
pub const fn mask_beyond(frontier: u64, first: u64) -> u64 {
    if frontier < first {
        u64::MAX
    } else if frontier - first >= 63 {
        0
    } else {
        u64::MAX << (frontier - first + 1)
    }
}
