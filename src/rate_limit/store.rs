//! The state of a limit: one number for each key, and never more than `max_keys` of them.
//!
//! Governor's own map grows with every key that was ever seen, which makes random keys an attack on
//! memory. Here a full store first forgets the keys whose bucket is full again (their theoretical
//! arrival time lies in the past: to forget them changes no decision). If all are live, a new key
//! is counted in a fixed sketch of shared buckets: strangers may then slow each other down, but who
//! was known stays known, and nobody passes unlimited.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::StateStore;
use parking_lot::Mutex;

use super::{Key, NOW};

/// Keys a shard holds at most: seven eighths of 2^14, what a table of 16,384 slots takes before it
/// doubles. So a full store costs 17 bytes a slot, 19.5 a key.
const SHARD_KEYS_MAX: usize = 14_336;

/// Shared buckets for the keys that don't fit; 32 KiB a limit.
const SKETCH_BUCKETS: usize = 4096;

/// A full shard is searched for keys to forget at most so often: the search takes about 20 µs.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    shard_keys_max: usize,
    sketch: Box<[AtomicU64]>,
}

#[derive(Debug, Default)]
struct Shard {
    /// Theoretical arrival times, in nanoseconds on the monotonic clock.
    arrivals: HashMap<u64, u64, BuildHasherDefault<KeyIsHash>>,
    /// No search before this moment.
    sweep_next: u64,
}

impl Store {
    pub(super) fn new(max_keys: NonZeroUsize) -> Self {
        let shards = max_keys.get().div_ceil(SHARD_KEYS_MAX);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            shard_keys_max: max_keys.get() / shards,
            sketch: (0..SKETCH_BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().arrivals.len()).sum()
    }

    /// The slice's element at `key / 2^64` of its length; none only if the slice is empty.
    fn pick<T>(slice: &[T], key: u64) -> Option<&T> {
        slice.get(((u128::from(key) * slice.len() as u128) >> 64) as usize)
    }
}

impl StateStore for Store {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if let Some(shard) = Self::pick(&self.shards, key.0) {
            let mut shard = shard.lock();
            if let Some(arrival) = shard.arrivals.get_mut(&key.0) {
                let (outcome, next) = f(Some(Nanos::new(*arrival)))?;
                *arrival = next.as_u64();
                return Ok(outcome);
            }
            if shard.has_room(self.shard_keys_max, NOW.get()) {
                let (outcome, next) = f(None)?;
                shard.arrivals.insert(key.0, next.as_u64());
                return Ok(outcome);
            }
        }
        // Other bits than those that chose the shard: its strangers spread over the whole sketch.
        match Self::pick(&self.sketch, key.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            Some(bucket) => replace(bucket, f),
            None => f(None).map(|(outcome, _)| outcome),
        }
    }
}

impl Shard {
    fn has_room(&mut self, keys_max: usize, now: u64) -> bool {
        if self.arrivals.len() >= keys_max && now >= self.sweep_next {
            self.arrivals.retain(|_, arrival| *arrival > now);
            if self.arrivals.len() >= keys_max {
                self.sweep_next = now.saturating_add(SWEEP_PAUSE.as_nanos() as u64);
            }
        }
        self.arrivals.len() < keys_max
    }
}

fn replace<T, F, E>(bucket: &AtomicU64, f: F) -> Result<T, E>
where
    F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
{
    let mut seen = bucket.load(Ordering::Relaxed);
    loop {
        let (outcome, next) = f(Some(Nanos::new(seen)))?;
        match bucket.compare_exchange_weak(seen, next.as_u64(), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(outcome),
            Err(newer) => seen = newer,
        }
    }
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
