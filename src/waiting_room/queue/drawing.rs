//! Drawing lots: those gathered get their places, a slice at a time.
//!
//! From its beginning on every ticket of the draw marks its drawn place; the slices carry over who
//! was live before. Until the last one, who is ahead of whom is not known.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Queue;
use super::chunk::{Due, Word};
use crate::waiting_room::lottery::Draw;

/// Tickets carried over in one slice: half a millisecond or so.
const SLICE: u64 = 8192;

/// A draw under way.
#[derive(Debug)]
pub struct Drawing {
    draw: Draw,
    /// Who was live when it began, and when each is due: of the words that hold the draw's numbers.
    before: Vec<(u64, [u64; 3])>,
    /// The next number to be carried over.
    next: u64,
}

impl Drawing {
    /// The first number that takes part.
    pub const fn first(&self) -> u64 {
        self.draw.first
    }
}

impl Queue {
    /// Begins a draw over numbers that are all beyond the frontier, and later than every draw
    /// before.
    pub fn begin_draw(&mut self, draw: Draw) -> Drawing {
        let board = &self.board;
        let table = board.table.load();
        let kept = |(word, numbers): (&Word, u64)| {
            (word.live() & numbers, std::array::from_fn(|plane| word.due.get(plane).map_or(0, |p| p.load(Relaxed))))
        };
        let before = table.words(draw.first, draw.end()).map(kept).collect();
        let mut draws = board.draws().as_ref().clone();
        draws.push(draw);
        board.draws.store(Arc::new(draws));
        for (word, numbers) in table.words(draw.first, draw.end()) {
            word.seen.iter().for_each(|window| _ = window.fetch_and(!numbers, Relaxed));
        }
        drop(table);
        self.recount();
        Drawing { draw, before, next: draw.first }
    }

    /// Carries over one slice; whether it was the last.
    pub fn continue_draw(&mut self, drawing: &mut Drawing) -> bool {
        let table = self.board.table.load();
        let before = !self.board.parity.load(Relaxed);
        let end = (drawing.next + SLICE).min(drawing.draw.end());
        let first_word = drawing.draw.first / 64;
        for number in drawing.next..end {
            let word = usize::try_from(number / 64 - first_word).ok();
            let (live, due) = word.and_then(|word| drawing.before.get(word)).copied().unwrap_or_default();
            let own = 1 << (number % 64);
            if live & own == 0 {
                continue;
            }
            if let Some((_, word, bit)) = table.at(drawing.draw.place(number)) {
                // One who has asked since then is due as was said then.
                if word.window(!before).load(Relaxed) & bit == 0 {
                    word.set_due(bit, Due::from_bits(due.map(|plane| plane & own != 0)));
                }
                word.window(before).fetch_or(bit, Relaxed);
            }
        }
        drop(table);
        drawing.next = end;
        let is_last = end == drawing.draw.end();
        if is_last {
            self.recount();
        }
        is_last
    }

    /// Takes up a draw of before a restart.
    pub fn restore_draw(&mut self, draw: Draw) {
        let mut draws = self.board.draws().as_ref().clone();
        draws.push(draw);
        self.board.draws.store(Arc::new(draws));
    }
}
