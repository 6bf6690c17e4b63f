//! The state of a limit: one number for each key, and never more than `max_keys` of them.
//!
//! A map that grows with every key that was ever seen makes random keys an attack on memory. Here a
//! full store first forgets the keys whose bucket is full again (their theoretical arrival time lies
//! in the past: to forget them changes no decision). If all are live, a new key is counted in a
//! fixed sketch of shared buckets: strangers may then slow each other down, but who was known stays
//! known, and nobody passes unlimited. Known is who came back: a key that was seen twice outlives a
//! full bucket by ten minutes, so that one who asks seldom is not a stranger each time, while those
//! who never come again make room first (the second chance of a page's reference bit).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroUsize;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::Key;

/// Keys a shard holds at most: seven eighths of 2^14, what a table of 16,384 slots takes before it
/// doubles. So a full store costs 17 bytes a slot, 19.5 a key.
const SHARD_KEYS_MAX: usize = 14_336;

/// Shared buckets for the keys that don't fit; 32 KiB a limit.
const SKETCH_BUCKETS: usize = 4096;
/// In a shard at least, however many there are: 128 bytes.
const SKETCH_BUCKETS_MIN: usize = 16;

/// A full shard is searched for keys to forget at most so often: the search takes about 20 µs.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    shard_keys_max: usize,
}

/// How long one who came back is known after their bucket is full again.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// A theoretical arrival time, in nanoseconds on the monotonic clock, and whether the key was seen
/// twice, in eight bytes. Times end in 292 years.
#[derive(Clone, Copy, Debug)]
struct Arrival(u64);

impl Arrival {
    fn new(time: u64, came_back: bool) -> Self {
        Self(time << 1 | u64::from(came_back))
    }

    fn time(self) -> u64 {
        self.0 >> 1
    }

    /// Whether to forget it would change what is decided about it, or make a stranger of it.
    fn is_worth(self, now: u64) -> bool {
        let keep = if self.0 & 1 == 1 { KNOWN_FOR.as_nanos() as u64 } else { 0 };
        self.time().saturating_add(keep) > now
    }
}

/// Times in a sketch are bare.
#[derive(Debug)]
struct Shard {
    arrivals: HashMap<u64, Arrival, BuildHasherDefault<KeyIsHash>>,
    sketch: Box<[u64]>,
    /// No search before this moment.
    sweep_next: u64,
}

/// A key's number, and with it its shard: until this is dropped, nobody else reads or changes it.
#[derive(Debug)]
pub(super) struct Held<'a> {
    shard: MutexGuard<'a, Shard>,
    key: u64,
    /// It has, or may have, a number of its own.
    own: bool,
}

impl Store {
    pub(super) fn new(max_keys: NonZeroUsize) -> Self {
        let shards = max_keys.get().div_ceil(SHARD_KEYS_MAX);
        let buckets = SKETCH_BUCKETS.div_ceil(shards).max(SKETCH_BUCKETS_MIN);
        let shard = || Shard { arrivals: HashMap::default(), sketch: vec![0; buckets].into(), sweep_next: 0 };
        Self { shards: (0..shards).map(|_| Mutex::new(shard())).collect(), shard_keys_max: max_keys.get() / shards }
    }

    /// The number of a key, for one who will look at it and perhaps change it.
    pub(super) fn hold(&self, key: Key, now: u64) -> Option<Held<'_>> {
        let mut shard = self.shards.get(pick(key.0, self.shards.len()))?.lock();
        let own = shard.arrivals.contains_key(&key.0) || shard.has_room(self.shard_keys_max, now);
        Some(Held { shard, key: key.0, own })
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().arrivals.len()).sum()
    }

    /// Bytes of tables and sketches. A table has eight slots for seven keys, each with a key, a
    /// number, and a byte of the table's own.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let shard = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.arrivals.capacity() / 7 * 8 * 17 + shard.sketch.len() * 8
        };
        self.shards.iter().map(shard).sum()
    }
}

impl Held<'_> {
    /// Zero for a key that is not known: every bucket was full then.
    pub(super) fn arrival(&self) -> u64 {
        let shared = || self.shard.sketch.get(self.bucket()).copied();
        let own = || self.shard.arrivals.get(&self.key).map(|arrival| arrival.time());
        if self.own { own() } else { shared() }.unwrap_or(0)
    }

    pub(super) fn replace(&mut self, arrival: u64) {
        let bucket = self.bucket();
        if self.own {
            if let Some(known) = self.shard.arrivals.get_mut(&self.key) {
                *known = Arrival::new(arrival, true);
                return;
            }
            self.shard.grow();
            self.shard.arrivals.insert(self.key, Arrival::new(arrival, false));
        } else if let Some(shared) = self.shard.sketch.get_mut(bucket) {
            *shared = arrival;
        }
    }

    /// Chosen by other bits than the shard was, so that its strangers spread over all buckets.
    fn bucket(&self) -> usize {
        pick(self.key.wrapping_mul(0x9E37_79B9_7F4A_7C15), self.shard.sketch.len())
    }
}

impl Shard {
    /// Makes a full table eight times as large, up to a shard's most in four steps: doubled, it would
    /// leave as much behind in an allocator's bins as it has in the end.
    fn grow(&mut self) {
        let len = self.arrivals.len();
        if len == self.arrivals.capacity() {
            self.arrivals.reserve(len.max(4) * 7);
        }
    }

    fn has_room(&mut self, keys_max: usize, now: u64) -> bool {
        if self.arrivals.len() >= keys_max && now >= self.sweep_next {
            self.arrivals.retain(|_, arrival| arrival.is_worth(now));
            if self.arrivals.len() >= keys_max {
                self.sweep_next = now.saturating_add(SWEEP_PAUSE.as_nanos() as u64);
            }
        }
        self.arrivals.len() < keys_max
    }
}

/// The place at `key / 2^64` of `len`.
fn pick(key: u64, len: usize) -> usize {
    ((u128::from(key) * len as u128) >> 64) as usize
}

/// Keys are seeded hashes already. The map tells slots apart by the highest and lowest bits, and
/// the highest chose the shard: they change places with the middle ones.
#[derive(Default)]
struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0.rotate_left(32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
