//! The state of a limit: one number for each key, in a table that never grows.
//!
//! A map that grows with every key that was ever seen makes random keys an attack on memory. Here a
//! key may lie in sixteen slots, as a line in a set-associative cache. Where all of them are taken it
//! takes the place of one whose bucket is full again (their theoretical arrival time lies in the
//! past: to forget them changes no decision); else of one who came once and not again. So a flood
//! of made-up keys pushes mostly itself out, who came back is limited exactly for as long as it
//! matters, and a visitor who comes amid the flood for the first time is let in. Where more than half of the sixteen came back and are live, a
//! newcomer is counted in a sketch of shared buckets: strangers may then slow each other down, but
//! nobody passes unlimited.

use std::num::NonZeroUsize;

use parking_lot::{Mutex, MutexGuard};

use super::Key;

/// Slots in which a key may lie: where one slot in five is spare, about two keys of a hundred don't fit.
const WAYS: usize = 16;
/// Those who came once give way only where they have so many of them: one who comes again and again
/// is then likely to be there still, and to be known from there on.
const PASSERS_LEAST: usize = WAYS / 2;
/// Sets that one lock guards: a page of 4 KiB, which is there from its first key on.
const SHARD_SETS_MAX: usize = 16;

/// Shared buckets for the keys that don't fit, of all shards; 32 KiB.
const SKETCH_BUCKETS: usize = 4096;
/// In a shard at least, however many there are: 128 bytes, where one did not fit.
const SKETCH_BUCKETS_MIN: usize = 16;

/// The table, and how large a part of it each shard has.
#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    shard_sets: usize,
    shard_buckets: usize,
}

/// A key and its [`Arrival`].
type Slot = [u64; 2];

/// A theoretical arrival time, in nanoseconds on the monotonic clock, and whether the key came back,
/// in eight bytes. Zero: nobody. Times end in 292 years.
#[derive(Clone, Copy, Debug)]
struct Arrival(u64);

impl Arrival {
    fn new(time: u64, came_back: bool) -> Self {
        Self(time << 1 | u64::from(came_back))
    }

    fn time(self) -> u64 {
        self.0 >> 1
    }

    fn came_back(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Each part is empty until it is needed.
#[derive(Debug, Default)]
struct Shard {
    slots: Box<[Slot]>,
    /// Arrival times, bare.
    sketch: Box<[u64]>,
}

/// A key's number, and with it its shard: until this is dropped, nobody else reads or changes it.
#[derive(Debug)]
pub(super) struct Held<'a> {
    shard: MutexGuard<'a, Shard>,
    key: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Its own slot.
    Known(usize),
    /// A slot that may be taken.
    Free(usize),
    /// A bucket of the sketch.
    Shared(usize),
}

impl Store {
    pub(super) fn new(max_keys: NonZeroUsize) -> Self {
        let sets = max_keys.get().saturating_mul(5).div_ceil(4 * WAYS);
        let shards = sets.div_ceil(SHARD_SETS_MAX);
        let shard_sets = sets.div_ceil(shards);
        let shard_buckets = SKETCH_BUCKETS.div_ceil(shards).max(SKETCH_BUCKETS_MIN);
        Self { shards: (0..shards).map(|_| Mutex::default()).collect(), shard_sets, shard_buckets }
    }

    /// The number of a key, for one who will look at it and perhaps change it.
    pub(super) fn hold(&self, key: Key, now: u64) -> Option<Held<'_>> {
        let set = pick(key.0, self.shards.len() * self.shard_sets);
        let mut shard = self.shards.get(set / self.shard_sets)?.lock();
        if shard.slots.is_empty() {
            shard.slots = vec![[0; 2]; self.shard_sets * WAYS].into();
        }
        let place = match shard.find(set % self.shard_sets * WAYS, key.0, now) {
            Some(place) => place,
            None => shard.share(key.0, self.shard_buckets),
        };
        Some(Held { shard, key: key.0, place })
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        let live = |shard: &Mutex<Shard>| shard.lock().slots.iter().filter(|[_, arrival]| *arrival > 0).count();
        self.shards.iter().map(live).sum()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let shard = |shard: &Mutex<Shard>| {
            let parts = shard.lock();
            size_of_val(shard) + size_of_val(&*parts.slots) + size_of_val(&*parts.sketch)
        };
        self.shards.iter().map(shard).sum()
    }
}

impl Held<'_> {
    /// Zero for a key that is not known: every bucket was full then.
    pub(super) fn arrival(&self) -> u64 {
        let time = match self.place {
            Place::Known(at) => self.shard.slots.get(at).map(|[_, arrival]| Arrival(*arrival).time()),
            Place::Free(_) => None,
            Place::Shared(bucket) => self.shard.sketch.get(bucket).copied(),
        };
        time.unwrap_or(0)
    }

    pub(super) fn replace(&mut self, arrival: u64) {
        let (at, came_back) = match self.place {
            Place::Known(at) => (at, true),
            Place::Free(at) => (at, false),
            Place::Shared(bucket) => {
                if let Some(shared) = self.shard.sketch.get_mut(bucket) {
                    *shared = arrival;
                }
                return;
            }
        };
        if let Some(slot) = self.shard.slots.get_mut(at) {
            *slot = [self.key, Arrival::new(arrival, came_back).0];
        }
    }
}

impl Shard {
    /// Where a key's number is, or may be, of the set that begins at a slot; none: it doesn't fit.
    /// Who is found came back, whatever becomes of the request.
    fn find(&mut self, first: usize, key: u64, now: u64) -> Option<Place> {
        let mut passers = [first; WAYS];
        let (mut passing, mut free) = (0, None);
        for (at, [owner, number]) in self.slots.iter_mut().enumerate().skip(first).take(WAYS) {
            let arrival = Arrival(*number);
            if *owner == key && arrival.time() > 0 {
                *number = Arrival::new(arrival.time(), true).0;
                return Some(Place::Known(at));
            }
            if arrival.time() <= now {
                free = Some(at);
            } else if !arrival.came_back()
                && let Some(passer) = passers.get_mut(passing)
            {
                *passer = at;
                passing += 1;
            }
        }
        if let Some(at) = free {
            return Some(Place::Free(at));
        }
        if passing < PASSERS_LEAST {
            return None;
        }
        // By chance, and not the oldest: keys that come in turns, one more than there are slots, would
        // each be gone before they are back.
        let chance = other_bits(key) ^ now.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        passers.get(pick(chance, passing)).copied().map(Place::Free)
    }

    fn share(&mut self, key: u64, buckets: usize) -> Place {
        if self.sketch.is_empty() {
            self.sketch = vec![0; buckets].into();
        }
        Place::Shared(pick(other_bits(key), buckets))
    }
}

/// Others than those that chose a key's set, so that a set's strangers spread over the buckets.
fn other_bits(key: u64) -> u64 {
    key.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The place at `key / 2^64` of `len`.
fn pick(key: u64, len: usize) -> usize {
    ((u128::from(key) * len as u128) >> 64) as usize
}
