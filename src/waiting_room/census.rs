//! How many places each client holds, in bounded memory and without a lock.
//!
//! Whoever holds a place polls in every liveness window, so the places that a client holds are the
//! tickets first seen in one window: counted then, in a count-min sketch (Cormode and
//! Muthukrishnan, 2005) of two rows, one sketch for each of the last two windows. A sketch never
//! counts too few. Its width grows with the longest queue, so that chance collisions of a crowd
//! that large stay far below any quota: 8 MiB at ten million places.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};

const ROWS: usize = 2;
/// Cells of a row at least.
const WIDTH_MIN: u64 = 1024;
/// And at most.
const WIDTH_MAX: u64 = 1 << 20;
/// Places for which a row has one cell.
const PLACES_PER_CELL: u64 = 16;

/// A client: a keyed hash of its address; 0: one of whom nothing is known, who is not counted.
pub type ClientHash = u64;

#[derive(Debug)]
pub struct Census {
    /// The present window's and the last one's, which is which says `parity`.
    windows: [Vec<AtomicU16>; 2],
    parity: AtomicBool,
    mask: u64,
}

impl Census {
    /// For a queue of at most so many.
    pub fn new(places_max: u64) -> Self {
        let width = (places_max / PLACES_PER_CELL).clamp(WIDTH_MIN, WIDTH_MAX).next_power_of_two();
        let cells = usize::try_from(width).unwrap_or(0) * ROWS;
        let sketch = || std::iter::repeat_with(|| AtomicU16::new(0)).take(cells).collect();
        Self { windows: [sketch(), sketch()], parity: AtomicBool::new(false), mask: width - 1 }
    }

    /// One of this client's places was seen for the first time in this window.
    pub fn add(&self, client: ClientHash) {
        if client == 0 {
            return;
        }
        let least = self.count_in(self.parity.load(Relaxed), client);
        for cell in self.cells(self.parity.load(Relaxed), client) {
            // Only the least cells are raised: what others added to the rest is not added again.
            if cell.load(Relaxed) == least {
                cell.store(least.saturating_add(1), Relaxed);
            }
        }
    }

    /// How many places this client holds; may be a few too many.
    pub fn count(&self, client: ClientHash) -> u32 {
        if client == 0 {
            return 0;
        }
        u32::from(self.count_in(false, client).max(self.count_in(true, client)))
    }

    /// Begins a new liveness window.
    pub fn rotate(&self) {
        let next = !self.parity.load(Relaxed);
        self.window(next).iter().for_each(|cell| cell.store(0, Relaxed));
        self.parity.store(next, Relaxed);
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.windows.iter().map(|window| window.len() * size_of::<AtomicU16>()).sum()
    }

    fn count_in(&self, parity: bool, client: ClientHash) -> u16 {
        self.cells(parity, client).map(|cell| cell.load(Relaxed)).min().unwrap_or(0)
    }

    fn cells(&self, parity: bool, client: ClientHash) -> impl Iterator<Item = &AtomicU16> {
        let width = self.mask + 1;
        let spots = [client & self.mask, width + (client >> 32 & self.mask)];
        let window = self.window(parity);
        spots.into_iter().filter_map(|spot| window.get(usize::try_from(spot).ok()?))
    }

    const fn window(&self, parity: bool) -> &Vec<AtomicU16> {
        let [even, odd] = &self.windows;
        if parity { odd } else { even }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> ClientHash {
        blake3::hash(&n.to_le_bytes()).as_bytes().first_chunk().map_or(1, |b| u64::from_le_bytes(*b))
    }

    #[test]
    fn one_clients_places_are_counted_and_forgotten_after_two_windows() {
        let census = Census::new(100_000);
        (0..300).for_each(|_| census.add(hash(1)));
        census.add(hash(2));
        assert_eq!((census.count(hash(1)), census.count(hash(2)), census.count(0)), (300, 1, 0));
        census.rotate();
        assert_eq!(census.count(hash(1)), 300, "the last window still counts");
        census.rotate();
        assert_eq!(census.count(hash(1)), 0);
    }

    #[test]
    fn a_full_queue_of_strangers_makes_nobody_look_greedy() {
        let places = 200_000;
        let census = Census::new(places);
        (0..places).for_each(|n| census.add(hash(n)));
        let over = (0..places).filter(|n| census.count(hash(*n)) >= 16).count() as u64;
        assert!(over * 1000 < places, "{over} of {places} seem to hold sixteen places");
    }
}
