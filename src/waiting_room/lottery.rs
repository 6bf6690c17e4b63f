//! Lots that anyone can check: a keyed permutation of those who take part.
//!
//! Before a draw the SHA-256 of its seed is published ([`Draw::commitment`]), after it the seed. With
//! seed, first number and count, everyone can compute every place ([`Draw::place`]): whoever knows
//! their number can check their own.
//!
//! The permutation is a Feistel network of six rounds over the least even number of bits that holds
//! the count, walked until it falls below the count (Black and Rogaway, "Ciphers with Arbitrary
//! Finite Domains", 2002). Its round keys are the first 48 bytes that BLAKE3 derives from the seed
//! under [`CONTEXT`], as six little-endian numbers; a round mixes as SplitMix64 does. It takes no
//! memory, and is the same wherever it is computed.

use sha2::{Digest, Sha256};

/// What the round keys are derived under: a constant of the form, changed with it.
pub const CONTEXT: &str = "seawall 2026 lottery";

const ROUNDS: usize = 6;

/// One draw: numbers `first..first + count` get places of the same range.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    pub first: u64,
    pub count: u64,
    seed: [u8; 32],
    keys: [u64; ROUNDS],
    /// Bits of one half.
    half: u32,
}

impl Draw {
    /// The draw of so many numbers by this seed.
    pub fn new(first: u64, count: u64, seed: [u8; 32]) -> Self {
        let mut bytes = [0; ROUNDS * 8];
        let mut derive = blake3::Hasher::new_derive_key(CONTEXT);
        derive.update(&seed).finalize_xof().fill(&mut bytes);
        let mut keys = [0; ROUNDS];
        for (key, bytes) in keys.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *key = u64::from_le_bytes(*bytes);
        }
        let bits = 64 - count.saturating_sub(1).leading_zeros();
        Self { first, count, seed, keys, half: bits.div_ceil(2).max(1) }
    }

    /// What is published after the draw.
    pub const fn seed(&self) -> [u8; 32] {
        self.seed
    }

    /// One beyond the last number.
    pub const fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }

    /// Whether a number takes part.
    pub const fn holds(&self, number: u64) -> bool {
        number >= self.first && number < self.end()
    }

    /// What is published before the draw: the SHA-256 of the seed.
    pub fn commitment(&self) -> [u8; 32] {
        commitment(&self.seed)
    }

    /// The place of a number, from `first`; of one that takes no part, its own.
    pub fn place(&self, number: u64) -> u64 {
        if !self.holds(number) {
            return number;
        }
        let mut at = number - self.first;
        loop {
            at = self.permute(at);
            // A permutation of the whole domain leads back below the count before it repeats.
            if at < self.count {
                return self.first + at;
            }
        }
    }

    /// Whose place this is: the way back.
    pub fn number_at(&self, place: u64) -> u64 {
        if !self.holds(place) {
            return place;
        }
        let mut at = place - self.first;
        loop {
            at = self.permute_back(at);
            if at < self.count {
                return self.first + at;
            }
        }
    }

    /// Its rank among those who take part, from 1.
    pub fn rank(&self, number: u64) -> u64 {
        self.place(number).saturating_sub(self.first) + 1
    }

    fn permute(&self, at: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (at >> self.half, at & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        left << self.half | right
    }

    fn permute_back(&self, at: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (at >> self.half, at & mask);
        for key in self.keys.iter().rev() {
            (left, right) = (right ^ (mix(left ^ key) & mask), left);
        }
        left << self.half | right
    }
}

/// The SHA-256 of a seed.
pub fn commitment(seed: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(seed).into()
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
const fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl std::fmt::Debug for Draw {
    /// Without the seed: this ends up in logs, and the draw may be still to come.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draw").field("first", &self.first).field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everyone_gets_a_place_and_nobody_the_same(first in 1u64..1_000_000, count in 1u64..3000, seed: [u8; 32]) {
            let draw = Draw::new(first, count, seed);
            prop_assert!((first..first + count).all(|number| draw.number_at(draw.place(number)) == number));
            let mut places: Vec<u64> = (first..first + count).map(|number| draw.place(number)).collect();
            places.sort_unstable();
            prop_assert_eq!(places, (first..first + count).collect::<Vec<_>>());
            prop_assert_eq!(draw.place(first + count), first + count);
        }
    }

    #[test]
    fn the_published_seed_reproduces_the_order_of_ten_thousand() {
        let drawn = Draw::new(1, 10_000, [7; 32]);
        let again = Draw::new(1, 10_000, drawn.seed());
        assert!((1..=10_000).all(|number| drawn.rank(number) == again.rank(number)));
        let other = Draw::new(1, 10_000, [8; 32]);
        assert!((1..=10_000).filter(|number| drawn.rank(*number) == other.rank(*number)).count() < 10);
        assert_ne!(drawn.commitment(), other.commitment());
    }

    /// Pearson's chi-squared over deciles of arrival × deciles of rank: 81 degrees of freedom, of
    /// which 99.9 % of fair draws stay below 126. Ten draws: all below, and none suspiciously even.
    #[test]
    fn ranks_do_not_follow_arrival() {
        for seed in 0..10u8 {
            let draw = Draw::new(1, 10_000, *blake3::hash(&[seed]).as_bytes());
            let mut cells = [[0f64; 10]; 10];
            for number in 1..=10_000u64 {
                let (row, column) = ((number - 1) / 1000, (draw.rank(number) - 1) / 1000);
                cells[row as usize][column as usize] += 1.0;
            }
            let chi: f64 = cells.iter().flatten().map(|n| (n - 100.0).powi(2) / 100.0).sum();
            assert!((42.0..126.0).contains(&chi), "seed {seed}: {chi}");
        }
    }

    #[test]
    fn a_commitment_is_what_sha256sum_says() {
        let hex = data_encoding::HEXLOWER.encode(&commitment(&[0; 32]));
        assert_eq!(hex, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
    }
}
