//! 65,536 tickets: three bits each, and a count for every 512.

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
    pub prefix: [u64; BLOCKS],
    /// Live tickets of this chunk, on either side of the frontier.
    pub live: u32,
    /// When the frontier left this chunk behind, milliseconds.
    pub passed_at: Option<u64>,
}

impl Chunk {
    pub const EMPTY: Self = Self { words: [Word::EMPTY; WORDS], prefix: [0; BLOCKS], live: 0, passed_at: None };
}

/// The bits of 64 tickets.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub seen_now: u64,
    pub seen_prev: u64,
    pub done: u64,
}

impl Word {
    const EMPTY: Self = Self { seen_now: 0, seen_prev: 0, done: 0 };

    pub const fn live(self) -> u64 {
        (self.seen_now | self.seen_prev) & !self.done
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
