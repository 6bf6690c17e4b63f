//! Who takes most. Under overload the newest goes first, and one who asks without end always has the
//! newest; so whoever was let go far more often than others of late is no newcomer. And a line in
//! which only they stand is their own.
//!
//! Counted in a count-min sketch (Cormode & Muthukrishnan, "An improved data stream summary", 2005):
//! bounded whatever comes, and wrong only in that two clients may be taken for one.

use std::time::Duration;

use crate::clock::Mono;

/// Cells of a row; a power of two.
const CELLS: usize = 512;
/// How long is counted; what was before the last but one of these is forgotten.
const EPOCH: Duration = Duration::from_secs(1);
/// Nobody who has no more than this is heavy: a page with its parts.
const LEAST: u32 = 24;
/// Nor who has no more than so many times as much as the others have on average.
const TIMES: u32 = 4;

#[derive(Debug)]
struct Counts {
    rows: [[u16; CELLS]; 2],
    total: u32,
    /// How many clients these are, about: cells in use (linear counting, Whang et al., 1990).
    clients: u32,
}

impl Counts {
    const NONE: Self = Self { rows: [[0; CELLS]; 2], total: 0, clients: 0 };

    fn add(&mut self, client: u64) {
        self.total = self.total.saturating_add(1);
        for (n, (row, cell)) in self.rows.iter_mut().zip(cells(client)).enumerate() {
            if let Some(count) = row.get_mut(cell) {
                self.clients += u32::from(n == 0 && *count == 0);
                *count = count.saturating_add(1);
            }
        }
    }

    fn of(&self, client: u64) -> u32 {
        let counts = self.rows.iter().zip(cells(client)).filter_map(|(row, cell)| row.get(cell));
        counts.min().copied().map_or(0, u32::from)
    }
}

/// A client's number is a hash: any bits of it will do.
fn cells(client: u64) -> [usize; 2] {
    [client as usize % CELLS, (client >> 32) as usize % CELLS]
}

/// How often each client was let go of late.
#[derive(Debug)]
pub(super) struct Heavy {
    this: Box<Counts>,
    last: Box<Counts>,
    since: Mono,
}

impl Default for Heavy {
    fn default() -> Self {
        Self { this: Box::new(Counts::NONE), last: Box::new(Counts::NONE), since: Mono::ZERO }
    }
}

impl Heavy {
    /// One of this client's requests was let go.
    pub(super) fn served(&mut self, client: u64, now: Mono) {
        let past = now.since(self.since);
        if past >= EPOCH {
            std::mem::swap(&mut self.this, &mut self.last);
            *self.this = Counts::NONE;
            if past >= 2 * EPOCH {
                *self.last = Counts::NONE;
            }
            self.since = now;
        }
        self.this.add(client);
    }

    /// Whether this client has had so much that others who wait go first.
    pub(super) fn is(&self, client: u64) -> bool {
        let total = self.this.total.saturating_add(self.last.total);
        let clients = self.this.clients.max(self.last.clients).max(1);
        self.this.of(client) + self.last.of(client) > LEAST.max(total / clients * TIMES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    fn hash(n: u64) -> u64 {
        (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    #[test]
    fn one_who_takes_a_fifth_is_and_fifty_who_share_the_rest_are_not() {
        let mut heavy = Heavy::default();
        for n in 0..1000 {
            heavy.served(hash(if n % 5 == 0 { 99 } else { n % 50 }), ms(n * 5));
        }
        assert!(heavy.is(hash(99)));
        assert_eq!((0..50).filter(|n| heavy.is(hash(*n))).count(), 0);
    }

    #[test]
    fn what_was_two_seconds_ago_is_forgotten() {
        let mut heavy = Heavy::default();
        for n in 0..400 {
            heavy.served(hash(if n % 2 == 0 { 7 } else { 8 + n % 20 }), ms(n));
        }
        assert!(heavy.is(hash(7)));
        heavy.served(8, ms(2500));
        assert!(!heavy.is(hash(7)));
    }

    #[test]
    fn a_page_with_its_parts_is_never_too_much() {
        let mut heavy = Heavy::default();
        for n in 0..24 {
            heavy.served(7, ms(n));
        }
        assert!(!heavy.is(7));
    }

    #[test]
    fn few_who_share_alike_are_not_nor_is_one_alone() {
        for clients in [1, 2, 4, 16] {
            let mut heavy = Heavy::default();
            for n in 0..1000 {
                heavy.served(hash(n % clients), ms(n));
            }
            assert_eq!((0..clients).filter(|n| heavy.is(hash(*n))).count(), 0, "{clients}");
        }
    }
}
