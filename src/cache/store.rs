//! Where entries are kept: bounded by memory, the least recently used go first.
//!
//! Not pure in one respect: moka reads its own clock to drop what is of no more use. Whether an
//! entry may answer is never left to that, but to [`Entry::state`] with the caller's `now`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::entry::Entry;

/// The share of the memory (one in so many) that may come before what is too much goes.
const TOO_LATE: u64 = 128;

/// As [`super::key::write`] makes it.
type Key = Box<[u8]>;

/// The entries of all caches.
#[derive(Clone, Debug)]
pub struct Store {
    entries: Cache<Key, Arc<Entry>>,
    /// Bytes that came since what is too much was last sent away.
    came: Arc<AtomicU64>,
    memory: u64,
}

/// How full a store is; up to a moment late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    pub entries: u64,
    pub bytes: u64,
    pub bytes_max: u64,
}

impl Store {
    /// An empty store of at most `memory_bytes`, keys and bookkeeping included. An entry that alone
    /// is larger is not kept.
    pub fn new(memory_bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(memory_bytes)
            .weigher(|key: &Key, entry: &Arc<Entry>| {
                entry.weight().saturating_add(u32::try_from(key.len()).unwrap_or(u32::MAX))
            })
            // TinyLFU would turn away what is new while the store is full: those who followed a
            // fill would find nothing.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UsefulFor)
            .build();
        Self { entries, came: Arc::default(), memory: memory_bytes }
    }

    /// What is held under a key, of use or not: see [`Entry::state`].
    pub fn get(&self, key: &[u8]) -> Option<Arc<Entry>> {
        self.entries.get(key)
    }

    /// Keeps an entry in place of any other under its key.
    pub fn insert(&self, key: Key, entry: Arc<Entry>) {
        let weight = u64::from(entry.weight());
        self.entries.insert(key, entry);
        self.make_room(weight);
    }

    /// Moka sends away what is too much after some tens of insertions. Of large entries that would be far
    /// too late for the bound on memory.
    fn make_room(&self, weight: u64) {
        if self.came.fetch_add(weight, Ordering::Relaxed) + weight > self.memory / TOO_LATE {
            self.came.store(0, Ordering::Relaxed);
            self.entries.run_pending_tasks();
        }
    }

    /// Weighs an entry anew that has grown, if it is still the one under its key.
    pub fn reweigh(&self, key: &[u8], entry: &Arc<Entry>) {
        self.entries.entry(key.into()).and_compute_with(|held| match held {
            Some(held) if Arc::ptr_eq(held.value(), entry) => Op::Put(entry.clone()),
            _ => Op::Nop,
        });
    }

    /// Forgets what is held under a key.
    pub fn remove(&self, key: &[u8]) {
        self.entries.invalidate(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.invalidate_all();
    }

    /// Bytes held, to the last.
    #[cfg(test)]
    pub(super) fn weighed(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }

    /// How full it is.
    pub fn stats(&self) -> Stats {
        Stats {
            entries: self.entries.entry_count(),
            bytes: self.entries.weighted_size(),
            bytes_max: self.entries.policy().max_capacity().unwrap_or(0),
        }
    }
}

/// An entry goes when it is of no more use. Reading it changes nothing.
struct UsefulFor;

impl Expiry<Key, Arc<Entry>> for UsefulFor {
    fn expire_after_create(&self, _: &Key, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.useful_for())
    }

    fn expire_after_update(&self, _: &Key, entry: &Arc<Entry>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.useful_for())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cache::freshness::{ResponseParts, Terms};
    use crate::clock::Now;

    fn entry(body: usize, fresh_for: Duration) -> Arc<Entry> {
        let terms = Terms {
            public: true,
            fresh_for,
            initial_age: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            must_revalidate: false,
        };
        let head = ResponseParts { status: 200, fields: &[] };
        Arc::new(Entry::new(&head, Bytes::from(vec![b'x'; body]), terms, Now::default()))
    }

    fn minute(body: usize) -> Arc<Entry> {
        entry(body, Duration::from_secs(60))
    }

    #[test]
    fn what_is_inserted_is_found_until_it_is_removed() {
        let store = Store::new(1 << 20);
        store.insert(b"a"[..].into(), minute(10));
        store.insert(b"a"[..].into(), minute(20));
        assert_eq!(store.get(b"a").unwrap().body().len(), 20);
        assert!(store.get(b"b").is_none());
        store.remove(b"a");
        assert!(store.get(b"a").is_none());
        store.insert(b"a"[..].into(), minute(10));
        store.clear();
        assert!(store.get(b"a").is_none());
    }

    #[test]
    fn memory_is_bounded_and_what_was_just_filled_is_there() {
        let store = Store::new(100_000);
        for n in 0..2000_u32 {
            let key: Key = n.to_be_bytes().into();
            store.insert(key.clone(), minute(1000));
            assert!(store.get(&key).is_some(), "entry {n} was turned away");
            store.entries.run_pending_tasks();
            assert!(store.stats().bytes <= 100_000);
        }
        let stats = store.stats();
        assert!(stats.entries >= 40 && stats.bytes > 90_000 && stats.bytes_max == 100_000, "{stats:?}");
    }

    #[test]
    fn an_entry_larger_than_the_store_is_not_kept() {
        let store = Store::new(10_000);
        store.insert(b"a"[..].into(), minute(20_000));
        store.entries.run_pending_tasks();
        assert!(store.get(b"a").is_none());
    }

    #[test]
    fn what_is_of_no_more_use_goes_by_itself() {
        let store = Store::new(100_000);
        store.insert(b"a"[..].into(), entry(10, Duration::from_millis(20)));
        std::thread::sleep(Duration::from_millis(40));
        assert!(store.get(b"a").is_none());
    }
}
