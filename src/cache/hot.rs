//! What one thread has just given: a page that everyone asks for is found without the table's bookkeeping.
//!
//! Exact: each change of the table gives the stripe of its key a new number, and what was found under another
//! number is not given. Only its use is not noted in the table, so it is looked up there now and then.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::variants::Variants;
use crate::clock::Mono;

/// Pages that a thread has at hand.
const PLACES: usize = 16;
/// The largest that it has, in bytes: they are beside the bound on memory.
const WEIGHT_MAX: u32 = 64 << 10;
/// For so long the table does not hear that it is used: far less than anything stays there unused.
const UNHEARD: Duration = Duration::from_millis(100);
/// Keys that change together.
const STRIPES: usize = 256;

/// Numbers of the changes of one table, no two tables' alike.
#[derive(Debug)]
pub(super) struct Changes([AtomicU64; STRIPES]);

impl Default for Changes {
    fn default() -> Self {
        static TABLES: AtomicU64 = AtomicU64::new(1);
        let first = TABLES.fetch_add(1, Ordering::Relaxed) << 40;
        Self(std::array::from_fn(|_| AtomicU64::new(first)))
    }
}

impl Changes {
    fn stripe(&self, hash: u64) -> Option<&AtomicU64> {
        self.0.get(hash as usize % STRIPES)
    }

    /// The number in force for keys of this hash; to be asked for before the table is.
    pub(super) fn of(&self, hash: u64) -> u64 {
        self.stripe(hash).map_or(0, |stripe| stripe.load(Ordering::Acquire))
    }

    /// What is held under a key of this hash has changed.
    pub(super) fn note(&self, hash: u64) {
        if let Some(stripe) = self.stripe(hash) {
            stripe.fetch_add(1, Ordering::Release);
        }
    }

    /// Everything has.
    pub(super) fn note_all(&self) {
        for stripe in &self.0 {
            stripe.fetch_add(1, Ordering::Release);
        }
    }
}

#[derive(Default)]
struct Place {
    change: u64,
    found: Mono,
    key: Vec<u8>,
    held: Option<Arc<Variants>>,
}

thread_local! {
    static PAGES: RefCell<[Place; PLACES]> = RefCell::default();
}

/// What this thread found under a key, while that was its number.
pub(super) fn find(key: &[u8], hash: u64, change: u64, now: Mono) -> Option<Arc<Variants>> {
    PAGES.with_borrow(|pages| {
        let place = pages.get((hash >> 32) as usize % PLACES)?;
        let holds = place.change == change && now.since(place.found) < UNHEARD && place.key == key;
        place.held.clone().filter(|_| holds)
    })
}

/// Notes what was found in the table under a key.
pub(super) fn keep(key: &[u8], hash: u64, change: u64, held: &Arc<Variants>, now: Mono) {
    if held.weight() > WEIGHT_MAX {
        return;
    }
    PAGES.with_borrow_mut(|pages| {
        let Some(place) = pages.get_mut((hash >> 32) as usize % PLACES) else { return };
        place.key.clear();
        place.key.extend_from_slice(key);
        (place.change, place.found, place.held) = (change, now, Some(held.clone()));
    });
}
