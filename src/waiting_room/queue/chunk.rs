//! 65,536 tickets: six bits each, and a count for every 512.
//!
//! All of it is atomic, and read and marked by polls without a lock. Each word stands alone, so
//! relaxed order is enough.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Mono;

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
    /// When each is to be heard of again: the bits of a [`Due`], one plane each.
    pub due: [AtomicU64; 3],
}

/// A moment by which one is to be heard of, in units of sixteen seconds, of which the last three bits are
/// kept: enough to tell, within the two liveness windows that a ticket lives, whether it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due(u8);

impl Due {
    const UNIT_NS: u64 = 16_000_000_000;
    /// Units that a poll may be ahead at most.
    const AHEAD_MAX: u8 = 2;

    /// The unit of this moment.
    pub const fn at(moment: Mono) -> Self {
        Self((moment.as_nanos() / Self::UNIT_NS % 8) as u8)
    }

    /// Whether it is over.
    pub const fn is_over(self, now: Mono) -> bool {
        self.ahead(now) > Self::AHEAD_MAX
    }

    /// How long until it is over.
    pub const fn left(self, now: Mono) -> Duration {
        let units = self.ahead(now) as u64 + 1;
        Duration::from_nanos(units * Self::UNIT_NS - now.as_nanos() % Self::UNIT_NS)
    }

    const fn ahead(self, now: Mono) -> u8 {
        self.0.wrapping_sub(Self::at(now).0) % 8
    }

    /// From the planes.
    pub const fn from_bits([one, two, four]: [bool; 3]) -> Self {
        Self(one as u8 | (two as u8) << 1 | (four as u8) << 2)
    }

    /// Its bits, for the planes.
    pub const fn bits(self) -> [bool; 3] {
        [self.0 & 1 != 0, self.0 & 2 != 0, self.0 & 4 != 0]
    }
}

impl Word {
    const fn new() -> Self {
        Self { seen: [const { AtomicU64::new(0) }; 2], done: AtomicU64::new(0), due: [const { AtomicU64::new(0) }; 3] }
    }

    pub fn live(&self) -> u64 {
        let [a, b] = &self.seen;
        (a.load(Relaxed) | b.load(Relaxed)) & !self.done.load(Relaxed)
    }

    /// When the ticket of this bit is to be heard of again.
    pub fn due(&self, bit: u64) -> Due {
        let plane = |plane: &AtomicU64, value: u8| if plane.load(Relaxed) & bit != 0 { value } else { 0 };
        let [one, two, four] = &self.due;
        Due(plane(one, 1) | plane(two, 2) | plane(four, 4))
    }

    /// Those of these bits are to be heard of by then.
    pub fn set_due(&self, bits: u64, due: Due) {
        for (plane, set) in self.due.iter().zip(due.bits()) {
            if set {
                plane.fetch_or(bits, Relaxed);
            } else {
                plane.fetch_and(!bits, Relaxed);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_over_after_its_unit_for_more_than_a_minute() {
        let at = |seconds: u64| Mono::from_nanos(seconds * 1_000_000_000);
        for began in 0..200 {
            for ahead in 0..=24 {
                let due = Due::at(at(began + ahead));
                assert!((began..=began + ahead).all(|now| !due.is_over(at(now))));
                assert!((began + ahead + 16..began + ahead + 79).all(|now| due.is_over(at(now))), "{began} {ahead}");
                assert!(
                    due.left(at(began)) >= Duration::from_secs(ahead)
                        && due.left(at(began)) <= Duration::from_secs(ahead + 16)
                );
            }
        }
    }
}
